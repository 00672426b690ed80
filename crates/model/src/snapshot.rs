//! The whole replicated state at one log index: what `store` hands out and `wire` writes down.

use crate::change::{Refusal, RequestId};
use crate::{Cluster, Node, Service, Task};
use std::sync::Arc;

/// The whole state. Objects are shared with the store, not copied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Log index of the last applied entry.
    pub index: u64,
    /// The cluster, once there is one.
    pub cluster: Option<Arc<Cluster>>,
    /// By id.
    pub services: Vec<Arc<Service>>,
    /// By id. Tasks of one spec version share one spec.
    pub tasks: Vec<Arc<Task>>,
    /// By id.
    pub nodes: Vec<Arc<Node>>,
    /// Requests that were applied lately with what came of them, oldest first: the same request is not applied again.
    pub requests: Vec<(RequestId, Result<(), Refusal>)>,
}
