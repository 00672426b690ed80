//! Inputs and outputs of the leader, and its bounds.

use model::assignment::Assignments;
use model::control::{ControlError, WriteRequest, Written};
use model::{NodeDescription, NodeId, Proposal, Refusal, TaskId, TaskStatus, Timestamp};
use std::time::Duration;
use store::Event;

/// Names a proposal of this leader until it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProposalToken(pub u64);

/// Names a client's request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestToken(pub u64);

/// Names one session of an agent: never used twice in the life of a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What happens to a leader.
#[derive(Clone, Debug)]
pub enum Input {
    /// This manager leads, and has applied everything that was committed before.
    BecameLeader,
    /// It leads no more; what was under way may have been committed or not.
    LostLeadership,
    /// An entry was applied (of this manager or of an earlier leader).
    Committed {
        /// Its index.
        index: u64,
        /// What became of this leader's proposals in it.
        outcomes: Vec<(ProposalToken, Result<(), Refusal>)>,
        /// What it changed.
        events: Vec<Event>,
    },
    /// A client asks for a change.
    Request {
        /// For the answer.
        token: RequestToken,
        /// The change.
        request: WriteRequest,
    },
    /// An agent said who it is, and its certificate proves it. An older session of the node is void.
    SessionOpened {
        /// Who.
        node: NodeId,
        /// The session.
        session: SessionId,
        /// What it says of itself.
        description: NodeDescription,
        /// Address that the connection came from, without the port.
        addr: String,
    },
    /// A session ended with a sign: the connection was closed or reset. The host is not silent.
    SessionClosed {
        /// Who.
        node: NodeId,
        /// The session.
        session: SessionId,
    },
    /// Anything came in on a session.
    Heartbeat {
        /// Who.
        node: NodeId,
        /// The session.
        session: SessionId,
    },
    /// An agent says how its tasks are.
    Report {
        /// Who.
        node: NodeId,
        /// The session.
        session: SessionId,
        /// Number of the report in its session, ascending.
        sequence: u64,
        /// Statuses.
        updates: Vec<(TaskId, TaskStatus)>,
    },
    /// An agent computed another digest than it was sent.
    NeedComplete {
        /// Who.
        node: NodeId,
        /// The session.
        session: SessionId,
    },
    /// Time has come that was asked for.
    Tick,
}

/// What a leader wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Commit this. Proposals that arise while an entry is under way share the next one.
    Propose {
        /// For the outcome.
        token: ProposalToken,
        /// What.
        proposal: Proposal,
    },
    /// Answer a client. What it says is committed.
    Reply {
        /// Which request.
        token: RequestToken,
        /// The answer.
        result: Result<Written, ControlError>,
    },
    /// Send a node its assignments. Messages of one session keep their order.
    Assign {
        /// To whom.
        node: NodeId,
        /// On which session.
        session: SessionId,
        /// What.
        assignments: Assignments,
    },
    /// Tell an agent that its reports up to this one are committed.
    Reported {
        /// Whom.
        node: NodeId,
        /// On which session.
        session: SessionId,
        /// Up to which report.
        sequence: u64,
    },
    /// End a session: the node is not one of ours any more, or this manager does not lead any more.
    CloseSession {
        /// Whose.
        node: NodeId,
        /// Which.
        session: SessionId,
    },
    /// Give an [`Input::Tick`] at this time; the last word counts.
    WakeAt(Timestamp),
}

/// Bounds of a leader.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A session that is silent for this long means that its host is down. Agents speak every half second, so
    /// three messages are missing by then.
    pub node_silence: Duration,
    /// After a session ended with a sign, the daemon may be restarting while its containers run on: this
    /// long for it to come back. A restart takes well below a second; a service manager may wait a little first.
    pub daemon_restart_grace: Duration,
    /// After a change of leader, this long for agents to find the new one before their nodes count as down.
    pub new_leader_grace: Duration,
    /// When most nodes fall silent at the same time, the fault is more likely in between (this manager's own link)
    /// than in all of them: their tasks stay for this long. When the nodes are gone indeed, that is how much later
    /// their tasks run elsewhere.
    pub mass_loss_delay: Duration,
    /// Nodes that have to be silent for that at the least: of two or three nodes, two can well fail together.
    pub mass_loss_nodes: usize,
    /// No task is moved for the sake of an even spread before nodes have neither come nor gone for this long.
    pub rebalance_quiet: Duration,
    /// Bounds of the orchestrator.
    pub orchestrator: orchestrator::Limits,
    /// Bounds of the allocator.
    pub allocator: allocator::Limits,
    /// Bounds of the scheduler.
    pub scheduler: scheduler::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            node_silence: Duration::from_secs(2),
            daemon_restart_grace: Duration::from_secs(3),
            new_leader_grace: Duration::from_secs(4),
            mass_loss_delay: Duration::from_secs(30),
            mass_loss_nodes: 3,
            rebalance_quiet: Duration::from_secs(30),
            orchestrator: orchestrator::Limits::default(),
            allocator: allocator::Limits::default(),
            scheduler: scheduler::Limits::default(),
        }
    }
}
