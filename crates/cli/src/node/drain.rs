//! `node drain`: sends tasks away, and waits until they are gone.

use super::{DrainArgs, post, read, set_drain, write};
use crate::board::Board;
use crate::error::{Error, Result};
use crate::plan::DRY_RUN;
use crate::resolver::Resolver;
use crate::service::ended;
use crate::session::Session;
use crate::table::ellipsis;
use crate::wait::poll;
use api_types::Filters;
use api_types::starling::Drain;
use api_types::swarm::Node;
use api_types::task::Task;
use std::time::{Duration, Instant};

/// More tasks than this are only counted, not shown.
const MAX_LINES: usize = 20;
/// Longer reasons are cut, so that they stay on a line.
const REASON_WIDTH: usize = 60;

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
            return Ok(Some(Ok(())));
        }
        let waiting = waiting(session, &mut resolver, &left).await?;
        for (id, text) in waiting.iter().take(MAX_LINES) {
            board.set(&mut session.console, id, text)?;
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
    filters.add("desired-state", "running");
    filters.add("desired-state", "accepted");
    let wanted: Vec<Task> = session
        .client
        .get("/tasks", &[("filters", &filters.to_json())])
        .await?;
    let mut lines = Vec::new();
    for task in left {
        let service = resolver.service(session, &task.service_id).await?;
        let id = match task.slot {
            0 => service,
            slot => format!("{service}.{slot}"),
        };
        lines.push((id, reason(task, &wanted)));
    }
    Ok(lines)
}

fn reason(task: &Task, wanted: &[Task]) -> String {
    let successor = wanted.iter().find(|other| {
        other.id != task.id
            && other.service_id == task.service_id
            && other.slot == task.slot
            && task.slot != 0
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
        _ if ended(&task.desired_state) => format!("stopping ({})", task.status.state),
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
        let check = |successor: &[Task], text: &str| assert_eq!(reason(&old, successor), text);
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
            reason(&stopping, &[task("b", "w2", "running", "running", "")]),
            "stopping (running)"
        );
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
