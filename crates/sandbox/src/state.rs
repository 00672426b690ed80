//! What the supervisor tells: the state of containers and how they ended.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One container as the supervisor knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerState {
    /// Name of the container.
    pub id: String,
    /// Process id of its init, in the supervisor's PID namespace; 0 while it is being set up.
    pub pid: i32,
    /// Start time of that process in clock ticks since boot (field 22 of `/proc/PID/stat`): pid and
    /// start time together name a process for ever.
    pub start_time: u64,
    /// Where it is in its life.
    pub status: Status,
    /// When its program was executed, in nanoseconds since 1970.
    pub started_at: u64,
    /// Its current log file.
    pub log_path: PathBuf,
    /// Its cgroup below each hierarchy's root: `<cgroup_parent>/<id>`.
    pub cgroup: String,
}

/// Life of a container that the supervisor holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Being set up: a `start` has not been answered yet (its asker may be gone).
    Starting,
    /// Its program runs.
    Running,
    /// It ended and nobody acknowledged that yet.
    Exited(Exit),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The program's exit status, or 128 plus the signal that killed it.
    pub exit_code: i32,
    /// Whether the kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// When it ended, in nanoseconds since 1970.
    pub finished_at: u64,
    /// Why, when it was not the program's own doing; empty otherwise.
    pub error: String,
}

/// How a program that ran in a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecResult {
    /// The program's exit status, or 128 plus the signal that killed it.
    pub exit_code: i32,
    /// The first bytes of its standard output and error together, in the order of writing; base64 in
    /// JSON.
    #[serde(with = "crate::base64_bytes")]
    pub output: Vec<u8>,
    /// Whether it wrote more than was asked to keep.
    pub truncated: bool,
}

/// What the supervisor reports by itself. `Exited` comes again on each new connection until it is
/// acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A container that had started has ended; all its output is in the log file.
    Exited {
        /// Name of the container.
        id: String,
        /// How it ended.
        exit: Exit,
    },
    /// The connection is gone: the last event. Connect (or start a supervisor) anew.
    SupervisorLost,
}
