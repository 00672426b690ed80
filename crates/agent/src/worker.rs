//! The worker state machine: what a node does with its assignments. Pure; the same code runs in production and in
//! the simulator.
//!
//! Each task climbs the ladder ASSIGNED, ACCEPTED, PREPARING, READY (waits until it should run), STARTING, RUNNING,
//! and ends as COMPLETE, FAILED, REJECTED or SHUTDOWN. STARTING lasts until the health check has succeeded, if there
//! is one; a container that gets unhealthy later is stopped, and its task has failed.
//!
//! Invariants
//! - An older assignment is never applied after a newer one, also across restarts: the index is in the journal.
//! - A task that was given up (desired SHUTDOWN or higher, or no longer listed) is never started again.
//! - After a restart nothing is prepared or started before a manager has sent a complete set: what was wanted before
//!   may have been replaced elsewhere. What runs keeps running.
//! - What the manager was told of a start or an end is in the journal first.
//! - Secrets, configs and credentials are in memory only. A task that uses some is prepared once they are there; its
//!   container is prepared again after a restart, since the executor has them in memory only, too.

mod assign;
mod entry;
mod outbox;
mod strays;
#[cfg(test)]
pub(crate) mod tests;
mod types;

pub use types::{
    Action, Existing, Exit, Failure, Health, Input, JournalRecord, JournalWrite, Outcome, Output,
    Payloads, TaskRecord,
};

use entry::{Entry, Next, Told};
use model::{TaskId, TaskStatus, Timestamp};
use outbox::Outbox;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use strays::Strays;

/// The complete assignments are asked for again after this time when they did not come or could not be taken.
const COMPLETE_RETRY: Duration = Duration::from_secs(1);

/// A node's tasks.
#[derive(Debug)]
pub struct Worker {
    /// Log index of the newest assignments taken.
    index: u64,
    index_unwritten: bool,
    entries: BTreeMap<TaskId, Entry>,
    /// Secrets and configs of this node's tasks: in memory only, never in the journal.
    payloads: Payloads,
    /// Tasks that wait for a secret or a config.
    lacking: BTreeSet<TaskId>,
    strays: Strays,
    /// The containers that were there at start are known.
    found: bool,
    /// A complete set was taken since this process started.
    synced: bool,
    /// A session is up.
    session: bool,
    outbox: Outbox,
    /// The manager's digest differs from ours, or its set was too old: when to ask (again).
    ask_complete_at: Option<Timestamp>,
    /// Tasks that something happened to in this step.
    touched: BTreeSet<TaskId>,
    /// Tasks that wait for a retry.
    waiting: BTreeSet<TaskId>,
    /// Tasks whose records have to go from the journal.
    deleted: Vec<TaskId>,
}

impl Worker {
    /// A worker that knows what it had written down before. It waits for [`Input::Found`].
    pub fn new(journal: Vec<JournalRecord>) -> Worker {
        let mut worker = Worker {
            index: 0,
            index_unwritten: false,
            entries: BTreeMap::new(),
            payloads: Payloads::new(),
            lacking: BTreeSet::new(),
            strays: Strays::default(),
            found: false,
            synced: false,
            session: false,
            outbox: Outbox::default(),
            ask_complete_at: None,
            touched: BTreeSet::new(),
            waiting: BTreeSet::new(),
            deleted: Vec::new(),
        };
        for record in journal {
            match record {
                JournalRecord::Index(index) => worker.index = worker.index.max(index),
                JournalRecord::Task(task) => {
                    worker
                        .entries
                        .insert(task.task.id.clone(), Entry::restored(*task));
                }
            }
        }
        worker
    }

    /// Log index of the newest assignments taken: what a session begins with.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Present status of every task that is known here.
    pub fn statuses(&self) -> impl Iterator<Item = (&TaskId, &TaskStatus)> {
        self.entries.iter().map(|(id, entry)| (id, &entry.status))
    }

    /// Present status of a task that is known here.
    pub fn status(&self, task: &TaskId) -> Option<&TaskStatus> {
        self.entries.get(task).map(|entry| &entry.status)
    }

    /// Takes one input and says what has to be done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        match input {
            Input::Found(containers) => self.found(now, containers),
            Input::SessionUp { .. } => self.session_up(),
            Input::SessionDown => self.session_down(),
            Input::Assignments(assignments) => self.assign(now, assignments),
            Input::Reported { sequence } => {
                let done = self.outbox.acknowledge(sequence);
                self.mark_told(done, Told::Acknowledged);
            }
            Input::Did(id, outcome) => self.did(now, id, outcome),
            Input::Tick => {}
        }
        let overdue = self.outbox.overdue(now);
        self.mark_told(overdue, Told::Due);
        self.outputs(now)
    }

    fn found(&mut self, now: Timestamp, containers: Vec<(TaskId, Existing)>) {
        if std::mem::replace(&mut self.found, true) {
            return;
        }
        let mut containers: BTreeMap<_, _> = containers.into_iter().collect();
        for (id, entry) in &mut self.entries {
            entry.adopt(containers.remove(id), now);
        }
        for (id, container) in containers {
            self.strays.keep(id, container);
        }
        self.touch_all();
    }

    fn session_up(&mut self) {
        self.session = true;
        self.outbox.clear();
        self.ask_complete_at = None;
        // The new leader may never have seen what the old one acknowledged.
        for entry in self.entries.values_mut() {
            entry.told = Told::Due;
        }
        self.touch_all();
    }

    fn session_down(&mut self) {
        self.session = false;
        self.outbox.clear();
        self.ask_complete_at = None;
    }

    fn did(&mut self, now: Timestamp, id: TaskId, outcome: Outcome) {
        if self.strays.did(&id, &outcome, now) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.did(outcome, now);
            self.touched.insert(id);
        }
    }

    fn mark_told(&mut self, tasks: Vec<(TaskId, u64)>, told: Told) {
        for (id, sequence) in tasks {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            // What changed since then is told by a later report.
            if entry.told == Told::Sent(sequence) {
                entry.told = told;
                self.touched.insert(id);
            }
        }
    }

    fn touch_all(&mut self) {
        self.touched = self.entries.keys().cloned().collect();
    }

    fn outputs(&mut self, now: Timestamp) -> Vec<Output> {
        if !self.found {
            self.touched.clear();
            return Vec::new();
        }
        let touched = self.take_touched(now);
        let actions = self.actions(now, &touched);
        let mut outputs = Vec::new();
        let writes = self.writes(&touched);
        if !writes.is_empty() {
            outputs.push(Output::Journal(writes));
        }
        outputs.extend(actions.into_iter().map(Output::Do));
        outputs.extend(self.report(now, &touched));
        if self.session && self.ask_complete_at.is_some_and(|at| at <= now) {
            self.ask_complete_at = Some(now + COMPLETE_RETRY);
            outputs.push(Output::NeedComplete);
        }
        outputs.extend(self.deadline().map(Output::WakeAt));
        outputs
    }

    fn take_touched(&mut self, now: Timestamp) -> BTreeSet<TaskId> {
        let mut touched = std::mem::take(&mut self.touched);
        let due = |entry: &Entry| entry.retry_at.is_none_or(|at| at <= now);
        let entries = &self.entries;
        self.waiting.retain(|id| {
            let waits = entries.get(id).is_some_and(|entry| !due(entry));
            if !waits {
                touched.insert(id.clone());
            }
            waits
        });
        touched
    }

    /// Stops come first: what they free may be what a start needs.
    fn actions(&mut self, now: Timestamp, touched: &BTreeSet<TaskId>) -> Vec<Action> {
        let mut actions = Vec::new();
        for id in touched {
            let Some(entry) = self.entries.get_mut(id) else {
                continue;
            };
            let next = entry.next(now, self.synced, &self.payloads);
            if entry.lacks_payload {
                self.lacking.insert(id.clone());
            } else {
                self.lacking.remove(id);
            }
            match next {
                Next::Wait => {}
                Next::Do(action) => actions.push(action),
                Next::Forget => {
                    self.entries.remove(id);
                    self.deleted.push(id.clone());
                    continue;
                }
            }
            if entry.retry_at.is_some() {
                self.waiting.insert(id.clone());
            }
        }
        if self.synced {
            actions.extend(self.strays.take_down(now));
        }
        actions.sort_by_key(|action| !matches!(action, Action::Stop(_)));
        actions
    }

    fn writes(&mut self, touched: &BTreeSet<TaskId>) -> Vec<JournalWrite> {
        let mut writes = Vec::new();
        for id in touched {
            if let Some(entry) = self.entries.get_mut(id).filter(|entry| entry.unwritten) {
                entry.unwritten = false;
                let record = JournalRecord::Task(Box::new(entry.record()));
                writes.push(JournalWrite::Put(record));
            }
        }
        writes.extend(self.deleted.drain(..).map(JournalWrite::Delete));
        if std::mem::take(&mut self.index_unwritten) {
            writes.push(JournalWrite::Put(JournalRecord::Index(self.index)));
        }
        writes
    }

    fn report(&mut self, now: Timestamp, touched: &BTreeSet<TaskId>) -> Option<Output> {
        if !self.session {
            return None;
        }
        let due = |id: &&TaskId| {
            let entry = self.entries.get(*id);
            entry.is_some_and(|entry| entry.told == Told::Due && entry.listed.is_some())
        };
        let tasks: Vec<TaskId> = touched.iter().filter(due).cloned().collect();
        if tasks.is_empty() {
            return None;
        }
        let sequence = self.outbox.send(now, tasks.clone());
        let mut statuses = Vec::with_capacity(tasks.len());
        for id in tasks {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.told = Told::Sent(sequence);
                statuses.push((id, entry.status.clone()));
            }
        }
        Some(Output::Report { sequence, statuses })
    }

    fn deadline(&self) -> Option<Timestamp> {
        let retry = self.waiting.iter().filter_map(|id| self.entries.get(id));
        let retry = retry.filter_map(|entry| entry.retry_at).min();
        let ask = self.ask_complete_at.filter(|_| self.session);
        [retry, self.strays.deadline(), self.outbox.deadline(), ask]
            .into_iter()
            .flatten()
            .min()
    }
}
