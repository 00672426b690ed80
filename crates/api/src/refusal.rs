//! Requests that are no HTTP, or whose address HTTP does not allow, never reach the router: hyper refuses them with an
//! empty body. This gives them Docker's error body with the reason.

use hyper::rt::{Read, ReadBufCursor, Write};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// What hyper's own refusals begin with. Until the first request of a connection has reached the router, nothing else
/// can be written that begins so.
const REFUSAL: &[u8] = b"HTTP/1.1 4";

/// A connection whose first answer may be hyper's refusal. Later ones are left as they are: a client that has spoken
/// HTTP once goes on doing so.
pub(crate) struct Explained<S> {
    inner: S,
    /// A request has reached the router: from now on nothing is touched.
    served: Arc<AtomicBool>,
    /// What is still to be written in place of the refusal.
    left: Option<Vec<u8>>,
}

impl<S> Explained<S> {
    /// `served` is set by who serves the first request.
    pub(crate) fn new(inner: S, served: Arc<AtomicBool>) -> Explained<S> {
        Explained {
            inner,
            served,
            left: None,
        }
    }
}

/// The refusal with a body; none when `written` is something else.
fn explained(written: &[u8]) -> Option<Vec<u8>> {
    let line = written.strip_prefix(b"HTTP/1.1 ")?;
    let line = line.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let reason = match line.get(..3)? {
        "414" => "the request's address is too long",
        "431" => "the request's headers are too large",
        _ => {
            "malformed HTTP request: characters such as blanks in its address must be percent-encoded"
        }
    };
    let body = format!("{{\"message\":\"{reason}\"}}\n");
    let head = format!(
        "HTTP/1.1 {line}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Some((head + &body).into_bytes())
}

impl<S: Write + Unpin> Explained<S> {
    /// Whether `first` is a refusal or the rest of one; then it is written in place of all `length` bytes.
    fn poll_refusal(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        length: usize,
    ) -> Poll<Option<io::Result<usize>>> {
        if self.left.is_none() && !self.served.load(Ordering::Acquire) && first.starts_with(REFUSAL)
        {
            self.left = explained(first);
        }
        let Some(left) = &mut self.left else {
            return Poll::Ready(None);
        };
        while !left.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, left)) {
                Ok(0) => return Poll::Ready(Some(Err(io::ErrorKind::WriteZero.into()))),
                Ok(count) => drop(left.drain(..count)),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(length)))
    }
}

impl<S: Write + Unpin> Write for Explained<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_refusal(cx, buf, buf.len())) {
            Some(result) => Poll::Ready(result),
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |first| first);
        let length = bufs.iter().map(|buf| buf.len()).sum();
        match ready!(self.poll_refusal(cx, first, length)) {
            Some(result) => Poll::Ready(result),
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
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

impl<S: Read + Unpin> Read for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_gets_a_body_that_says_why() {
        let text = |written: &[u8]| String::from_utf8(explained(written).unwrap()).unwrap();
        let refusal = text(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        let (head, body) = refusal.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        assert!(
            body.starts_with("{\"message\":\"malformed HTTP request"),
            "{body}"
        );
        let long = text(b"HTTP/1.1 414 URI Too Long\r\n\r\n");
        assert!(long.contains("address is too long"), "{long}");
    }
}
