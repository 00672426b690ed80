//! Addresses as Go's server reads them: with the quotes of a filter as they are.
//!
//! `curl --unix-socket … 'http://d/events?filters={"type":["service"]}'` is what Docker's users write; hyper takes no quotes in an
//! address. They are percent-encoded here before it sees them, on the first line of a connection: that is where curl and scripts send
//! theirs, and where later requests begin is known to hyper only.

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes that are read at once while the first line is looked at.
const CHUNK: usize = 4096;

/// A connection on whose first line quotes and angle brackets are encoded.
pub(crate) struct Lenient<S> {
    inner: S,
    line: FirstLine,
}

impl<S> Lenient<S> {
    pub(crate) fn new(inner: S) -> Lenient<S> {
        let line = FirstLine {
            ended: false,
            ready: Vec::new(),
        };
        Lenient { inner, line }
    }
}

struct FirstLine {
    ended: bool,
    /// What was read and is not handed on yet.
    ready: Vec<u8>,
}

impl FirstLine {
    fn take_in(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.ended |= *byte == b'\n';
            match byte {
                b'"' | b'<' | b'>' if !self.ended => {
                    self.ready
                        .extend_from_slice(format!("%{byte:02X}").as_bytes());
                }
                _ => self.ready.push(*byte),
            }
        }
    }
}

impl<S: Read + Unpin> Read for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.line.ready.is_empty() {
            if self.line.ended {
                return Pin::new(&mut self.inner).poll_read(cx, buf);
            }
            let mut chunk = [MaybeUninit::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut chunk);
            ready!(Pin::new(&mut self.inner).poll_read(cx, chunk.unfilled()))?;
            self.line.take_in(chunk.filled());
        }
        let count = self.line.ready.len().min(buf.remaining());
        buf.put_slice(&self.line.ready[..count]);
        self.line.ready.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: Write + Unpin> Write for Lenient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_is_touched() {
        let mut line = FirstLine {
            ended: false,
            ready: Vec::new(),
        };
        line.take_in(b"POST /a?f={\"x\":[\"y\"]} HT");
        line.take_in(b"TP/1.1\r\nX: \"q\"\r\n\r\n{\"a\":1}");
        assert_eq!(
            String::from_utf8(line.ready).unwrap(),
            "POST /a?f={%22x%22:[%22y%22]} HTTP/1.1\r\nX: \"q\"\r\n\r\n{\"a\":1}"
        );
    }
}
