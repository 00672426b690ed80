//! Log entries and snapshots: what is replicated and kept on disk.

mod change;

use crate::DecodeError;
use crate::convert::each;
use crate::error::need;
use crate::pb::log as pb;
use crate::template::{Reader, Writer};
use model::change::RequestId;
use model::control::Written;
use model::snapshot::{AppliedRequest, NodeFailures, Snapshot};
use model::{Proposal, Service, Timestamp};
use prost::Message;
use std::sync::Arc;

/// Format of log entries. Raised when an older reader would misunderstand a newer entry.
pub const ENTRY_FORMAT: u32 = 2;
/// Format of snapshots.
pub const SNAPSHOT_FORMAT: u32 = 2;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Chosen at random by the proposer, so that it knows its own entry when it is applied.
    pub batch: u64,
    /// Each is applied whole or refused alone.
    pub proposals: Vec<Proposal>,
}

/// The bytes of an entry with these proposals.
pub fn encode_entry<'a>(batch: u64, proposals: impl IntoIterator<Item = &'a Proposal>) -> Vec<u8> {
    let entry = pb::Entry {
        format: ENTRY_FORMAT,
        batch,
        proposals: proposals.into_iter().map(Into::into).collect(),
    };
    entry.encode_to_vec()
}

/// Bytes that a proposal takes in an entry, for whoever has to keep an entry below a limit.
pub fn encoded_len(proposal: &Proposal) -> usize {
    /// Tag and length of a nested message, at most.
    const FRAMING: usize = 11;
    pb::Proposal::from(proposal).encoded_len() + FRAMING
}

/// Reads an entry.
///
/// # Errors
/// When it is malformed, of an unknown format, or says something that this version does not understand.
pub fn decode_entry(bytes: &[u8]) -> Result<Entry, DecodeError> {
    let entry = pb::Entry::decode(bytes)?;
    check_format("log entry", entry.format, ENTRY_FORMAT)?;
    Ok(Entry {
        batch: entry.batch,
        proposals: each(entry.proposals)?,
    })
}

fn check_format(what: &'static str, found: u32, known: u32) -> Result<(), DecodeError> {
    if found == known {
        return Ok(());
    }
    Err(DecodeError::Format { what, found, known })
}

/// The bytes of a snapshot.
pub fn encode_snapshot(snapshot: &Snapshot) -> Vec<u8> {
    let mut templates = Writer::default();
    let tasks = snapshot.tasks.iter().map(|t| templates.task(t)).collect();
    let message = pb::Snapshot {
        format: SNAPSHOT_FORMAT,
        index: snapshot.index,
        cluster: snapshot.cluster.as_deref().map(Into::into),
        services: snapshot
            .services
            .iter()
            .map(|s| s.as_ref().into())
            .collect(),
        nodes: snapshot.nodes.iter().map(|n| n.as_ref().into()).collect(),
        templates: templates.finish(),
        tasks,
        payloads: snapshot
            .payloads
            .iter()
            .map(|p| p.as_ref().into())
            .collect(),
        requests: snapshot.requests.iter().map(Into::into).collect(),
        failures: snapshot.failures.iter().map(Into::into).collect(),
    };
    message.encode_to_vec()
}

/// Reads a snapshot. Tasks share their spec again, also with their service.
///
/// # Errors
/// As [`decode_entry`].
pub fn decode_snapshot(bytes: &[u8]) -> Result<Snapshot, DecodeError> {
    let message = pb::Snapshot::decode(bytes)?;
    check_format("snapshot", message.format, SNAPSHOT_FORMAT)?;
    let services = message
        .services
        .into_iter()
        .map(|s| Service::try_from(s).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let mut templates = Reader::new(message.templates)?;
    templates.share_with(&services);
    let tasks = message.tasks.into_iter();
    let tasks = tasks.map(|t| templates.task(t).map(Arc::new));
    let nodes = message.nodes.into_iter();
    let nodes = nodes.map(|n| model::Node::try_from(n).map(Arc::new));
    let payloads = message.payloads.into_iter();
    let payloads = payloads.map(|p| model::Payload::try_from(p).map(Arc::new));
    Ok(Snapshot {
        index: message.index,
        cluster: crate::convert::maybe(message.cluster)?.map(Arc::new),
        services,
        tasks: tasks.collect::<Result<_, _>>()?,
        nodes: nodes.collect::<Result<_, _>>()?,
        payloads: payloads.collect::<Result<_, _>>()?,
        requests: each(message.requests)?,
        failures: message.failures.into_iter().map(Into::into).collect(),
    })
}

impl From<&AppliedRequest> for pb::AppliedRequest {
    fn from(request: &AppliedRequest) -> Self {
        use pb::applied_request::Written as Kind;
        pb::AppliedRequest {
            id: Some(request.id.into()),
            written: match &request.written {
                Written::Done => None,
                Written::Service(id) => Some(Kind::Service(id.as_str().into())),
                Written::Payload(id) => Some(Kind::Payload(id.as_str().into())),
            },
        }
    }
}

impl TryFrom<pb::AppliedRequest> for AppliedRequest {
    type Error = DecodeError;
    fn try_from(request: pb::AppliedRequest) -> Result<Self, DecodeError> {
        use pb::applied_request::Written as Kind;
        Ok(AppliedRequest {
            id: need("the id of a request", request.id)?.into(),
            written: match request.written {
                None => Written::Done,
                Some(Kind::Service(id)) => Written::Service(id.into()),
                Some(Kind::Payload(id)) => Written::Payload(id.into()),
            },
        })
    }
}

impl From<&NodeFailures> for pb::NodeFailures {
    fn from(failures: &NodeFailures) -> Self {
        pb::NodeFailures {
            service: failures.service.as_str().into(),
            spec_version: failures.spec_version,
            node: failures.node.as_str().into(),
            at: failures.at.iter().map(|at| at.0).collect(),
        }
    }
}

impl From<pb::NodeFailures> for NodeFailures {
    fn from(failures: pb::NodeFailures) -> Self {
        NodeFailures {
            service: failures.service.into(),
            spec_version: failures.spec_version,
            node: failures.node.into(),
            at: failures.at.into_iter().map(Timestamp).collect(),
        }
    }
}

impl From<RequestId> for pb::RequestId {
    fn from(id: RequestId) -> Self {
        let bytes = id.0.to_be_bytes();
        let (high, low) = bytes.split_at(8);
        let half = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        pb::RequestId {
            high: half(high),
            low: half(low),
        }
    }
}

impl From<pb::RequestId> for RequestId {
    fn from(id: pb::RequestId) -> Self {
        RequestId(u128::from(id.high) << 64 | u128::from(id.low))
    }
}

impl From<&Proposal> for pb::Proposal {
    fn from(proposal: &Proposal) -> Self {
        pb::Proposal {
            request: proposal.request.map(Into::into),
            at: proposal.at.0,
            changes: proposal.changes.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Proposal> for Proposal {
    type Error = DecodeError;
    fn try_from(proposal: pb::Proposal) -> Result<Self, DecodeError> {
        Ok(Proposal {
            request: proposal.request.map(Into::into),
            at: Timestamp(proposal.at),
            changes: each(proposal.changes)?,
        })
    }
}
