//! The log broker: the leader asks the nodes for the logs of tasks and merges what they send.

mod broker;
mod reader;
mod service;

pub(crate) use broker::LogBroker;
pub(crate) use service::{LogsService, from_leader};

use futures_util::stream::BoxStream;
use model::logs::LogMessage;

/// Lines of many tasks, in no order across tasks. An `Err` is a notice about what could not be had; it comes last.
pub type LogStream = BoxStream<'static, Result<LogMessage, String>>;
