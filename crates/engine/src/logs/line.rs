//! One line of a json-file log.

use crate::clock;
use model::Timestamp;
use model::logs::{LogOptions, LogStream};
use serde::Deserialize;
use std::borrow::Cow;

/// One line of output, or a part of a long one, with its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Where it was written.
    pub stream: LogStream,
    /// When.
    pub time: Timestamp,
    /// The bytes.
    pub data: Vec<u8>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
}

/// Reads a line of the file; a damaged one (the host lost its power while it was written) is none.
pub(super) fn parse(line: &[u8]) -> Option<LogLine> {
    let entry: Entry<'_> = serde_json::from_slice(line).ok()?;
    let stream = match entry.stream.as_ref() {
        "stdout" => LogStream::Stdout,
        "stderr" => LogStream::Stderr,
        _ => return None,
    };
    Some(LogLine {
        stream,
        time: Timestamp(clock::parse_utc(&entry.time)?),
        data: entry.log.into_owned().into_bytes(),
    })
}

/// Whether a reader wants the line.
pub(super) fn wanted(line: &LogLine, options: &LogOptions) -> bool {
    let stream = match line.stream {
        LogStream::Stdout => options.stdout,
        LogStream::Stderr => options.stderr,
    };
    let early = options.since.is_some_and(|since| line.time < since);
    stream && !early && !too_late(line, options)
}

/// The line, and all that follow it, come after what the reader wants.
pub(super) fn too_late(line: &LogLine, options: &LogOptions) -> bool {
    options.until.is_some_and(|until| line.time >= until)
}
