//! Sessions of agents and what they are told: all at first, then what changes.

use super::io::{Output, SessionId};
use super::{Leader, Step};
use model::assignment::{self, AssignedTask, AssignmentChange, Assignments};
use model::{DesiredState, NodeDescription, NodeId, Task, TaskId, TaskState};
use std::collections::BTreeMap;
use store::Event;

/// A session of an agent, and what its node has been told.
pub(super) struct Session {
    pub(super) id: SessionId,
    /// Where it came from.
    pub(super) addr: String,
    told: BTreeMap<TaskId, DesiredState>,
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

    /// Tells a node all of its assignments.
    pub(super) fn send_complete(&mut self, step: &mut Step<'_>, node: &NodeId, session: SessionId) {
        let Some(state) = self.sessions.get_mut(node).filter(|s| s.id == session) else {
            return;
        };
        state.told.clear();
        let mut changes = Vec::new();
        for task in step
            .view
            .tasks_on_node(node)
            .filter(|t| concerns_its_node(t))
        {
            state.told.insert(task.id.clone(), task.desired);
            changes.push(AssignmentChange::Put(assigned(task)));
        }
        let digest = assignment::digest(state.told.iter().map(|(id, desired)| (id, *desired)));
        let assignments = Assignments {
            index: step.view.index(),
            complete: true,
            changes,
            digest,
        };
        step.out.push(Output::Assign {
            node: node.clone(),
            session,
            assignments,
        });
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
            if let Some(change) = session.learn(&task.id, new.as_deref()) {
                news.entry(node.clone()).or_default().push(change);
            }
        }
        for (node, changes) in news {
            let session = &self.sessions[&node];
            let digest =
                assignment::digest(session.told.iter().map(|(id, desired)| (id, *desired)));
            let assignments = Assignments {
                index,
                complete: false,
                changes,
                digest,
            };
            step.out.push(Output::Assign {
                node: node.clone(),
                session: session.id,
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
    fn learn(&mut self, id: &TaskId, task: Option<&Task>) -> Option<AssignmentChange> {
        match task.filter(|t| concerns_its_node(t)) {
            None => self
                .told
                .remove(id)
                .map(|_| AssignmentChange::Remove(id.clone())),
            Some(task) => match self.told.insert(id.clone(), task.desired) {
                None => Some(AssignmentChange::Put(assigned(task))),
                Some(told) if told != task.desired => {
                    Some(AssignmentChange::SetDesired(id.clone(), task.desired))
                }
                Some(_) => None,
            },
        }
    }
}

/// A node is told of tasks that are placed there until they are forgotten: what is left of a container goes
/// with the task. Tasks whose node was lost for good are not its business any more.
fn concerns_its_node(task: &Task) -> bool {
    task.status.state >= TaskState::Assigned && task.status.state != TaskState::Orphaned
}

fn assigned(task: &Task) -> AssignedTask {
    AssignedTask {
        id: task.id.clone(),
        service: task.service.clone(),
        service_name: task.service_name.clone(),
        service_labels: task.service_labels.clone(),
        slot: task.slot,
        spec: task.spec.clone(),
        desired: task.desired,
    }
}
