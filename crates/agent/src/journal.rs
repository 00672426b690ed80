//! What the agent keeps on disk, and how a record becomes a row of a key-value store.
//!
//! When the journal is lost it is rebuilt from the manager's complete set: running containers are kept until it has
//! come, see [`crate::worker`].

use crate::worker::{JournalRecord, JournalWrite, TaskRecord};
use model::TaskId;
use model::assignment::{AssignmentChange, Assignments};
use prost::Message;
use std::io;
use wire::pb::{dispatcher, objects};

/// Where the records of the worker are kept.
pub trait Journal: Send + Sync + 'static {
    /// All records. Called once at the start, may block.
    ///
    /// # Errors
    /// When the store cannot be read. A single damaged record is left out with a word to the operator instead.
    fn load(&self) -> io::Result<Vec<JournalRecord>>;
    /// Writes all of them; durable when it returns. May block.
    ///
    /// # Errors
    /// When the store cannot be written; the agent tries again.
    fn write(&self, writes: &[JournalWrite]) -> io::Result<()>;
}

/// Version of the rows' format, the first byte of each task's value.
const FORMAT: u8 = 1;
/// Key of the record of the newest index.
const INDEX_KEY: &[u8] = b"index";
/// What the keys of tasks begin with.
const TASK_PREFIX: &[u8] = b"task/";

/// Key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Why a row is no record.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The key is none of ours.
    #[error("the key {0:?} is not one of the journal's")]
    Key(String),
    /// The value was cut or written by a newer version.
    #[error("the value of {0:?} has another format")]
    Format(String),
    /// The value means something that this version does not understand.
    #[error("the value of {key:?} cannot be understood")]
    Value {
        /// Of which row.
        key: String,
        /// Why.
        #[source]
        source: wire::DecodeError,
    },
}

/// The key of a task's row.
pub fn task_key(id: &TaskId) -> Vec<u8> {
    [TASK_PREFIX, id.as_str().as_bytes()].concat()
}

/// The row of a record.
pub fn encode_record(record: &JournalRecord) -> Row {
    match record {
        JournalRecord::Index(index) => (INDEX_KEY.to_vec(), index.to_be_bytes().to_vec()),
        JournalRecord::Task(record) => (task_key(&record.task.id), encode_task(record)),
    }
}

/// Format, whether it is listed, length of the assignment (u32, big endian), the assignment, the status.
fn encode_task(record: &TaskRecord) -> Vec<u8> {
    let assignment = dispatcher::Assignments::from(&Assignments {
        index: 0,
        complete: false,
        changes: vec![AssignmentChange::Put(record.task.clone())],
        digest: 0,
    });
    let assignment = assignment.encode_to_vec();
    let status = objects::TaskStatus::from(&record.status).encode_to_vec();
    let length = u32::try_from(assignment.len()).expect("a task is far below 4 GiB");
    let mut value = vec![FORMAT, u8::from(record.listed)];
    value.extend(length.to_be_bytes());
    value.extend(assignment);
    value.extend(status);
    value
}

/// The record of a row.
///
/// # Errors
/// When the row is damaged or newer than this version.
pub fn decode_row(key: &[u8], value: &[u8]) -> Result<JournalRecord, RowError> {
    let name = || String::from_utf8_lossy(key).into_owned();
    if key == INDEX_KEY {
        let bytes = value.try_into().map_err(|_| RowError::Format(name()))?;
        return Ok(JournalRecord::Index(u64::from_be_bytes(bytes)));
    }
    if !key.starts_with(TASK_PREFIX) {
        return Err(RowError::Key(name()));
    }
    let (listed, assignment, status) = split(value).ok_or_else(|| RowError::Format(name()))?;
    let error = |source| RowError::Value {
        key: name(),
        source,
    };
    let read = |bytes| -> Result<Assignments, wire::DecodeError> {
        dispatcher::Assignments::decode(bytes)?.try_into()
    };
    let assignments = read(assignment).map_err(error)?;
    let Some(AssignmentChange::Put(task)) = assignments.changes.into_iter().next() else {
        return Err(RowError::Format(name()));
    };
    let read = |bytes| -> Result<model::TaskStatus, wire::DecodeError> {
        objects::TaskStatus::decode(bytes)?.try_into()
    };
    let status = read(status).map_err(error)?;
    Ok(JournalRecord::Task(Box::new(TaskRecord {
        task,
        listed,
        status,
    })))
}

fn split(value: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let ([format, listed, a, b, c, d], rest) = value.split_first_chunk()?;
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    let (assignment, status) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (*format == FORMAT && *listed <= 1).then_some((*listed == 1, assignment, status))
}
