//! One reader of logs: opens subscriptions on nodes, also for tasks to come, and merges what they send.
//!
//! A node that is not there is asked again when it is back: for a while by whoever wants what there is, and for as
//! long as it takes by whoever follows. It is then asked for what comes after the last line of each task.

use super::broker::{FromNode, LogBroker};
use super::progress::Progress;
use crate::clock::wall;
use crate::machine::EventBatch;
use model::logs::{LogMessage, LogOptions, LogSelector, LogStream};
use model::{NodeId, NodeState, ServiceId, Task, TaskId, TaskState, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::Event;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often subscriptions are looked at whose node may be gone, and nodes are asked again.
const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// Time for a node to open its stream.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node that is not down is waited for by a reader that does not follow: its daemon may be restarting.
const RETRY_FOR: Duration = Duration::from_secs(4);

/// Docker's words for what is missing.
const INCOMPLETE: &str =
    "warning: incomplete log stream. some logs could not be retrieved for the following reasons: ";

type Tasks = BTreeMap<TaskId, ServiceId>;

/// A question that a node has not answered to the end.
struct Asked {
    node: NodeId,
    tasks: Tasks,
    /// It must have begun to answer by then.
    until: Instant,
}

/// Tasks whose node is not there.
struct Missing {
    tasks: Tasks,
    since: Instant,
    /// Whoever follows was told.
    told: bool,
}

pub(super) struct Reader {
    broker: Arc<LogBroker>,
    selector: LogSelector,
    options: LogOptions,
    /// Cloned into each subscription.
    inbox: mpsc::Sender<FromNode>,
    lines: mpsc::Sender<Result<LogMessage, String>>,
    open: BTreeMap<u64, Asked>,
    missing: BTreeMap<NodeId, Missing>,
    asked: BTreeSet<TaskId>,
    progress: Progress,
    notices: Vec<String>,
}

/// Nobody reads any more.
struct Gone;

impl Reader {
    pub(super) fn new(
        broker: Arc<LogBroker>,
        selector: LogSelector,
        options: LogOptions,
        inbox: mpsc::Sender<FromNode>,
        lines: mpsc::Sender<Result<LogMessage, String>>,
    ) -> Reader {
        Reader {
            broker,
            selector,
            options,
            inbox,
            lines,
            open: BTreeMap::new(),
            missing: BTreeMap::new(),
            asked: BTreeSet::new(),
            progress: Progress::default(),
            notices: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<FromNode>) {
        // Before the state is read, so that no task is missed in between.
        let mut events = self.broker.machine.events();
        self.ask_all();
        let mut check = interval(CHECK_PERIOD);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.has_more() {
            let step = tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => Err(Gone),
                },
                batch = events.recv(), if self.options.follow => {
                    self.news(batch);
                    Ok(())
                }
                _ = check.tick() => self.check().await,
                () = self.lines.closed() => Err(Gone),
            };
            if step.is_err() {
                break;
            }
        }
        for subscription in self.open.keys() {
            self.broker.unsubscribe(*subscription);
        }
        if !self.notices.is_empty() {
            let notice = format!("{INCOMPLETE}{}", self.notices.join(", "));
            // The client may be gone.
            let _ = self.lines.send(Err(notice)).await;
        }
    }

    /// Whoever follows services waits for tasks to come.
    fn has_more(&self) -> bool {
        let follows = self.options.follow && !self.selector.services.is_empty();
        !self.open.is_empty() || !self.missing.is_empty() || follows
    }

    fn selects(&self, task: &Task) -> bool {
        self.selector.services.contains(&task.service) || self.selector.tasks.contains(&task.id)
    }

    /// Asks for all tasks that are selected now.
    fn ask_all(&mut self) {
        let tasks: Vec<Arc<Task>> = {
            let view = self.broker.machine.view();
            let services = self.selector.services.iter();
            let of_services = services.flat_map(|id| view.tasks_of_service(id));
            let named = self.selector.tasks.iter().filter_map(|id| view.task(id));
            of_services.chain(named).cloned().collect()
        };
        let named = self.selector.tasks.iter();
        let unknown = named.filter(|id| !tasks.iter().any(|task| task.id == **id));
        let unknown: Vec<_> = unknown.map(|id| format!("task {id} not found")).collect();
        unknown.into_iter().for_each(|notice| self.note(notice));
        let (ready, waiting): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| has_logs(t));
        if !self.options.follow {
            let unplaced = waiting.iter();
            let unplaced = unplaced.filter(|t| t.placed_on().is_none() && t.is_wanted());
            for task in unplaced {
                self.note(format!("task {} has not been scheduled", task.id));
            }
        }
        self.ask(&ready);
    }

    fn note(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// Asks the nodes of these tasks, each task once.
    fn ask(&mut self, tasks: &[Arc<Task>]) {
        let mut by_node: BTreeMap<&NodeId, Tasks> = BTreeMap::new();
        for task in tasks {
            let Some(node) = task.placed_on() else {
                continue;
            };
            if self.asked.insert(task.id.clone()) {
                let of_node = by_node.entry(node).or_default();
                of_node.insert(task.id.clone(), task.service.clone());
            }
        }
        for (node, tasks) in by_node {
            self.ask_node(node, tasks);
        }
    }

    /// Tasks that have shown lines are asked for what comes after these.
    fn ask_node(&mut self, node: &NodeId, tasks: Tasks) {
        let (begun, new): (Tasks, Tasks) = tasks
            .into_iter()
            .partition(|(task, _)| self.progress.of(task).is_some());
        for tasks in [new, begun] {
            if tasks.is_empty() {
                continue;
            }
            let options = self.progress.resume(&self.options, tasks.keys());
            let inbox = self.inbox.clone();
            let asked = self.broker.subscribe(node, tasks.clone(), &options, inbox);
            match asked {
                Some(subscription) => {
                    let asked = Asked {
                        node: node.clone(),
                        tasks,
                        until: Instant::now() + BEGIN_TIMEOUT,
                    };
                    self.open.insert(subscription, asked);
                }
                None => self.miss(node, tasks),
            }
        }
    }

    /// The node is not there: its tasks wait for it.
    fn miss(&mut self, node: &NodeId, tasks: Tasks) {
        let missing = self.missing.entry(node.clone()).or_insert_with(|| Missing {
            tasks: Tasks::new(),
            since: Instant::now(),
            told: false,
        });
        missing.tasks.extend(tasks);
    }

    async fn take(&mut self, message: FromNode) -> Result<(), Gone> {
        match message {
            FromNode::Lines(lines) => {
                for line in lines {
                    if self.progress.is_new(&line) {
                        self.lines.send(Ok(line)).await.map_err(|_| Gone)?;
                    }
                }
            }
            FromNode::Notice(notice) => self.note(notice),
            FromNode::Ended(subscription, broken) => {
                self.broker.forget(subscription);
                let Some(asked) = self.open.remove(&subscription) else {
                    return Ok(());
                };
                if let Some(reason) = &broken {
                    tracing::debug!(node = %asked.node, %reason, "logs of a node broke off");
                }
                // A node that is followed does not end by itself.
                if broken.is_some() || self.options.follow {
                    self.miss(&asked.node, asked.tasks);
                }
            }
        }
        Ok(())
    }

    /// Tasks that have come to run since.
    fn news(&mut self, batch: Result<Arc<EventBatch>, broadcast::error::RecvError>) {
        match batch {
            Ok(batch) => {
                let tasks: Vec<Arc<Task>> = batch
                    .events
                    .iter()
                    .filter_map(|event| match event {
                        Event::Task { new: Some(new), .. } => Some(Arc::clone(new)),
                        _ => None,
                    })
                    .filter(|task| self.selects(task) && has_logs(task))
                    .collect();
                self.ask(&tasks);
            }
            // Some were missed: the state has them all.
            Err(_) => self.ask_all(),
        }
    }

    /// Notices nodes that are gone before they began to send, and asks those again that may be back.
    async fn check(&mut self) -> Result<(), Gone> {
        let now = Instant::now();
        let lost = self.open.iter();
        let lost = lost.filter(|(id, asked)| self.broker.is_lost(**id, now >= asked.until));
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        for subscription in lost {
            if let Some(asked) = self.open.remove(&subscription) {
                self.broker.unsubscribe(subscription);
                self.miss(&asked.node, asked.tasks);
            }
        }
        for (node, mut missing) in std::mem::take(&mut self.missing) {
            self.forget_removed(&mut missing.tasks);
            if missing.tasks.is_empty() {
                continue;
            }
            if self.broker.sessions.of_node(&node).is_some() {
                self.ask_node(&node, missing.tasks);
                continue;
            }
            if self.options.follow {
                self.tell(&node, &mut missing).await?;
            } else if self.is_down(&node) || now.duration_since(missing.since) >= RETRY_FOR {
                self.note(format!("node {node} is not available"));
                continue;
            }
            self.missing.insert(node, missing);
        }
        Ok(())
    }

    /// Whoever follows is not to wait for tasks that are forgotten: their logs are gone.
    fn forget_removed(&self, tasks: &mut Tasks) {
        if self.options.follow {
            let view = self.broker.machine.view();
            tasks.retain(|id, _| view.task(id).is_some());
        }
    }

    fn is_down(&self, node: &NodeId) -> bool {
        let view = self.broker.machine.view();
        view.node(node)
            .is_none_or(|n| n.status.state == NodeState::Down)
    }

    /// Says once that a node is not there, among the lines: a notice would end the stream for Docker's clients.
    async fn tell(&self, node: &NodeId, missing: &mut Missing) -> Result<(), Gone> {
        let Some((task, service)) = missing.tasks.first_key_value() else {
            return Ok(());
        };
        if missing.told || !self.options.stderr {
            return Ok(());
        }
        missing.told = true;
        let text = format!(
            "[starling] node {node} is not available: what {} task(s) on it write is shown when it is back\n",
            missing.tasks.len()
        );
        let line = LogMessage {
            task: task.clone(),
            service: service.clone(),
            node: node.clone(),
            stream: LogStream::Stderr,
            time: wall(),
            data: text.into_bytes(),
        };
        self.lines.send(Ok(line)).await.map_err(|_| Gone)
    }
}

/// A task that has come so far that it may have written something.
fn has_logs(task: &Task) -> bool {
    task.placed_on().is_some() && may_have_written(&task.status)
}

/// A task that was rejected before it had a container never has a log: nothing of it is missing.
fn may_have_written(status: &TaskStatus) -> bool {
    match status.state {
        TaskState::Orphaned => false,
        TaskState::Rejected => status.container.is_some(),
        state => state >= TaskState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    #[test]
    fn a_task_without_a_container_has_no_logs() {
        let wrote = |state| may_have_written(&TaskStatus::new(state, Timestamp(0), ""));
        for state in [
            TaskState::Running,
            TaskState::Complete,
            TaskState::Shutdown,
            TaskState::Failed,
        ] {
            assert!(wrote(state), "{state:?}");
        }
        for state in [
            TaskState::Starting,
            TaskState::Rejected,
            TaskState::Orphaned,
        ] {
            assert!(!wrote(state), "{state:?}");
        }
    }
}
