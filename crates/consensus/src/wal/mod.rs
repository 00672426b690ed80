//! The log on disk: append-only segments that hold entries, the vote and what is committed.
//!
//! In memory it is up to date at once; on disk when the callback says so.

pub(crate) mod frame;
mod memory;
mod record;
mod recover;
pub(crate) mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard};

use memory::{Found, Memory, Place};
use record::Record;
pub(crate) use recover::io_error;
use segment::Segment;
use writer::{Command, State, Writer};
pub(crate) use writer::{Done, Syncer};

use crate::StartError;
use crate::seal::Seal;
use crate::types::{Entry, LogId, Vote};

/// The log of one member. Clones share it.
#[derive(Clone)]
pub(crate) struct Wal {
    dir: Arc<PathBuf>,
    seal: Arc<Seal>,
    memory: Arc<Mutex<Memory>>,
    commands: Sender<Command>,
    failure: Arc<Mutex<Option<String>>>,
}

/// How a log is kept.
pub(crate) struct Options {
    pub(crate) raft_id: u64,
    pub(crate) seal: Arc<Seal>,
    pub(crate) segment_bytes: u64,
    pub(crate) sync: Syncer,
}

impl Wal {
    /// Opens the log in `dir`, which the caller has locked, and starts its writer. Blocking.
    pub(crate) fn open(dir: &Path, options: Options) -> Result<Self, StartError> {
        segment::remove_spare(dir).map_err(io_error("remove the spare segment in", dir))?;
        let mut found = recover::recover(dir, options.raft_id, &options.seal)?;
        let state = State {
            vote: found.memory.vote,
            committed: found.memory.committed,
            purged: found.memory.purged,
            last: found.memory.last(),
            new_committed: None,
        };
        let current = match found.current.take() {
            Some(segment) => segment,
            None => {
                found.segments.push(0);
                let header = state.header(options.raft_id, 0);
                Segment::create(dir, header, &options.seal, options.segment_bytes)
                    .map_err(io_error("create a log segment in", dir))?
            }
        };
        let memory = Arc::new(Mutex::new(found.memory));
        let failure = Arc::default();
        let (commands, receiver) = std::sync::mpsc::channel();
        let writer = Writer {
            dir: dir.to_owned(),
            raft_id: options.raft_id,
            seal: Arc::clone(&options.seal),
            segment_bytes: options.segment_bytes,
            memory: Arc::clone(&memory),
            current,
            segments: found.segments,
            state,
            sync: options.sync,
            failure: Arc::clone(&failure),
            spare: writer::Spare::default(),
        };
        std::thread::Builder::new()
            .name("raft-log".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(io_error("start the writer of", dir))?;
        Ok(Self {
            dir: Arc::new(dir.to_owned()),
            seal: options.seal,
            memory,
            commands,
            failure,
        })
    }

    pub(crate) fn vote(&self) -> Option<Vote> {
        self.memory().vote
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.memory().committed
    }

    /// The last purged and the last entry.
    pub(crate) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let memory = self.memory();
        (memory.purged, memory.last())
    }

    /// What broke the log, if something did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .expect("no panic while it is locked")
            .clone()
    }

    /// Appends entries that continue the log.
    pub(crate) fn append(&self, entries: Vec<Entry>, done: Done) {
        {
            let mut memory = self.memory();
            for entry in &entries {
                memory.push(entry.clone(), None);
            }
        }
        self.send(Command::Write {
            records: entries.into_iter().map(Record::Entry).collect(),
            done,
        });
    }

    pub(crate) fn save_vote(&self, vote: Vote, done: Done) {
        self.memory().vote = Some(vote);
        self.send(Command::Write {
            records: vec![Record::Vote(vote)],
            done,
        });
    }

    /// Remembers what is committed; it reaches the disk with the next write, or soon.
    pub(crate) fn save_committed(&self, committed: LogId) {
        self.memory().committed = Some(committed);
        self.send(Command::Committed(committed));
    }

    /// Drops the entries from `since` on.
    pub(crate) fn truncate(&self, since: u64, done: Done) {
        self.memory().truncate(since);
        self.send(Command::Write {
            records: vec![Record::Truncate(since)],
            done,
        });
    }

    /// Drops the entries up to `upto`.
    pub(crate) fn purge(&self, upto: LogId, done: Done) {
        self.memory().purge(upto);
        self.send(Command::Write {
            records: vec![Record::Purge(upto)],
            done,
        });
    }

    /// The entries from `start` to before `end` that exist, until they exceed `max_bytes`; at least one.
    pub(crate) async fn read(
        &self,
        start: u64,
        end: u64,
        max_bytes: usize,
    ) -> io::Result<Vec<Entry>> {
        let found = self.memory().find(start, end, max_bytes);
        if found.iter().all(|entry| matches!(entry, Found::Cached(_))) {
            return Ok(found.into_iter().filter_map(cached).collect());
        }
        let (dir, seal) = (Arc::clone(&self.dir), Arc::clone(&self.seal));
        tokio::task::spawn_blocking(move || read_entries(&dir, &seal, found))
            .await
            .map_err(io::Error::other)?
    }

    /// Writes what is pending and ends the writer.
    pub(crate) fn close(&self, done: Done) {
        self.send(Command::Close(done));
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory
            .lock()
            .expect("no panic while the log is locked")
    }

    fn send(&self, command: Command) {
        let Err(rejected) = self.commands.send(command) else {
            return;
        };
        match rejected.0 {
            Command::Write { done, .. } => done(Err(io::Error::other("the Raft log is closed"))),
            Command::Close(done) => done(Ok(())),
            Command::Committed(_) => {}
        }
    }
}

fn cached(found: Found) -> Option<Entry> {
    match found {
        Found::Cached(entry) => Some(entry),
        Found::OnDisk(..) => None,
    }
}

/// Reads what is not in memory. Entries that were purged meanwhile end the result early.
fn read_entries(dir: &Path, seal: &Seal, found: Vec<Found>) -> io::Result<Vec<Entry>> {
    let mut open: Option<(u64, std::fs::File)> = None;
    let mut entries = Vec::with_capacity(found.len());
    for item in found {
        let (id, place) = match item {
            Found::Cached(entry) => {
                entries.push(entry);
                continue;
            }
            Found::OnDisk(id, place) => (id, place),
        };
        if open
            .as_ref()
            .is_none_or(|(segment, _)| *segment != place.segment)
        {
            match std::fs::File::open(segment::path(dir, place.segment)) {
                Ok(file) => open = Some((place.segment, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(entries),
                Err(error) => return Err(error),
            }
        }
        let (_, file) = open.as_ref().expect("set just above");
        entries.push(read_entry(file, seal, place, id)?);
    }
    Ok(entries)
}

fn read_entry(file: &std::fs::File, seal: &Seal, place: Place, id: LogId) -> io::Result<Entry> {
    let mut bytes = vec![0; place.len as usize];
    file.read_exact_at(&mut bytes, place.offset)?;
    match Record::decode(seal, &bytes) {
        Ok((Record::Entry(entry), _)) if entry.log_id == id => Ok(entry),
        Ok(_) => Err(damaged(id, "another record lies in its place")),
        Err(error) => Err(damaged(id, &error.to_string())),
    }
}

fn damaged(id: LogId, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("entry {} of the Raft log is damaged: {what}", id.index),
    )
}
