//! Reports on their way to the manager.

use model::{TaskId, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

/// A report that was not acknowledged for this long is sent again: its proposal may have been lost with a leader.
/// Ten times what a commit takes on a slow network.
pub(super) const REPORT_RETRY: Duration = Duration::from_secs(2);

/// Reports that are sent and not acknowledged, oldest first.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    last_sequence: u64,
    sent: VecDeque<Sent>,
}

#[derive(Debug)]
struct Sent {
    sequence: u64,
    at: Timestamp,
    tasks: Vec<TaskId>,
}

impl Outbox {
    /// Takes the next sequence number for a report about `tasks`.
    pub(super) fn send(&mut self, now: Timestamp, tasks: Vec<TaskId>) -> u64 {
        self.last_sequence += 1;
        self.sent.push_back(Sent {
            sequence: self.last_sequence,
            at: now,
            tasks,
        });
        self.last_sequence
    }

    /// The tasks of all reports up to `sequence`, with the report of each.
    pub(super) fn acknowledge(&mut self, sequence: u64) -> Vec<(TaskId, u64)> {
        self.take_while(|sent| sent.sequence <= sequence)
    }

    /// The tasks of all reports that have waited too long.
    pub(super) fn overdue(&mut self, now: Timestamp) -> Vec<(TaskId, u64)> {
        self.take_while(|sent| sent.at + REPORT_RETRY <= now)
    }

    /// Forgets what is under way: the session is gone.
    pub(super) fn clear(&mut self) {
        self.sent.clear();
    }

    /// When the oldest report is overdue.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.sent.front().map(|sent| sent.at + REPORT_RETRY)
    }

    fn take_while(&mut self, done: impl Fn(&Sent) -> bool) -> Vec<(TaskId, u64)> {
        let mut tasks = Vec::new();
        while let Some(sent) = self.sent.pop_front() {
            if !done(&sent) {
                self.sent.push_front(sent);
                break;
            }
            tasks.extend(sent.tasks.into_iter().map(|task| (task, sent.sequence)));
        }
        tasks
    }
}
