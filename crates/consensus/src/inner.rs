//! What the parts of a running member share.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wire::raft as pb;

use crate::barrier::Waiter;
use crate::codec;
use crate::contact::Contact;
use crate::election::jitter;
use crate::transport::peer::Peers;
use crate::types::{Metrics, OpenRaft, members_of};
use crate::wal::Wal;
use crate::wal::segment::FILE_MODE;
use crate::{Compaction, Config, Halt, Leadership, Member};

/// Marks the directory of a member that was removed: it must not stand for election after a restart either.
pub(crate) const REMOVED_MARK: &str = "removed";

/// A member whose own loop stands still for this many of the longest election time-outs no longer claims to be well: a
/// leader falls silent, so that others take over, and a follower does not answer for its disk.
const STALL_LIMIT: u32 = 2;

/// One running member.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) raft: OpenRaft,
    pub(crate) wal: Wal,
    pub(crate) peers: Arc<Peers>,
    /// How much of the log is kept; it may change at any time.
    pub(crate) compaction: watch::Sender<Compaction>,
    pub(crate) contact: Contact,
    pub(crate) applied_index: Arc<AtomicU64>,
    pub(crate) leadership: watch::Sender<Leadership>,
    /// When openraft's loop last showed that it runs; it waits for the disk.
    pub(crate) alive: Mutex<Instant>,
    /// Set when the member goes away in good order.
    pub(crate) closing: watch::Sender<bool>,
    /// Set while leadership is handed over.
    pub(crate) stepping_down: AtomicBool,
    /// One change of the members at a time.
    pub(crate) changing: tokio::sync::Mutex<()>,
    pub(crate) reads: mpsc::UnboundedSender<Waiter>,
    pub(crate) tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Held while the directory is ours.
    pub(crate) lock: Mutex<Option<Flock<std::fs::File>>>,
}

impl Inner {
    pub(crate) fn me(&self) -> u64 {
        self.config.me.raft_id
    }

    pub(crate) fn metrics(&self) -> Metrics {
        self.raft.metrics().borrow().clone()
    }

    /// How long after a leader's message a voter refuses to vote for another: what openraft is configured with.
    pub(crate) fn lease(&self) -> Duration {
        self.config.election_min
    }

    pub(crate) fn draw_election_timeout(&self) -> Duration {
        self.config.election_min + jitter(self.config.election_max - self.config.election_min)
    }

    /// Whether openraft's loop has stood still for so long that its disk must be taken for dead.
    pub(crate) fn is_stalled(&self) -> bool {
        let alive = *self.alive.lock().expect("no panic while it is locked");
        alive.elapsed() > self.config.election_max * STALL_LIMIT
    }

    pub(crate) fn members(&self) -> Vec<Member> {
        members_of(self.raft.metrics().borrow().membership_config.membership())
    }

    pub(crate) fn halted(&self) -> Option<Halt> {
        self.leadership.borrow().halted.clone()
    }

    /// Ends this member's part in the group; the first reason stays.
    pub(crate) fn halt(&self, why: Halt) {
        if why == Halt::Removed {
            self.mark_removed();
        }
        self.leadership.send_if_modified(|leadership| {
            let first = leadership.halted.is_none();
            if first {
                tracing::info!(reason = %why, "this member stops");
                leadership.halted = Some(why);
                leadership.i_lead = false;
                leadership.leader = None;
            }
            first
        });
    }

    /// Why a call cannot be served, in words.
    pub(crate) fn stop_reason(&self) -> String {
        let failure = self.wal.failure();
        self.halted()
            .map(|halt| halt.to_string())
            .or(failure)
            .unwrap_or_else(|| "its engine has ended".to_owned())
    }

    /// Another member says that this one was removed. Believed when its configuration is newer than ours.
    pub(crate) fn note_removed(&self, membership: pb::StoredMembership) {
        let theirs = codec::to_stored_membership(membership);
        let newer = theirs.log_id() > self.raft.metrics().borrow().membership_config.log_id();
        if newer && theirs.nodes().all(|(id, _)| *id != self.me()) {
            self.halt(Halt::Removed);
        }
    }

    pub(crate) fn removed_mark(&self) -> PathBuf {
        self.config.dir.join(REMOVED_MARK)
    }

    fn mark_removed(&self) {
        let path = self.removed_mark();
        let mark = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path);
        if let Err(error) = mark {
            // Without the mark the others tell this member again after its next start.
            tracing::warn!(%error, path = %path.display(), "cannot mark this member as removed");
        }
    }
}
