//! `service`: everything about services.

mod create;
mod flags;
mod list;
mod list_flags;
mod logs;
mod own;
mod pretty;
mod progress;
mod revisions;
mod running;
mod spec;
mod update;

#[cfg(test)]
mod tests;

pub use create::CreateArgs;
pub use logs::LogsArgs;
pub(crate) use progress::ended;
pub use revisions::{HistoryArgs, RollbackArgs};
pub use running::{RebalanceArgs, RestartArgs, RunArgs};
pub use update::UpdateArgs;

use crate::error::{Error, Result};
use crate::inspect::{InspectFormat, Pretty, inspect_pretty};
use crate::listing::Format;
use crate::session::{Session, object};
use crate::tasks::PsFlags;
use api_types::service::Service;
use clap::{Args, Subcommand};

/// The verbs of services.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceCommand {
    /// Create a service
    Create(Box<CreateArgs>),
    /// List services
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// List the tasks of services, with those before them
    Ps(PsArgs),
    /// Show all details of services
    Inspect(InspectArgs),
    /// Change a service
    Update(Box<UpdateArgs>),
    /// Set the number of tasks of services
    #[command(after_help = "Example:\n  starling service scale web=5 worker=2")]
    Scale(ScaleArgs),
    /// Remove services and their tasks
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Show what a service or a task wrote
    Logs(LogsArgs),
    /// Go back to the spec before the last update, or to an older one
    Rollback(RollbackArgs),
    /// List the specs that a service had
    History(HistoryArgs),
    /// Replace tasks by new ones of the same spec
    Restart(RestartArgs),
    /// End all tasks of services; 'start' brings them back, and runs jobs anew
    Stop(RunArgs),
    /// Run stopped services again
    Start(RunArgs),
    /// Even tasks out over the nodes
    #[command(after_help = "Example:\n  starling service rebalance --dry-run")]
    Rebalance(RebalanceArgs),
}

/// Flags of `service ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only those that match, as id=, name=, label= or mode=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `service ps`.
#[derive(Debug, Clone, Default, Args)]
pub struct PsArgs {
    /// The services
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: PsFlags,
}

/// Flags of `service inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The services
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    /// A form for people
    #[arg(long)]
    pub pretty: bool,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Flags of `service scale`.
#[derive(Debug, Clone, Default, Args)]
pub struct ScaleArgs {
    /// Services and their number of tasks
    #[arg(required = true, value_name = "SERVICE=REPLICAS")]
    pub services: Vec<String>,
    /// Return at once, do not wait for the services to converge
    #[arg(short = 'd', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flags::flag)]
    pub detach: Option<bool>,
}

/// Flags of `service rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// The services
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &ServiceCommand) -> Result<()> {
    match command {
        ServiceCommand::Create(args) => create::create(session, args).await,
        ServiceCommand::Ls(args) => list::list(session, args).await,
        ServiceCommand::Ps(args) => list::ps(session, args).await,
        ServiceCommand::Inspect(args) => {
            let pretty = args.pretty.then_some(pretty::service as Pretty);
            let fetch = async |session: &mut Session, name: &str| {
                let found = inspect_one(session, name).await;
                match found {
                    Ok(bytes) if args.pretty => with_network_names(session, &bytes).await,
                    Err(err) if err.is_not_found() => {
                        Err(Error::Failed(format!("Error: no such service: {name}")))
                    }
                    other => other,
                }
            };
            inspect_pretty(session, &args.services, &args.format, pretty, fetch).await
        }
        ServiceCommand::Update(args) => update::update(session, args).await,
        ServiceCommand::Scale(args) => update::scale(session, &args.services, args.detach).await,
        ServiceCommand::Rm(args) => {
            session
                .each(&args.services, async |session: &mut Session, name: &str| {
                    session
                        .client
                        .delete(&object("/services", name, "")?, &[])
                        .await?;
                    Ok(name.to_owned())
                })
                .await
        }
        ServiceCommand::Logs(args) => logs::logs(session, args).await,
        ServiceCommand::Rollback(args) => revisions::rollback(session, args).await,
        ServiceCommand::History(args) => revisions::history(session, args).await,
        ServiceCommand::Restart(args) => running::restart(session, args).await,
        ServiceCommand::Stop(args) => running::stop(session, args).await,
        ServiceCommand::Start(args) => running::start(session, args).await,
        ServiceCommand::Rebalance(args) => running::rebalance(session, args).await,
    }
}

/// With the defaults of what the spec does not say, as Docker's client asks for it.
pub(crate) async fn inspect_one(session: &mut Session, name: &str) -> Result<bytes::Bytes> {
    session
        .client
        .get_bytes(
            &object("/services", name, "")?,
            &[("insertDefaults", "true")],
        )
        .await
}

/// A service whose networks are named. What is gone keeps its id.
async fn with_network_names(session: &Session, bytes: &bytes::Bytes) -> Result<bytes::Bytes> {
    let wrong = |why: String| Error::Answer {
        path: "/services".to_owned(),
        why,
    };
    let mut service: Service = api_types::from_json(bytes).map_err(|err| wrong(err.to_string()))?;
    for network in &mut service.spec.task_template.networks {
        if let Ok(name) = spec::network_name(session, &network.target).await {
            network.target = name;
        }
    }
    let named = serde_json::to_vec(&service).map_err(|err| wrong(err.to_string()))?;
    Ok(named.into())
}
