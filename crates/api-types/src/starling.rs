//! What Starling adds to Docker's JSON: objects under the key `Starling`, and bodies of routes that Docker does not have.
//!
//! Docker's clients ignore the key and leave it out; what an update leaves out stays as it is. An explicit `null` clears.

use crate::macros::go_json;
use crate::service::ServiceSpec;
use crate::{StringMap, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value in a request that keeps what is not mentioned. Its field is `omitempty`, so that `Keep` is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Change<T> {
    /// Not mentioned: stays as it is. In an answer: not set.
    #[default]
    Keep,
    /// `null`: no longer set.
    Clear,
    /// Set to this.
    Set(T),
}

impl<T> Change<T> {
    /// The new value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Change::Set(value) => Some(value),
            Change::Keep | Change::Clear => None,
        }
    }

    /// As an answer shows it: left out when there is none.
    pub fn shown(value: Option<T>) -> Self {
        value.map_or(Change::Keep, Change::Set)
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Change::Keep | Change::Clear => serializer.serialize_none(),
            Change::Set(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(deserializer)?;
        Ok(value.map_or(Change::Clear, Change::Set))
    }
}

go_json! {
    /// Part of a service's spec.
    pub struct StarlingServiceSpec {
        /// Nanoseconds without progress after which an update has failed.
        progress_deadline: Change<i64> = "ProgressDeadline" omitempty,
        /// Set while the service is stopped.
        stopped: Change<Stopped> = "Stopped" omitempty,
        auto_rebalance: Change<bool> = "AutoRebalance" omitempty,
        devices: Change<Vec<Device>> = "Devices" omitempty,
        privileged: Change<bool> = "Privileged" omitempty,
        secret_env: Change<Vec<SecretEnv>> = "SecretEnv" omitempty,
    }

    /// What `service start` goes back to.
    pub struct Stopped {
        replicas: u64 = "Replicas",
    }

    /// A device of the host in a container.
    pub struct Device {
        host_path: String = "HostPath",
        container_path: String = "ContainerPath",
        /// Some of `r`, `w` and `m`.
        permissions: String = "Permissions",
    }

    /// A secret that a container finds in an environment variable.
    pub struct SecretEnv {
        secret_id: String = "SecretID",
        secret_name: String = "SecretName",
        variable: String = "Variable",
    }

    /// Part of a node's spec.
    pub struct StarlingNodeSpec {
        drain: Change<Drain> = "Drain" omitempty,
    }

    /// How tasks leave a node that is drained.
    pub struct Drain {
        /// Tasks on the move at once; 0 is all.
        parallelism: u64 = "Parallelism",
        /// `stop-first` or `start-first`.
        order: String = "Order" omitempty,
    }

    /// Part of a service, only in answers.
    pub struct StarlingService {
        /// Number of the current revision.
        revision: u64 = "Revision",
        revisions: Vec<RevisionSummary> = "Revisions" omitempty,
    }

    /// A revision without its spec.
    pub struct RevisionSummary {
        number: u64 = "Number",
        created_at: Timestamp = "CreatedAt",
        /// `create`, `update`, `rollback`, `rollback to N` or `failed update`.
        cause: String = "Cause",
        image: String = "Image",
    }

    /// A revision, as `GET /services/{id}/history` answers a list of them, oldest first.
    pub struct Revision {
        number: u64 = "Number",
        created_at: Timestamp = "CreatedAt",
        cause: String = "Cause",
        spec: ServiceSpec = "Spec",
    }

    /// Part of the cluster: tokens that bring labels along.
    pub struct StarlingSwarm {
        tokens: Vec<Token> = "Tokens" omitempty,
    }

    /// A join token of its own name; body (without `Token`) and answer of `POST /swarm/tokens`.
    pub struct Token {
        name: String = "Name",
        role: String = "Role" omitempty,
        labels: StringMap = "Labels" omitempty,
        token: String = "Token" omitempty,
    }

    /// Part of an event.
    pub struct StarlingEvent {
        /// The index in the log from which one can go on.
        index: u64 = "Index" omitempty,
    }

    /// What a write would lead to, the answer to `dryRun`.
    pub struct Plan {
        /// Version of the object that it was made for.
        version: u64 = "Version",
        diff: Vec<Difference> = "Diff",
        start: Vec<PlannedTask> = "Start",
        stop: Vec<PlannedTask> = "Stop",
        replace: Vec<PlannedReplacement> = "Replace",
        unplaced: Vec<Unplaced> = "Unplaced",
        unchanged: u64 = "Unchanged",
        notes: Vec<String> = "Notes",
    }

    /// A field of a spec that would change.
    pub struct Difference {
        /// From the spec downwards: `TaskTemplate.ContainerSpec.Image`.
        path: String = "Path",
        old: serde_json::Value = "Old",
        new: serde_json::Value = "New",
    }

    /// A task that would start or stop.
    pub struct PlannedTask {
        service: String = "Service",
        service_name: String = "ServiceName",
        /// 0 for a task of a global service.
        slot: u64 = "Slot",
        task_id: String = "TaskID" omitempty,
        node_id: String = "NodeID" omitempty,
    }

    /// A task that would take another's place.
    pub struct PlannedReplacement {
        old: PlannedTask = "Old",
        new_node_id: String = "NewNodeID" omitempty,
    }

    /// A task that would find no node.
    pub struct Unplaced {
        service_name: String = "ServiceName",
        slot: u64 = "Slot",
        reason: String = "Reason",
    }

    /// Body of `POST /services/{id}/restart`.
    pub struct RestartRequest {
        /// Empty for all.
        tasks: Vec<String> = "Tasks" omitempty,
    }

    /// Body of `POST /services/rebalance`.
    pub struct RebalanceRequest {
        /// Empty for all.
        services: Vec<String> = "Services" omitempty,
    }

    /// Answer to it.
    pub struct RebalanceResponse {
        moves: Vec<Move> = "Moves",
    }

    /// A task that leaves a node for another one.
    pub struct Move {
        service_name: String = "ServiceName",
        task_id: String = "TaskID",
        slot: u64 = "Slot",
        from_node_id: String = "FromNodeID",
        to_node_id: String = "ToNodeID",
    }
}
