//! Snapshots on disk: one file each, complete or absent.
//!
//! A file is a frame with the header and then the data in sealed blocks, whose length and checksum the header tells. It is written
//! under a temporary name, synced, renamed, and the directory synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prost::Message;
use wire::raft as pb;

use crate::StartError;
use crate::codec;
use crate::seal::{self, Seal, SealedBlocks};
use crate::types::{Snapshot, SnapshotMeta};
use crate::wal::{frame, io_error, segment};

const PREFIX: &str = "snapshot-";
const TEMPORARY: &str = "snapshot-new.tmp";
/// Sequence number that seeds the checksum of snapshot files; log segments count from 0 and never get here.
const SEED: u64 = u64::MAX;
/// Most bytes of one snapshot, at which restoring it in memory becomes doubtful.
pub(crate) const MAX_SNAPSHOT_BYTES: u64 = 1 << 30;

/// The data of a snapshot.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotData {
    /// A file of this member.
    Stored(Arc<Stored>),
    /// Received from the leader.
    Received(Bytes),
}

/// The data part of a snapshot file. The open file stays readable after a newer snapshot replaced it.
#[derive(Debug)]
pub(crate) struct Stored {
    file: File,
    path: PathBuf,
    offset: u64,
    /// How the data are sealed; absent in files of before sealing.
    sealed: Option<(Arc<Seal>, SealedBlocks)>,
    pub(crate) size: u64,
    pub(crate) crc32c: u32,
}

impl Stored {
    /// Reads up to `len` bytes at `at`. Blocking.
    pub(crate) fn read_at(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let left = self.size.saturating_sub(at);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some((seal, blocks)) = &self.sealed else {
            let mut bytes = vec![0; len];
            self.file.read_exact_at(&mut bytes, self.offset + at)?;
            return Ok(bytes.into());
        };
        let mut bytes = Vec::with_capacity(len);
        let mut at = at;
        while bytes.len() < len {
            let number = u32::try_from(at / seal::BLOCK as u64).map_err(io::Error::other)?;
            let block = self.read_block(seal, blocks, number)?;
            let skip = usize::try_from(at % seal::BLOCK as u64).map_err(io::Error::other)?;
            let part = block.get(skip..).filter(|part| !part.is_empty());
            let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let take = part.len().min(len - bytes.len());
            bytes.extend_from_slice(&part[..take]);
            at += take as u64;
        }
        Ok(bytes.into())
    }

    fn read_block(&self, seal: &Seal, blocks: &SealedBlocks, number: u32) -> io::Result<Vec<u8>> {
        let (offset, len) = seal::sealed_place(self.size, number);
        let mut sealed = vec![0; len];
        self.file.read_exact_at(&mut sealed, self.offset + offset)?;
        seal.open_block(blocks, number, &sealed).map_err(|error| {
            let text = format!("{} cannot be read: {error}", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }
}

impl SnapshotData {
    /// All of it, checked. Blocking.
    pub(crate) fn bytes(&self) -> io::Result<Bytes> {
        let stored = match self {
            Self::Received(bytes) => return Ok(bytes.clone()),
            Self::Stored(stored) => stored,
        };
        let bytes = stored.read_at(0, usize::MAX)?;
        if crc32c::crc32c(&bytes) != stored.crc32c {
            let text = format!(
                "the data of {} do not match their checksum",
                stored.path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(bytes)
    }
}

/// The snapshots of one member: at any time one, or none.
#[derive(Debug)]
pub(crate) struct SnapshotStore {
    dir: PathBuf,
    raft_id: u64,
    seal: Arc<Seal>,
    current: Mutex<Option<Snapshot>>,
    /// One writer at a time: a snapshot may arrive from the leader while one is being built.
    writing: Mutex<()>,
}

impl SnapshotStore {
    /// Finds the newest snapshot and removes what an interrupted write left. Blocking.
    pub(crate) fn open(dir: &Path, raft_id: u64, seal: Arc<Seal>) -> Result<Self, StartError> {
        let mut newest: Option<(Snapshot, PathBuf)> = None;
        for path in list(dir).map_err(io_error("list", dir))? {
            if path.file_name().is_some_and(|name| name == TEMPORARY) {
                std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
                continue;
            }
            let snapshot = read_header(&path, raft_id, &seal)?;
            let older = match &newest {
                Some((best, _)) if best.meta.last_log_id >= snapshot.meta.last_log_id => Some(path),
                _ => newest.replace((snapshot, path)).map(|(_, path)| path),
            };
            if let Some(older) = older {
                std::fs::remove_file(&older).map_err(io_error("remove", &older))?;
            }
        }
        let current = Mutex::new(newest.map(|(snapshot, _)| snapshot));
        Ok(Self {
            dir: dir.to_owned(),
            raft_id,
            seal,
            current,
            writing: Mutex::default(),
        })
    }

    pub(crate) fn current(&self) -> Option<Snapshot> {
        self.current
            .lock()
            .expect("no panic while it is locked")
            .clone()
    }

    /// Makes a snapshot durable and current, unless a newer one is there already. Blocking.
    pub(crate) fn save(&self, meta: SnapshotMeta, data: &[u8]) -> io::Result<Snapshot> {
        let _writing = self
            .writing
            .lock()
            .expect("no panic while a snapshot is written");
        if let Some(newer) = self
            .current()
            .filter(|current| current.meta.last_log_id > meta.last_log_id)
        {
            return Ok(newer);
        }
        let path = self.dir.join(format!(
            "{PREFIX}{:016x}",
            meta.last_log_id.map_or(0, |id| id.index)
        ));
        let snapshot = self.write(&path, meta, data).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot write the snapshot {}: {error}", path.display()),
            )
        })?;
        let old = self
            .current
            .lock()
            .expect("no panic while it is locked")
            .replace(snapshot.clone());
        if let Some(SnapshotData::Stored(old)) = old.map(|old| *old.snapshot)
            && old.path != path
            && let Err(error) = std::fs::remove_file(&old.path)
        {
            tracing::warn!(%error, path = %old.path.display(), "cannot remove an old snapshot");
        }
        Ok(snapshot)
    }

    fn write(&self, path: &Path, meta: SnapshotMeta, data: &[u8]) -> io::Result<Snapshot> {
        let crc = crc32c::crc32c(data);
        let blocks = self.seal.blocks();
        let header = pb::SnapshotFileHeader {
            raft_id: self.raft_id,
            meta: Some(codec::snapshot_meta(&meta)),
            size: data.len() as u64,
            crc32c: crc,
            sealed: Some(pb::SealedBlocks {
                key: blocks.key,
                nonce_prefix: blocks.prefix().to_vec().into(),
            }),
        };
        let head = frame::encode(frame::seed(self.raft_id, SEED), &header.encode_to_vec());
        let temporary = self.dir.join(TEMPORARY);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(segment::FILE_MODE)
            .open(&temporary)?;
        file.write_all(&head)?;
        for (number, block) in (0..).zip(data.chunks(seal::BLOCK)) {
            file.write_all(&self.seal.block(&blocks, number, block))?;
        }
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        segment::sync_dir(&self.dir)?;
        let stored = Stored {
            file,
            path: path.to_owned(),
            offset: head.len() as u64,
            sealed: Some((Arc::clone(&self.seal), blocks)),
            size: data.len() as u64,
            crc32c: crc,
        };
        Ok(Snapshot {
            meta,
            snapshot: Box::new(SnapshotData::Stored(Arc::new(stored))),
        })
    }
}

fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let item = item?;
        if item
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(PREFIX))
        {
            found.push(item.path());
        }
    }
    Ok(found)
}

/// Most bytes of a snapshot's header; it grows with the members only.
const MAX_HEADER: usize = 1 << 20;

fn read_header(path: &Path, raft_id: u64, seal: &Arc<Seal>) -> Result<Snapshot, StartError> {
    let corrupt = |what: &str| StartError::Corrupt {
        path: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    };
    let file = File::open(path).map_err(io_error("open", path))?;
    let bytes = file.metadata().map_err(io_error("read", path))?.len();
    let mut head = vec![0; MAX_HEADER.min(usize::try_from(bytes).unwrap_or(MAX_HEADER))];
    file.read_exact_at(&mut head, 0)
        .map_err(io_error("read", path))?;
    let payload = frame::decode(frame::seed(raft_id, SEED), &head, 0)
        .ok_or_else(|| corrupt("the snapshot's header is damaged or another member's"))?;
    let offset = frame::size(payload.len()) as u64;
    let header = pb::SnapshotFileHeader::decode(&head[payload])
        .map_err(|error| corrupt(&error.to_string()))?;
    let sealed = header
        .sealed
        .map(|sealed| {
            SealedBlocks::from_header(sealed.key, &sealed.nonce_prefix)
                .ok_or_else(|| corrupt("the header tells no whole nonce"))
        })
        .transpose()?;
    let size = match sealed {
        Some(_) => seal::sealed_size(header.size),
        None => header.size,
    };
    if size.checked_add(offset) != Some(bytes) {
        return Err(corrupt(
            "the snapshot has another length than its header tells",
        ));
    }
    let meta = codec::to_snapshot_meta(
        header
            .meta
            .ok_or_else(|| corrupt("the header has no metadata"))?,
    )
    .map_err(|error| corrupt(&error.to_string()))?;
    let stored = Stored {
        file,
        path: path.to_owned(),
        offset,
        sealed: sealed.map(|blocks| (Arc::clone(seal), blocks)),
        size: header.size,
        crc32c: header.crc32c,
    };
    Ok(Snapshot {
        meta,
        snapshot: Box::new(SnapshotData::Stored(Arc::new(stored))),
    })
}
