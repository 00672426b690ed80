//! Which nodes are there: from their sessions, never from the log.

use super::io::{Limits, SessionId};
use super::{Leader, Step};
use model::{Change, NodeDescription, NodeId, NodeState, NodeStatus, Proposal, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use store::{Event, Store};

/// When each node will count as down unless something is heard of it.
#[derive(Default)]
pub(super) struct Liveness {
    deadlines: BTreeMap<NodeId, Deadline>,
}

struct Deadline {
    at: Timestamp,
    message: &'static str,
}

impl Liveness {
    /// After a change of leader every node that was not down is given time to find the new one.
    pub(super) fn start(&mut self, now: Timestamp, view: &Store, limits: &Limits) {
        let at = now + limits.new_leader_grace;
        let message = "heartbeat failure after a change of leader";
        let nodes = view.nodes().filter(|n| n.status.state != NodeState::Down);
        self.deadlines = nodes
            .map(|n| (n.id.clone(), Deadline { at, message }))
            .collect();
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.deadlines.values().map(|d| d.at).min()
    }
}

impl Leader {
    /// A node opened a session: it is ready, and it says what it is.
    pub(super) fn node_is_here(
        &mut self,
        step: &mut Step<'_>,
        id: &NodeId,
        description: NodeDescription,
        addr: String,
    ) {
        self.expect(step, id, self.limits.node_silence, "heartbeat failure");
        let Some(node) = step.view.node(id) else {
            return;
        };
        let mut changes = Vec::new();
        if node.description.as_ref() != Some(&description) {
            changes.push(Change::SetNodeDescription {
                id: id.clone(),
                description: Box::new(description),
            });
        }
        if node.status.state != NodeState::Ready || node.status.addr != addr {
            let status = NodeStatus {
                state: NodeState::Ready,
                message: String::new(),
                addr,
                since: step.now,
            };
            changes.push(Change::SetNodeStatus {
                id: id.clone(),
                status,
            });
        }
        self.propose_status(step, changes);
    }

    /// A node that was called down or disconnected just before it came back: what was under way then is applied
    /// after its session opened, and nothing else would put it right.
    pub(super) fn correct_states(&mut self, step: &mut Step<'_>, events: &[Event]) {
        let mut changes = Vec::new();
        let touched = events.iter().filter_map(|event| match event {
            Event::Node { id, .. } => Some(id),
            _ => None,
        });
        for id in touched.collect::<BTreeSet<_>>() {
            let Some(session) = self.sessions.get(id) else {
                continue;
            };
            // As all of the entry left it: an event shows the node between two changes of one proposal.
            let node = step.view.node(id);
            if node.is_some_and(|node| node.status.state != NodeState::Ready) {
                let status = NodeStatus {
                    state: NodeState::Ready,
                    message: String::new(),
                    addr: session.addr.clone(),
                    since: step.now,
                };
                let id = id.clone();
                changes.push(Change::SetNodeStatus { id, status });
            }
        }
        self.propose_status(step, changes);
    }

    /// Anything heard on a session pushes the node's deadline out.
    pub(super) fn heard(&mut self, step: &mut Step<'_>, node: &NodeId, session: SessionId) {
        if self.sessions.get(node).is_some_and(|s| s.id == session) {
            self.expect(step, node, self.limits.node_silence, "heartbeat failure");
        }
    }

    /// The connection ended with a sign, so the host is not silent: its daemon may be restarting.
    pub(super) fn close_session(&mut self, step: &mut Step<'_>, id: &NodeId, session: SessionId) {
        if self.sessions.get(id).is_none_or(|s| s.id != session) {
            return;
        }
        self.sessions.remove(id);
        self.expect(
            step,
            id,
            self.limits.daemon_restart_grace,
            "the daemon did not come back",
        );
        let Some(node) = step.view.node(id) else {
            return;
        };
        let status = NodeStatus {
            state: NodeState::Disconnected,
            message: "the daemon closed its session".into(),
            addr: node.status.addr.clone(),
            since: step.now,
        };
        self.propose_status(
            step,
            vec![Change::SetNodeStatus {
                id: id.clone(),
                status,
            }],
        );
    }

    fn expect(
        &mut self,
        step: &Step<'_>,
        node: &NodeId,
        within: std::time::Duration,
        message: &'static str,
    ) {
        self.liveness.deadlines.insert(
            node.clone(),
            Deadline {
                at: step.now + within,
                message,
            },
        );
    }

    /// Nodes whose time is up are down, all of them in one proposal.
    pub(super) fn check_liveness(&mut self, step: &mut Step<'_>) {
        if self.liveness.due().is_none_or(|at| at > step.now) {
            return;
        }
        let mut changes = Vec::new();
        let late = |(id, deadline): (&NodeId, &Deadline)| {
            (deadline.at <= step.now).then(|| (id.clone(), deadline.message))
        };
        let late: Vec<_> = self.liveness.deadlines.iter().filter_map(late).collect();
        for (id, message) in late {
            self.liveness.deadlines.remove(&id);
            if let Some(session) = self.sessions.remove(&id) {
                step.out.push(super::Output::CloseSession {
                    node: id.clone(),
                    session: session.id,
                });
            }
            let Some(node) = step.view.node(&id) else {
                continue;
            };
            let status = NodeStatus {
                state: NodeState::Down,
                message: message.into(),
                addr: node.status.addr.clone(),
                since: step.now,
            };
            changes.push(Change::SetNodeStatus { id, status });
        }
        self.propose_status(step, changes);
    }

    fn propose_status(&mut self, step: &mut Step<'_>, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.propose(
                step,
                Proposal {
                    request: None,
                    at: step.now,
                    changes,
                },
            );
        }
    }
}
