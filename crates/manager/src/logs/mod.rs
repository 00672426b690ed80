//! The log broker: the leader asks the nodes for the logs of tasks and merges what they send.

mod broker;
mod progress;
mod reader;
mod resume;
mod service;

pub(crate) use broker::LogBroker;
pub(crate) use resume::LogSource;
pub(crate) use service::LogsService;

use futures_util::stream::BoxStream;
use model::logs::LogMessage;

/// Lines of many tasks, in no order across tasks. An `Err` is a notice about what could not be had; it comes last.
pub type LogStream = BoxStream<'static, Result<LogMessage, String>>;

/// What one leader has of the logs.
type FromLeader = BoxStream<'static, Result<LogMessage, Missed>>;

/// Why lines are missing.
enum Missed {
    /// For the reader; it comes last.
    Notice(String),
    /// The leader is one no more, or cannot be reached: the next one goes on.
    BrokeOff(String),
}
