//! `volume`: the volumes of this host.

use crate::error::{Error, Result};
use crate::inspect::{InspectFormat, inspect};
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::parse::lists::{key_value, label, map};
use crate::session::{Session, filter_query, filters, object};
use crate::units::human_size;
use api_types::volume::{Volume, VolumeCreateRequest, VolumeList, VolumePruneResponse};
use clap::{Args, Subcommand};
use std::io::Write as _;

const LAYOUT: Layout = Layout {
    headings: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Label", ""),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    table: r"{{.Driver}}\t{{.Name}}",
};
const SIZE_DIGITS: usize = 4;

/// The verbs of volumes.
#[derive(Debug, Clone, Subcommand)]
pub enum VolumeCommand {
    /// Create a volume
    #[command(
        after_help = "Examples:\n  starling volume create data\n  starling volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch"
    )]
    Create(CreateArgs),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show all details of volumes
    Inspect(InspectArgs),
    /// Remove volumes that no container has
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Remove all volumes that no container has
    Prune(PruneArgs),
}

/// Flags of `volume create`.
#[derive(Debug, Clone, Default, Args)]
pub struct CreateArgs {
    /// Its name (default: one that the daemon makes up)
    #[arg(value_name = "VOLUME")]
    pub name: Option<String>,
    /// Driver
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    pub driver: String,
    /// Labels, as NAME=VALUE
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Options of the driver, as NAME=VALUE
    #[arg(short, long, value_name = "OPTION", value_parser = key_value)]
    pub opt: Vec<(String, String)>,
}

/// Flags of `volume ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only those that match, as name=, driver=, label=, scope= or dangling=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Format the output: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Only display names
    #[arg(short, long)]
    pub quiet: bool,
    /// Volumes of the cluster; there are none yet
    #[arg(long)]
    pub cluster: bool,
}

/// Flags of `volume inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Flags of `volume rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// The volumes
    #[arg(required = true, value_name = "VOLUME")]
    pub names: Vec<String>,
    /// Do not complain of a volume that is not there
    #[arg(short, long)]
    pub force: bool,
}

/// Flags of `volume prune`.
#[derive(Debug, Clone, Default, Args)]
pub struct PruneArgs {
    /// Also those that were given a name
    #[arg(short, long)]
    pub all: bool,
    /// Only those that match, as label= or label!=
    #[arg(long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &VolumeCommand) -> Result<()> {
    match command {
        VolumeCommand::Create(args) => {
            let request = VolumeCreateRequest {
                driver: args.driver.clone(),
                driver_opts: map(&args.opt),
                labels: map(&args.label),
                name: args.name.clone().unwrap_or_default(),
            };
            let created: Volume = session
                .client
                .post_json("/volumes/create", &[], Some(&request))
                .await?;
            session.console.line(&created.name)
        }
        VolumeCommand::Ls(args) => list(session, args).await,
        VolumeCommand::Inspect(args) => {
            inspect(session, &args.names, &args.format, inspect_one).await
        }
        VolumeCommand::Rm(args) => {
            let query: &[(&str, &str)] = if args.force { &[("force", "1")] } else { &[] };
            session
                .each(&args.names, async |session: &mut Session, name: &str| {
                    let path = object("/volumes", name, "")?;
                    session.client.delete(&path, query).await?;
                    Ok(name.to_owned())
                })
                .await
        }
        VolumeCommand::Prune(args) => prune(session, args).await,
    }
}

pub(crate) async fn inspect_one(session: &mut Session, name: &str) -> Result<bytes::Bytes> {
    let path = object("/volumes", name, "")?;
    session.client.get_bytes(&path, &[]).await
}

async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    if args.cluster {
        return Err(Error::usage(
            "cluster volumes are not available yet: leave --cluster out for those of this host",
        ));
    }
    let wanted = filter_query(&filters(&args.filter)?);
    let query: Vec<(&str, &str)> = wanted
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    let answer: VolumeList = session.client.get("/volumes", &query).await?;
    for warning in answer.warnings.unwrap_or_default() {
        session.console.complain(warning);
    }
    let mut volumes = answer.volumes.unwrap_or_default();
    volumes.sort_by(|a, b| natural_order(&a.name, &b.name));
    // A volume has no id: its name stands for it.
    let names_only = args.quiet
        && args
            .format
            .as_deref()
            .is_none_or(|format| format == "table");
    let format = Format {
        format: if names_only {
            Some("{{.Name}}".to_owned())
        } else {
            args.format.clone()
        },
        quiet: false,
    };
    format.write(session, &LAYOUT, volumes.iter().map(volume_row).collect())
}

fn volume_row(volume: &Volume) -> Row {
    let labels = volume.labels.clone().unwrap_or_default();
    let pairs = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let (links, size) = match &volume.usage_data {
        Some(usage) => (
            usage.ref_count.to_string(),
            human_size(usage.size, SIZE_DIGITS),
        ),
        None => ("N/A".to_owned(), "N/A".to_owned()),
    };
    row([
        ("Driver", volume.driver.clone().into()),
        ("Name", volume.name.clone().into()),
        ("Scope", volume.scope.clone().into()),
        ("Mountpoint", volume.mountpoint.clone().into()),
        ("Labels", pairs.collect::<Vec<_>>().join(",").into()),
        ("Label", serde_json::json!(labels)),
        ("Links", links.into()),
        ("Size", size.into()),
        // Of volumes of the cluster only.
        ("Availability", "N/A".into()),
        ("Group", "N/A".into()),
        ("Status", "N/A".into()),
    ])
}

async fn prune(session: &mut Session, args: &PruneArgs) -> Result<()> {
    let mut wanted = filters(&args.filter)?;
    if args.all {
        if wanted.contains("all") {
            return Err(Error::usage(
                "conflicting options: cannot specify both --all and --filter all=1",
            ));
        }
        wanted.add("all", "true");
    }
    let which = if args.all { "all" } else { "anonymous" };
    if !args.force
        && !confirmed(
            session,
            &format!(
                "WARNING! This will remove {which} local volumes not used by at least one container."
            ),
        )?
    {
        return Err(Error::Failed("volume prune has been cancelled".to_owned()));
    }
    let query = filter_query(&wanted);
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    let answer: VolumePruneResponse = session
        .client
        .post_json("/volumes/prune", &query, None::<&()>)
        .await?;
    let deleted = answer.volumes_deleted.unwrap_or_default();
    if !deleted.is_empty() {
        session
            .console
            .line(format!("Deleted Volumes:\n{}\n", deleted.join("\n")))?;
    }
    let bytes = i64::try_from(answer.space_reclaimed).unwrap_or(i64::MAX);
    session.console.line(format!(
        "Total reclaimed space: {}",
        human_size(bytes, SIZE_DIGITS)
    ))
}

/// Asks on the terminal. The end of input means no.
fn confirmed(session: &mut Session, warning: &str) -> Result<bool> {
    let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
    session.console.write(question.as_bytes())?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|source| Error::File {
            what: "cannot read the answer from standard input".to_owned(),
            source,
        })?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let volume = Volume {
            driver: "local".into(),
            name: "data".into(),
            scope: "local".into(),
            ..Volume::default()
        };
        let text = Format::default()
            .render(&LAYOUT, vec![volume_row(&volume)])
            .unwrap();
        assert_eq!(text, "DRIVER    VOLUME NAME\nlocal     data\n");
    }
}
