//! Logs of tasks, as they travel from the nodes to whoever asked.

use crate::{NodeId, ServiceId, TaskId, Timestamp};

/// Which lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Lines of the standard output.
    pub stdout: bool,
    /// Lines of the standard error.
    pub stderr: bool,
    /// Go on with new lines, and with new tasks of the services, until the reader goes away.
    pub follow: bool,
    /// Only so many last lines of each task; all when absent.
    pub tail: Option<u64>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only lines before this time.
    pub until: Option<Timestamp>,
}

/// Whose logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSelector {
    /// All tasks of these services; when following, also those to come.
    pub services: Vec<ServiceId>,
    /// These tasks.
    pub tasks: Vec<TaskId>,
}

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line, or a part of a long one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMessage {
    /// Whose.
    pub task: TaskId,
    /// Its service.
    pub service: ServiceId,
    /// Where it runs or ran.
    pub node: NodeId,
    /// Where it was written.
    pub stream: LogStream,
    /// When, by the node's clock.
    pub time: Timestamp,
    /// The bytes with their newline.
    pub data: Vec<u8>,
}
