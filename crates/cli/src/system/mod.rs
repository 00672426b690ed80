//! The engine as a whole: `info`, `version`, `events`, and `inspect` for anything.

mod events;
mod info;
mod version;

pub use events::{EventsArgs, events};
pub use info::{InfoArgs, info};
pub use version::{VersionArgs, version};

use crate::error::{Error, Result};
use crate::inspect::InspectFormat;
use crate::payload::{CONFIGS, SECRETS};
use crate::session::Session;
use clap::{Args, Subcommand};

/// What `inspect` looks for, in this order.
const KINDS: [&str; 9] = [
    "container",
    "image",
    "network",
    "volume",
    "service",
    "task",
    "node",
    "secret",
    "config",
];

/// The verbs of the engine.
#[derive(Debug, Clone, Subcommand)]
pub enum SystemCommand {
    /// Show what this host is and has
    Info(InfoArgs),
    /// Show what happens
    Events(EventsArgs),
}

/// Flags of `inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// Containers, images, networks, volumes, services, tasks, nodes, secrets or configs
    #[arg(required = true, value_name = "NAME|ID")]
    pub names: Vec<String>,
    /// Only things of this kind
    #[arg(long = "type", value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(KINDS))]
    pub kind: Option<String>,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Shows all details of anything.
pub async fn inspect(session: &mut Session, args: &InspectArgs) -> Result<()> {
    crate::inspect::inspect(
        session,
        &args.names,
        &args.format,
        async |session: &mut Session, name: &str| find(session, name, args.kind.as_deref()).await,
    )
    .await
}

/// The first kind that has something of this name. Kinds of the cluster do not count on a host that does not manage one.
async fn find(session: &mut Session, name: &str, only: Option<&str>) -> Result<bytes::Bytes> {
    for kind in KINDS {
        if only.is_some_and(|only| only != kind) {
            continue;
        }
        let found = match kind {
            "container" => crate::container::inspect_one(session, name).await,
            "image" => crate::image::inspect_one(session, name).await,
            "volume" => crate::volume::inspect_one(session, name).await,
            "secret" => crate::payload::inspect_one(session, SECRETS, name).await,
            "config" => crate::payload::inspect_one(session, CONFIGS, name).await,
            "network" => crate::network::inspect_one(session, name).await,
            "service" => crate::service::inspect_one(session, name).await,
            "task" => {
                session
                    .client
                    .get_bytes(&crate::session::object("/tasks", name, "")?, &[])
                    .await
            }
            _ => crate::node::inspect_one(session, name).await,
        };
        match found {
            Err(err) if err.is_not_found() => {}
            Err(Error::Api {
                status: 503 | 501, ..
            }) if only.is_none() => {}
            // A name that is no image's name is not an error as long as it may be something else's.
            Err(Error::Api { status: 400, .. }) if only.is_none() && kind == "image" => {}
            other => return other,
        }
    }
    Err(Error::Failed(format!(
        "Error: No such {}: {name}",
        only.unwrap_or("object")
    )))
}
