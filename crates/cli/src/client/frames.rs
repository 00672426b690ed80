//! The frames of streams without a terminal: eight bytes of header (stream, three zeros, length as big-endian u32), then the bytes.

use crate::error::{Error, Result};

const HEADER_BYTES: usize = 8;
/// Longer frames are a sign that this is no framed stream; real ones are lines of 16 KiB.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// Which output it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output (and what Docker calls standard input here).
    Out,
    /// Standard error.
    Err,
    /// The daemon could not go on.
    System,
}

/// One piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whose.
    pub stream: Stream,
    /// What.
    pub bytes: Vec<u8>,
}

/// Puts frames together from the pieces that come over the network.
#[derive(Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
}

impl FrameDecoder {
    /// Whole frames in what has come so far.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>> {
        self.buffer.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut at = 0;
        while let Some(header) = self.buffer.get(at..at + HEADER_BYTES) {
            let stream = match header[0] {
                0 | 1 => Stream::Out,
                2 => Stream::Err,
                3 => Stream::System,
                other => {
                    return Err(Error::Transport(format!(
                        "unrecognized input header: {other}"
                    )));
                }
            };
            let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
            if length > MAX_FRAME_BYTES {
                return Err(Error::Transport(format!(
                    "a frame of {length} bytes is too long"
                )));
            }
            let Some(content) = self
                .buffer
                .get(at + HEADER_BYTES..at + HEADER_BYTES + length)
            else {
                break;
            };
            frames.push(Frame {
                stream,
                bytes: content.to_vec(),
            });
            at += HEADER_BYTES + length;
        }
        self.buffer.drain(..at);
        Ok(frames)
    }

    /// Whether a frame is half there.
    pub fn is_torn(&self) -> bool {
        !self.buffer.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(stream: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    #[test]
    fn frames_in_any_pieces() {
        let bytes = [framed(1, "hello\n"), framed(2, ""), framed(2, "oh\n")].concat();
        for size in 1..bytes.len() {
            let mut decoder = FrameDecoder::default();
            let frames: Vec<Frame> = bytes
                .chunks(size)
                .flat_map(|piece| decoder.push(piece).unwrap())
                .collect();
            assert_eq!(frames.len(), 3);
            assert_eq!(
                frames[0],
                Frame {
                    stream: Stream::Out,
                    bytes: b"hello\n".to_vec()
                }
            );
            assert_eq!(
                frames[2],
                Frame {
                    stream: Stream::Err,
                    bytes: b"oh\n".to_vec()
                }
            );
            assert!(!decoder.is_torn());
        }
    }

    #[test]
    fn no_frames() {
        assert!(FrameDecoder::default().push(b"plain text").is_err());
        assert!(
            FrameDecoder::default()
                .push(&[1, 0, 0, 0, 255, 255, 255, 255])
                .is_err()
        );
        let mut decoder = FrameDecoder::default();
        assert!(decoder.push(&framed(1, "abc")[..9]).unwrap().is_empty() && decoder.is_torn());
    }
}
