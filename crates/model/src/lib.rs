//! The nouns: ids, specs, objects, the task ladder, validation and defaults. Pure.
//!
//! Nothing here knows bytes, clocks or I/O: time and randomness come in as arguments. Each field of an
//! object has one writer, named beside it; everybody else only reads it.
#![forbid(unsafe_code)]

pub mod assignment;
pub mod change;
pub mod cluster;
pub mod constraint;
pub mod container;
pub mod control;
pub mod id;
pub mod logs;
pub mod node;
pub mod payload;
pub mod plan;
pub mod service;
pub mod snapshot;
pub mod task;
pub mod time;
pub mod validate;

pub use change::{Change, NewTask, Proposal, Refusal};
pub use cluster::{Cluster, ClusterSpec};
pub use container::ContainerSpec;
pub use id::{ClusterId, IdSource, NodeId, PayloadId, ServiceId, TaskId};
pub use node::{Availability, Node, NodeDescription, NodeSpec, NodeState, NodeStatus, Role};
pub use payload::{Payload, PayloadKind, PayloadSpec};
pub use service::{Mode, Service, ServiceSpec, UpdateStatus};
pub use task::{DesiredState, SlotKey, Task, TaskSpec, TaskState, TaskStatus};
pub use time::Timestamp;

use std::collections::BTreeMap;

/// Labels of any object, in a stable order.
pub type Labels = BTreeMap<String, String>;

/// A driver with its options: of logs, volumes, secrets, templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Its options.
    pub options: Labels,
}

/// What every replicated object carries. Written by `store` alone when a change is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Log index of the last change of the *specification*: the `Version.Index` of the HTTP API, and
    /// what a client's update is checked against. Status changes do not touch it.
    pub version: u64,
    /// Log index of the last change of any kind.
    pub changed: u64,
    /// When the object was created (leader's clock).
    pub created_at: Timestamp,
    /// When the specification was last written (leader's clock).
    pub updated_at: Timestamp,
}
