//! Reading tars as a stream: ustar, PAX and GNU, with long names, binary PAX values and all sparse formats.
//!
//! Our own, because extended attributes are arbitrary bytes: `security.capability` often has a newline in it, and the
//! `tar` crate splits PAX records at newlines. (It writes our archives.)

mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

pub(crate) use header::EntryKind;
use header::Header;
use pax::Records;

/// Tars are made of blocks of this many bytes.
const BLOCK: usize = 512;
/// The largest long name or PAX header, in bytes (as Go's archive/tar): names are short, attributes are at most 64 KiB each.
const MAX_EXTENSION: u64 = 1 << 20;

/// One member of a tar. Its data is read from the [`TarReader`].
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryKind,
    /// Target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds since 1970 UTC.
    pub(crate) mtime: (i64, u32),
    /// Bytes of the file when it is unpacked.
    pub(crate) size: u64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data goes in a sparse file: offsets and lengths. None for a file without holes.
    pub(crate) sparse: Option<Vec<Chunk>>,
}

/// A run of data in a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Entry {
    /// The name for messages.
    pub(crate) fn display_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Reads the members of a tar one after another. As a [`Read`] it gives the data of the last one.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Bytes of data of the current member that were not read yet.
    remaining: u64,
    /// Bytes that fill its last block.
    padding: u64,
    globals: Records,
}

/// What precedes a member and describes it.
#[derive(Default)]
struct Extensions {
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    any: bool,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            remaining: 0,
            padding: 0,
            globals: Records::default(),
        }
    }

    /// What is behind the members.
    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// The next member; none at the end. What was not read of the data of the one before is skipped.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions {
            records: self.globals.clone(),
            ..Extensions::default()
        };
        loop {
            self.skip_data()?;
            let Some(header) = self.read_header()? else {
                return if extensions.any {
                    Err(corrupt("it ends after the header of a member"))
                } else {
                    Ok(None)
                };
            };
            match header.type_flag() {
                b'x' => {
                    let records = Records::parse(&self.read_extension(&header)?)?;
                    extensions.records.extend(records);
                    extensions.any = true;
                }
                b'g' => {
                    let records = Records::parse(&self.read_extension(&header)?)?;
                    self.globals.extend(records.clone());
                    extensions.records.extend(records);
                }
                b'L' => {
                    extensions.long_name = Some(until_nul(self.read_extension(&header)?));
                    extensions.any = true;
                }
                b'K' => {
                    extensions.long_link = Some(until_nul(self.read_extension(&header)?));
                    extensions.any = true;
                }
                // A volume's label is no member.
                b'V' => self.begin_data(header.size()?)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> io::Result<Entry> {
        let Extensions {
            records,
            long_name,
            long_link,
            ..
        } = extensions;
        let name = match (records.get(b"path"), long_name) {
            (Some(name), _) => name.to_vec(),
            (None, Some(name)) => name,
            (None, None) => header.name()?,
        };
        let kind = header.kind(&name)?;
        let link = long_link.unwrap_or_else(|| header.link());
        // Links, directories and devices have no data, whatever their size says (as in Go and GNU tar).
        let stored = match kind {
            EntryKind::File => records.number("size")?.map_or_else(|| header.size(), Ok)?,
            _ => 0,
        };
        let mut entry = Entry {
            name,
            kind,
            link: records.get(b"linkpath").map_or(link, <[u8]>::to_vec),
            mode: header.mode()?,
            uid: records.number("uid")?.map_or_else(|| header.uid(), Ok)?,
            gid: records.number("gid")?.map_or_else(|| header.gid(), Ok)?,
            mtime: records
                .time("mtime")?
                .map_or_else(|| header.mtime().map(|seconds| (seconds, 0)), Ok)?,
            size: stored,
            device: header.device()?,
            xattrs: records.xattrs(),
            sparse: None,
        };
        self.begin_data(stored)?;
        sparse::apply(self, header, &records, &mut entry)?;
        Ok(entry)
    }

    /// Data of `length` bytes begins here.
    fn begin_data(&mut self, length: u64) -> io::Result<()> {
        let block = BLOCK as u64;
        length
            .checked_add(block)
            .ok_or_else(|| corrupt("a member's size is not possible"))?;
        self.remaining = length;
        self.padding = (block - length % block) % block;
        Ok(())
    }

    /// The next header; none at the end of the archive.
    fn read_header(&mut self) -> io::Result<Option<Header>> {
        let mut block = [0; BLOCK];
        if !self.read_block(&mut block)? {
            return Ok(None);
        }
        if block.iter().any(|byte| *byte != 0) {
            return Header::parse(block).map(Some);
        }
        // Two empty blocks end an archive; one and then the end of the stream does, too.
        if self.read_block(&mut block)? && block.iter().any(|byte| *byte != 0) {
            return Err(corrupt("there is an empty block between two members"));
        }
        Ok(None)
    }

    /// Reads a whole block. False at the end of the stream.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(cut_short()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn read_extension(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = header.size()?;
        if size > MAX_EXTENSION {
            return Err(corrupt("a member's extended header is larger than 1 MiB"));
        }
        self.begin_data(size)?;
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn skip_data(&mut self) -> io::Result<()> {
        let amount = self.remaining + self.padding;
        let skipped = io::copy(&mut (&mut self.inner).take(amount), &mut io::sink())?;
        // Some programs (umoci) do not fill the last block of an archive; Go's reader takes that, too.
        if skipped < self.remaining {
            return Err(cut_short());
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.remaining)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if limit == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..limit])?;
        if count == 0 {
            return Err(cut_short());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn corrupt(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn cut_short() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "it ends in the middle of a member",
    )
}
