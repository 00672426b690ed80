//! What a write would lead to: the answer to a dry run. The leader runs its real loops on a copy of the state.

use crate::{NodeId, ServiceId, SlotKey, TaskId};

/// What would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Version of the service that it was made for: an update that gives it applies only if nothing changed since. 0
    /// for a service that does not exist yet.
    pub version: u64,
    /// Tasks that would start in slots that have none.
    pub start: Vec<PlannedTask>,
    /// Tasks that would stop without a successor.
    pub stop: Vec<PlannedTask>,
    /// Slots whose task would be replaced.
    pub replace: Vec<PlannedReplacement>,
    /// Tasks that would find no node.
    pub unplaced: Vec<Unplaced>,
    /// Tasks that would stay as they are.
    pub unchanged: u64,
    /// What the loops would say of the update at its end, such as that it pauses; empty when there is nothing to say.
    pub notes: Vec<String>,
}

/// A task that would start or stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTask {
    /// Its service.
    pub service: ServiceId,
    /// The service's name.
    pub service_name: String,
    /// What it fills.
    pub slot: SlotKey,
    /// The task; absent for one that does not exist yet.
    pub task: Option<TaskId>,
    /// Where.
    pub node: Option<NodeId>,
}

/// A task that would take the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedReplacement {
    /// The one that would stop.
    pub old: PlannedTask,
    /// Where its successor would run; absent when there is no node for it.
    pub new_node: Option<NodeId>,
}

/// A task without a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Its service's name.
    pub service_name: String,
    /// What it fills.
    pub slot: SlotKey,
    /// Why, in the scheduler's words.
    pub reason: String,
}
