//! The owner's state machine as openraft sees it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder};

use crate::machine::{SnapshotEncoder, StateMachine};
use crate::snapshot::{MAX_SNAPSHOT_BYTES, SnapshotData, SnapshotStore};
use crate::types::{
    Entry, LogId, Reply, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
    members_of, storage_error,
};

/// The adapter around the owner's state machine.
pub(crate) struct Machine {
    inner: Arc<dyn StateMachine>,
    snapshots: Arc<SnapshotStore>,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// Index of the last applied entry, for readers outside.
    applied_index: Arc<AtomicU64>,
}

impl Machine {
    /// Restores the state from the current snapshot, if there is one. The log after it follows from openraft.
    pub(crate) async fn open(
        inner: Arc<dyn StateMachine>,
        snapshots: Arc<SnapshotStore>,
    ) -> io::Result<Self> {
        let mut machine = Self {
            inner,
            snapshots,
            applied: None,
            membership: StoredMembership::default(),
            applied_index: Arc::default(),
        };
        if let Some(snapshot) = machine.snapshots.current() {
            machine
                .restore(&snapshot.meta, *snapshot.snapshot, Keep::Nothing)
                .await?;
        }
        Ok(machine)
    }

    /// Follows the index of the last applied entry.
    pub(crate) fn applied_index(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.applied_index)
    }

    async fn restore(
        &mut self,
        meta: &SnapshotMeta,
        data: SnapshotData,
        keep: Keep,
    ) -> io::Result<()> {
        let (inner, snapshots, meta_copy) = (
            Arc::clone(&self.inner),
            Arc::clone(&self.snapshots),
            meta.clone(),
        );
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let work = move || {
            let bytes = data.bytes()?;
            inner.restore(index, &bytes).map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot restore the state at entry {index} from its snapshot: {error}"),
                )
            })?;
            match keep {
                Keep::Nothing => Ok(()),
                Keep::Snapshot => snapshots.save(meta_copy, &bytes).map(drop),
            }
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)??;
        self.set_applied(meta.last_log_id);
        self.set_membership(meta.last_membership.clone());
        Ok(())
    }

    fn set_applied(&mut self, applied: Option<LogId>) {
        self.applied = applied;
        self.applied_index
            .store(applied.map_or(0, |id| id.index), Ordering::Release);
    }

    fn set_membership(&mut self, membership: StoredMembership) {
        self.membership = membership;
        self.inner
            .members_changed(&members_of(self.membership.membership()));
    }

    fn apply_one(&mut self, entry: Entry) -> Reply {
        let reply = match entry.payload {
            EntryPayload::Blank => Reply::default(),
            EntryPayload::Normal(proposal) => {
                Reply(self.inner.apply(entry.log_id.index, &proposal.data))
            }
            EntryPayload::Membership(membership) => {
                self.set_membership(StoredMembership::new(Some(entry.log_id), membership));
                Reply::default()
            }
        };
        self.set_applied(Some(entry.log_id));
        reply
    }
}

/// What to do with a snapshot's bytes besides restoring them.
#[derive(Clone, Copy)]
enum Keep {
    /// They are on disk already.
    Nothing,
    /// Make them this member's current snapshot.
    Snapshot,
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Reply>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(entries
            .into_iter()
            .map(|entry| self.apply_one(entry))
            .collect())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let index = self.applied.map_or(0, |id| id.index);
        let term = self.applied.map_or(0, |id| id.leader_id.term);
        Builder {
            encoder: Mutex::new(Some(self.inner.snapshot())),
            meta: SnapshotMeta {
                last_log_id: self.applied,
                last_membership: self.membership.clone(),
                snapshot_id: format!("{term}-{index}"),
            },
            snapshots: Arc::clone(&self.snapshots),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        // The transport collects a snapshot before it hands it over; openraft has nothing to write to.
        Ok(Box::new(SnapshotData::Received(bytes::Bytes::new())))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        self.restore(meta, *snapshot, Keep::Snapshot)
            .await
            .map_err(|error| {
                storage_error(
                    ErrorSubject::Snapshot(Some(meta.signature())),
                    ErrorVerb::Write,
                    error,
                )
            })
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        Ok(self.snapshots.current())
    }
}

/// Encodes and stores a view of the state, while writes go on.
pub(crate) struct Builder {
    /// Used once; the lock is there because openraft asks for `Sync`.
    encoder: Mutex<Option<SnapshotEncoder>>,
    meta: SnapshotMeta,
    snapshots: Arc<SnapshotStore>,
}

impl Builder {
    async fn build(&mut self) -> io::Result<Snapshot> {
        let encoder = self.encoder.get_mut().map_or(None, Option::take);
        let encoder = encoder.ok_or_else(|| io::Error::other("this snapshot was built already"))?;
        let (snapshots, meta) = (Arc::clone(&self.snapshots), self.meta.clone());
        let work = move || {
            let data = encoder()?;
            if data.len() as u64 > MAX_SNAPSHOT_BYTES {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!(
                        "the state has {} bytes, more than a snapshot may have ({MAX_SNAPSHOT_BYTES})",
                        data.len()
                    ),
                ));
            }
            snapshots.save(meta, &data)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(io::Error::other)?
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let signature = self.meta.signature();
        self.build().await.map_err(|error| {
            storage_error(
                ErrorSubject::Snapshot(Some(signature)),
                ErrorVerb::Write,
                error,
            )
        })
    }
}
