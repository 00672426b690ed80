//! Waits until a service is as its spec wants it, and shows how far it is.

mod given_up;
mod modes;
mod nowhere;

use super::running::stopped;
use crate::board::Board;
use crate::error::{Error, Result};
use crate::session::{Session, object};
use crate::wait::poll;
use api_types::Filters;
use api_types::service::{Service, UpdateStatus};
use api_types::swarm::Node;
use api_types::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long tasks must stay up when the spec does not say it.
const DEFAULT_MONITOR: Duration = Duration::from_secs(5);

/// How long a global service or job may be without tasks before we ask whether it will get any. The orchestrator needs some
/// milliseconds to make them, and a few seconds when the leader changes.
const NO_TASK_PATIENCE: Duration = Duration::from_secs(5);

/// The states of a task in the order in which it goes through them.
const LADDER: &[&str] = &[
    "new",
    "allocated",
    "pending",
    "assigned",
    "accepted",
    "preparing",
    "ready",
    "starting",
    "running",
    "complete",
    "shutdown",
    "failed",
    "rejected",
];
const RUNNING: usize = 9;
const COMPLETE: usize = 10;

/// The step on the ladder, from 1; none for states that are not on it.
fn step(state: &str) -> Option<usize> {
    LADDER
        .iter()
        .position(|known| *known == state)
        .map(|index| index + 1)
}

/// Whether nothing runs any more in a state.
pub(crate) fn ended(state: &str) -> bool {
    step(state).is_some_and(|step| step > RUNNING) || matches!(state, "remove" | "orphaned")
}

/// What is waited for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wait {
    name: String,
    quiet: bool,
    /// A rollback that the user asked for is no failure.
    rollback: bool,
    /// Tasks that are to be replaced: they do not count, however well they run.
    leaving: BTreeSet<String>,
}

impl Wait {
    /// A service that converges.
    pub(super) fn new(name: &str, quiet: bool) -> Self {
        Wait {
            name: name.to_owned(),
            quiet,
            ..Wait::default()
        }
    }

    /// After a rollback.
    pub(super) fn of_rollback(mut self) -> Self {
        self.rollback = true;
        self
    }

    /// After single tasks were sent away.
    pub(super) fn replacing(mut self, tasks: Vec<String>) -> Self {
        self.leaving = tasks.into_iter().collect();
        self
    }
}

/// One look at the cluster.
struct Look {
    service: Service,
    tasks: Vec<Task>,
    active: BTreeSet<String>,
    /// The last task of a slot that stays empty, if there is such a slot.
    given_up: Option<Task>,
}

/// Waits until the service has converged, has stopped to try, or the user has enough of it.
pub(super) async fn wait(session: &mut Session, wait: Wait) -> Result<()> {
    let mut watch = Watch::new(wait);
    let end = poll(session, async |session: &mut Session| {
        let look = look(session, &watch.wait.name).await?;
        let end = watch.judge(session, &look)?;
        if end.is_none() && watch.lacks_tasks() {
            let why = nowhere::reason(session, &look.service).await?;
            return Ok(why.map(failed));
        }
        Ok(end)
    });
    match end.await? {
        Some(end) => end,
        None => {
            if !watch.converged && !watch.wait.quiet {
                goes_on(session, &watch.wait.name)?;
            }
            Err(Error::Detached)
        }
    }
}

fn goes_on(session: &mut Session, name: &str) -> Result<()> {
    session
        .console
        .line("Operation continuing in background.")?;
    session.console.line(format!(
        "Use `starling service ps {name}` to check progress."
    ))
}

/// Waits until no task of a service runs any more.
pub(super) async fn wait_until_gone(
    session: &mut Session,
    id: &str,
    name: &str,
    quiet: bool,
) -> Result<()> {
    let mut filters = Filters::new();
    filters.add("service", id);
    let filters = filters.to_json();
    let mut board = Board::default();
    let end = poll(session, async |session: &mut Session| {
        let tasks: Vec<Task> = session
            .client
            .get("/tasks", &[("filters", &filters)])
            .await?;
        let left = tasks
            .iter()
            .filter(|task| !ended(&task.status.state))
            .count();
        if !quiet {
            let text = format!("{left} tasks left");
            board.set(&mut session.console, "stopping", &text)?;
        }
        Ok((left == 0).then_some(()))
    });
    if end.await?.is_some() {
        return Ok(());
    }
    if !quiet {
        goes_on(session, name)?;
    }
    Err(Error::Detached)
}

struct Watch {
    wait: Wait,
    board: Board,
    converged: bool,
    converged_at: Option<Instant>,
    rollback: bool,
    /// Why the update was rolled back, once it was.
    rolled_back: Option<String>,
    /// Contiguous numbers for slots, in the order in which they were seen.
    slots: BTreeMap<i64, u64>,
    /// Nodes that a global job had at the beginning; later ones are not waited for.
    job_nodes: Option<BTreeSet<String>>,
    started: bool,
    /// The task that the last look found to be given up.
    given_up: Option<String>,
    /// Since when there is no task at all, in a mode in which the nodes decide how many there are.
    no_task_since: Option<Instant>,
}

/// How a wait ended; none when it goes on.
type End = Option<Result<()>>;

impl Watch {
    fn new(wait: Wait) -> Self {
        Watch {
            wait,
            board: Board::default(),
            converged: false,
            converged_at: None,
            rollback: false,
            rolled_back: None,
            slots: BTreeMap::new(),
            job_nodes: None,
            started: false,
            given_up: None,
            no_task_since: None,
        }
    }

    /// Whether it is time to ask why there are no tasks; asked again only after the same time.
    fn lacks_tasks(&mut self) -> bool {
        let due = |since: &mut Instant| since.elapsed() >= NO_TASK_PATIENCE;
        self.no_task_since.take_if(due).is_some()
    }

    /// Decides what a look means.
    fn judge(&mut self, session: &mut Session, look: &Look) -> Result<End> {
        if stopped(&look.service).is_some() {
            let text = format!(
                "nothing runs until 'starling service start {}'",
                self.wait.name
            );
            self.show(session, "stopped", &text)?;
            return Ok(Some(Ok(())));
        }
        // Single tasks that are replaced leave the status of the last update alone.
        if self.wait.leaving.is_empty()
            && let Some(status) = &look.service.update_status
            && let Some(end) = self.status(session, status)?
        {
            return Ok(Some(end));
        }
        let monitor = monitor(&look.service);
        if self.converged && self.converged_at.is_some_and(|at| at.elapsed() >= monitor) {
            let text = format!("Service {} converged", self.wait.name);
            self.show(session, "verify", &text)?;
            return Ok(Some(self.outcome(session, look)?));
        }
        self.converged = self.update(session, look)?;
        if self.converged && look.service.job_status.is_some() {
            self.show(session, "", "job complete")?;
            return Ok(Some(Ok(())));
        }
        // The service and its tasks are read one after the other, so one look may see a change half done.
        let before = std::mem::replace(
            &mut self.given_up,
            look.given_up.as_ref().map(|task| task.id.clone()),
        );
        if let Some(task) = &look.given_up
            && before.as_ref() == Some(&task.id)
        {
            return Ok(Some(failed(self.lost(&look.service, task))));
        }
        self.remember(session, monitor)?;
        Ok(None)
    }

    /// What the status of the update says; an end when it says that it is over.
    fn status(&mut self, session: &mut Session, status: &UpdateStatus) -> Result<End> {
        let message = &status.message;
        match status.state.as_str() {
            "updating" => self.rollback = false,
            "completed" if !self.converged => return Ok(Some(Ok(()))),
            "paused" => return Ok(Some(failed(format!("service update paused: {message}")))),
            "rollback_paused" => {
                return Ok(Some(failed(format!("service rollback paused: {message}"))));
            }
            "rollback_started" => {
                if !self.rollback && !message.is_empty() {
                    self.show(session, "rollback", message)?;
                }
                self.rollback = true;
                self.rolled_back = Some(message.clone());
            }
            "rollback_completed" => {
                self.rollback = true;
                self.rolled_back.get_or_insert_with(|| message.clone());
            }
            _ => {}
        }
        Ok(None)
    }

    /// Everything runs; but is it what was asked for?
    fn outcome(&mut self, session: &mut Session, look: &Look) -> Result<Result<()>> {
        let Some(why) = self.rolled_back.clone() else {
            return Ok(Ok(()));
        };
        if let Some(status) = &look.service.update_status {
            self.show(session, "rollback", &status.message.clone())?;
        }
        if self.wait.rollback {
            return Ok(Ok(()));
        }
        Ok(failed(format!(
            "service update rolled back: {why} (the spec that failed: starling service history {})",
            self.wait.name
        )))
    }

    /// Why a service does not become what was asked for, which may have been given up before.
    fn lost(&self, service: &Service, task: &Task) -> String {
        let why = given_up::reason(service, task);
        match self.rolled_back.as_ref().filter(|_| !self.wait.rollback) {
            Some(before) => format!("service update rolled back: {before}; {why}"),
            None => why,
        }
    }

    fn remember(&mut self, session: &mut Session, monitor: Duration) -> Result<()> {
        if self.converged {
            let since = self.converged_at.get_or_insert_with(Instant::now).elapsed();
            if let Some(left) = monitor.checked_sub(since) {
                let seconds = left.as_secs() + 1;
                let text = format!("Waiting {seconds} seconds to verify that tasks are stable...");
                self.show(session, "verify", &text)?;
            }
        } else if self.converged_at.take().is_some() {
            self.show(session, "verify", "Detected task failure")?;
        }
        Ok(())
    }

    fn show(&mut self, session: &mut Session, id: &str, text: &str) -> Result<()> {
        if self.wait.quiet {
            Ok(())
        } else {
            self.board.set(&mut session.console, id, text)
        }
    }
}

fn failed(why: String) -> Result<()> {
    Err(Error::Failed(why))
}

/// How long tasks must stay up; no time when there are none.
fn monitor(service: &Service) -> Duration {
    let mode = &service.spec.mode;
    if mode.replicated.as_ref().and_then(|mode| mode.replicas) == Some(0) {
        return Duration::ZERO;
    }
    let config = service.spec.update_config.as_ref();
    config
        .map(|config| config.monitor)
        .filter(|nanos| *nanos > 0)
        .map_or(DEFAULT_MONITOR, |nanos| {
            Duration::from_nanos(nanos.unsigned_abs())
        })
}

async fn look(session: &Session, name: &str) -> Result<Look> {
    let service: Service = session
        .client
        .get(
            &object("/services", name, "")?,
            &[("insertDefaults", "false")],
        )
        .await?;
    let mut filters = Filters::new();
    filters
        .add("service", &service.id)
        .add("_up-to-date", "true");
    let tasks: Vec<Task> = session
        .client
        .get("/tasks", &[("filters", &filters.to_json())])
        .await?;
    let nodes: Vec<Node> = session.client.get("/nodes", &[]).await?;
    let mut given_up = given_up::find(&service, &nodes, &tasks, &tasks).cloned();
    if given_up.is_some() {
        // A newer task of another spec may be in that slot. It is asked for only now, as that is rare.
        let mut filters = Filters::new();
        filters.add("service", &service.id);
        let all: Vec<Task> = session
            .client
            .get("/tasks", &[("filters", &filters.to_json())])
            .await?;
        given_up = given_up::find(&service, &nodes, &all, &tasks).cloned();
    }
    let active = nodes
        .into_iter()
        .filter(|node| node.status.state != "down")
        .map(|node| node.id)
        .collect();
    Ok(Look {
        service,
        tasks,
        active,
        given_up,
    })
}

#[cfg(test)]
mod tests;
