//! What an applied entry did to the objects.

use model::{Cluster, Node, NodeId, Payload, PayloadId, Service, ServiceId, Task, TaskId};
use std::sync::Arc;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Created,
    /// It was there before and still is.
    Updated {
        /// Its specification was written (and its version is new); otherwise only its status was.
        spec: bool,
    },
    /// It is gone.
    Removed,
}

/// One change of one object, with the object before and after it. `old` is absent for a new object, `new` for a removed one.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The cluster object was created or updated.
    Cluster {
        /// What happened.
        kind: Kind,
        /// Before.
        old: Option<Arc<Cluster>>,
        /// After.
        new: Option<Arc<Cluster>>,
    },
    /// A service.
    Service {
        /// Which.
        id: ServiceId,
        /// What happened.
        kind: Kind,
        /// Before.
        old: Option<Arc<Service>>,
        /// After.
        new: Option<Arc<Service>>,
    },
    /// A task. Its spec never changes.
    Task {
        /// Which.
        id: TaskId,
        /// What happened.
        kind: Kind,
        /// Before.
        old: Option<Arc<Task>>,
        /// After.
        new: Option<Arc<Task>>,
    },
    /// A node.
    Node {
        /// Which.
        id: NodeId,
        /// What happened.
        kind: Kind,
        /// Before.
        old: Option<Arc<Node>>,
        /// After.
        new: Option<Arc<Node>>,
    },
    /// A secret or a config: which of the two is in the object.
    Payload {
        /// Which.
        id: PayloadId,
        /// What happened.
        kind: Kind,
        /// Before.
        old: Option<Arc<Payload>>,
        /// After.
        new: Option<Arc<Payload>>,
    },
}

impl Event {
    /// What happened.
    pub fn kind(&self) -> Kind {
        match self {
            Event::Cluster { kind, .. }
            | Event::Service { kind, .. }
            | Event::Task { kind, .. }
            | Event::Node { kind, .. }
            | Event::Payload { kind, .. } => *kind,
        }
    }
}

/// The kind that follows from the versions before and after.
pub(crate) fn kind_of(old: Option<u64>, new: Option<u64>) -> Kind {
    match (old, new) {
        (None, _) => Kind::Created,
        (Some(_), None) => Kind::Removed,
        (Some(old), Some(new)) => Kind::Updated { spec: old != new },
    }
}
