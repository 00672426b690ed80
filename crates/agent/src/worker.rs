//! The worker state machine: what a node does with its assignments. Pure; the same code runs in production and in
//! the simulator.
//!
//! Each task climbs the ladder ASSIGNED, ACCEPTED, PREPARING, READY (waits until it should run), STARTING, RUNNING,
//! and ends as COMPLETE, FAILED, REJECTED or SHUTDOWN.
//!
//! Invariants
//! - An older assignment is never applied after a newer one, also across restarts: the index is in the journal.
//! - A task that was given up (desired SHUTDOWN or higher, or no longer listed) is never started again.
//! - After a restart nothing is prepared or started before a manager has sent a complete set: what was wanted before
//!   may have been replaced elsewhere. What runs keeps running.
//! - What the manager was told of a start or an end is in the journal first.

mod types;

pub use types::{
    Action, Existing, Exit, Failure, Input, JournalRecord, JournalWrite, Outcome, Output,
    TaskRecord,
};

use model::Timestamp;

/// A node's tasks.
#[derive(Debug)]
pub struct Worker {
    index: u64,
}

impl Worker {
    /// A worker that knows what it had written down before. It waits for [`Input::Found`].
    pub fn new(journal: Vec<JournalRecord>) -> Worker {
        let index = journal
            .iter()
            .filter_map(|record| match record {
                JournalRecord::Index(index) => Some(*index),
                JournalRecord::Task(_) => None,
            })
            .max();
        Worker {
            index: index.unwrap_or(0),
        }
    }

    /// Takes one input and says what has to be done, in order.
    pub fn step(&mut self, _now: Timestamp, _input: Input) -> Vec<Output> {
        Vec::new()
    }

    /// Log index of the newest assignments taken: what a session begins with.
    pub fn index(&self) -> u64 {
        self.index
    }
}
