//! The records inside a frame: `kind u8 | len u32 | crc32c u32 | body`, body in protobuf.
//!
//! The frame's checksum guards the log at start; the record's own guards an entry that is read back later. Entries are
//! sealed; the other records are numbers only. Logs of before sealing have plain entries, which are still read.

use prost::Message;
use wire::raft as pb;

use crate::codec::{self, Missing};
use crate::seal::{OpenError, Seal};
use crate::types::{Entry, LogId, Vote};

/// Bytes before the body.
pub(crate) const HEADER: usize = 9;

const ENTRY: u8 = 1;
const VOTE: u8 = 2;
const COMMITTED: u8 = 3;
const TRUNCATE: u8 = 4;
const PURGE: u8 = 5;
const SEALED_ENTRY: u8 = 6;
const SEGMENT: u8 = 16;

/// A step in the life of the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// The entry at the end of the log.
    Entry(Entry),
    /// The vote changed.
    Vote(Vote),
    /// What is known to be committed.
    Committed(LogId),
    /// Entries from this index on are void.
    Truncate(u64),
    /// Entries up to this one are no longer needed.
    Purge(LogId),
    /// The start of a segment.
    Segment(Box<pb::SegmentHeader>),
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("a record is cut short")]
    Short,
    #[error("the checksum of a record is wrong")]
    Checksum,
    #[error("a record has the unknown kind {0}; it was written by a newer version")]
    Kind(u8),
    #[error("a record cannot be decoded: {0}")]
    Body(#[from] prost::DecodeError),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error(transparent)]
    Sealed(#[from] OpenError),
}

impl Record {
    /// Appends the record to `out`.
    pub(crate) fn encode(&self, seal: &Seal, out: &mut Vec<u8>) {
        match self {
            Self::Entry(entry) => put_sealed(out, seal, &codec::entry(entry)),
            Self::Vote(vote) => put(out, VOTE, &codec::vote(vote)),
            Self::Committed(id) => put(out, COMMITTED, &codec::log_id(id)),
            Self::Truncate(index) => put(
                out,
                TRUNCATE,
                &pb::LogId {
                    term: 0,
                    leader: 0,
                    index: *index,
                },
            ),
            Self::Purge(id) => put(out, PURGE, &codec::log_id(id)),
            Self::Segment(header) => put(out, SEGMENT, header.as_ref()),
        }
    }

    /// Reads the record at the start of `buffer` and returns it with its length in bytes.
    pub(crate) fn decode(seal: &Seal, buffer: &[u8]) -> Result<(Self, usize), DecodeError> {
        let head = buffer.get(..HEADER).ok_or(DecodeError::Short)?;
        let len =
            u32::from_le_bytes(head[1..5].try_into().map_err(|_| DecodeError::Short)?) as usize;
        let crc = u32::from_le_bytes(head[5..9].try_into().map_err(|_| DecodeError::Short)?);
        let body = buffer.get(HEADER..HEADER + len).ok_or(DecodeError::Short)?;
        if crc32c::crc32c(body) != crc {
            return Err(DecodeError::Checksum);
        }
        let record = match head[0] {
            ENTRY => Self::Entry(codec::to_entry(pb::Entry::decode(body)?)?),
            SEALED_ENTRY => {
                let plain = seal.open_entry(body)?;
                Self::Entry(codec::to_entry(pb::Entry::decode(plain.as_slice())?)?)
            }
            VOTE => Self::Vote(codec::to_vote(&pb::Vote::decode(body)?)),
            COMMITTED => Self::Committed(codec::to_log_id(&pb::LogId::decode(body)?)),
            TRUNCATE => Self::Truncate(pb::LogId::decode(body)?.index),
            PURGE => Self::Purge(codec::to_log_id(&pb::LogId::decode(body)?)),
            SEGMENT => Self::Segment(Box::new(pb::SegmentHeader::decode(body)?)),
            kind => return Err(DecodeError::Kind(kind)),
        };
        Ok((record, HEADER + len))
    }
}

fn put(out: &mut Vec<u8>, kind: u8, body: &impl Message) {
    let start = begin(out, kind);
    body.encode(out).expect("a Vec grows as needed");
    end(out, start);
}

fn put_sealed(out: &mut Vec<u8>, seal: &Seal, entry: &pb::Entry) {
    let start = begin(out, SEALED_ENTRY);
    entry.encode(out).expect("a Vec grows as needed");
    seal.entry(out, start + HEADER);
    end(out, start);
}

fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.push(kind);
    out.extend_from_slice(&[0; HEADER - 1]);
    start
}

fn end(out: &mut [u8], start: usize) {
    let len =
        u32::try_from(out.len() - start - HEADER).expect("entries are bounded far below 4 GiB");
    let crc = crc32c::crc32c(&out[start + HEADER..]);
    out[start + 1..start + 5].copy_from_slice(&len.to_le_bytes());
    out[start + 5..start + 9].copy_from_slice(&crc.to_le_bytes());
}
