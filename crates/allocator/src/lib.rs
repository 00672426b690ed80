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
mod tests {
    use super::*;
    use model::{DesiredState, NewTask, Proposal, ServiceSpec};
    use std::sync::Arc;

    fn apply(store: &mut Store, changes: Vec<Change>) {
        let index = store.index() + 1;
        let proposal = Proposal {
            request: None,
            at: Timestamp(7),
            changes,
        };
        let applied = store.apply(index, &[proposal]);
        assert_eq!(applied.outcomes, [Ok(())]);
    }

    #[test]
    fn new_tasks_become_pending_as_many_as_a_decision_takes() {
        let mut store = Store::new();
        let spec = ServiceSpec {
            name: "web".into(),
            ..ServiceSpec::default()
        };
        let id = model::ServiceId::from("s");
        let mut changes = vec![Change::CreateService {
            id: id.clone(),
            spec: Arc::new(spec),
        }];
        changes.extend((1..=5).map(|slot| {
            Change::CreateTask(NewTask {
                id: format!("t{slot}").into(),
                service: id.clone(),
                spec_version: 1,
                slot,
                node: None,
                desired: DesiredState::Running,
                start_after: None,
                restarts: vec![],
            })
        }));
        changes.push(Change::SetDesired {
            id: "t5".into(),
            desired: DesiredState::Remove,
        });
        apply(&mut store, changes);

        let limits = Limits {
            changes_per_decision: 3,
        };
        for (decided, left) in [(3, 1), (1, 0), (0, 0)] {
            let mut ctx = Context {
                now: Timestamp(7),
                limits: &limits,
            };
            let decision = reconcile(&mut ctx, &store, &Dirty::default());
            assert_eq!(decision.changes.len(), decided);
            apply(&mut store, decision.changes);
            assert_eq!(store.new_tasks().len(), left);
        }
        let pending: Vec<_> = store.pending_tasks().map(|t| t.id.as_str()).collect();
        assert_eq!(pending, ["t1", "t2", "t3", "t4"], "what nobody wants stays");
        let status = &store.task(&"t1".into()).expect("task").status;
        assert_eq!(status.message, "pending task scheduling");
    }
}
