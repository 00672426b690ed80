//! One reader of logs: opens subscriptions on nodes, also for tasks to come, and merges what they send.

use super::broker::{FromNode, LogBroker};
use crate::machine::EventBatch;
use model::logs::{LogMessage, LogOptions, LogSelector};
use model::{NodeId, ServiceId, Task, TaskId, TaskState, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::Event;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often subscriptions are looked at whose node may be gone.
const CHECK_PERIOD: Duration = Duration::from_secs(1);
/// Time for a node to open its stream.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Docker's words for what is missing.
const INCOMPLETE: &str =
    "warning: incomplete log stream. some logs could not be retrieved for the following reasons: ";

pub(super) struct Reader {
    broker: Arc<LogBroker>,
    selector: LogSelector,
    options: LogOptions,
    /// Cloned into each subscription.
    inbox: mpsc::Sender<FromNode>,
    lines: mpsc::Sender<Result<LogMessage, String>>,
    /// Subscriptions that have not ended, with the time until which they must begin.
    open: BTreeMap<u64, (NodeId, Instant)>,
    asked: BTreeSet<TaskId>,
    notices: Vec<String>,
}

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
            asked: BTreeSet::new(),
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
            tokio::select! {
                message = inbox.recv() => {
                    let Some(message) = message else { break };
                    if self.take(message).await.is_err() {
                        break;
                    }
                }
                batch = events.recv(), if self.options.follow => self.news(batch),
                _ = check.tick() => self.check(),
                () = self.lines.closed() => break,
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
        !self.open.is_empty() || (self.options.follow && !self.selector.services.is_empty())
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
        for id in &self.selector.tasks {
            if !tasks.iter().any(|task| task.id == *id) {
                self.notices.push(format!("task {id} not found"));
            }
        }
        let (ready, waiting): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| has_logs(t));
        if !self.options.follow {
            let unplaced = waiting.iter().filter(|t| t.node.is_none() && t.is_wanted());
            let unplaced = unplaced.map(|t| format!("task {} has not been scheduled", t.id));
            self.notices.extend(unplaced);
        }
        self.ask(&ready);
    }

    /// Asks the nodes of these tasks, each once.
    fn ask(&mut self, tasks: &[Arc<Task>]) {
        let mut by_node: BTreeMap<&NodeId, BTreeMap<TaskId, ServiceId>> = BTreeMap::new();
        for task in tasks {
            let Some(node) = &task.node else { continue };
            if self.asked.insert(task.id.clone()) {
                let of_node = by_node.entry(node).or_default();
                of_node.insert(task.id.clone(), task.service.clone());
            }
        }
        for (node, services) in by_node {
            let inbox = self.inbox.clone();
            match self.broker.subscribe(node, services, &self.options, inbox) {
                Some(subscription) => {
                    let until = Instant::now() + BEGIN_TIMEOUT;
                    self.open.insert(subscription, (node.clone(), until));
                }
                None => self.miss(node),
            }
        }
    }

    fn miss(&mut self, node: &NodeId) {
        let notice = format!("node {node} is not available");
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    async fn take(&mut self, message: FromNode) -> Result<(), mpsc::error::SendError<()>> {
        match message {
            FromNode::Lines(lines) => {
                for line in lines {
                    let sent = self.lines.send(Ok(line)).await;
                    sent.map_err(|_| mpsc::error::SendError(()))?;
                }
            }
            FromNode::Notice(notice) => self.notices.push(notice),
            FromNode::Ended(subscription) => {
                self.open.remove(&subscription);
                self.broker.forget(subscription);
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

    /// Gives up on nodes that are gone before they began to send.
    fn check(&mut self) {
        let now = Instant::now();
        let lost = self.open.iter();
        let lost = lost.filter(|(id, (_, until))| self.broker.is_lost(**id, now >= *until));
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        for subscription in lost {
            let Some((node, _)) = self.open.remove(&subscription) else {
                continue;
            };
            self.broker.unsubscribe(subscription);
            self.miss(&node);
        }
    }
}

/// A task that has come so far that it may have written something.
fn has_logs(task: &Task) -> bool {
    task.node.is_some() && may_have_written(&task.status)
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
