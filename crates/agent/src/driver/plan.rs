//! What the outputs of several steps of the worker ask for, together.

use crate::worker::{Action, JournalRecord, JournalWrite};
use model::{TaskId, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};

/// Gathered until the journal has taken the writes.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) writes: Writes,
    pub(super) actions: Vec<Action>,
    pub(super) sequence: u64,
    pub(super) statuses: BTreeMap<TaskId, TaskStatus>,
    pub(super) need_complete: bool,
}

/// The last write of each record: what was to be written before is of no use any more.
#[derive(Default)]
pub(super) struct Writes {
    tasks: BTreeMap<TaskId, JournalWrite>,
    /// Written after the tasks that it speaks of.
    index: Option<JournalWrite>,
}

impl Writes {
    pub(super) fn add(&mut self, write: JournalWrite) {
        let task = match &write {
            JournalWrite::Put(JournalRecord::Task(record)) => record.task.id.clone(),
            JournalWrite::Delete(task) => task.clone(),
            JournalWrite::Put(JournalRecord::Index(_)) => {
                self.index = Some(write);
                return;
            }
        };
        self.tasks.insert(task, write);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.index.is_none()
    }

    pub(super) fn list(&self) -> Vec<JournalWrite> {
        self.tasks.values().chain(&self.index).cloned().collect()
    }

    /// Tasks that are forgotten.
    pub(super) fn deleted(&self) -> impl Iterator<Item = &TaskId> {
        let deleted = |write: &JournalWrite| matches!(write, JournalWrite::Delete(_));
        let writes = self.tasks.iter();
        writes.filter_map(move |(task, write)| deleted(write).then_some(task))
    }
}

impl Plan {
    /// Tasks for which something is to be done or told.
    pub(super) fn tasks(&self) -> BTreeSet<&TaskId> {
        let acted = self.actions.iter().map(|action| match action {
            Action::Prepare(task, _) => &task.id,
            Action::Start(id) | Action::Stop(id) | Action::Remove(id) => id,
        });
        let written = self.writes.tasks.keys();
        written.chain(acted).chain(self.statuses.keys()).collect()
    }
}
