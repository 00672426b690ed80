//! `image`: what containers are made of.

mod list;
mod transfer;

pub(crate) use list::go_time;

use crate::error::Result;
use crate::inspect::{InspectFormat, inspect};
use crate::listing::Format;
use crate::reference::Reference;
use crate::session::{Session, object};
use api_types::image::DeleteResponse;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The verbs of images.
#[derive(Debug, Clone, Subcommand)]
pub enum ImageCommand {
    /// List images
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show all details of images
    Inspect(InspectArgs),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Load images from a tar archive
    Load(LoadArgs),
    /// Save images into a tar archive
    Save(SaveArgs),
    /// Make an image of a file system in a tar archive
    Import(ImportArgs),
    /// Get an image from a registry
    Pull(PullArgs),
    /// Show how an image was made
    History(HistoryArgs),
}

/// Flags of `image ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only images of this name, as NAME[:TAG]
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub name: Option<String>,
    /// Images that are only parts of others, too
    #[arg(short, long)]
    pub all: bool,
    /// Show digests
    #[arg(long)]
    pub digests: bool,
    /// Only those that match, as dangling=, label=, reference=, before= or since=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Do not shorten IDs
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `image inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Flags of `image rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Remove an image that has several names
    #[arg(short, long)]
    pub force: bool,
    /// Keep parents that have no name
    #[arg(long)]
    pub no_prune: bool,
}

/// Flags of `image tag`.
#[derive(Debug, Clone, Default, Args)]
pub struct TagArgs {
    /// The image
    #[arg(value_name = "SOURCE[:TAG]")]
    pub source: String,
    /// Its new name
    #[arg(value_name = "TARGET[:TAG]")]
    pub target: String,
}

/// Flags of `image load`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling image load -i busybox.tar\n  zcat busybox.tar.gz | starling image load"
)]
pub struct LoadArgs {
    /// The archive (default: standard input)
    #[arg(short, long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Do not show progress
    #[arg(short, long)]
    pub quiet: bool,
    /// Only this platform of an archive that has several
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
}

/// Flags of `image save`.
#[derive(Debug, Clone, Default, Args)]
pub struct SaveArgs {
    /// The images
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The archive (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Only this platform
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
}

/// Flags of `image import`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Example:\n  tar -C rootfs -c . | starling image import --change 'CMD [\"/bin/sh\"]' - mine:1"
)]
pub struct ImportArgs {
    /// The archive; - is standard input
    #[arg(value_name = "FILE|-")]
    pub source: String,
    /// The image's name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub target: Option<String>,
    /// Instructions of a Dockerfile, such as CMD or ENV
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Words on the image
    #[arg(short, long, value_name = "TEXT")]
    pub message: Option<String>,
    /// The image's platform
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
}

/// Flags of `image pull`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling image pull nginx:1.27\n  starling image pull registry.local:5000/team/app@sha256:..."
)]
pub struct PullArgs {
    /// The image
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    pub image: String,
    /// All tags of the name (not available yet)
    #[arg(short, long)]
    pub all_tags: bool,
    /// Only this platform
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    pub platform: Option<String>,
    /// Only the name of the image
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `image history`.
#[derive(Debug, Clone, Default, Args)]
pub struct HistoryArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Sizes and times for people
    #[arg(short = 'H', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub human: Option<bool>,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &ImageCommand) -> Result<()> {
    match command {
        ImageCommand::Ls(args) => list::list(session, args).await,
        ImageCommand::Inspect(args) => {
            inspect(session, &args.images, &args.format, inspect_one).await
        }
        ImageCommand::Rm(args) => remove(session, args).await,
        ImageCommand::Tag(args) => tag(session, args).await,
        ImageCommand::Load(args) => transfer::load(session, args).await,
        ImageCommand::Save(args) => transfer::save(session, args).await,
        ImageCommand::Import(args) => transfer::import(session, args).await,
        ImageCommand::Pull(args) => transfer::pull(session, args).await,
        ImageCommand::History(args) => list::history(session, args).await,
    }
}

pub(crate) async fn inspect_one(session: &mut Session, name: &str) -> Result<bytes::Bytes> {
    session
        .client
        .get_bytes(&object("/images", name, "/json")?, &[])
        .await
}

async fn remove(session: &mut Session, args: &RmArgs) -> Result<()> {
    let query: Vec<(&str, &str)> = [("force", args.force), ("noprune", args.no_prune)]
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| (name, "1"))
        .collect();
    session
        .each(&args.images, async |session: &mut Session, name: &str| {
            let path = object("/images", name, "")?;
            let bytes = session.client.delete(&path, &query).await?;
            let removed: Vec<DeleteResponse> =
                api_types::from_json(&bytes).map_err(|err| crate::error::Error::Answer {
                    path,
                    why: err.to_string(),
                })?;
            let lines = removed.iter().map(|item| {
                if item.deleted.is_empty() {
                    format!("Untagged: {}", item.untagged)
                } else {
                    format!("Deleted: {}", item.deleted)
                }
            });
            Ok(lines.collect::<Vec<_>>().join("\n"))
        })
        .await
}

async fn tag(session: &mut Session, args: &TagArgs) -> Result<()> {
    let target = Reference::parse(&args.target).map_err(crate::error::Error::Usage)?;
    if target.digest.is_some() {
        return Err(crate::error::Error::usage(
            "refusing to create a tag with a digest reference: a digest cannot be chosen",
        ));
    }
    let target = target.with_default_tag();
    let tag = target.tag.clone().unwrap_or_default();
    session
        .client
        .post(
            &object("/images", &args.source, "/tag")?,
            &[("repo", &target.name), ("tag", &tag)],
            None::<&()>,
        )
        .await?;
    Ok(())
}
