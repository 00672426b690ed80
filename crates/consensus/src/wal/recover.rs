//! Reading the log back at start, and judging damage.
//!
//! Damage that a crash explains is only at the very end: the last frame, which was not synced, may be torn, and is
//! cut. Anything else (a bad frame with good ones behind it, a gap, a foreign file) means that acknowledged data may
//! be lost, and the member must not vote or acknowledge on such a base.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use wire::raft as pb;

use super::frame;
use super::memory::{Memory, Place};
use super::record::Record;
use super::segment::{self, Segment};
use crate::StartError;
use crate::codec;
use crate::seal::Seal;

/// The log as it was found.
pub(super) struct Recovered {
    pub(super) memory: Memory,
    /// The segment to go on with; none in a new directory.
    pub(super) current: Option<Segment>,
    /// All segments, ascending.
    pub(super) segments: Vec<u64>,
}

/// Reads all segments of `dir`.
pub(super) fn recover(dir: &Path, raft_id: u64, seal: &Seal) -> Result<Recovered, StartError> {
    let segments = segment::list(dir).map_err(io_error("list", dir))?;
    let mut replay = Replay::default();
    let mut current = None;
    for (position, &sequence) in segments.iter().enumerate() {
        let reader = Reader {
            dir,
            raft_id,
            seal,
            sequence,
            path: segment::path(dir, sequence),
        };
        if position > 0 && segments[position - 1] + 1 != sequence {
            return Err(reader.corrupt(
                0,
                format!("segment {:016x} is missing before it", sequence - 1),
            ));
        }
        let is_last = position + 1 == segments.len();
        current = Some(reader.read(&mut replay, position == 0, is_last)?);
    }
    if let Some(what) = replay.gap() {
        let path = segment::path(dir, segments.first().copied().unwrap_or_default());
        return Err(StartError::Corrupt {
            path,
            offset: 0,
            what,
        });
    }
    Ok(Recovered {
        memory: replay.memory,
        current,
        segments,
    })
}

/// The log so far.
#[derive(Default)]
struct Replay {
    memory: Memory,
    /// Index of the last entry by the records, whether or not its own record still exists: the first segment may
    /// continue one that was removed, before the purge that made it superfluous was recorded.
    last: Option<u64>,
}

impl Replay {
    /// What is missing, when all is read.
    fn gap(&self) -> Option<String> {
        let last = self.memory.last().map(|id| id.index);
        if let Some(index) = self.memory.hole() {
            return Some(format!("entry {index} is missing from the log"));
        }
        (last != self.last)
            .then(|| format!("the log ends at entry {last:?} instead of {:?}", self.last))
    }
}

struct Reader<'a> {
    dir: &'a Path,
    raft_id: u64,
    seal: &'a Seal,
    sequence: u64,
    path: PathBuf,
}

impl Reader<'_> {
    fn read(
        &self,
        replay: &mut Replay,
        is_first: bool,
        is_last: bool,
    ) -> Result<Segment, StartError> {
        let buffer = std::fs::read(&self.path).map_err(io_error("read", &self.path))?;
        let seed = frame::seed(self.raft_id, self.sequence);
        let mut at = 0;
        while let Some(payload) = frame::decode(seed, &buffer, at) {
            let end = frame::size(payload.len());
            let mut offset = payload.start;
            while offset < payload.end {
                let (record, len) = Record::decode(self.seal, &buffer[offset..payload.end])
                    .map_err(|error| self.corrupt(offset, error.to_string()))?;
                let is_head = at == 0 && offset == payload.start;
                self.replay(replay, record, offset, len, is_head.then_some(is_first))?;
                offset += len;
            }
            at += end;
        }
        if at == 0 {
            return Err(self.foreign(&buffer));
        }
        if let Some(good) = frame::find_after(seed, &buffer, at) {
            return Err(self.corrupt(
                at,
                format!("a bad frame is followed by a good one at byte {good}"),
            ));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(io_error("open", &self.path))?;
        if is_last {
            self.clear_tail(&file, &buffer, at)?;
        }
        Ok(Segment {
            file,
            sequence: self.sequence,
            seed,
            bytes: buffer.len() as u64,
            end: at as u64,
        })
    }

    /// `head` is set for the first record of the segment and tells whether the segment is the first one.
    fn replay(
        &self,
        log: &mut Replay,
        record: Record,
        offset: usize,
        len: usize,
        head: Option<bool>,
    ) -> Result<(), StartError> {
        match (record, head) {
            (Record::Segment(header), Some(is_first)) => {
                return self.check_head(log, &header, is_first);
            }
            (Record::Segment(_), None) => {
                return Err(self.corrupt(offset, "a second segment header".to_owned()));
            }
            (_, Some(_)) => {
                return Err(self.corrupt(offset, "the segment has no header".to_owned()));
            }
            (Record::Entry(entry), None) => {
                let index = entry.log_id.index;
                if log.last.is_some_and(|last| last + 1 != index) {
                    return Err(
                        self.corrupt(offset, format!("entry {index} does not continue the log"))
                    );
                }
                let place = Place {
                    segment: self.sequence,
                    offset: offset as u64,
                    len: len as u32,
                };
                log.memory.push(entry, Some(place));
                log.last = Some(index);
            }
            (Record::Vote(vote), None) => log.memory.vote = Some(vote),
            (Record::Committed(id), None) => log.memory.committed = Some(id),
            (Record::Truncate(since), None) => {
                log.memory.truncate(since);
                log.last = since.checked_sub(1);
            }
            (Record::Purge(upto), None) => {
                log.memory.purge(upto);
                log.last = log.last.max(Some(upto.index));
            }
        }
        Ok(())
    }

    fn check_head(
        &self,
        log: &mut Replay,
        header: &pb::SegmentHeader,
        is_first: bool,
    ) -> Result<(), StartError> {
        if header.raft_id != self.raft_id || header.sequence != self.sequence {
            return Err(self.corrupt(0, "the header belongs to another segment".to_owned()));
        }
        let last = header.last.as_ref().map(|id| id.index);
        if is_first {
            log.memory.vote = header.vote.as_ref().map(codec::to_vote);
            log.memory.committed = header.committed.as_ref().map(codec::to_log_id);
            log.memory.purged = header.purged.as_ref().map(codec::to_log_id);
            log.last = last;
        } else if log.last != last {
            return Err(self.corrupt(0, "the segment before it lacks its last entries".to_owned()));
        }
        Ok(())
    }

    /// Zeros what a torn frame left, so that it can never be taken for something behind later frames.
    fn clear_tail(&self, file: &std::fs::File, buffer: &[u8], at: usize) -> Result<(), StartError> {
        let Some(dirty) = buffer[at..].iter().rposition(|byte| *byte != 0) else {
            return Ok(());
        };
        tracing::warn!(path = %self.path.display(), offset = at, "cutting a write that the last stop interrupted");
        file.write_all_at(&vec![0; dirty + 1], at as u64)
            .map_err(io_error("write", &self.path))?;
        file.sync_all().map_err(io_error("sync", &self.path))
    }

    /// The header does not decode with our seed: either the file is another member's, or it is damaged.
    fn foreign(&self, buffer: &[u8]) -> StartError {
        let payload = buffer.get(frame::HEADER..).unwrap_or_default();
        match Record::decode(self.seal, payload) {
            Ok((Record::Segment(header), _)) if header.raft_id != self.raft_id => {
                StartError::WrongMember {
                    dir: self.dir.to_owned(),
                    found: header.raft_id,
                    expected: self.raft_id,
                }
            }
            _ => self.corrupt(0, "the segment's header is damaged".to_owned()),
        }
    }

    fn corrupt(&self, offset: usize, what: String) -> StartError {
        StartError::Corrupt {
            path: self.path.clone(),
            offset: offset as u64,
            what,
        }
    }
}

pub(crate) fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> StartError + 'a {
    move |source| StartError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
