//! The types that openraft is instantiated with.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::Member;
use crate::snapshot::SnapshotData;

openraft::declare_raft_types!(
    pub(crate) TypeConfig:
        D = Proposal,
        R = Reply,
        NodeId = u64,
        Node = MemberNode,
        SnapshotData = SnapshotData,
);

pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, MemberNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, MemberNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, MemberNode>;
pub(crate) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(crate) type Metrics = openraft::RaftMetrics<u64, MemberNode>;
pub(crate) type StorageError = openraft::StorageError<u64>;
pub(crate) type OpenRaft = openraft::Raft<TypeConfig>;

/// What is known about a member besides its Raft id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberNode {
    pub(crate) node_id: String,
    pub(crate) addr: String,
}

/// An opaque entry on its way into the log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u8>", into = "Vec<u8>")]
pub(crate) struct Proposal {
    pub(crate) data: Bytes,
    written: Written,
}

/// Tells the proposer whether its entry ever reached the log: what did not was certainly not committed.
#[derive(Clone, Default)]
pub(crate) struct Written(Option<Arc<AtomicBool>>);

impl Written {
    pub(crate) fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    pub(crate) fn mark(&self) {
        if let Some(flag) = &self.0 {
            flag.store(true, Ordering::SeqCst);
        }
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|flag| flag.load(Ordering::SeqCst))
    }
}

/// Not part of the entry, so it takes no part in comparisons.
impl PartialEq for Written {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Written {}

impl Proposal {
    pub(crate) fn new(data: impl Into<Bytes>, written: Written) -> Self {
        Self {
            data: data.into(),
            written,
        }
    }

    pub(crate) fn mark_written(&self) {
        self.written.mark();
    }
}

impl From<Vec<u8>> for Proposal {
    fn from(data: Vec<u8>) -> Self {
        Self::new(data, Written::default())
    }
}

impl From<Proposal> for Vec<u8> {
    fn from(proposal: Proposal) -> Self {
        proposal.data.into()
    }
}

/// Entries may carry secrets, so only their size is shown.
impl std::fmt::Debug for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proposal({} bytes)", self.data.len())
    }
}

/// What applying an entry returned.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply(pub(crate) Vec<u8>);

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

/// The members of a configuration, ordered by id.
pub(crate) fn members_of(membership: &Membership) -> Vec<Member> {
    let voters: std::collections::BTreeSet<u64> = membership.voter_ids().collect();
    membership
        .nodes()
        .map(|(id, node)| Member {
            raft_id: *id,
            node_id: node.node_id.clone(),
            addr: node.addr.clone(),
            voter: voters.contains(id),
        })
        .collect()
}

/// An I/O error in openraft's clothes; the node stops on it.
pub(crate) fn storage_error(
    subject: openraft::ErrorSubject<u64>,
    verb: openraft::ErrorVerb,
    error: std::io::Error,
) -> StorageError {
    StorageError::from_io_error(subject, verb, error)
}
