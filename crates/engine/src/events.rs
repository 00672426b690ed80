//! What happens to containers, for `/events` and for whoever waits.

use crate::record::ContainerRecord;
use std::sync::Arc;

/// Events that a listener may be behind; a slower one misses some and is told so.
pub(crate) const QUEUE: usize = 4096;

/// Something that happened to a container.
#[derive(Clone, Debug)]
pub struct ContainerEvent {
    /// The container.
    pub container: Arc<ContainerRecord>,
    /// What happened.
    pub action: ContainerAction,
    /// When, nanoseconds since 1970.
    pub time: u64,
}

/// What can happen to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerAction {
    /// It was made.
    Create,
    /// Its program runs.
    Start,
    /// A signal was sent to it.
    Kill {
        /// The number.
        signal: i32,
    },
    /// The kernel killed it, or a process of it, for lack of memory.
    Oom,
    /// It ended.
    Die {
        /// Exit code.
        exit_code: i32,
    },
    /// It was stopped on request.
    Stop,
    /// A health check changed its mind.
    Health {
        /// To healthy; else to unhealthy.
        healthy: bool,
    },
    /// It was removed.
    Destroy,
}

impl ContainerAction {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            ContainerAction::Create => "create",
            ContainerAction::Start => "start",
            ContainerAction::Kill { .. } => "kill",
            ContainerAction::Oom => "oom",
            ContainerAction::Die { .. } => "die",
            ContainerAction::Stop => "stop",
            ContainerAction::Health { healthy: true } => "health_status: healthy",
            ContainerAction::Health { healthy: false } => "health_status: unhealthy",
            ContainerAction::Destroy => "destroy",
        }
    }
}
