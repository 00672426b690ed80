//! Waits until a service is as its spec wants it, and shows how far it is.

use crate::board::{Board, bar};
use crate::error::{Error, Result};
use crate::session::{Session, object};
use crate::table::short_id;
use api_types::Filters;
use api_types::service::Service;
use api_types::swarm::Node;
use api_types::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often the daemon is asked; Docker's client asks as often.
const POLL: Duration = Duration::from_millis(200);
/// How long tasks must stay up when the spec does not say it.
const DEFAULT_MONITOR: Duration = Duration::from_secs(5);
/// How long a daemon may fail to answer before we give up: a change of leader takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// More tasks than this are only counted, not shown.
const MAX_BARS: u64 = 20;
const BAR_WIDTH: usize = 50;
/// Longer reasons are cut, so that they stay on a line.
const ERROR_WIDTH: usize = 75;

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

fn ended(state: &str) -> bool {
    step(state).is_some_and(|step| step > RUNNING)
}

/// One look at the cluster.
struct Look {
    service: Service,
    tasks: Vec<Task>,
    active: BTreeSet<String>,
}

/// Waits until the service `name` has converged, has stopped to try, or the user has enough of it.
pub(super) async fn wait(session: &mut Session, name: &str, quiet: bool) -> Result<()> {
    let mut watch = Watch::new(name, quiet);
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    loop {
        if let Some(end) = watch.turn(session).await? {
            return end;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            _ = &mut interrupt => {
                if !watch.converged && !quiet {
                    session.console.line("Operation continuing in background.")?;
                    session.console.line(format!("Use `starling service ps {name}` to check progress."))?;
                }
                return Ok(());
            }
        }
    }
}

struct Watch {
    name: String,
    quiet: bool,
    board: Board,
    converged: bool,
    converged_at: Option<Instant>,
    failing_since: Option<Instant>,
    rollback: bool,
    /// Contiguous numbers for slots, in the order in which they were seen.
    slots: BTreeMap<i64, u64>,
    started: bool,
}

impl Watch {
    fn new(name: &str, quiet: bool) -> Self {
        Watch {
            name: name.to_owned(),
            quiet,
            board: Board::default(),
            converged: false,
            converged_at: None,
            failing_since: None,
            rollback: false,
            slots: BTreeMap::new(),
            started: false,
        }
    }

    /// Looks once; the inner result is the end of it all.
    async fn turn(&mut self, session: &mut Session) -> Result<Option<Result<()>>> {
        let look = match look(session, &self.name).await {
            Ok(look) => look,
            Err(err) if self.may_pass(&err) => return Ok(None),
            Err(err) => return Err(err),
        };
        self.failing_since = None;
        self.judge(session, &look)
    }

    /// Whether a failure may be one of those that pass: nobody leads, or the daemon restarts.
    fn may_pass(&mut self, err: &Error) -> bool {
        let passing = matches!(
            err,
            Error::Api {
                status: 500 | 503,
                ..
            } | Error::Transport(_)
                | Error::Connect { .. }
        );
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        passing && since.elapsed() < PATIENCE
    }

    fn judge(&mut self, session: &mut Session, look: &Look) -> Result<Option<Result<()>>> {
        let monitor = look
            .service
            .spec
            .update_config
            .as_ref()
            .map(|config| config.monitor)
            .filter(|nanos| *nanos > 0);
        let monitor = monitor.map_or(DEFAULT_MONITOR, |nanos| {
            Duration::from_nanos(nanos.unsigned_abs())
        });
        let mut closing = None;
        if let Some(status) = &look.service.update_status {
            match status.state.as_str() {
                "updating" => self.rollback = false,
                "completed" if !self.converged => return Ok(Some(Ok(()))),
                "paused" => {
                    return Ok(Some(Err(Error::Failed(format!(
                        "service update paused: {}",
                        status.message
                    )))));
                }
                "rollback_paused" => {
                    return Ok(Some(Err(Error::Failed(format!(
                        "service rollback paused: {}",
                        status.message
                    )))));
                }
                "rollback_started" => {
                    if !self.rollback && !status.message.is_empty() {
                        self.show(session, "rollback", &status.message)?;
                    }
                    self.rollback = true;
                }
                "rollback_completed" => {
                    self.rollback = true;
                    closing = Some(status.message.clone());
                }
                _ => {}
            }
        }
        if self.converged && self.converged_at.is_some_and(|at| at.elapsed() >= monitor) {
            self.show(
                session,
                "verify",
                &format!("Service {} converged", self.name),
            )?;
            if let Some(message) = closing {
                self.show(session, "rollback", &message)?;
            }
            return Ok(Some(Ok(())));
        }
        self.converged = self.update(session, look)?;
        if self.converged && look.service.job_status.is_some() {
            self.show(session, "", "job complete")?;
            return Ok(Some(Ok(())));
        }
        self.remember(session, monitor)?;
        Ok(None)
    }

    fn remember(&mut self, session: &mut Session, monitor: Duration) -> Result<()> {
        if self.converged {
            let since = self.converged_at.get_or_insert_with(Instant::now).elapsed();
            if let Some(left) = monitor.checked_sub(since) {
                self.show(
                    session,
                    "verify",
                    &format!(
                        "Waiting {} seconds to verify that tasks are stable...",
                        left.as_secs() + 1
                    ),
                )?;
            }
        } else if self.converged_at.take().is_some() {
            self.show(session, "verify", "Detected task failure")?;
        }
        Ok(())
    }

    fn show(&mut self, session: &mut Session, id: &str, text: &str) -> Result<()> {
        if self.quiet {
            Ok(())
        } else {
            self.board.set(&mut session.console, id, text)
        }
    }

    fn update(&mut self, session: &mut Session, look: &Look) -> Result<bool> {
        let mode = &look.service.spec.mode;
        if let Some(job) = &mode.replicated_job {
            let total = job.total_completions.or(job.max_concurrent).unwrap_or(1);
            return self.update_job(session, look, Some(total));
        }
        if mode.global_job.is_some() {
            return self.update_job(session, look, None);
        }
        if mode.global.is_some() {
            return self.update_global(session, look);
        }
        let replicas = mode
            .replicated
            .as_ref()
            .and_then(|replicated| replicated.replicas)
            .unwrap_or(1);
        self.update_replicated(session, look, replicas)
    }

    fn update_replicated(
        &mut self,
        session: &mut Session,
        look: &Look,
        replicas: u64,
    ) -> Result<bool> {
        if !self.started {
            self.started = true;
            self.overall(session, 0, replicas)?;
            for slot in 1..=if replicas <= MAX_BARS { replicas } else { 0 } {
                self.show(session, &format!("{slot}/{replicas}"), " ")?;
            }
        }
        let tasks = favourites(
            &look.tasks,
            |task| task.slot,
            |task| task.node_id.is_empty() || look.active.contains(&task.node_id),
        );
        let running = tasks.values().filter(|task| is_up(task)).count() as u64;
        for (slot, task) in &tasks {
            let next = self.slots.len() as u64 + 1;
            let number = *self.slots.entry(*slot).or_insert(next);
            if number <= replicas && replicas <= MAX_BARS {
                self.task(session, &format!("{number}/{replicas}"), task)?;
            }
        }
        self.overall(session, running, replicas)?;
        Ok(running == replicas)
    }

    fn update_global(&mut self, session: &mut Session, look: &Look) -> Result<bool> {
        let tasks = favourites(&look.tasks, |task| task.node_id.clone(), |_| true);
        if tasks.is_empty() && !self.started {
            self.show(session, "overall progress", "waiting for new tasks")?;
            return Ok(false);
        }
        self.started = true;
        let count = tasks.len() as u64;
        let running = tasks
            .values()
            .filter(|task| is_up(task) && look.active.contains(&task.node_id))
            .count() as u64;
        self.overall(session, running, count)?;
        for (node, task) in tasks.iter().filter(|_| count <= MAX_BARS) {
            self.task(session, &short_id(node), task)?;
        }
        Ok(running == count)
    }

    fn update_job(
        &mut self,
        session: &mut Session,
        look: &Look,
        total: Option<u64>,
    ) -> Result<bool> {
        let iteration = look
            .service
            .job_status
            .as_ref()
            .map(|status| status.job_iteration.index);
        let current = look
            .tasks
            .iter()
            .filter(|task| task.job_iteration.as_ref().map(|version| version.index) == iteration);
        let (complete, seen) = current.fold((0, BTreeSet::new()), |(complete, mut nodes), task| {
            nodes.insert(&task.node_id);
            (
                complete + u64::from(step(&task.status.state) == Some(COMPLETE)),
                nodes,
            )
        });
        let total = total.unwrap_or(seen.len() as u64);
        self.show(
            session,
            "job progress",
            &format!("{complete} out of {total} complete"),
        )?;
        Ok(complete >= total && (total > 0 || !look.tasks.is_empty()))
    }

    fn overall(&mut self, session: &mut Session, running: u64, wanted: u64) -> Result<()> {
        let what = if self.rollback {
            "rolling back update: "
        } else {
            ""
        };
        self.show(
            session,
            "overall progress",
            &format!("{what}{running} out of {wanted} tasks"),
        )
    }

    fn task(&mut self, session: &mut Session, id: &str, task: &Task) -> Result<()> {
        if !task.status.err.is_empty() {
            return self.show(
                session,
                id,
                &crate::table::ellipsis(&task.status.err, ERROR_WIDTH),
            );
        }
        if ended(&task.desired_state) || ended(&task.status.state) {
            return Ok(());
        }
        let state = format!("{:<9}", task.status.state);
        let reached = step(&task.status.state).unwrap_or(0) as u64;
        let text = if session.console.terminal {
            format!("{state} {}", bar(reached, RUNNING as u64, BAR_WIDTH))
        } else {
            state
        };
        self.show(session, id, &text)
    }
}

fn is_up(task: &Task) -> bool {
    !ended(&task.desired_state) && task.status.state == "running"
}

/// One task for each key: the one that shall live longest, and of those the one that is least far, as a start-first update has two.
fn favourites<K: Ord>(
    tasks: &[Task],
    key: impl Fn(&Task) -> K,
    counts: impl Fn(&Task) -> bool,
) -> BTreeMap<K, &Task> {
    let mut chosen: BTreeMap<K, (usize, usize, &Task)> = BTreeMap::new();
    for task in tasks.iter().filter(|task| counts(task)) {
        let (Some(desired), Some(state)) = (step(&task.desired_state), step(&task.status.state))
        else {
            continue;
        };
        let better = |(other_desired, other_state, _): &(usize, usize, &Task)| {
            (desired, state) < (*other_desired, *other_state)
        };
        if chosen.get(&key(task)).is_none_or(better) {
            chosen.insert(key(task), (desired, state, task));
        }
    }
    chosen
        .into_iter()
        .map(|(key, (_, _, task))| (key, task))
        .collect()
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
    let tasks = session
        .client
        .get("/tasks", &[("filters", &filters.to_json())])
        .await?;
    let nodes: Vec<Node> = session.client.get("/nodes", &[]).await?;
    let active = nodes
        .into_iter()
        .filter(|node| node.status.state != "down")
        .map(|node| node.id)
        .collect();
    Ok(Look {
        service,
        tasks,
        active,
    })
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
