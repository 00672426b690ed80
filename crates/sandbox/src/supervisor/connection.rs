//! One client: bytes in and out, never blocking.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::protocol::{self, HEADER, RequestFrame, ServerFrame};

/// Bytes that may wait for a client that does not read. It is cut off then: exits are kept until
/// they are acknowledged, so it loses nothing when it comes back. A list of some 20000 containers
/// fits. 16 MiB.
const MAX_UNREAD: usize = 16 << 20;

/// A client's connection.
pub(super) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Whether the poller waits for room for output.
    pub(super) waits_for_output: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            waits_for_output: false,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what is there and returns the complete requests. An error, the end of the stream among
    /// them, ends the connection.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> io::Result<Vec<RequestFrame>> {
        match self.stream.read(scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.input.extend_from_slice(&scratch[..count]),
            Err(error) if would_block(&error) => {}
            Err(error) => return Err(error),
        }
        let mut requests = Vec::new();
        let mut done = 0;
        while let Some(header) = self.input[done..].first_chunk::<HEADER>() {
            let length = protocol::body_length(*header).map_err(io::Error::other)?;
            let Some(body) = self.input[done + HEADER..].get(..length) else {
                break;
            };
            requests.push(serde_json::from_slice(body)?);
            done += HEADER + length;
        }
        self.input.drain(..done);
        if self.input.is_empty() {
            // A large request must not stay in memory for ever.
            self.input = Vec::new();
        }
        Ok(requests)
    }

    /// Queues a message and writes as much as the client takes.
    pub(super) fn send(&mut self, message: &ServerFrame) -> io::Result<()> {
        let frame = protocol::encode(message).map_err(io::Error::other)?;
        if self.output.len() + frame.len() > MAX_UNREAD {
            return Err(io::Error::other("the client does not read"));
        }
        self.output.extend_from_slice(&frame);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.output.len() {
            match self.stream.write(&self.output[written..]) {
                Ok(count) => written += count,
                Err(error) if would_block(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.output.drain(..written);
        if self.output.is_empty() {
            self.output = Vec::new();
        }
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
