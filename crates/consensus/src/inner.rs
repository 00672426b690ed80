//! What the parts of a running member share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
use crate::{Config, Halt, Leadership, Member};

/// Marks the directory of a member that was removed: it must not stand for election after a restart either.
pub(crate) const REMOVED_MARK: &str = "removed";

/// One running member.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) raft: OpenRaft,
    pub(crate) wal: Wal,
    pub(crate) peers: Arc<Peers>,
    pub(crate) contact: Contact,
    pub(crate) applied_index: Arc<AtomicU64>,
    pub(crate) leadership: watch::Sender<Leadership>,
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
        if let Err(error) = std::fs::write(&path, b"") {
            // Without the mark the others tell this member again after its next start.
            tracing::warn!(%error, path = %path.display(), "cannot mark this member as removed");
        }
    }
}
