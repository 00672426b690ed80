//! Segment files: names, preallocation, removal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wire::raft as pb;

use super::frame;
use super::record::Record;
use crate::seal::Seal;

/// Where the next segment is prepared; it becomes part of the log by being renamed.
const SPARE: &str = "log-next.tmp";
/// Bytes of zeros written at a time while preallocating.
const ZEROS: usize = 1 << 20;
/// Only the daemon reads the log: the cluster's keys lie in it.
pub(crate) const FILE_MODE: u32 = 0o600;

/// The file of segment `sequence`.
pub(crate) fn path(dir: &Path, sequence: u64) -> PathBuf {
    dir.join(format!("log-{sequence:016x}"))
}

/// The sequence numbers of the segments in `dir`, ascending.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let name = item?.file_name();
        let digits = name
            .to_str()
            .and_then(|name| name.strip_prefix("log-"))
            .filter(|digits| digits.len() == 16);
        found.extend(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes the directory entry changes in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a spare segment full of zeros: overwriting them later changes no metadata, which makes the sync of an
/// append twice as fast as in a growing or merely reserved file.
pub(crate) fn prepare(dir: &Path, bytes: u64) -> io::Result<()> {
    let spare = dir.join(SPARE);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&spare)?;
    let zeros = vec![0; ZEROS];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(ZEROS as u64);
        file.write_all(&zeros[..part as usize])?;
        left -= part;
    }
    file.sync_all()
}

/// Removes what an interrupted preparation left.
pub(crate) fn remove_spare(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(SPARE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A segment that is open for appending.
pub(crate) struct Segment {
    pub(crate) file: File,
    pub(crate) sequence: u64,
    pub(crate) seed: u32,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Where the next frame goes.
    pub(crate) end: u64,
}

impl Segment {
    /// Turns the spare into segment `header.sequence`. Its header is durable before it has its name.
    pub(crate) fn create(
        dir: &Path,
        header: pb::SegmentHeader,
        seal: &Seal,
        bytes: u64,
    ) -> io::Result<Self> {
        let spare = dir.join(SPARE);
        let ready = std::fs::metadata(&spare).is_ok_and(|meta| meta.len() >= bytes);
        if !ready {
            prepare(dir, bytes)?;
        }
        let file = OpenOptions::new().read(true).write(true).open(&spare)?;
        let (sequence, seed) = (
            header.sequence,
            frame::seed(header.raft_id, header.sequence),
        );
        let mut record = Vec::new();
        Record::Segment(Box::new(header)).encode(seal, &mut record);
        let head = frame::encode(seed, &record);
        file.write_all_at(&head, 0)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        std::fs::rename(&spare, path(dir, sequence))?;
        sync_dir(dir)?;
        Ok(Self {
            file,
            sequence,
            seed,
            bytes,
            end: head.len() as u64,
        })
    }

    /// Whether a frame of `len` bytes (with header and padding) fits.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.end + len as u64 <= self.bytes
    }
}
