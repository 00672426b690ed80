//! Conversions between openraft's types and the protobuf messages that travel and lie on disk.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{CommittedLeaderId, EntryPayload};
use wire::raft as pb;

use crate::types::{
    Entry, LogId, MemberNode, Membership, Proposal, SnapshotMeta, StoredMembership, Vote, Written,
};

/// A message lacks a part that every version of this program writes.
#[derive(Debug, thiserror::Error)]
#[error("the message has no {0}")]
pub(crate) struct Missing(pub(crate) &'static str);

pub(crate) fn log_id(id: &LogId) -> pb::LogId {
    pb::LogId {
        term: id.leader_id.term,
        leader: id.leader_id.node_id,
        index: id.index,
    }
}

pub(crate) fn to_log_id(id: &pb::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(id.term, id.leader), id.index)
}

pub(crate) fn vote(vote: &Vote) -> pb::Vote {
    pb::Vote {
        term: vote.leader_id.term,
        node: vote.leader_id.node_id,
        committed: vote.committed,
    }
}

pub(crate) fn to_vote(vote: &pb::Vote) -> Vote {
    if vote.committed {
        Vote::new_committed(vote.term, vote.node)
    } else {
        Vote::new(vote.term, vote.node)
    }
}

/// The vote of a request, which must have one.
pub(crate) fn need_vote(vote: Option<&pb::Vote>) -> Result<Vote, Missing> {
    vote.map(to_vote).ok_or(Missing("vote"))
}

pub(crate) fn membership(membership: &Membership) -> pb::Membership {
    pb::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|config| pb::Voters {
                raft_ids: config.iter().copied().collect(),
            })
            .collect(),
        members: membership
            .nodes()
            .map(|(id, node)| pb::Member {
                raft_id: *id,
                node_id: node.node_id.clone(),
                addr: node.addr.clone(),
            })
            .collect(),
    }
}

pub(crate) fn to_membership(membership: pb::Membership) -> Membership {
    let configs = membership
        .configs
        .into_iter()
        .map(|config| config.raft_ids.into_iter().collect::<BTreeSet<u64>>());
    let nodes = membership
        .members
        .into_iter()
        .map(|member| {
            (
                member.raft_id,
                MemberNode {
                    node_id: member.node_id,
                    addr: member.addr,
                },
            )
        })
        .collect::<BTreeMap<_, _>>();
    Membership::new(configs.collect(), nodes)
}

pub(crate) fn stored_membership(stored: &StoredMembership) -> pb::StoredMembership {
    pb::StoredMembership {
        log_id: stored.log_id().as_ref().map(log_id),
        membership: Some(membership(stored.membership())),
    }
}

pub(crate) fn to_stored_membership(stored: pb::StoredMembership) -> StoredMembership {
    let membership = stored.membership.map(to_membership).unwrap_or_default();
    StoredMembership::new(stored.log_id.as_ref().map(to_log_id), membership)
}

pub(crate) fn entry(entry: &Entry) -> pb::Entry {
    let payload = match &entry.payload {
        EntryPayload::Blank => None,
        EntryPayload::Normal(proposal) => Some(pb::entry::Payload::Data(proposal.data.clone())),
        EntryPayload::Membership(config) => {
            Some(pb::entry::Payload::Membership(membership(config)))
        }
    };
    pb::Entry {
        log_id: Some(log_id(&entry.log_id)),
        payload,
    }
}

pub(crate) fn to_entry(entry: pb::Entry) -> Result<Entry, Missing> {
    let log_id = to_log_id(entry.log_id.as_ref().ok_or(Missing("log id"))?);
    let payload = match entry.payload {
        None => EntryPayload::Blank,
        Some(pb::entry::Payload::Data(data)) => {
            EntryPayload::Normal(Proposal::new(data, Written::default()))
        }
        Some(pb::entry::Payload::Membership(config)) => {
            EntryPayload::Membership(to_membership(config))
        }
    };
    Ok(Entry { log_id, payload })
}

pub(crate) fn snapshot_meta(meta: &SnapshotMeta) -> pb::SnapshotMeta {
    pb::SnapshotMeta {
        last_log: meta.last_log_id.as_ref().map(log_id),
        membership: Some(stored_membership(&meta.last_membership)),
        id: meta.snapshot_id.clone(),
    }
}

pub(crate) fn to_snapshot_meta(meta: pb::SnapshotMeta) -> Result<SnapshotMeta, Missing> {
    Ok(SnapshotMeta {
        last_log_id: meta.last_log.as_ref().map(to_log_id),
        last_membership: to_stored_membership(meta.membership.ok_or(Missing("membership"))?),
        snapshot_id: meta.id,
    })
}
