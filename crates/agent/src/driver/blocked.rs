//! While the journal cannot be written, tasks wait. The manager is told why, once for each task and reason: each is a
//! write of its own there.

use super::plan::Plan;
use crate::worker::Worker;
use model::{TaskId, TaskState, TaskStatus, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

/// Pause before a journal write that failed is tried again.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);
/// Bytes of the system's own words that are told: they fit into a line of `service ps --no-trunc`.
const MAX_CAUSE: usize = 200;

/// What the manager knows of this node's tasks, and why they wait, if they do.
#[derive(Default)]
pub(super) struct Blocked {
    /// Why the last write failed, and when the next one is due.
    cause: Option<(String, Timestamp)>,
    /// Tasks of which the manager was told so.
    told: BTreeSet<TaskId>,
    /// What the manager was told last otherwise.
    sent: BTreeMap<TaskId, TaskStatus>,
}

impl Blocked {
    /// When the next write is due; None while writes succeed.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.cause.as_ref().map(|(_, retry_at)| *retry_at)
    }

    /// A write failed.
    pub(super) fn failed(&mut self, error: &io::Error, now: Timestamp) {
        let mut cause = error.to_string();
        let end = (0..=MAX_CAUSE.min(cause.len())).rfind(|at| cause.is_char_boundary(*at));
        cause.truncate(end.unwrap_or(0));
        let why = format!("this node cannot write its journal of tasks, and tries again: {cause}");
        if self.cause.as_ref().is_none_or(|(known, _)| *known != why) {
            // Once: the log may be on the same disk.
            tracing::error!(%error, "the agent's journal cannot be written; tasks wait");
            self.told.clear();
        }
        self.cause = Some((why, now + JOURNAL_RETRY));
    }

    /// All of the plan is written. Tasks that were told to wait, and have nothing else to tell, say what they said
    /// before.
    pub(super) fn written(&mut self, plan: &mut Plan, worker: &Worker) {
        if self.cause.take().is_some() {
            tracing::info!("the agent's journal can be written again");
        }
        for task in std::mem::take(&mut self.told) {
            if let Some(status) = worker.status(&task) {
                plan.statuses.entry(task).or_insert_with(|| status.clone());
            }
        }
        for task in plan.writes.deleted() {
            self.sent.remove(task);
        }
    }

    /// The manager is told these.
    pub(super) fn sent(&mut self, statuses: &[(TaskId, TaskStatus)]) {
        self.sent.extend(statuses.iter().cloned());
    }

    /// Another manager may have to be told.
    pub(super) fn forget_told(&mut self) {
        self.told.clear();
    }

    /// What the manager is to be told of tasks that wait and that it was not told of: their state is the one that it
    /// knows, since a higher one is not in the journal yet.
    pub(super) fn news(&mut self, plan: &Plan, worker: &Worker) -> Vec<(TaskId, TaskStatus)> {
        let Some((why, _)) = &self.cause else {
            return Vec::new();
        };
        let mut news = Vec::new();
        for task in plan.tasks() {
            let fresh = || worker.status(task).filter(|s| s.state < TaskState::Running);
            let known = self.sent.get(task).or_else(fresh);
            let Some(known) = known.filter(|known| !known.state.is_terminal()) else {
                continue;
            };
            if self.told.insert(task.clone()) {
                let mut status = known.clone();
                status.error.clone_from(why);
                news.push((task.clone(), status));
            }
        }
        news
    }
}
