//! The handle to one member of the group.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::{oneshot, watch};
use wire::raft::raft_server::RaftServer;

use crate::barrier::not_serving;
use crate::inner::Inner;
use crate::leader;
use crate::membership;
use crate::start;
use crate::transport::service::RaftService;
use crate::types::{MemberNode, Proposal, Written};
use crate::{
    Compaction, Config, Connector, Halt, InitializeError, Leadership, Member, MembershipError,
    ProposeError, StartError, StateMachine,
};

/// How long a group of one may take to elect its leader: two syncs.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the word that this member goes away to reach the others.
const FAREWELL: Duration = Duration::from_millis(50);

/// An entry that was committed and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its index in the log.
    pub index: u64,
    /// What [`StateMachine::apply`] returned for it on this node.
    pub reply: Vec<u8>,
}

/// One member of the group. Clones share it; when the last one is dropped the member stops, as after a crash: use
/// [`shutdown`](Self::shutdown) to stop in good order.
#[derive(Clone)]
pub struct Raft {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<Inner>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        start::abort_tasks(&self.inner);
        self.inner.halt(Halt::ShutDown);
        let raft = self.inner.raft.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { raft.shutdown().await });
        }
    }
}

impl Raft {
    /// Opens the directory, restores the state machine and joins in. A member without a log waits until it is
    /// initialized or added by a leader.
    ///
    /// # Errors
    /// When the directory is in use, belongs to another member or is damaged, or when the disk refuses.
    pub async fn start(
        config: Config,
        machine: Arc<dyn StateMachine>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, StartError> {
        let inner = start::start(
            config,
            machine,
            connector,
            Arc::new(|file| file.sync_data()),
        )
        .await?;
        Ok(Self {
            handle: Arc::new(Handle { inner }),
        })
    }

    /// As [`start`](Self::start), on a disk whose syncs do what a test needs.
    #[cfg(test)]
    pub(crate) async fn start_on(
        config: Config,
        machine: Arc<dyn StateMachine>,
        connector: Arc<dyn Connector>,
        sync: crate::wal::Syncer,
    ) -> Result<Self, StartError> {
        let inner = start::start(config, machine, connector, sync).await?;
        Ok(Self {
            handle: Arc::new(Handle { inner }),
        })
    }

    /// How much of the log is kept from now on. Each member decides for itself.
    pub fn set_compaction(&self, compaction: Compaction) {
        let replace = |now: &mut Compaction| std::mem::replace(now, compaction) != compaction;
        self.handle.inner.compaction.send_if_modified(replace);
    }

    /// Forms a new group with this node as its only member; returns when it leads.
    ///
    /// # Errors
    /// When this node is part of a group already.
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        let inner = &self.handle.inner;
        let me = &inner.config.me;
        let node = MemberNode {
            node_id: me.node_id.clone(),
            addr: me.addr.clone(),
        };
        let members = std::collections::BTreeMap::from([(me.raft_id, node)]);
        match inner.raft.initialize(members).await {
            Ok(()) => {}
            Err(RaftError::APIError(_)) => return Err(InitializeError::AlreadyInitialized),
            Err(RaftError::Fatal(_)) => return Err(InitializeError::Stopped(inner.stop_reason())),
        }
        let mut leadership = self.leadership();
        let led = leadership.wait_for(|now| now.i_lead || now.halted.is_some());
        let led = tokio::time::timeout(INITIALIZE_TIMEOUT, led)
            .await
            .is_ok_and(|led| led.is_ok_and(|now| now.i_lead));
        if led {
            Ok(())
        } else {
            Err(InitializeError::Stopped(inner.stop_reason()))
        }
    }

    /// Whether this node has a log or a vote of a group.
    #[must_use]
    pub fn is_initialized(&self) -> bool {
        let wal = &self.handle.inner.wal;
        wal.ends().1.is_some() || wal.vote().is_some()
    }

    /// Replicates `entry` and returns what applying it gave. Concurrent calls are fine. There is no time limit while
    /// this member keeps its quorum; when it loses it, the result is [`ProposeError::Unknown`]. When the caller drops
    /// the future, the entry may still be committed.
    ///
    /// # Errors
    /// See [`ProposeError`].
    pub async fn propose(&self, entry: Vec<u8>) -> Result<Applied, ProposeError> {
        let inner = &self.handle.inner;
        let limit = inner.config.max_entry_bytes;
        if entry.len() > limit {
            return Err(ProposeError::TooLarge {
                size: entry.len(),
                limit,
            });
        }
        let mut leadership = inner.leadership.subscribe();
        let now = leadership.borrow_and_update().clone();
        if !now.i_lead {
            return Err(not_serving(inner));
        }
        let written = Written::watched();
        let Ok(reply) = inner
            .raft
            .client_write_ff(Proposal::new(entry, written.clone()))
            .await
        else {
            return Err(ProposeError::Stopped {
                reason: inner.stop_reason(),
            });
        };
        let lost = async {
            // The sender lives in `inner`.
            let _ = leadership
                .wait_for(|later| !later.i_lead || later.term != now.term)
                .await;
        };
        let reply = tokio::select! {
            biased;
            reply = reply => reply,
            () = lost => return Err(ProposeError::Unknown),
        };
        match reply {
            Ok(Ok(done)) => Ok(Applied {
                index: done.log_id.index,
                reply: done.data.0,
            }),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) if !written.is_marked() => {
                Err(not_serving(inner))
            }
            Err(_) if !written.is_marked() => Err(ProposeError::Stopped {
                reason: inner.stop_reason(),
            }),
            Ok(Err(_)) | Err(_) => Err(ProposeError::Unknown),
        }
    }

    /// Linearizable read: when it returns, the local state machine holds everything that was acknowledged before the
    /// call. Leader only. Concurrent callers share a round. Returns the index of the last applied entry.
    ///
    /// # Errors
    /// [`ProposeError::NotLeader`] or [`ProposeError::Stopped`].
    pub async fn read_barrier(&self) -> Result<u64, ProposeError> {
        let inner = &self.handle.inner;
        let (sender, receiver) = oneshot::channel();
        let stopped = || ProposeError::Stopped {
            reason: inner.stop_reason(),
        };
        inner.reads.send(sender).map_err(|_| stopped())?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Adds `member`: as a learner, then, when it has the log, as a voter. Idempotent; waits for an earlier change. It
    /// goes on when the caller drops the future.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn add_member(&self, member: Member) -> Result<(), MembershipError> {
        self.detached(membership::add(Arc::clone(&self.handle.inner), member))
            .await
    }

    /// Removes a member, also this one. Refused when the reachable rest would be no quorum. A member that is gone
    /// already is [`MembershipError::NotFound`].
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove_member(&self, raft_id: u64) -> Result<(), MembershipError> {
        self.detached(membership::remove(Arc::clone(&self.handle.inner), raft_id))
            .await
    }

    /// Whether [`Raft::remove_member`] would remove this member now, as far as the quorum of the rest is concerned.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn may_remove(&self, raft_id: u64) -> Result<(), MembershipError> {
        membership::may_remove(&self.handle.inner, raft_id).await
    }

    /// Changes the address at which a member is reached.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn update_address(&self, raft_id: u64, addr: String) -> Result<(), MembershipError> {
        self.detached(membership::update_address(
            Arc::clone(&self.handle.inner),
            raft_id,
            addr,
        ))
        .await
    }

    /// The members by the latest configuration that this node has, ordered by id.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.handle.inner.members()
    }

    /// Index of the last entry that the state machine has applied.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.handle.inner.applied_index.load(Ordering::Acquire)
    }

    /// Who leads; changes are published at once.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.handle.inner.leadership.subscribe()
    }

    /// The leader's view: for each member whether it answered within the longest election time-out. Empty elsewhere.
    #[must_use]
    pub fn reachability(&self) -> Vec<(u64, bool)> {
        membership::reachability(&self.handle.inner)
    }

    /// The service to mount into the node's gRPC server.
    #[must_use]
    pub fn service(&self) -> RaftServer<RaftService> {
        let inner = Arc::clone(&self.handle.inner);
        let limit = inner.peers.max_message();
        RaftServer::new(RaftService { inner })
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit)
    }

    /// Hands leadership to another voter, if this node leads and there is one. Takes about the least election
    /// time-out, during which nothing is served; when nobody takes over, this node leads on.
    pub async fn step_down(&self) {
        leader::step_down(&self.handle.inner).await;
    }

    /// Stops: pending calls end, the log is synced and closed, the directory is unlocked.
    pub async fn shutdown(&self) {
        let inner = &self.handle.inner;
        let led = inner.metrics().current_leader == Some(inner.me()) && inner.members().len() > 1;
        inner.halt(Halt::ShutDown);
        inner.raft.runtime_config().heartbeat(false);
        inner.closing.send_replace(true);
        if led {
            tokio::time::sleep(FAREWELL).await;
        }
        start::abort_tasks(inner);
        if let Err(error) = inner.raft.shutdown().await {
            tracing::warn!(%error, "the Raft engine ended badly");
        }
        let (sender, closed) = oneshot::channel();
        inner
            .wal
            .close(Box::new(move |result| drop(sender.send(result))));
        if let Ok(Err(error)) = closed.await {
            tracing::warn!(%error, "the Raft log was not closed in good order");
        }
        drop(
            inner
                .lock
                .lock()
                .expect("no panic while it is locked")
                .take(),
        );
    }

    async fn detached(
        &self,
        work: impl Future<Output = Result<(), MembershipError>> + Send + 'static,
    ) -> Result<(), MembershipError> {
        tokio::spawn(work)
            .await
            .unwrap_or_else(|_| Err(MembershipError::Stopped(self.handle.inner.stop_reason())))
    }
}
