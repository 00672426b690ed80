//! The thread that writes and syncs: whatever is queued goes to disk as one frame with one sync.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use wire::raft as pb;

use super::frame;
use super::memory::{Memory, Place};
use super::record::Record;
use super::segment::{self, Segment};
use crate::codec;
use crate::seal::Seal;
use crate::types::{LogId, Vote};

/// Bytes after which a batch is closed: a sync of this size takes a few milliseconds on a slow disk.
const BATCH_BYTES: usize = 4 << 20;
/// How long the committed index may stay in memory when nothing else is written. It only spares work after a restart.
const COMMITTED_DELAY: Duration = Duration::from_secs(1);

/// Called once with the outcome, after the sync.
pub(crate) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;
/// Makes a file's data durable; replaced by tests that need a slow or a broken disk.
pub(crate) type Syncer = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// What the writer is told.
pub(super) enum Command {
    Write { records: Vec<Record>, done: Done },
    Committed(LogId),
    Close(Done),
}

/// The state of the writing side.
pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) raft_id: u64,
    pub(super) seal: Arc<Seal>,
    pub(super) segment_bytes: u64,
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) current: Segment,
    pub(super) segments: Vec<u64>,
    pub(super) state: State,
    pub(super) sync: Syncer,
    /// The first error; after it nothing is written, since what the disk holds is no longer known.
    pub(super) failure: Arc<Mutex<Option<String>>>,
    pub(super) spare: Spare,
}

/// What a new segment's header repeats. It follows the order of the records, unlike [`Memory`], which is ahead of it.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    pub(super) last: Option<LogId>,
    /// Learned, but not written yet.
    pub(super) new_committed: Option<LogId>,
}

impl State {
    pub(super) fn header(&self, raft_id: u64, sequence: u64) -> pb::SegmentHeader {
        pb::SegmentHeader {
            raft_id,
            sequence,
            vote: self.vote.as_ref().map(codec::vote),
            committed: self.committed.as_ref().map(codec::log_id),
            purged: self.purged.as_ref().map(codec::log_id),
            last: self.last.as_ref().map(codec::log_id),
        }
    }

    fn note(&mut self, record: &Record, id_before: impl Fn(u64) -> Option<LogId>) {
        match record {
            Record::Entry(entry) => self.last = Some(entry.log_id),
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(id) => self.committed = Some(*id),
            Record::Truncate(since) => self.last = id_before(*since),
            Record::Purge(upto) => {
                self.purged = self.purged.max(Some(*upto));
                self.last = self.last.max(Some(*upto));
            }
            Record::Segment(_) => {}
        }
    }
}

/// The preparation of the next segment, in the background.
#[derive(Default)]
pub(super) struct Spare(Option<std::thread::JoinHandle<()>>);

impl Spare {
    fn start(&mut self, dir: PathBuf, bytes: u64) {
        if self.0.is_some() {
            return;
        }
        let work = move || {
            if let Err(error) = segment::prepare(&dir, bytes) {
                // Not fatal here: the rotation tries again and reports.
                tracing::warn!(%error, dir = %dir.display(), "cannot prepare the next log segment");
            }
        };
        self.0 = std::thread::Builder::new()
            .name("raft-log-spare".to_owned())
            .spawn(work)
            .ok();
    }

    fn finish(&mut self) {
        if let Some(thread) = self.0.take() {
            // A panic in it left no usable spare, which the rotation finds out.
            let _ = thread.join();
        }
    }
}

impl Writer {
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        let close = self.serve(commands);
        self.spare.finish();
        if let Some(done) = close {
            let result = self.write_committed();
            done(result);
        }
    }

    /// Works until it is told to close, or nobody can tell it anything any more.
    fn serve(&mut self, commands: &Receiver<Command>) -> Option<Done> {
        loop {
            let first = if self.state.new_committed.is_some() {
                commands.recv_timeout(COMMITTED_DELAY)
            } else {
                commands.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                Ok(command) => {
                    let (batch, close) = self.gather(command, commands);
                    self.write(batch);
                    if close.is_some() {
                        return close;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    // An error is kept and reported to whoever writes next.
                    let _ = self.write_committed();
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Takes what is queued, up to the size of a batch.
    fn gather(&mut self, first: Command, commands: &Receiver<Command>) -> (Batch, Option<Done>) {
        let mut batch = Batch::new(&self.seal);
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Write { records, done } => batch.add(records, done),
                Command::Committed(id) => self.state.new_committed = Some(id),
                Command::Close(done) => return (batch, Some(done)),
            }
            next = match commands.try_recv() {
                _ if batch.bytes.len() >= BATCH_BYTES => None,
                Ok(command) => Some(command),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
            };
        }
        (batch, None)
    }

    fn write_committed(&mut self) -> io::Result<()> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut batch = Batch::new(&self.seal);
        if self.state.new_committed.is_none() {
            return Ok(());
        }
        batch.done.push(Box::new(move |result| {
            let _ = sender.send(result);
        }));
        self.write(batch);
        receiver.recv().unwrap_or(Ok(()))
    }

    fn write(&mut self, mut batch: Batch) {
        if batch.done.is_empty() {
            return;
        }
        if let Some(id) = self.state.new_committed.take() {
            batch.add_record(Record::Committed(id));
        }
        let result = self.failed().and_then(|()| self.write_batch(&batch));
        if let Err(error) = &result {
            self.fail(error);
        }
        for done in batch.done {
            done(
                result
                    .as_ref()
                    .copied()
                    .map_err(|error| io::Error::new(error.kind(), error.to_string())),
            );
        }
        self.remove_purged();
        if self.current.end * 2 > self.current.bytes {
            self.spare.start(self.dir.clone(), self.segment_bytes);
        }
    }

    fn write_batch(&mut self, batch: &Batch) -> io::Result<()> {
        if !self.current.has_room(frame::size(batch.bytes.len())) {
            self.rotate(frame::size(batch.bytes.len()))?;
        }
        let bytes = frame::encode(self.current.seed, &batch.bytes);
        let at = self.current.end;
        self.current
            .file
            .write_all_at(&bytes, at)
            .map_err(|error| self.explain("write", &error))?;
        (self.sync)(&self.current.file).map_err(|error| self.explain("sync", &error))?;
        self.current.end += bytes.len() as u64;
        let mut memory = self
            .memory
            .lock()
            .expect("no panic while the log is locked");
        let base = at + frame::HEADER as u64;
        for (record, start, len) in &batch.records {
            self.state.note(record, |since| memory.id_before(since));
            if let Record::Entry(entry) = record {
                let place = Place {
                    segment: self.current.sequence,
                    offset: base + *start as u64,
                    len: *len as u32,
                };
                memory.placed(entry.log_id, place);
            }
        }
        Ok(())
    }

    fn rotate(&mut self, frame_bytes: usize) -> io::Result<()> {
        self.spare.finish();
        let sequence = self.current.sequence + 1;
        // Room for the header, and for a batch that is larger than a usual segment.
        let bytes = self.segment_bytes.max((frame_bytes + HEADER_ROOM) as u64);
        let header = self.state.header(self.raft_id, sequence);
        self.current = Segment::create(&self.dir, header, &self.seal, bytes)
            .map_err(|error| self.explain("create", &error))?;
        self.segments.push(sequence);
        Ok(())
    }

    /// Removes the segments that hold nothing any more. The purge itself is durable by now.
    fn remove_purged(&mut self) {
        let oldest = {
            let memory = self
                .memory
                .lock()
                .expect("no panic while the log is locked");
            if memory.purged != self.state.purged {
                return;
            }
            memory.oldest_segment().unwrap_or(self.current.sequence)
        };
        while self.segments.len() > 1 && self.segments[0] < oldest {
            let path = segment::path(&self.dir, self.segments[0]);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "cannot remove an old log segment");
                return;
            }
            self.segments.remove(0);
        }
    }

    fn failed(&self) -> io::Result<()> {
        match self
            .failure
            .lock()
            .expect("no panic while it is locked")
            .as_ref()
        {
            Some(text) => Err(io::Error::other(text.clone())),
            None => Ok(()),
        }
    }

    fn fail(&self, error: &io::Error) {
        let mut failure = self.failure.lock().expect("no panic while it is locked");
        if failure.is_none() {
            tracing::error!(%error, "the Raft log cannot be written; this member stops");
            *failure = Some(error.to_string());
        }
    }

    fn explain(&self, action: &str, error: &io::Error) -> io::Error {
        let path = segment::path(&self.dir, self.current.sequence);
        io::Error::new(
            error.kind(),
            format!("cannot {action} the Raft log {}: {error}", path.display()),
        )
    }
}

/// Bytes that a segment's header needs at most: ids and numbers only.
const HEADER_ROOM: usize = 256;

/// What goes to disk together.
struct Batch {
    seal: Arc<Seal>,
    bytes: Vec<u8>,
    /// Each record with its place in `bytes`.
    records: Vec<(Record, usize, usize)>,
    done: Vec<Done>,
}

impl Batch {
    fn new(seal: &Arc<Seal>) -> Batch {
        Batch {
            seal: Arc::clone(seal),
            bytes: Vec::new(),
            records: Vec::new(),
            done: Vec::new(),
        }
    }

    fn add(&mut self, records: Vec<Record>, done: Done) {
        for record in records {
            self.add_record(record);
        }
        self.done.push(done);
    }

    fn add_record(&mut self, record: Record) {
        let start = self.bytes.len();
        record.encode(&self.seal, &mut self.bytes);
        self.records.push((record, start, self.bytes.len() - start));
    }
}
