//! What a log entry says: decided changes, in proposals that are applied whole or refused alone.
//!
//! A change carries everything that was decided (ids, times), so that applying it needs no clock and
//! gives the same result on every manager. What can be looked up in the store at that index (a task's
//! spec) is not carried along.

use crate::cluster::{JoinSecret, LabelledToken};
use crate::node::{ManagerStatus, Role};
use crate::service::{RevisionCause, ServiceSpec, UpdateStatus};
use crate::task::{DesiredState, GenericResource, ReplaceReason, TaskStatus};
use crate::{
    Cluster, ClusterSpec, Labels, Node, NodeDescription, NodeId, NodeSpec, NodeStatus, Payload,
    PayloadId, ServiceId, TaskId, Timestamp,
};
use std::sync::Arc;

/// Changes that belong together: all of them are applied, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Set for a client's request: the same id is applied once, however often it is proposed.
    pub request: Option<RequestId>,
    /// When it was decided (leader's clock); objects written by it carry this time.
    pub at: Timestamp,
    /// In the order of application.
    pub changes: Vec<Change>,
}

/// Identifies a client's request across retries: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// One decided change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first change of a cluster's life.
    CreateCluster(Box<Cluster>),
    /// Replaces the cluster's spec and, where given, its join secrets.
    UpdateCluster {
        /// Refused unless the cluster has this version.
        if_version: u64,
        /// The new spec.
        spec: ClusterSpec,
        /// New secret for workers.
        worker_token: Option<JoinSecret>,
        /// New secret for managers.
        manager_token: Option<JoinSecret>,
    },
    /// A service that did not exist.
    CreateService {
        /// Its id.
        id: ServiceId,
        /// Its spec.
        spec: Arc<ServiceSpec>,
    },
    /// Replaces the labelled join tokens.
    SetTokens {
        /// Refused unless the cluster has this version.
        if_version: u64,
        /// All of them.
        tokens: Vec<LabelledToken>,
    },
    /// Replaces a service's spec; the old one becomes the previous one, and a revision where one begins. A job
    /// begins another run.
    UpdateService {
        /// Which.
        id: ServiceId,
        /// Refused unless the service has this version.
        if_version: u64,
        /// The new spec.
        spec: Arc<ServiceSpec>,
        /// Why: what the new revision says of itself.
        cause: RevisionCause,
        /// The update status that goes with it: none for a plain update, ROLLBACK_STARTED for a rollback.
        status: Option<UpdateStatus>,
    },
    /// The updater's progress.
    SetUpdateStatus {
        /// Which service.
        id: ServiceId,
        /// Refused unless the service still has this spec version.
        if_spec_version: u64,
        /// The progress.
        status: Option<UpdateStatus>,
    },
    /// Removes a service. Its tasks are the orchestrator's business.
    RemoveService {
        /// Which.
        id: ServiceId,
    },
    /// A task of a service's current spec.
    CreateTask(NewTask),
    /// Raises the desired state. Lowering is refused.
    SetDesired {
        /// Which task.
        id: TaskId,
        /// At least what it is.
        desired: DesiredState,
    },
    /// Somebody wants the task replaced. Refused when it is not wanted any more.
    SetReplace {
        /// Which task.
        id: TaskId,
        /// Why; none takes it back.
        reason: Option<ReplaceReason>,
    },
    /// PENDING to ASSIGNED.
    AssignTask {
        /// Which task.
        id: TaskId,
        /// Where: refused when it is not there, not active or not ready, or when the task has to go elsewhere.
        node: NodeId,
        /// Generic resources of the node that the task gets: refused when another task has them.
        generic: Vec<GenericResource>,
        /// The new status, state ASSIGNED.
        status: TaskStatus,
    },
    /// A task's status. Going down the ladder is refused; the same state may get another message or error.
    SetTaskStatus {
        /// Which task.
        id: TaskId,
        /// The new status.
        status: TaskStatus,
    },
    /// The updater has counted the end of this task.
    SetFailureCounted {
        /// Which task.
        id: TaskId,
    },
    /// Forgets a task.
    RemoveTask {
        /// Which task: refused while a process of it may run and its node is not gone.
        id: TaskId,
    },
    /// A node that did not exist.
    CreateNode(Box<Node>),
    /// The operator's wishes.
    UpdateNodeSpec {
        /// Which node.
        id: NodeId,
        /// Refused unless the node has this version.
        if_version: u64,
        /// The new spec.
        spec: NodeSpec,
    },
    /// What a node says of itself.
    SetNodeDescription {
        /// Which node.
        id: NodeId,
        /// The description.
        description: Box<NodeDescription>,
    },
    /// Liveness.
    SetNodeStatus {
        /// Which node.
        id: NodeId,
        /// The new status.
        status: NodeStatus,
    },
    /// The role that its certificates carry.
    SetNodeRole {
        /// Which node.
        id: NodeId,
        /// The role.
        role: Role,
    },
    /// Membership in the Raft group.
    SetNodeManager {
        /// Which node.
        id: NodeId,
        /// The membership, or none.
        manager: Option<ManagerStatus>,
    },
    /// Forgets a node; its tasks that are not over become ORPHANED in the same proposal.
    RemoveNode {
        /// Which node.
        id: NodeId,
    },
    /// A secret or a config that did not exist. Refused when its kind has the name already.
    CreatePayload(Box<Payload>),
    /// Replaces the labels of a secret or a config.
    UpdatePayload {
        /// Which.
        id: PayloadId,
        /// Refused unless it has this version.
        if_version: u64,
        /// The new labels.
        labels: Labels,
    },
    /// Forgets a secret or a config. Refused while a service uses it.
    RemovePayload {
        /// Which.
        id: PayloadId,
    },
}

/// A task to be created. Its spec is its service's current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Its id.
    pub id: TaskId,
    /// Its service.
    pub service: ServiceId,
    /// Refused unless the service has this spec version: what was decided for another spec is void.
    pub spec_version: u64,
    /// Its slot, from 1; 0 in a global service.
    pub slot: u64,
    /// Where it has to go: its slot in a global service, else none.
    pub node: Option<NodeId>,
    /// READY for a replacement that waits for its turn, else RUNNING, or COMPLETE for a job.
    pub desired: DesiredState,
    /// The restart delay.
    pub start_after: Option<Timestamp>,
    /// Restarts of the slot so far.
    pub restarts: Vec<Timestamp>,
}

/// Why a proposal was not applied. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The object changed since the client read it. The text is Docker's.
    #[error("update out of sequence")]
    OutOfSequence,
    /// The name is taken.
    #[error("name conflicts with an existing object: {kind} {name} already exists")]
    NameTaken {
        /// `service`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// There is no such object.
    #[error("{kind} {id} not found")]
    NotFound {
        /// `service`, `task`, `node`, `cluster`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// There is such an object already.
    #[error("{kind} {id} exists already")]
    Exists {
        /// `service`, `task`, `node`, `cluster`.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// An invariant would be broken; the decision was made on an older view.
    #[error("{0}")]
    Invariant(&'static str),
}
