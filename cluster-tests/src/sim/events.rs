//! What is going to happen, in the order of time.

use agent::worker;
use manager::leader::SessionId;
use model::assignment::Assignments;
use model::control::{ControlError, Written};
use model::{NodeDescription, TaskId, TaskStatus, Timestamp};
use std::cmp::Ordering;
use std::time::Duration;

/// Number of a manager or host.
pub(super) type Id = usize;

/// Something that is due.
#[derive(Debug)]
pub(super) enum Event {
    /// A client thinks of something.
    NextRequest,
    /// A client sends a request, for the nth time.
    Try { request: usize, attempt: u32 },
    /// A request arrives at a manager.
    Arrive {
        manager: Id,
        life: u64,
        request: usize,
    },
    /// An answer arrives at the client.
    Answer {
        request: usize,
        result: Result<Written, ControlError>,
    },
    /// The entry under way reaches a majority.
    Commit { number: u64 },
    /// A follower hears how far the log is.
    Follow { manager: Id, life: u64 },
    /// Managers that hear no leader elect one.
    Elect { epoch: u64 },
    /// A leader that lost its majority, or its office, finds out.
    StepDown { manager: Id, life: u64, term: u64 },
    /// A leader's alarm.
    LeaderTick { manager: Id, life: u64, number: u64 },
    /// A worker's alarm.
    WorkerTick { host: Id, life: u64, number: u64 },
    /// A daemon looks for the leader.
    Connect { host: Id, life: u64 },
    /// A daemon was not welcomed in time.
    ConnectTimeout { host: Id, life: u64, session: usize },
    /// An agent says that it is there.
    Heartbeat { session: usize },
    /// The next message of an agent arrives.
    Up { session: usize },
    /// The next message of a leader arrives.
    Down { session: usize },
    /// One side sees that the connection is gone.
    Broken { session: usize, side: Side },
    /// The executor has finished something.
    Executed {
        host: Id,
        boot: u64,
        life: u64,
        task: TaskId,
        what: Work,
    },
    /// A process ends by itself.
    Exit {
        host: Id,
        boot: u64,
        task: TaskId,
        started: Timestamp,
        code: i64,
    },
    /// A health check is run, for the nth time.
    HealthCheck {
        host: Id,
        boot: u64,
        task: TaskId,
        started: Timestamp,
        number: u32,
    },
    /// The leader gives a node the role that is wished for it.
    FollowRole { host: Id },
    /// Something goes wrong.
    Fault,
    /// A cut is mended, a slow network is fast again.
    Mend { number: u64 },
    /// A host wanders to the other side of a cut.
    Wander { host: Id, number: u64 },
    /// The leader gives its office up.
    Resign,
    /// From now on the leadership changes after each entry, for this long.
    Hops { time: Duration },
    /// A daemon is started, if its host is up.
    StartDaemon { host: Id },
    /// A host gets its power back.
    Boot { host: Id },
    /// A host whose node was removed is wiped and joins again.
    Rejoin { host: Id },
    /// A host asks until its new node is known.
    Join { host: Id },
    /// A line of a script.
    Line { line: super::script::Line },
    /// Faults stop.
    Calm,
    /// The operator makes all nodes active again.
    Tidy,
    /// The run is over.
    End,
}

/// A side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Agent,
    Leader,
}

/// What the executor was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Prepare,
    Start,
    Stop,
    Remove,
}

/// A message of an agent.
#[derive(Clone, Debug)]
pub(super) enum UpMessage {
    Hello {
        description: NodeDescription,
    },
    Heartbeat,
    Report {
        sequence: u64,
        updates: Vec<(TaskId, TaskStatus)>,
    },
    NeedComplete,
}

/// A message of a leader.
#[derive(Clone, Debug)]
pub(super) enum DownMessage {
    Welcome,
    Assignments(Assignments),
    Reported { sequence: u64 },
}

impl DownMessage {
    pub(super) fn input(self, node: model::NodeId) -> worker::Input {
        match self {
            DownMessage::Welcome => worker::Input::SessionUp { node },
            DownMessage::Assignments(assignments) => worker::Input::Assignments(assignments),
            DownMessage::Reported { sequence } => worker::Input::Reported { sequence },
        }
    }
}

/// The session's id for the leader.
pub(super) fn session_id(session: usize) -> SessionId {
    SessionId(session as u64 + 1)
}

/// An event in the queue; of two at the same time the one that was planned first comes first.
pub(super) struct Planned {
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Planned {}
impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Planned {
    /// The earliest is the greatest, for a max-heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
