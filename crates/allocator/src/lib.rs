//! What each task may use of the network before it can be placed. Pure.
//!
//! Networks with addresses of their own are not built yet, so every new task has all that it needs, and goes on
//! to the scheduler.
#![forbid(unsafe_code)]

use model::{Change, TaskState, TaskStatus, Timestamp};
use store::{Dirty, Store};

/// What the user reads of a task that waits for a node. Docker's text.
pub const PENDING_MESSAGE: &str = "pending task scheduling";

/// Bounds of the allocator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes in one decision, so that one entry of the log stays well below the largest message between
    /// managers (4 MiB at about 150 bytes a change). What is left over is decided next.
    pub changes_per_decision: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            changes_per_decision: 10_000,
        }
    }
}

/// What a decision is made with, besides the state.
pub struct Context<'a> {
    /// The leader's clock.
    pub now: Timestamp,
    /// Bounds.
    pub limits: &'a Limits,
}

/// What has to change.
#[derive(Debug, Default)]
pub struct Decision {
    /// In the order of application; they belong together.
    pub changes: Vec<Change>,
}

/// Lets new tasks go on to the scheduler. The queue of new tasks tells all, so nothing depends on `_dirty`.
pub fn reconcile(ctx: &mut Context<'_>, view: &Store, _dirty: &Dirty) -> Decision {
    let tasks = view.new_tasks().take(ctx.limits.changes_per_decision);
    let changes = tasks.map(|task| Change::SetTaskStatus {
        id: task.id.clone(),
        status: TaskStatus::new(TaskState::Pending, ctx.now, PENDING_MESSAGE),
    });
    Decision {
        changes: changes.collect(),
    }
}

#[cfg(test)]
mod tests;
