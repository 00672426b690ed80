//! `node drain`: sends tasks away, and waits until they are gone.

use super::{DrainArgs, post, read, set_drain, write};
use crate::board::Board;
use crate::error::{Error, Result};
use crate::plan::DRY_RUN;
use crate::resolver::Resolver;
use crate::service::ended;
use crate::session::Session;
use crate::table::ellipsis;
use crate::tasks::{slot, slot_name};
use crate::wait::poll;
use api_types::Filters;
use api_types::starling::Drain;
use api_types::swarm::Node;
use api_types::task::Task;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// More tasks than this are only counted, not shown.
const MAX_LINES: usize = 20;
/// Longer reasons are cut, so that they stay on a line.
const REASON_WIDTH: usize = 60;
/// What a successor is to be: it is made ready first when it starts before its predecessor stops, and one of a job is to
/// be complete.
const WANTED: &[&str] = &["accepted", "ready", "running", "complete"];

impl DrainArgs {
    /// How the tasks leave; none is Docker's way, all at once.
    fn config(&self) -> Option<Drain> {
        if self.parallelism.is_none() && self.order.is_none() {
            return None;
        }
        Some(Drain {
            parallelism: self.parallelism.unwrap_or(0),
            order: self.order.clone().unwrap_or_default(),
        })
    }
}

pub(super) async fn drain(session: &mut Session, args: &DrainArgs) -> Result<()> {
    let mut drained: Vec<(String, Node)> = Vec::new();
    let said = session
        .each(&args.nodes, async |session: &mut Session, name: &str| {
            let mut node = read(session, name).await?;
            "drain".clone_into(&mut node.spec.availability);
            set_drain(&mut node, args.config());
            if args.plan.dry_run {
                let answer = post(session, &node, &[DRY_RUN]).await?;
                let of = format!("a drain of {name}");
                args.plan
                    .write(session, &answer, &of, |_| String::new())
                    .await?;
                return Ok(String::new());
            }
            write(session, &node).await?;
            drained.push((name.to_owned(), node));
            Ok(name.to_owned())
        })
        .await;
    if args.wait && !drained.is_empty() {
        let timeout = args.timeout.map(i64::unsigned_abs);
        wait(session, &drained, timeout.map(Duration::from_nanos)).await?;
    }
    said
}

async fn wait(
    session: &mut Session,
    nodes: &[(String, Node)],
    timeout: Option<Duration>,
) -> Result<()> {
    let begun = Instant::now();
    let mut board = Board::default();
    let mut resolver = Resolver::new(false);
    // Tasks that have a line of their own.
    let mut shown: BTreeSet<String> = BTreeSet::new();
    let end = poll(session, async |session: &mut Session| {
        let mut left = Vec::new();
        for (name, node) in nodes {
            let here = tasks_of(session, &node.id).await?;
            let text = match here.len() {
                0 => "drained".to_owned(),
                count => format!("{count} tasks left"),
            };
            board.set(&mut session.console, name, &text)?;
            left.extend(here);
        }
        if left.is_empty() {
            for gone in &shown {
                board.set(&mut session.console, gone, "left")?;
            }
            return Ok(Some(Ok(())));
        }
        let waiting = waiting(session, &mut resolver, &left).await?;
        for gone in shown
            .iter()
            .filter(|id| !waiting.iter().any(|(there, _)| there == *id))
        {
            board.set(&mut session.console, gone, "left")?;
        }
        for (id, text) in waiting.iter().take(MAX_LINES) {
            board.set(&mut session.console, id, text)?;
            shown.insert(id.clone());
        }
        if timeout.is_some_and(|timeout| begun.elapsed() >= timeout) {
            return Ok(Some(Err(too_late(left.len(), &waiting))));
        }
        Ok(None)
    });
    match end.await? {
        Some(end) => end,
        None => {
            session
                .console
                .line("Operation continuing in background.")?;
            let names: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
            session.console.line(format!(
                "Use `starling node ps {}` to check progress.",
                names.join(" ")
            ))?;
            Err(Error::Detached)
        }
    }
}

fn too_late(left: usize, waiting: &[(String, String)]) -> Error {
    let reasons = waiting.iter().map(|(id, text)| format!("\n  {id}: {text}"));
    Error::Failed(format!(
        "the time is up and {left} tasks are still there; the drain goes on{}",
        reasons.collect::<String>()
    ))
}

/// What still runs on a node, or is about to.
async fn tasks_of(session: &Session, node: &str) -> Result<Vec<Task>> {
    let mut filters = Filters::new();
    filters.add("node", node);
    let mut tasks: Vec<Task> = session
        .client
        .get("/tasks", &[("filters", &filters.to_json())])
        .await?;
    tasks.retain(|task| !ended(&task.status.state));
    Ok(tasks)
}

/// For each task that is still there, what it waits for.
async fn waiting(
    session: &Session,
    resolver: &mut Resolver,
    left: &[Task],
) -> Result<Vec<(String, String)>> {
    let mut filters = Filters::new();
    for task in left.iter().filter(|task| !task.service_id.is_empty()) {
        filters.add("service", &task.service_id);
    }
    for wanted in WANTED {
        filters.add("desired-state", *wanted);
    }
    let wanted: Vec<Task> = session
        .client
        .get("/tasks", &[("filters", &filters.to_json())])
        .await?;
    let mut lines = Vec::new();
    for task in left {
        let name = slot_name(session, resolver, task).await?;
        let moves = slot(session, resolver, task).await?.is_some();
        lines.push((name, reason(task, moves, &wanted)));
    }
    Ok(lines)
}

/// What a task waits for. One whose slot is its node (`moves` is false) ends with the node's part in the service: nobody
/// takes its place elsewhere.
fn reason(task: &Task, moves: bool, wanted: &[Task]) -> String {
    let successor = wanted.iter().filter(|_| moves).find(|other| {
        other.id != task.id
            && other.service_id == task.service_id
            && other.slot == task.slot
            && other.job_iteration == task.job_iteration
            && other.node_id != task.node_id
    });
    match successor {
        Some(other) if !other.status.err.is_empty() => {
            let why = ellipsis(&other.status.err, REASON_WIDTH);
            format!("its successor is {}: {why}", other.status.state)
        }
        Some(other) if other.status.state != "running" => {
            format!("its successor is {}", other.status.state)
        }
        // A task of a job is to be complete for as long as it runs.
        _ if task.desired_state != "complete" && ended(&task.desired_state) => {
            format!("stopping ({})", task.status.state)
        }
        _ => "waiting for its turn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: &str, node: &str, desired: &str, state: &str, err: &str) -> Task {
        let mut task = Task {
            id: id.into(),
            node_id: node.into(),
            service_id: "s".into(),
            slot: 1,
            desired_state: desired.into(),
            ..Task::default()
        };
        task.status.state = state.into();
        task.status.err = err.into();
        task
    }

    #[test]
    fn what_a_task_waits_for() {
        let old = task("a", "w1", "running", "running", "");
        let check =
            |successor: &[Task], text: &str| assert_eq!(reason(&old, true, successor), text);
        check(&[], "waiting for its turn");
        check(
            &[task("b", "w2", "running", "starting", "")],
            "its successor is starting",
        );
        check(
            &[task("b", "", "running", "pending", "no suitable node")],
            "its successor is pending: no suitable node",
        );
        let stopping = task("a", "w1", "shutdown", "running", "");
        assert_eq!(
            reason(
                &stopping,
                true,
                &[task("b", "w2", "running", "running", "")]
            ),
            "stopping (running)"
        );
    }

    #[test]
    fn tasks_of_jobs_and_of_global_services() {
        let of_job = |id: &str, node: &str| Task {
            slot: 0,
            ..task(id, node, "complete", "preparing", "")
        };
        let (old, new) = (of_job("a", "w1"), of_job("b", "w2"));
        // The first slot of a job is 0 in the API.
        assert_eq!(
            reason(&old, true, std::slice::from_ref(&new)),
            "its successor is preparing"
        );
        // Of a global service the task on another node is that node's own.
        assert_eq!(reason(&old, false, &[new]), "waiting for its turn");
    }

    #[test]
    fn without_flags_it_is_dockers_drain() {
        assert_eq!(DrainArgs::default().config(), None);
        let args = DrainArgs {
            order: Some("start-first".into()),
            ..DrainArgs::default()
        };
        assert_eq!(args.config().unwrap().parallelism, 0);
    }
}
