//! What the control interface is asked and answers; the HTTP API speaks it, followers forward it to the leader.

use crate::change::RequestId;
use crate::plan::Plan;
use crate::{
    Cluster, ClusterSpec, Labels, Node, NodeId, NodeSpec, Payload, PayloadId, PayloadKind,
    PayloadSpec, Role, Service, ServiceId, ServiceSpec, Task, TaskId,
};
use std::sync::Arc;

/// A change that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// The same for each retry of one request.
    pub id: RequestId,
    /// What is asked.
    pub write: Write,
}

/// Kinds of change that a client can ask for. References are ids: names are resolved before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Answers [`Written::Service`].
    CreateService(Arc<ServiceSpec>),
    /// Answers [`Written::Done`].
    UpdateService {
        /// Which.
        id: ServiceId,
        /// The version that the client read.
        version: u64,
        /// The whole new spec.
        spec: Arc<ServiceSpec>,
    },
    /// Goes back to the previous spec, or to what an older revision was. Answers [`Written::Done`].
    RollbackService {
        /// Which.
        id: ServiceId,
        /// The version that the client read.
        version: u64,
        /// Number of the revision; the previous spec, whole, when absent.
        to: Option<u64>,
    },
    /// Answers [`Written::Done`].
    RemoveService(ServiceId),
    /// Has these tasks replaced under their services' update configuration. Answers [`Written::Done`].
    RestartTasks(Vec<TaskId>),
    /// Has tasks moved to nodes that suit better, under their services' update configuration; all replicated
    /// services when empty. Answers [`Written::Done`].
    Rebalance(Vec<ServiceId>),
    /// Answers [`Written::Payload`].
    CreatePayload {
        /// Which of the two.
        kind: PayloadKind,
        /// What.
        spec: Arc<PayloadSpec>,
    },
    /// Only labels may change. Answers [`Written::Done`].
    UpdatePayload {
        /// Which.
        id: PayloadId,
        /// Which of the two.
        kind: PayloadKind,
        /// The version that the client read.
        version: u64,
        /// The whole spec as the client sent it; absent data is no change.
        spec: Arc<PayloadSpec>,
    },
    /// Answers [`Written::Done`].
    RemovePayload {
        /// Which.
        id: PayloadId,
        /// Which of the two.
        kind: PayloadKind,
    },
    /// Answers [`Written::Done`].
    UpdateNode {
        /// Which.
        id: NodeId,
        /// The version that the client read.
        version: u64,
        /// The whole new spec.
        spec: NodeSpec,
    },
    /// Answers [`Written::Done`].
    RemoveNode {
        /// Which.
        id: NodeId,
        /// Also when it is not down.
        force: bool,
    },
    /// Answers [`Written::Done`].
    UpdateCluster {
        /// The version that the client read.
        version: u64,
        /// The whole new spec.
        spec: ClusterSpec,
        /// Makes a new join token for workers.
        rotate_worker_token: bool,
        /// Makes a new join token for managers.
        rotate_manager_token: bool,
    },
    /// Makes a join token with labels. Answers [`Written::Done`]; the token is in the cluster then.
    CreateToken {
        /// Its name.
        name: String,
        /// Role of the nodes that join with it.
        role: Role,
        /// Their labels.
        labels: Labels,
    },
    /// Takes a join token with labels away; nodes that joined with it stay. Answers [`Written::Done`].
    RemoveToken {
        /// Its name.
        name: String,
    },
}

/// The answer to a [`Write`] that was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing to tell.
    Done,
    /// The new service.
    Service(ServiceId),
    /// The new secret or config.
    Payload(PayloadId),
}

/// A question about the state as of now: nothing that was acknowledged before it was asked is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// The cluster; answers one [`Found::Cluster`].
    Cluster,
    /// Nodes.
    Nodes(Selector<NodeId>),
    /// Services.
    Services(Selector<ServiceId>),
    /// Tasks.
    Tasks(TaskSelector),
    /// Secrets or configs.
    Payloads(PayloadKind, Selector<PayloadId>),
    /// What a write would lead to; answers [`Found::plan`]. Only [`Write::CreateService`],
    /// [`Write::UpdateService`], [`Write::RollbackService`], [`Write::Rebalance`] and [`Write::UpdateNode`] can be planned.
    Plan(Box<Write>),
}

/// Which objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector<Id> {
    /// All.
    All,
    /// This one, or none.
    Id(Id),
    /// What Docker lets a user write: a full id, else a full name, else a prefix of an id.
    Reference(String),
}

/// Which tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskSelector {
    /// All.
    All,
    /// As in [`Selector::Reference`].
    Reference(String),
    /// This one.
    Id(TaskId),
    /// Of these services.
    Services(Vec<ServiceId>),
    /// On these nodes.
    Nodes(Vec<NodeId>),
}

/// The answer to a [`Query`]. Objects are shared with the store, not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The cluster.
    pub cluster: Option<Arc<Cluster>>,
    /// Nodes, by id.
    pub nodes: Vec<FoundNode>,
    /// Services, by id.
    pub services: Vec<Arc<Service>>,
    /// Tasks, by id, each with whether it is of its service's current spec (Docker's `_up-to-date`).
    pub tasks: Vec<FoundTask>,
    /// Secrets or configs, by id.
    pub payloads: Vec<Arc<Payload>>,
    /// What a write would lead to.
    pub plan: Option<Plan>,
}

/// A node with what only the leader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNode {
    /// The node.
    pub node: Arc<Node>,
    /// It leads the Raft group.
    pub leader: bool,
    /// The leader hears of it (managers only).
    pub reachable: bool,
}

/// A task with what follows from its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundTask {
    /// The task.
    pub task: Arc<Task>,
    /// It need not be replaced: see `orchestrator`'s dirty rule.
    pub up_to_date: bool,
}

/// Why a request was not carried out. Texts are for the user; Docker's where tools match them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The request itself is wrong.
    #[error("{0}")]
    InvalidArgument(String),
    /// What it names does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What it makes exists.
    #[error("{0}")]
    AlreadyExists(String),
    /// The state does not allow it.
    #[error("{0}")]
    FailedPrecondition(String),
    /// Not built.
    #[error("{0}")]
    Unimplemented(String),
    /// Somebody else was faster. Docker answers this with status 500 and this text.
    #[error("update out of sequence")]
    OutOfSequence,
    /// There is no leader, or it was lost while the request was under way: it may have been carried out.
    #[error("{0}")]
    Unavailable(String),
    /// This node is not a manager of a swarm.
    #[error("{0}")]
    NotManager(String),
}

impl ControlError {
    /// What Docker says when no majority of the managers is there.
    pub const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";
}
