//! What the owner of a group may tune.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Compaction, Member};

/// Time between heartbeats of a leader: three are lost before a follower's patience ends.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// Least election time-out, and the lease: for this long after a leader's message nobody votes for another. A disk
/// sync that takes less never causes an election.
pub const ELECTION_MIN: Duration = Duration::from_millis(300);
/// Longest election time-out; a leader without a quorum serves no longer than this.
pub const ELECTION_MAX: Duration = Duration::from_millis(600);
/// Entries between two snapshots.
pub const SNAPSHOT_EVERY: u64 = 10_000;
/// Entries that stay in the log after a snapshot, so that a member that was away for a moment catches up by log.
pub const KEEP_ENTRIES: u64 = 500;
/// Bytes of one log segment on disk.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// Largest entry that can be proposed, in bytes. A request of the HTTP API is at most 4 MiB.
pub const MAX_ENTRY_BYTES: usize = 8 << 20;

/// How long a new member may take without any progress before it is given up.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The configuration of one member.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directory of the log and the snapshots; made (0700) when absent. One process at a time.
    pub dir: PathBuf,
    /// This node. `voter` is ignored.
    pub me: Member,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// Least election time-out and lease; at least two heartbeats.
    pub election_min: Duration,
    /// Longest election time-out, and the time after which a cut-off leader stops serving.
    pub election_max: Duration,
    /// How much of the log is kept at first; see [`Raft::set_compaction`](crate::Raft::set_compaction).
    pub compaction: Compaction,
    /// Bytes of one log segment on disk.
    pub segment_bytes: u64,
    /// Largest entry that can be proposed, in bytes.
    pub max_entry_bytes: usize,
    /// How long a new member may take without any progress before it is given up.
    pub join_timeout: Duration,
}

impl Config {
    /// The defaults for a LAN.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, me: Member) -> Self {
        Self {
            dir: dir.into(),
            me,
            heartbeat: HEARTBEAT,
            election_min: ELECTION_MIN,
            election_max: ELECTION_MAX,
            compaction: Compaction {
                snapshot_every: SNAPSHOT_EVERY,
                keep_entries: KEEP_ENTRIES,
            },
            segment_bytes: SEGMENT_BYTES,
            max_entry_bytes: MAX_ENTRY_BYTES,
            join_timeout: JOIN_TIMEOUT,
        }
    }
}
