//! Agents that do at once what they are told. Those of nodes that are not ready say nothing.

use model::{Change, DesiredState, NodeState, Task, TaskId, TaskState, TaskStatus, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Store;

/// What the agents would report now of tasks that changed.
pub(super) fn reports(state: &Store, now: Timestamp, changed: &BTreeSet<TaskId>) -> Vec<Change> {
    let is_there = |task: &&Arc<Task>| {
        let node = task.placed_on().and_then(|id| state.node(id));
        node.is_some_and(|node| node.status.state == NodeState::Ready)
    };
    let tasks = changed.iter().filter_map(|id| state.task(id));
    let tasks = tasks.filter(is_there);
    let reports = tasks.filter_map(|task| {
        let next = next_state(task)?;
        let mut status = TaskStatus::new(next, now, next.name());
        status.container.clone_from(&task.status.container);
        Some(Change::SetTaskStatus {
            id: task.id.clone(),
            status,
        })
    });
    reports.collect()
}

/// Where the task is next; none when it stays.
fn next_state(task: &Task) -> Option<TaskState> {
    let state = task.status.state;
    if task.placed_on().is_none() || state.is_terminal() {
        return None;
    }
    let next = match task.desired {
        DesiredState::Ready => TaskState::Ready,
        DesiredState::Running => TaskState::Running,
        // A job that runs ends well.
        DesiredState::Complete if state == TaskState::Running => TaskState::Complete,
        DesiredState::Complete => TaskState::Running,
        DesiredState::Shutdown | DesiredState::Remove => TaskState::Shutdown,
    };
    (next > state).then_some(next)
}
