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
    cause: Cause,
}

/// What a node is down for when its time is up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Nothing came in on its session.
    Silence,
    /// It was there under the last leader, and has not found the new one.
    NewLeader,
    /// It was not there under the last leader either.
    Unseen,
    /// Its session ended with a sign.
    Restart,
    /// It was silent with most of the others, and was given more time.
    MassLoss,
}

impl Cause {
    fn message(self) -> &'static str {
        match self {
            Cause::Silence => "heartbeat failure",
            Cause::NewLeader | Cause::Unseen => "heartbeat failure after a change of leader",
            Cause::Restart => "the daemon did not come back",
            Cause::MassLoss => "heartbeat failure, with most of the nodes",
        }
    }
}

/// What a node is told to be while most of the nodes are silent.
const MASS_LOSS: &str = "silent with most of the nodes: its tasks stay for now, since the fault may lie between them and this manager";

impl Liveness {
    /// After a change of leader every node that was not down is given time to find the new one.
    pub(super) fn start(&mut self, now: Timestamp, view: &Store, limits: &Limits) {
        let at = now + limits.new_leader_grace;
        let nodes = view.nodes().filter_map(|node| {
            let cause = match node.status.state {
                NodeState::Down => return None,
                NodeState::Unknown => Cause::Unseen,
                NodeState::Ready | NodeState::Disconnected => Cause::NewLeader,
            };
            Some((node.id.clone(), Deadline { at, cause }))
        });
        self.deadlines = nodes.collect();
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.deadlines.values().map(|d| d.at).min()
    }

    /// Whether more than half of the nodes that were there are silent at the same time. The others' messages are
    /// due within half of the time that makes a node silent: one that has missed them is as good as silent, too.
    fn is_mass_loss(&self, now: Timestamp, limits: &Limits) -> bool {
        let soon = now + limits.node_silence / 2;
        let there = self.deadlines.values();
        let there = there.filter(|d| matches!(d.cause, Cause::Silence | Cause::NewLeader));
        let silent = there.clone().filter(|d| d.at <= soon).count();
        let held = self.deadlines.values();
        let held = held.filter(|d| d.cause == Cause::MassLoss).count();
        let lost = silent + held;
        lost >= limits.mass_loss_nodes && lost * 2 > there.count() + held
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
        self.expect(step, id, self.limits.node_silence, Cause::Silence);
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
            self.expect(step, node, self.limits.node_silence, Cause::Silence);
        }
    }

    /// The connection ended with a sign, so the host is not silent: its daemon may be restarting.
    pub(super) fn close_session(&mut self, step: &mut Step<'_>, id: &NodeId, session: SessionId) {
        if self.sessions.get(id).is_none_or(|s| s.id != session) {
            return;
        }
        self.sessions.remove(id);
        self.expect(step, id, self.limits.daemon_restart_grace, Cause::Restart);
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
        cause: Cause,
    ) {
        let at = step.now + within;
        let deadline = Deadline { at, cause };
        self.liveness.deadlines.insert(node.clone(), deadline);
    }

    /// Nodes whose time is up are down, all of them in one proposal. When they are most of the nodes, they are given
    /// more time.
    pub(super) fn check_liveness(&mut self, step: &mut Step<'_>) {
        if self.liveness.due().is_none_or(|at| at > step.now) {
            return;
        }
        let mass_loss = self.liveness.is_mass_loss(step.now, &self.limits);
        let late = |(id, deadline): (&NodeId, &Deadline)| {
            (deadline.at <= step.now).then(|| (id.clone(), deadline.cause))
        };
        let late: Vec<_> = self.liveness.deadlines.iter().filter_map(late).collect();
        let mut changes = Vec::new();
        for (id, cause) in late {
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
            let hold = mass_loss && matches!(cause, Cause::Silence | Cause::NewLeader);
            let (state, message) = if hold {
                self.expect(step, &id, self.limits.mass_loss_delay, Cause::MassLoss);
                (NodeState::Disconnected, MASS_LOSS)
            } else {
                (NodeState::Down, cause.message())
            };
            let status = NodeStatus {
                state,
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
