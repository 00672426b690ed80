//! The whole replicated state at one log index: what `store` hands out and `wire` writes down.

use crate::change::RequestId;
use crate::control::Written;
use crate::{Cluster, Node, NodeId, Payload, Service, ServiceId, Task, Timestamp};
use std::sync::Arc;

/// The whole state. Objects are shared with the store, not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Secrets and configs, by id.
    pub payloads: Vec<Arc<Payload>>,
    /// Requests that were applied lately, oldest first: the same request is not applied again.
    pub requests: Vec<AppliedRequest>,
    /// Where tasks failed lately.
    pub failures: Vec<NodeFailures>,
}

/// A request that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRequest {
    /// The client's id of it.
    pub id: RequestId,
    /// What it was answered with, and a repeated request is answered with.
    pub written: Written,
}

/// Failures of a service's tasks on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFailures {
    /// The service.
    pub service: ServiceId,
    /// The spec version of the tasks.
    pub spec_version: u64,
    /// Where they ran.
    pub node: NodeId,
    /// When they were seen to have failed (leader's clock), oldest first.
    pub at: Vec<Timestamp>,
}
