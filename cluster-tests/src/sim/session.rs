//! Connections between agents and leaders: ordered, delayed, cut, reset.

use super::events::{DownMessage, Event, Id, Side, UpMessage, session_id};
use super::world::World;
use manager::leader::{Input, SessionId};
use model::{NodeId, PayloadId, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Agents speak this often; the leader counts three missing messages as silence.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Heartbeats that found no way before an agent gives its connection up.
const MISSED: u32 = 4;
/// A message that found no way is tried again by TCP.
const RESEND: Duration = Duration::from_millis(150);
/// How often a report arrives twice, in percent.
const DUPLICATES: u64 = 3;

/// A connection of one process to another.
pub(super) struct Session {
    pub(super) host: Id,
    pub(super) host_life: u64,
    pub(super) node: NodeId,
    pub(super) manager: Id,
    manager_life: u64,
    pub(super) agent_open: bool,
    leader: LeaderSide,
    missed: u32,
    /// Secrets and configs that the leader has sent and not taken back.
    pub(super) payloads: BTreeSet<PayloadId>,
    up: VecDeque<(Timestamp, UpMessage)>,
    down: VecDeque<(Timestamp, DownMessage)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LeaderSide {
    /// The agent's first message is under way.
    Unknown,
    Open,
    Closed,
}

impl World {
    /// A daemon opens a connection to a manager that reaches it.
    pub(super) fn open_session(&mut self, host: Id, manager: Id) -> usize {
        let session = Session {
            host,
            host_life: self.hosts[host].life,
            node: self.hosts[host].node.clone(),
            manager,
            manager_life: self.managers[manager].life,
            agent_open: true,
            leader: LeaderSide::Unknown,
            missed: 0,
            payloads: BTreeSet::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
        };
        self.sessions.push(session);
        let session = self.sessions.len() - 1;
        let description = self.hosts[host].description.clone();
        self.send_up(session, UpMessage::Hello { description });
        self.after(HEARTBEAT, Event::Heartbeat { session });
        session
    }

    pub(super) fn send_up(&mut self, session: usize, message: UpMessage) {
        let twice = matches!(message, UpMessage::Report { .. }) && self.rng.chance(DUPLICATES);
        let earliest = self.now + self.net.latency(&mut self.rng);
        let queue = &mut self.sessions[session].up;
        let at = queue.back().map_or(earliest, |(at, _)| earliest.max(*at));
        if twice {
            queue.push_back((at, message.clone()));
        }
        queue.push_back((at, message));
        self.at(at, Event::Up { session });
        if twice {
            self.at(at, Event::Up { session });
        }
    }

    pub(super) fn send_down(
        &mut self,
        manager: Id,
        node: &NodeId,
        session: SessionId,
        message: DownMessage,
    ) {
        let index = session.0 as usize - 1;
        let to = &self.sessions[index];
        if to.manager != manager || to.node != *node || to.leader != LeaderSide::Open {
            return;
        }
        let earliest = self.now + self.net.latency(&mut self.rng);
        let queue = &mut self.sessions[index].down;
        let at = queue.back().map_or(earliest, |(at, _)| earliest.max(*at));
        queue.push_back((at, message));
        self.at(at, Event::Down { session: index });
    }

    fn is_connected(&self, session: usize) -> bool {
        let session = &self.sessions[session];
        self.net.reaches(session.host, session.manager)
    }

    fn manager_lives(&self, session: usize) -> bool {
        let session = &self.sessions[session];
        let manager = &self.managers[session.manager];
        manager.up && manager.life == session.manager_life
    }

    /// The next message of an agent arrives at its manager.
    pub(super) fn deliver_up(&mut self, session: usize) {
        if !self.manager_lives(session) || self.sessions[session].leader == LeaderSide::Closed {
            self.sessions[session].up.clear();
            return;
        }
        if !self.is_connected(session) {
            self.after(RESEND, Event::Up { session });
            return;
        }
        let Some((_, message)) = self.sessions[session].up.pop_front() else {
            return;
        };
        let (manager, node) = (
            self.sessions[session].manager,
            self.sessions[session].node.clone(),
        );
        let id = session_id(session);
        let input = match message {
            UpMessage::Hello { description } => {
                if self.managers[manager].leading.is_none() {
                    self.sessions[session].leader = LeaderSide::Closed;
                    self.plan_broken(session, Side::Agent);
                    return;
                }
                self.sessions[session].leader = LeaderSide::Open;
                self.send_down(manager, &node, id, DownMessage::Welcome);
                let addr = format!("10.0.0.{}", self.sessions[session].host + 1);
                Input::SessionOpened {
                    node,
                    session: id,
                    description,
                    addr,
                }
            }
            UpMessage::Heartbeat => Input::Heartbeat { node, session: id },
            UpMessage::Report { sequence, updates } => Input::Report {
                node,
                session: id,
                sequence,
                updates,
            },
            UpMessage::NeedComplete => Input::NeedComplete { node, session: id },
        };
        self.step_leader(manager, input);
    }

    /// The next message of a leader arrives at its agent.
    pub(super) fn deliver_down(&mut self, session: usize) {
        if !self.sessions[session].agent_open {
            self.sessions[session].down.clear();
            return;
        }
        if !self.is_connected(session) {
            self.after(RESEND, Event::Down { session });
            return;
        }
        if let Some((_, message)) = self.sessions[session].down.pop_front() {
            self.receive(session, message);
        }
    }

    pub(super) fn heartbeat(&mut self, session: usize) {
        if !self.sessions[session].agent_open {
            return;
        }
        if !self.is_connected(session) {
            self.sessions[session].missed += 1;
            if self.sessions[session].missed >= MISSED {
                self.agent_loses(session);
                return;
            }
        } else if !self.manager_lives(session)
            || self.sessions[session].leader == LeaderSide::Closed
        {
            // The first packet that gets through is answered with a reset.
            self.agent_loses(session);
            return;
        } else {
            self.sessions[session].missed = 0;
            self.send_up(session, UpMessage::Heartbeat);
        }
        self.after(HEARTBEAT, Event::Heartbeat { session });
    }

    fn plan_broken(&mut self, session: usize, side: Side) {
        let delay = self.net.latency(&mut self.rng);
        self.after(delay, Event::Broken { session, side });
    }

    /// The leader closes a session.
    pub(super) fn close_from_leader(&mut self, manager: Id, session: SessionId) {
        let index = session.0 as usize - 1;
        if self.sessions[index].manager == manager {
            self.sessions[index].leader = LeaderSide::Closed;
            self.plan_broken(index, Side::Agent);
        }
    }

    /// An agent's process is gone, or closes the session; its host lives.
    pub(super) fn close_from_agent(&mut self, session: usize) {
        self.sessions[session].agent_open = false;
        self.plan_broken(session, Side::Leader);
    }

    /// A manager's process is gone; its host lives.
    pub(super) fn reset_sessions_of(&mut self, manager: Id) {
        for session in 0..self.sessions.len() {
            let s = &self.sessions[session];
            if s.manager == manager && s.agent_open && s.leader != LeaderSide::Closed {
                self.sessions[session].leader = LeaderSide::Closed;
                self.plan_broken(session, Side::Agent);
            }
        }
    }

    /// A sign that the other side is gone arrives, if it finds a way.
    pub(super) fn broken(&mut self, session: usize, side: Side) {
        if !self.is_connected(session) {
            return;
        }
        match side {
            Side::Agent => self.agent_loses(session),
            Side::Leader => {
                if self.manager_lives(session) && self.sessions[session].leader == LeaderSide::Open
                {
                    self.sessions[session].leader = LeaderSide::Closed;
                    let (manager, node) = (
                        self.sessions[session].manager,
                        self.sessions[session].node.clone(),
                    );
                    let session = session_id(session);
                    self.step_leader(manager, Input::SessionClosed { node, session });
                }
            }
        }
    }

    /// An agent gives its connection up.
    pub(super) fn agent_loses(&mut self, session: usize) {
        if !self.sessions[session].agent_open {
            return;
        }
        self.close_from_agent(session);
        let (host, life) = (
            self.sessions[session].host,
            self.sessions[session].host_life,
        );
        self.session_lost(host, life, session);
    }
}
