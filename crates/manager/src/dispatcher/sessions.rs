//! The sessions that are open on this manager.

use crate::leader::SessionId;
use model::assignment::Assignments;
use model::{NodeId, Role};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use wire::pb::dispatcher::to_agent::Message;
use wire::pb::dispatcher::{Managers, Reported, RoleChanged, ToAgent};

/// Messages to an agent that may wait. An agent that is further behind is cut off: when it comes back it gets the
/// complete set, which is shorter than what it has missed.
const OUTBOUND_QUEUE: usize = 256;

/// What an agent is sent.
pub(crate) type Outbound = mpsc::Receiver<Result<ToAgent, Status>>;

/// The open sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    open: BTreeMap<SessionId, Open>,
    managers: Vec<String>,
}

struct Open {
    node: NodeId,
    outbound: mpsc::Sender<Result<ToAgent, Status>>,
    closed: CancellationToken,
}

/// A session that was just opened.
pub(crate) struct Opened {
    pub(crate) id: SessionId,
    pub(crate) outbound: Outbound,
    pub(crate) closed: CancellationToken,
}

pub(crate) fn message(message: Message) -> ToAgent {
    ToAgent {
        message: Some(message),
    }
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session; `welcome` is its first message.
    pub(crate) fn open(&self, node: &NodeId, welcome: impl FnOnce(&[String]) -> Message) -> Opened {
        let mut inner = self.lock();
        inner.last += 1;
        let id = SessionId(inner.last);
        let (outbound, receiver) = mpsc::channel(OUTBOUND_QUEUE);
        let first = message(welcome(&inner.managers));
        outbound
            .try_send(Ok(first))
            .expect("an empty queue takes one message");
        let closed = CancellationToken::new();
        inner.open.insert(
            id,
            Open {
                node: node.clone(),
                outbound,
                closed: closed.clone(),
            },
        );
        Opened {
            id,
            outbound: receiver,
            closed,
        }
    }

    pub(crate) fn assign(&self, session: SessionId, assignments: &Assignments) {
        self.send(session, Message::Assignments(assignments.into()));
    }

    pub(crate) fn reported(&self, session: SessionId, sequence: u64) {
        self.send(session, Message::Reported(Reported { sequence }));
    }

    pub(crate) fn role_changed(&self, session: SessionId, role: Role) {
        let role = wire::dispatcher::role(role);
        self.send(session, Message::RoleChanged(RoleChanged { role }));
    }

    /// Sends a message; false when the session is not open (any more).
    pub(crate) fn send(&self, session: SessionId, content: Message) -> bool {
        let mut inner = self.lock();
        let Some(open) = inner.open.get(&session) else {
            return false;
        };
        if open.outbound.try_send(Ok(message(content))).is_ok() {
            return true;
        }
        tracing::warn!(node = %open.node, "an agent does not read what it is sent: closing its session");
        inner.close(session);
        false
    }

    /// The newest session of a node.
    pub(crate) fn of_node(&self, node: &NodeId) -> Option<SessionId> {
        let inner = self.lock();
        let mut sessions = inner.open.iter().rev();
        sessions
            .find(|(_, open)| open.node == *node)
            .map(|(id, _)| *id)
    }

    pub(crate) fn close(&self, session: SessionId) {
        self.lock().close(session);
    }

    pub(crate) fn close_all(&self) {
        let mut inner = self.lock();
        for (_, open) in std::mem::take(&mut inner.open) {
            open.closed.cancel();
        }
    }

    /// Agents hear of managers that come and go.
    pub(crate) fn managers_changed(&self, addrs: Vec<String>) {
        let sessions: Vec<SessionId> = {
            let mut inner = self.lock();
            inner.managers.clone_from(&addrs);
            inner.open.keys().copied().collect()
        };
        for session in sessions {
            let addrs = addrs.clone();
            self.send(session, Message::Managers(Managers { addrs }));
        }
    }

    /// Addresses of all managers.
    pub(crate) fn managers(&self) -> Vec<String> {
        self.lock().managers.clone()
    }
}

impl Inner {
    fn close(&mut self, session: SessionId) {
        if let Some(open) = self.open.remove(&session) {
            open.closed.cancel();
        }
    }
}
