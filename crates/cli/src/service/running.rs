//! `service restart`, `stop`, `start` and `rebalance`: the same spec, other tasks.

use super::flags::flag;
use super::progress::{self, Wait};
use super::update;
use crate::error::{Error, Result};
use crate::plan::DRY_RUN;
use crate::resolver::Resolver;
use crate::session::{Session, object};
use crate::table::{align, short_id};
use api_types::service::Service;
use api_types::starling::{
    Change, Move, RebalanceRequest, RebalanceResponse, RestartRequest, Stopped,
};
use api_types::task::Task;
use clap::Args;
use std::collections::{BTreeMap, VecDeque};

/// Flags of `service restart`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "starling service restart [OPTIONS] SERVICE...\n       starling service restart [OPTIONS] --task TASK",
    after_help = "Examples:\n  starling service restart web                 every task, as the update configuration says\n  starling service restart --task 9x2m4c7k1q   only this one"
)]
pub struct RestartArgs {
    /// The services
    #[arg(value_name = "SERVICE", required_unless_present = "task")]
    pub services: Vec<String>,
    /// Only these tasks, by id
    #[arg(long, value_name = "TASK", conflicts_with = "services")]
    pub task: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// Flags of `service stop` and `service start`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// The services
    #[arg(required = true, value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// Flags of `service rebalance`.
#[derive(Debug, Clone, Default, Args)]
pub struct RebalanceArgs {
    /// The services (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Move nothing, only show what would move
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub(crate) wait: WaitFlags,
}

/// How long a command stays.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WaitFlags {
    /// Return at once, do not wait for the services to converge
    #[arg(short = 'd', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub detach: Option<bool>,
    /// Do not show progress
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

impl WaitFlags {
    fn stays(&self) -> bool {
        self.detach != Some(true)
    }
}

/// Replaces tasks by new ones of the same spec.
pub(super) async fn restart(session: &mut Session, args: &RestartArgs) -> Result<()> {
    let mut targets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &args.services {
        targets.entry(name.clone()).or_default();
    }
    for name in &args.task {
        let task: Task = session
            .client
            .get(&object("/tasks", name, "")?, &[])
            .await?;
        targets.entry(task.service_id).or_default().push(task.id);
    }
    let names: Vec<String> = targets.keys().cloned().collect();
    let write = async |session: &mut Session, name: &str| {
        let tasks = targets.get(name).cloned().unwrap_or_default();
        let path = object("/services", name, "/restart")?;
        let request = RestartRequest {
            tasks: tasks.clone(),
        };
        session.client.post(&path, &[], Some(&request)).await?;
        let done = if tasks.is_empty() {
            vec![name.to_owned()]
        } else {
            tasks.clone()
        };
        for name in done {
            session.console.line(name)?;
        }
        Ok(Some(Wait::new(name, args.wait.quiet).replacing(tasks)))
    };
    each(session, &names, &args.wait, write, progress::wait).await
}

/// Ends all tasks of services; the cluster remembers how many there were.
pub(super) async fn stop(session: &mut Session, args: &RunArgs) -> Result<()> {
    let write = async |session: &mut Session, name: &str| {
        let mut service = update::read(session, name).await?;
        if stopped(&service).is_some() {
            session.console.line(format!("{name} is stopped already"))?;
            return Ok(None);
        }
        let replicas = match &mut service.spec.mode.replicated {
            Some(replicated) => replicated.replicas.replace(0).unwrap_or(1),
            None => 0,
        };
        service.spec.starling.get_or_insert_default().stopped = Change::Set(Stopped { replicas });
        update::write(session, &service, &[("registryAuthFrom", "spec")]).await?;
        session.console.line(name)?;
        Ok(Some((service.id, name.to_owned())))
    };
    let wait = async |session: &mut Session, (id, name): (String, String)| {
        progress::wait_until_gone(session, &id, &name, args.wait.quiet).await
    };
    each(session, &args.services, &args.wait, write, wait).await
}

/// Runs stopped services again, as many tasks as there were.
pub(super) async fn start(session: &mut Session, args: &RunArgs) -> Result<()> {
    let write = async |session: &mut Session, name: &str| {
        let mut service = update::read(session, name).await?;
        let Some(before) = stopped(&service) else {
            session.console.line(format!("{name} is not stopped"))?;
            return Ok(None);
        };
        if let Some(replicated) = &mut service.spec.mode.replicated {
            replicated.replicas = Some(before);
        }
        service.spec.starling.get_or_insert_default().stopped = Change::Clear;
        update::write(session, &service, &[("registryAuthFrom", "spec")]).await?;
        session.console.line(name)?;
        Ok(Some(Wait::new(name, args.wait.quiet)))
    };
    each(session, &args.services, &args.wait, write, progress::wait).await
}

/// How many replicas a stopped service had.
pub(super) fn stopped(service: &Service) -> Option<u64> {
    let ours = service.spec.starling.as_ref()?;
    ours.stopped.value().map(|stopped| stopped.replicas)
}

/// Evens the tasks of services out over the nodes.
pub(super) async fn rebalance(session: &mut Session, args: &RebalanceArgs) -> Result<()> {
    let mut request = RebalanceRequest::default();
    for name in &args.services {
        request.services.push(update::read(session, name).await?.id);
    }
    let query: &[(&str, &str)] = if args.dry_run { &[DRY_RUN] } else { &[] };
    let answer: RebalanceResponse = session
        .client
        .post_json("/services/rebalance", query, Some(&request))
        .await?;
    if answer.moves.is_empty() {
        return session
            .console
            .line("Nothing to move: the tasks are spread as evenly as they can be.");
    }
    let table = moves(session, &answer.moves).await?;
    session.console.write(table.as_bytes())?;
    if args.dry_run {
        return session.console.line("Nothing was moved.");
    }
    let mut leaving: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in &answer.moves {
        let of_service = leaving.entry(&one.service_name).or_default();
        of_service.push(one.task_id.clone());
    }
    let names: Vec<String> = leaving.keys().map(|name| (*name).to_owned()).collect();
    // All of them move already, so that there is nothing more to write.
    let moving = async |_: &mut Session, name: &str| {
        let tasks = leaving.remove(name).unwrap_or_default();
        Ok(Some(Wait::new(name, args.wait.quiet).replacing(tasks)))
    };
    each(session, &names, &args.wait, moving, progress::wait).await
}

async fn moves(session: &Session, moves: &[Move]) -> Result<String> {
    let mut resolver = Resolver::new(false);
    let mut text = "TASK\tID\tFROM\tTO\n".to_owned();
    for one in moves {
        let from = resolver.node(session, &one.from_node_id).await?;
        let to = resolver.node(session, &one.to_node_id).await?;
        text.push_str(&format!(
            "{}.{}\t{}\t{from}\t{to}\n",
            one.service_name,
            one.slot,
            short_id(&one.task_id)
        ));
    }
    Ok(align(&text))
}

/// Writes all, and only then waits for them one after the other: an interrupted wait must not leave the others untouched.
/// What goes wrong with one does not keep the others from being done.
async fn each<T>(
    session: &mut Session,
    names: &[String],
    flags: &WaitFlags,
    mut write: impl AsyncFnMut(&mut Session, &str) -> Result<Option<T>>,
    mut wait: impl AsyncFnMut(&mut Session, T) -> Result<()>,
) -> Result<()> {
    let (mut written, mut waits) = (Vec::new(), VecDeque::new());
    let said = session
        .each(names, async |session: &mut Session, name: &str| {
            if let Some(what) = write(session, name).await.map_err(of(name))? {
                written.push(name.to_owned());
                waits.push_back(what);
            }
            Ok(String::new())
        })
        .await;
    if !flags.stays()
        || said
            .as_ref()
            .is_err_and(|err| !matches!(err, Error::Silent))
    {
        return said;
    }
    let waited = session
        .each(&written, async |session: &mut Session, name: &str| {
            if let Some(what) = waits.pop_front() {
                wait(session, what).await.map_err(of(name))?;
            }
            Ok(String::new())
        })
        .await;
    // What could not be written is no less a failure when the user leaves the wait for the rest.
    said.and(waited)
}

/// Says which service it was.
fn of(name: &str) -> impl Fn(Error) -> Error {
    move |err| match err {
        Error::Failed(why) => Error::Failed(format!("{name}: {why}")),
        err => err,
    }
}
