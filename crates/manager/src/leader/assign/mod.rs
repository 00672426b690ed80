//! Sessions of agents and what they are told: all at first, then what changes.

mod payloads;

use super::io::{Output, SessionId};
use super::{Leader, Step};
use model::assignment::{self, AssignedTask, AssignmentChange, Assignments};
use model::{DesiredState, NodeDescription, NodeId, PayloadId, Task, TaskId, TaskState};
use payloads::{Payloads, weight};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Event, Store};

/// Bytes of secrets and configs in one message: a message has 64 MiB at most, and other nodes wait while it is made.
const MAX_PAYLOAD_BYTES: usize = 8 << 20;

/// A session of an agent, and what its node has been told.
pub(super) struct Session {
    pub(super) id: SessionId,
    /// Where it came from.
    pub(super) addr: String,
    told: BTreeMap<TaskId, DesiredState>,
    payloads: Payloads,
}

impl Leader {
    pub(super) fn open_session(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        session: SessionId,
        description: NodeDescription,
        addr: String,
    ) {
        if step.view.node(&node).is_none() {
            step.out.push(Output::CloseSession { node, session });
            return;
        }
        if let Some(old) = self.sessions.insert(
            node.clone(),
            Session {
                id: session,
                addr: addr.clone(),
                told: BTreeMap::new(),
                payloads: Payloads::default(),
            },
        ) {
            step.out.push(Output::CloseSession {
                node: node.clone(),
                session: old.id,
            });
        }
        self.node_is_here(step, &node, description, addr);
        self.send_complete(step, &node, session);
    }

    /// Tells a node all of its assignments. Secrets and configs that would make the message too large follow it:
    /// the tasks that need them wait for them.
    pub(super) fn send_complete(&mut self, step: &mut Step<'_>, node: &NodeId, session: SessionId) {
        let Some(state) = self.sessions.get_mut(node).filter(|s| s.id == session) else {
            return;
        };
        let index = step.view.index();
        for (at, (changes, digest)) in state.tell_all(step.view, node).into_iter().enumerate() {
            step.out.push(Output::Assign {
                node: node.clone(),
                session,
                assignments: Assignments {
                    index,
                    complete: at == 0,
                    changes,
                    digest,
                },
            });
        }
    }

    /// Tells every node what an entry changed for it: one message a node and entry.
    pub(super) fn send_assignments(&mut self, step: &mut Step<'_>, index: u64, events: &[Event]) {
        let mut news: BTreeMap<NodeId, Vec<AssignmentChange>> = BTreeMap::new();
        for event in events {
            let Event::Task { old, new, .. } = event else {
                continue;
            };
            let Some(task) = new.as_ref().or(old.as_ref()) else {
                continue;
            };
            let Some(node) = &task.node else { continue };
            let Some(session) = self.sessions.get_mut(node) else {
                continue;
            };
            let changes = session.learn(step.view, task, new.is_some());
            if !changes.is_empty() {
                news.entry(node.clone()).or_default().extend(changes);
            }
        }
        for (node, changes) in news {
            let session = &self.sessions[&node];
            let id = session.id;
            if changes.iter().map(weight).sum::<usize>() > MAX_PAYLOAD_BYTES {
                // The complete set comes in several messages.
                self.send_complete(step, &node, id);
                continue;
            }
            let assignments = Assignments {
                index,
                complete: false,
                changes,
                digest: session.digest(session.payloads.ids()),
            };
            step.out.push(Output::Assign {
                node,
                session: id,
                assignments,
            });
        }
        for event in events {
            if let Event::Node { id, new: None, .. } = event
                && let Some(session) = self.sessions.remove(id)
            {
                step.out.push(Output::CloseSession {
                    node: id.clone(),
                    session: session.id,
                });
            }
        }
    }
}

impl Session {
    fn digest<'a>(&'a self, payloads: impl Iterator<Item = &'a PayloadId>) -> u64 {
        let tasks = self.told.iter().map(|(id, desired)| (id, *desired));
        assignment::digest(tasks, payloads)
    }

    /// Everything from the beginning: the changes of each message with the digest after it.
    fn tell_all(&mut self, view: &Store, node: &NodeId) -> Vec<(Vec<AssignmentChange>, u64)> {
        self.told.clear();
        self.payloads.clear();
        let (mut payloads, mut tasks) = (Vec::new(), Vec::new());
        for task in view.tasks_on_node(node).filter(|t| concerns_its_node(t)) {
            self.told.insert(task.id.clone(), task.desired);
            if task.may_run() {
                payloads.extend(self.payloads.take(view, task));
            }
            tasks.push(AssignmentChange::Put(assigned(view, task)));
        }
        let mut messages: Vec<Vec<AssignmentChange>> = vec![Vec::new()];
        let mut sent: Vec<BTreeSet<PayloadId>> = vec![BTreeSet::new()];
        let mut bytes = 0;
        for payload in payloads {
            let put = AssignmentChange::PutPayload(Arc::clone(&payload));
            bytes += weight(&put);
            if bytes > MAX_PAYLOAD_BYTES {
                bytes = weight(&put);
                let so_far = sent.last().cloned().unwrap_or_default();
                sent.push(so_far);
                messages.push(Vec::new());
            }
            let last = messages.len() - 1;
            messages[last].push(put);
            sent[last].insert(payload.id.clone());
        }
        messages[0].extend(tasks);
        let digests = sent.iter().map(|payloads| self.digest(payloads.iter()));
        let digests: Vec<u64> = digests.collect();
        messages.into_iter().zip(digests).collect()
    }

    /// What the node has to hear of a task that changed, or that `exists` no more.
    fn learn(&mut self, view: &Store, task: &Arc<Task>, exists: bool) -> Vec<AssignmentChange> {
        let mut changes = Vec::new();
        let told = self.told.get(&task.id).copied();
        let concerns = exists && concerns_its_node(task);
        if concerns && task.may_run() && told.is_none() {
            let payloads = self.payloads.take(view, task).into_iter();
            changes.extend(payloads.map(AssignmentChange::PutPayload));
        }
        let id = || task.id.clone();
        match (concerns, told) {
            (false, None) => {}
            (false, Some(_)) => {
                self.told.remove(&task.id);
                changes.push(AssignmentChange::Remove(id()));
            }
            (true, None) => {
                self.told.insert(id(), task.desired);
                changes.push(AssignmentChange::Put(assigned(view, task)));
            }
            (true, Some(told)) if told != task.desired => {
                self.told.insert(id(), task.desired);
                changes.push(AssignmentChange::SetDesired(id(), task.desired));
            }
            (true, Some(_)) => {}
        }
        if !concerns || !task.may_run() {
            let unused = self.payloads.release(task).into_iter();
            changes.extend(unused.map(AssignmentChange::RemovePayload));
        }
        changes
    }
}

/// A node is told of tasks that are placed there until they are forgotten: what is left of a container goes
/// with the task. Tasks whose node was lost for good are not its business any more.
fn concerns_its_node(task: &Task) -> bool {
    task.status.state >= TaskState::Assigned && task.status.state != TaskState::Orphaned
}

/// Credentials are the service's present ones: those of the time when the task was made may have changed.
fn assigned(view: &Store, task: &Task) -> AssignedTask {
    let service = view.service(&task.service);
    AssignedTask {
        id: task.id.clone(),
        service: task.service.clone(),
        service_name: task.service_name.clone(),
        service_labels: task.service_labels.clone(),
        slot: task.slot,
        spec: task.spec.clone(),
        desired: task.desired,
        generic: task.generic.clone(),
        registry_auth: service.and_then(|s| s.spec.registry_auth.clone()),
    }
}
