//! Docker's multiplexed stream: eight bytes of header before each piece of output.

use bytes::{BufMut, Bytes, BytesMut};
use model::logs::LogStream;

/// One frame: stream number, three zeros, length as big-endian 32 bits, payload.
pub(crate) fn frame(stream: LogStream, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + payload.len());
    frame.put_u8(match stream {
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    });
    frame.put_bytes(0, 3);
    frame.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX));
    frame.put_slice(payload);
    frame.freeze()
}

/// A frame of the engine itself: clients print it as an error.
pub(crate) fn system_error(text: &str) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + text.len());
    frame.put_u8(3);
    frame.put_bytes(0, 3);
    frame.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    frame.put_slice(text.as_bytes());
    frame.freeze()
}
