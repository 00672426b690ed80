//! Which secrets and configs a node has, and for which of its tasks.

use model::assignment::AssignmentChange;
use model::{Payload, PayloadId, Task, TaskId, payload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;

/// The secrets and configs that a node was sent, each with the tasks that need it: it is taken back with the last.
#[derive(Default)]
pub(super) struct Payloads {
    users: BTreeMap<PayloadId, BTreeSet<TaskId>>,
}

impl Payloads {
    pub(super) fn clear(&mut self) {
        self.users.clear();
    }

    /// What the node has.
    pub(super) fn ids(&self) -> impl Iterator<Item = &PayloadId> {
        self.users.keys()
    }

    /// A task of the node that may run; what the node does not have yet. What is gone meanwhile (a rollback to a
    /// specification that used it) cannot be sent: the agent says that it waits for it.
    pub(super) fn take(&mut self, view: &Store, task: &Task) -> Vec<Arc<Payload>> {
        let mut missing = Vec::new();
        for id in payload::used_by(&task.spec.container) {
            if let Some(users) = self.users.get_mut(&id) {
                users.insert(task.id.clone());
            } else if let Some(payload) = view.payload(&id) {
                missing.push(Arc::clone(payload));
                self.users.insert(id, BTreeSet::from([task.id.clone()]));
            }
        }
        missing
    }

    /// The task is over or gone; what the node needs no more.
    pub(super) fn release(&mut self, task: &Task) -> Vec<PayloadId> {
        let mut unused = Vec::new();
        for id in payload::used_by(&task.spec.container) {
            let Some(users) = self.users.get_mut(&id) else {
                continue;
            };
            users.remove(&task.id);
            if users.is_empty() {
                self.users.remove(&id);
                unused.push(id);
            }
        }
        unused
    }
}

/// Bytes that a change takes in a message, as far as they can be many: those of secrets and configs.
pub(super) fn weight(change: &AssignmentChange) -> usize {
    match change {
        AssignmentChange::PutPayload(payload) => payload.spec.data.0.len(),
        _ => 0,
    }
}
