//! Taking in what the manager wants.

use super::entry::Entry;
use super::{COMPLETE_RETRY, Worker};
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::{DesiredState, PayloadId, TaskId, Timestamp};
use std::collections::BTreeSet;

impl Worker {
    /// Applies a message of the assignment stream, unless a newer one was applied before.
    pub(super) fn assign(&mut self, now: Timestamp, assignments: Assignments) {
        if assignments.index < self.index {
            // A leader that has yet to apply what we know. It sends what is missing when it has; if it has not
            // noticed by then, it is asked.
            if assignments.complete {
                self.ask_complete_at = Some(now + COMPLETE_RETRY);
            }
            return;
        }
        if assignments.index > self.index {
            self.index = assignments.index;
            self.index_unwritten = true;
        }
        if assignments.complete {
            self.unlist_others(&assignments.changes);
            self.forget_other_payloads(&assignments.changes);
        }
        for change in assignments.changes {
            self.change(now, change);
        }
        if assignments.complete {
            self.synced = true;
            self.touch_all();
        }
        self.compare(now, assignments.digest, assignments.complete);
    }

    fn unlist_others(&mut self, changes: &[AssignmentChange]) {
        let named: BTreeSet<&TaskId> = changes
            .iter()
            .filter_map(|change| match change {
                AssignmentChange::Put(task) => Some(&task.id),
                AssignmentChange::SetDesired(id, _) | AssignmentChange::Remove(id) => Some(id),
                AssignmentChange::PutPayload(_) | AssignmentChange::RemovePayload(_) => None,
            })
            .collect();
        for (id, entry) in &mut self.entries {
            if !named.contains(id) {
                entry.unlist();
            }
        }
    }

    fn forget_other_payloads(&mut self, changes: &[AssignmentChange]) {
        let named: BTreeSet<&PayloadId> = changes
            .iter()
            .filter_map(|change| match change {
                AssignmentChange::PutPayload(payload) => Some(&payload.id),
                _ => None,
            })
            .collect();
        self.payloads.retain(|id, _| named.contains(id));
    }

    fn change(&mut self, now: Timestamp, change: AssignmentChange) {
        let id = match change {
            AssignmentChange::Put(task) => self.put(now, task),
            AssignmentChange::SetDesired(id, desired) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.want(desired);
                }
                id
            }
            AssignmentChange::Remove(id) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.unlist();
                }
                id
            }
            AssignmentChange::PutPayload(payload) => {
                self.payloads.insert(payload.id.clone(), payload);
                self.touched.extend(self.lacking.iter().cloned());
                return;
            }
            AssignmentChange::RemovePayload(id) => {
                self.payloads.remove(&id);
                return;
            }
        };
        self.touched.insert(id);
    }

    fn put(&mut self, now: Timestamp, task: AssignedTask) -> TaskId {
        let id = task.id.clone();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.want(task.desired);
            // They may have changed, and are not in the journal.
            entry.task.registry_auth = task.registry_auth;
            return id;
        }
        let mut entry = Entry::new(task, now);
        if let Some(container) = self.strays.claim(&id) {
            entry.adopt(Some(container), now);
        } else if self.strays.holds(&id) {
            // Its container is being taken down: given up is given up.
            entry.task.desired = DesiredState::Remove;
        }
        self.entries.insert(id.clone(), entry);
        id
    }

    /// A digest that differs means that a change was lost or misunderstood on the way.
    fn compare(&mut self, now: Timestamp, expected: u64, complete: bool) {
        let listed = self.entries.iter();
        let listed = listed.filter_map(|(id, entry)| Some((id, entry.listed?)));
        if digest(listed, self.payloads.keys()) == expected {
            self.ask_complete_at = None;
        } else if complete {
            self.ask_complete_at = Some(now + COMPLETE_RETRY);
        } else if self.ask_complete_at.is_none() {
            self.ask_complete_at = Some(now);
        }
    }
}
