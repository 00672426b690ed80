//! What a worker is told to run: a snapshot, then changes, each with a digest of the whole.

use crate::service::RegistryAuth;
use crate::task::{DesiredState, GenericResource, TaskSpec};
use crate::{Labels, Payload, PayloadId, ServiceId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A task as its node has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedTask {
    /// Its id.
    pub id: TaskId,
    /// Its service.
    pub service: ServiceId,
    /// The service's name.
    pub service_name: Arc<str>,
    /// Labels of the service, for templates and filters.
    pub service_labels: Arc<Labels>,
    /// The replica; 0 in a global service.
    pub slot: u64,
    /// What to run.
    pub spec: Arc<TaskSpec>,
    /// What is wanted of it.
    pub desired: DesiredState,
    /// Generic resources of the node that are its own.
    pub generic: Vec<GenericResource>,
    /// Credentials for the image's registry, as its service has them now.
    pub registry_auth: Option<RegistryAuth>,
}

/// One change of a node's assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssignmentChange {
    /// A new task, or all of a known one.
    Put(AssignedTask),
    /// Only the desired state of a known task.
    SetDesired(TaskId, DesiredState),
    /// The manager has forgotten the task: stop it if it runs, remove what is left of it.
    Remove(TaskId),
    /// A secret or a config that a task of the node uses. It comes before that task, and is kept in memory only.
    PutPayload(Arc<Payload>),
    /// No task of the node uses it any more.
    RemovePayload(PayloadId),
}

/// A message of the assignment stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignments {
    /// Log index of the state that it shows. A node never applies an older one after a newer one.
    pub index: u64,
    /// The changes start from nothing: tasks that they do not name are gone.
    pub complete: bool,
    /// The changes.
    pub changes: Vec<AssignmentChange>,
    /// [`digest`] of all assignments of the node after the changes; a node that computes another one asks for
    /// the complete set.
    pub digest: u64,
}

/// Digest of a set of assignments: FNV-1a over the tasks' ids and desired states in the order of the ids, then
/// over the ids of the secrets and configs in their order.
pub fn digest<'a>(
    tasks: impl Iterator<Item = (&'a TaskId, DesiredState)>,
    payloads: impl Iterator<Item = &'a PayloadId>,
) -> u64 {
    let ordered: BTreeMap<&TaskId, DesiredState> = tasks.collect();
    let payloads: BTreeSet<&PayloadId> = payloads.collect();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for (id, desired) in ordered {
        id.as_str().bytes().for_each(&mut eat);
        eat(desired as u8);
    }
    for id in payloads {
        id.as_str().bytes().for_each(&mut eat);
    }
    hash
}
