//! Which compression a stream has, by its first bytes, and reading it.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// First bytes that are looked at: the longest magic number, that of xz.
const MAGIC: usize = 6;
/// Bytes read at once from what is compressed.
const BUFFER: usize = 64 * 1024;

/// A compression that is not supported, by name.
pub(crate) struct Unsupported(pub(crate) &'static str);

/// Reads what `reader` has inside of its compression, if it has one.
pub(crate) fn decompress<R: Read>(reader: R) -> io::Result<Result<Decompressed<R>, Unsupported>> {
    let mut reader = Pushback::new(reader);
    let magic = reader.peek(MAGIC)?;
    let unsupported = [
        (&b"BZh"[..], "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
    ];
    if let Some((_, name)) = unsupported
        .iter()
        .find(|(first, _)| magic.starts_with(first))
    {
        return Ok(Err(Unsupported(name)));
    }
    // Zstd frames without content, with which some archives begin, have one of 16 magic numbers.
    let is_skippable =
        |m: &[u8]| m.len() >= 4 && m[0] & 0xf0 == 0x50 && m[1..4] == [0x2a, 0x4d, 0x18];
    Ok(Ok(if magic.starts_with(b"\x1f\x8b") {
        Decompressed::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            BUFFER, reader,
        ))))
    } else if magic.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable(magic) {
        Decompressed::Zstd(Box::new(Zstd::new(BufReader::with_capacity(
            BUFFER, reader,
        ))))
    } else {
        Decompressed::Plain(reader)
    }))
}

/// The content of a stream.
pub(crate) enum Decompressed<R: Read> {
    Plain(Pushback<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Pushback<R>>>>),
    Zstd(Box<Zstd<Pushback<R>>>),
}

impl<R: Read> Decompressed<R> {
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(reader) => reader.read(buffer),
            Self::Zstd(reader) => reader.read(buffer),
        }
    }
}

/// A reader whose first bytes were looked at.
pub(crate) struct Pushback<R> {
    head: Vec<u8>,
    at: usize,
    inner: R,
}

impl<R: Read> Pushback<R> {
    fn new(inner: R) -> Self {
        Self {
            head: Vec::new(),
            at: 0,
            inner,
        }
    }

    /// The first `count` bytes, or all there are.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        let missing = count.saturating_sub(self.head.len()) as u64;
        (&mut self.inner)
            .take(missing)
            .read_to_end(&mut self.head)?;
        Ok(&self.head)
    }
}

impl<R: Read> Read for Pushback<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at < self.head.len() {
            let count = (&self.head[self.at..]).read(buffer)?;
            self.at += count;
            return Ok(count);
        }
        self.inner.read(buffer)
    }
}

/// Zstd frames one after another; the decoder knows only one.
pub(crate) struct Zstd<R> {
    source: BufReader<R>,
    decoder: FrameDecoder,
    inside: bool,
}

impl<R: Read> Zstd<R> {
    fn new(source: BufReader<R>) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            inside: false,
        }
    }

    /// Goes to the next frame with content. False at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.inside = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }

    /// Reads from the current frame; nothing at its end.
    fn read_frame(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            self.decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(invalid)?;
        }
        let count = self.decoder.read(buffer)?;
        if count == 0 {
            self.inside = false;
            let promised = self.decoder.get_checksum_from_data();
            if promised.is_some() && promised != self.decoder.get_calculated_checksum() {
                return Err(invalid("a frame has a wrong checksum"));
            }
        }
        Ok(count)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.inside || self.next_frame()? {
            let count = self.read_frame(buffer)?;
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {error}"))
}
