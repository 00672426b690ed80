//! One error type per operation.

use std::path::PathBuf;
use std::time::Duration;

use crate::Member;

/// Why a member could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration is out of range.
    #[error("invalid Raft configuration: {0}")]
    Config(String),
    /// Another process holds the directory.
    #[error(
        "the Raft directory {0} is in use by another process; stop that daemon first or use another data root"
    )]
    InUse(PathBuf),
    /// The directory belongs to another member.
    #[error(
        "the Raft directory {dir} belongs to member {found:x}, not to {expected:x}; use the data root of this node"
    )]
    WrongMember {
        /// The directory.
        dir: PathBuf,
        /// The id that is written there.
        found: u64,
        /// The id of the configuration.
        expected: u64,
    },
    /// A file is damaged in a way that a crash cannot explain.
    #[error(
        "{path} is damaged at byte {offset}: {what}; this manager cannot vouch for what it acknowledged: \
         remove it from the cluster, clear its data root and let it join again"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The key of the log cannot be read.
    #[error(
        "{path} is not the key file of a Raft log; put the right one back, or remove this manager from the cluster, \
         clear its data root and let it join again"
    )]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The engine below did not start.
    #[error("Raft did not start: {0}")]
    Engine(String),
}

/// Why a cluster could not be formed.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// The log or the vote is not empty.
    #[error("this node is already part of a Raft group")]
    AlreadyInitialized,
    /// The member has stopped.
    #[error("Raft has stopped on this node: {0}")]
    Stopped(String),
}

/// Why an entry has no reply, or a read no barrier.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was written here; ask the leader.
    #[error("this manager is not the leader{}", leader.as_ref().map(|l| format!(" (which is {} at {})", l.node_id, l.addr)).unwrap_or_default())]
    NotLeader {
        /// The leader, when one is known.
        leader: Option<Member>,
    },
    /// Leadership was lost while the entry was in flight: it may or may not have been committed.
    #[error(
        "the manager lost its leadership while the change was in flight: it may or may not have been made"
    )]
    Unknown,
    /// This member has stopped.
    #[error("Raft has stopped on this node: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// The entry is larger than the limit; nothing was written.
    #[error("the change has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// Bytes of the entry.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

/// Why the members did not change.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes members.
    #[error("this manager is not the leader")]
    NotLeader {
        /// The leader, when one is known.
        leader: Option<Member>,
    },
    /// The members that can be reached now would be no majority afterwards.
    #[error(
        "removing this manager would leave {reachable} reachable of {voters} managers, fewer than a quorum of {quorum}"
    )]
    WouldLoseQuorum {
        /// Reachable voters after the change.
        reachable: usize,
        /// Voters after the change.
        voters: usize,
        /// Votes needed then.
        quorum: usize,
    },
    /// It is the only voter: a group without members has no state.
    #[error("this is the last manager: it cannot be removed from the group")]
    LastMember,
    /// Another change did not end in time.
    #[error("another change of the managers is in progress; try again")]
    InProgress,
    /// No such member.
    #[error("no manager has the Raft id {0:x}")]
    NotFound(u64),
    /// The node id is a member under another Raft id, which must be removed first.
    #[error(
        "node {node_id} is a manager already, with the Raft id {raft_id:x}; remove that one first"
    )]
    NodeExists {
        /// The node.
        node_id: String,
        /// Its id in the group.
        raft_id: u64,
    },
    /// The Raft id belongs to another node.
    #[error("the Raft id {raft_id:x} belongs to node {node_id}")]
    IdTaken {
        /// The id.
        raft_id: u64,
        /// Who has it.
        node_id: String,
    },
    /// The new member did not receive the log in time; it was taken out again.
    #[error(
        "the new manager at {addr} did not catch up within {waited:?}; check that it is reachable at this address"
    )]
    NotCaughtUp {
        /// Its address.
        addr: String,
        /// How long the leader waited.
        waited: Duration,
    },
    /// Leadership was lost or the time ran out during the change: it may or may not have been made.
    #[error("the change of the managers did not finish: it may or may not have been made")]
    Unknown,
    /// This member has stopped.
    #[error("Raft has stopped on this node: {0}")]
    Stopped(String),
}
