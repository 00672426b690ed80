//! Logs of tasks.

use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::pb::dispatcher::LogFrame;
use crate::pb::{logs as pb, objects};
use model::logs::{LogMessage, LogOptions, LogSelector, LogStream};
use model::{TaskId, Timestamp};

impl From<&LogOptions> for objects::LogOptions {
    fn from(options: &LogOptions) -> Self {
        objects::LogOptions {
            stdout: options.stdout,
            stderr: options.stderr,
            follow: options.follow,
            tail: options.tail,
            since: options.since.map(|at| at.0),
            until: options.until.map(|at| at.0),
        }
    }
}

impl From<objects::LogOptions> for LogOptions {
    fn from(options: objects::LogOptions) -> Self {
        LogOptions {
            stdout: options.stdout,
            stderr: options.stderr,
            follow: options.follow,
            tail: options.tail,
            since: options.since.map(Timestamp),
            until: options.until.map(Timestamp),
        }
    }
}

/// A question for logs.
pub fn read_request(selector: &LogSelector, options: &LogOptions) -> pb::ReadRequest {
    pb::ReadRequest {
        services: selector
            .services
            .iter()
            .map(|id| id.as_str().into())
            .collect(),
        tasks: selector.tasks.iter().map(|id| id.as_str().into()).collect(),
        options: Some(options.into()),
    }
}

/// What a question for logs asks.
///
/// # Errors
/// When it has no options.
pub fn read_request_parts(
    request: pb::ReadRequest,
) -> Result<(LogSelector, LogOptions), DecodeError> {
    let selector = LogSelector {
        services: request.services.into_iter().map(Into::into).collect(),
        tasks: request.tasks.into_iter().map(Into::into).collect(),
    };
    let options = crate::error::need("the options of a question for logs", request.options)?;
    Ok((selector, options.into()))
}

impl From<LogMessage> for pb::Message {
    fn from(message: LogMessage) -> Self {
        pb::Message {
            task: message.task.as_str().into(),
            service: message.service.as_str().into(),
            node: message.node.as_str().into(),
            stream: message.stream.to_wire(),
            time: message.time.0,
            data: message.data.into(),
        }
    }
}

impl TryFrom<pb::Message> for LogMessage {
    type Error = DecodeError;
    fn try_from(message: pb::Message) -> Result<Self, DecodeError> {
        Ok(LogMessage {
            task: message.task.into(),
            service: message.service.into(),
            node: message.node.into(),
            stream: Enumeration::from_wire(message.stream)?,
            time: Timestamp(message.time),
            data: message.data.into(),
        })
    }
}

/// A line, or a part of a long one, on its way from a node to the leader.
pub fn frame(task: &TaskId, stream: LogStream, time: Timestamp, data: Vec<u8>) -> LogFrame {
    LogFrame {
        task: task.as_str().into(),
        stream: stream.to_wire(),
        time: time.0,
        data: data.into(),
        error: String::new(),
    }
}

/// Why a task's logs cannot be had, in the place of its lines.
pub fn frame_error(task: &TaskId, error: &str) -> LogFrame {
    LogFrame {
        task: task.as_str().into(),
        stream: LogStream::Stderr.to_wire(),
        error: error.into(),
        ..LogFrame::default()
    }
}

/// The stream of a frame.
///
/// # Errors
/// When it is none that is known.
pub fn frame_stream(frame: &LogFrame) -> Result<LogStream, DecodeError> {
    Enumeration::from_wire(frame.stream)
}
