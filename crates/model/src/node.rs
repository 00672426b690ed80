//! Nodes: the hosts of a cluster.

use crate::task::{GenericResource, Platform, Resources};
use crate::{Labels, Meta, NodeId, Timestamp};

/// A node in the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Written once, when its certificate was issued.
    pub id: NodeId,
    /// Written by the store.
    pub meta: Meta,
    /// Written by the API.
    pub spec: NodeSpec,
    /// The role that its certificates carry: follows `spec.role`, after the Raft group did. Written by the leader.
    pub role: Role,
    /// What the node said of itself. Written by the dispatcher from its session.
    pub description: Option<NodeDescription>,
    /// Liveness. Written by the leader.
    pub status: NodeStatus,
    /// Set while it is a member of the Raft group. Written by the leader when membership changes.
    pub manager: Option<ManagerStatus>,
}

/// The operator's wish for a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSpec {
    /// Free name, hardly used; the host name is in the description.
    pub name: String,
    /// Labels that constraints see as `node.labels.…`.
    pub labels: Labels,
    /// The wished role; see [`Node::role`].
    pub role: Role,
    /// Whether it takes tasks.
    pub availability: Availability,
    /// How tasks leave while it is drained; all at once and stop-first, as in Docker, when absent. Ours.
    pub drain: Option<DrainConfig>,
}

/// How tasks leave a node that is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainConfig {
    /// Tasks of the node that are on the move at once; 0 is all.
    pub parallelism: u64,
    /// With start-first, a task is stopped when its replacement runs elsewhere.
    pub order: crate::service::UpdateOrder,
}

/// Role of a node, which its certificate carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Runs tasks.
    #[default]
    Worker,
    /// Runs tasks and is a member of the Raft group.
    Manager,
}

impl Role {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Manager => "manager",
        }
    }
}

/// Whether a node takes tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Availability {
    /// Takes tasks.
    #[default]
    Active,
    /// Keeps its tasks and takes no new ones.
    Pause,
    /// Its tasks move away.
    Drain,
}

impl Availability {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            Availability::Active => "active",
            Availability::Pause => "pause",
            Availability::Drain => "drain",
        }
    }
}

/// What a node says of itself when its session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeDescription {
    /// Host name.
    pub hostname: String,
    /// As `uname` says: `x86_64`, `linux`.
    pub platform: Platform,
    /// What there is to give.
    pub resources: Resources,
    /// Version of the engine.
    pub engine_version: String,
    /// The daemon's labels, which constraints see as `engine.labels.…`.
    pub engine_labels: Labels,
    /// Generic resources that the daemon was told of.
    pub generic: Vec<GenericResource>,
    /// The daemon allows services to ask for devices and privileges.
    pub allows_privileged: bool,
}

/// Liveness of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// State.
    pub state: NodeState,
    /// Why, for the user.
    pub message: String,
    /// Address that its session came from, without the port.
    pub addr: String,
    /// When the state was last written (leader's clock).
    pub since: Timestamp,
}

/// Liveness states, as Docker's API names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// Not heard of yet, or not since the leader changed.
    #[default]
    Unknown,
    /// Silent for too long: its tasks are replaced elsewhere.
    Down,
    /// In contact.
    Ready,
    /// Its session closed with a sign and its host is not silent: it is given a moment to come back.
    Disconnected,
}

impl NodeState {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Unknown => "unknown",
            NodeState::Down => "down",
            NodeState::Ready => "ready",
            NodeState::Disconnected => "disconnected",
        }
    }
}

/// Membership in the Raft group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManagerStatus {
    /// Id in the Raft group; never used twice.
    pub raft_id: u64,
    /// Address of its node port, `host:port`.
    pub addr: String,
}
