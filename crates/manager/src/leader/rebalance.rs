//! Tasks move to nodes that joined, slowly, where a service asks for it (`auto_rebalance`).
//!
//! Nothing moves before the cluster has been quiet for a while, and one task of a service moves at a time: it is
//! marked, the orchestrator replaces it under the service's update configuration, and only when its successor runs
//! and all is quiet again the next one is looked for.

use super::{Leader, Step};
use model::service::Service;
use model::task::ReplaceReason;
use model::{Change, Mode, NodeState, ServiceId, TaskState, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use store::{Event, Store};

/// Moves of all services together that begin at the same time: a node that joins a large cluster is not flooded with
/// images to pull.
pub const MOVES_AT_ONCE: usize = 5;

/// Pause between two looks while there is something to move: the successor has to run first.
pub const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// When to look whether something has to move. A hint: a new leader looks, too.
#[derive(Default)]
pub(super) struct Rebalance {
    look_at: Option<Timestamp>,
}

impl Rebalance {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.look_at
    }

    /// Nothing moves until the cluster has been quiet for `quiet`.
    pub(super) fn wait(&mut self, now: Timestamp, quiet: Duration) {
        self.look_at = Some(now + quiet);
    }

    /// A node that comes or goes begins the wait anew; so does a service that is asked to keep its tasks even.
    pub(super) fn note(&mut self, now: Timestamp, quiet: Duration, events: &[Event]) {
        let disturbed = events.iter().any(|event| match event {
            Event::Node { old, new, .. } => {
                let state = |node: &Option<Arc<model::Node>>| {
                    node.as_ref().map(|n| {
                        (
                            n.status.state == NodeState::Ready,
                            n.spec.clone(),
                            n.description.clone(),
                        )
                    })
                };
                state(old) != state(new)
            }
            Event::Service { old, new, .. } => {
                let wants = |service: &Option<Arc<Service>>| {
                    service.as_ref().is_some_and(|s| s.spec.auto_rebalance)
                };
                let version = |service: &Option<Arc<Service>>| {
                    service.as_ref().map(|service| service.spec_version)
                };
                wants(new) && version(old) != version(new)
            }
            _ => false,
        });
        if disturbed {
            self.wait(now, quiet);
        }
    }
}

impl Leader {
    /// Marks one task of each service that wants it, as far as there is a better node for it.
    pub(super) fn rebalance(&mut self, step: &mut Step<'_>) {
        if self.rebalance.look_at.is_none_or(|at| at > step.now) {
            return;
        }
        self.rebalance.look_at = None;
        let (idle, busy): (Vec<_>, Vec<_>) = step
            .view
            .services()
            .filter(|s| s.spec.auto_rebalance && matches!(s.spec.mode, Mode::Replicated { .. }))
            .partition(|service| is_settled(step.view, service));
        let mut marks = Vec::new();
        for service in idle {
            if marks.len() >= MOVES_AT_ONCE {
                break;
            }
            let ids: [ServiceId; 1] = [service.id.clone()];
            let moves = scheduler::rebalance(step.view, &ids, 1).into_iter();
            marks.extend(moves.map(|(id, _, _)| Change::SetReplace {
                id,
                reason: Some(ReplaceReason::Rebalance),
            }));
        }
        if !marks.is_empty() || !busy.is_empty() {
            self.rebalance.wait(step.now, LOOK_AGAIN);
        }
        if !marks.is_empty() {
            self.propose_decision(step, marks);
        }
    }
}

/// No task of the service is on the move: neither for an update, nor for a move that began before, nor for want of
/// a node.
fn is_settled(view: &Store, service: &Service) -> bool {
    let updating = service.update_status.as_ref();
    !updating.is_some_and(|status| status.state.is_under_way())
        && view
            .tasks_of_service(&service.id)
            .filter(|task| task.is_wanted())
            .all(|task| task.replace.is_none() && task.status.state == TaskState::Running)
}
