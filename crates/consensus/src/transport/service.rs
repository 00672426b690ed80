//! The receiving side: the gRPC service.

use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use openraft::error::RaftError;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};
use tonic::{Request, Response, Status, Streaming};
use wire::raft as pb;
use wire::raft::append_reply::Result as Reply;

use crate::codec::{self, Missing};
use crate::inner::Inner;
use crate::leader;
use crate::snapshot::{MAX_SNAPSHOT_BYTES, SnapshotData};
use crate::types::{LogId, Snapshot, TypeConfig, Vote};

/// The gRPC service that the other members call.
pub struct RaftService {
    pub(crate) inner: Arc<Inner>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::raft_server::Raft for RaftService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchReply, Status>> + Send>>;

    async fn pre_vote(&self, request: Request<pb::PreVoteRequest>) -> Answer<pb::PreVoteReply> {
        let request = request.into_inner();
        self.check_target(request.to)?;
        let last_log = request.last_log.as_ref().map(codec::to_log_id);
        let removed = self.departed(request.from, last_log);
        let granted =
            removed.is_none() && last_log >= self.inner.wal.ends().1 && self.misses_leader();
        Ok(Response::new(pb::PreVoteReply { granted, removed }))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Answer<pb::VoteReply> {
        let request = request.into_inner();
        self.check_target(request.to)?;
        let vote = need_vote(request.vote.as_ref())?;
        let last_log_id = request.last_log.as_ref().map(codec::to_log_id);
        if let Some(removed) = self.departed(vote.leader_id.node_id, last_log_id) {
            let mine = self.inner.metrics().vote;
            return Ok(Response::new(pb::VoteReply {
                vote: Some(codec::vote(&mine)),
                granted: false,
                last_log: None,
                removed: Some(removed),
            }));
        }
        let reply = self
            .inner
            .raft
            .vote(VoteRequest { vote, last_log_id })
            .await
            .map_err(|error| self.stopped(&error))?;
        if reply.vote_granted {
            self.inner.contact.note_election();
        }
        Ok(Response::new(pb::VoteReply {
            vote: Some(codec::vote(&reply.vote)),
            granted: reply.vote_granted,
            last_log: reply.last_log_id.as_ref().map(codec::log_id),
            removed: None,
        }))
    }

    async fn append(&self, request: Request<pb::AppendRequest>) -> Answer<pb::AppendReply> {
        let request = request.into_inner();
        self.check_target(request.to)?;
        let vote = need_vote(request.vote.as_ref())?;
        let entries = request
            .entries
            .into_iter()
            .map(codec::to_entry)
            .collect::<Result<_, Missing>>();
        self.note_leader(&vote);
        let rpc = AppendEntriesRequest {
            vote,
            prev_log_id: request.prev.as_ref().map(codec::to_log_id),
            entries: entries.map_err(|error| bad_request(&error))?,
            leader_commit: request.committed.as_ref().map(codec::to_log_id),
        };
        if self.can_vouch(&rpc) {
            // The loop hears of it too, for its lease, when it gets to it.
            let raft = self.inner.raft.clone();
            tokio::spawn(async move { raft.append_entries(rpc).await });
            return Ok(Response::new(pb::AppendReply {
                result: Some(Reply::Success(pb::Done {})),
            }));
        }
        let reply = self
            .inner
            .raft
            .append_entries(rpc)
            .await
            .map_err(|error| self.stopped(&error))?;
        let result = match reply {
            AppendEntriesResponse::Success => Reply::Success(pb::Done {}),
            AppendEntriesResponse::PartialSuccess(Some(id)) => Reply::Partial(codec::log_id(&id)),
            AppendEntriesResponse::PartialSuccess(None) | AppendEntriesResponse::Conflict => {
                Reply::Conflict(pb::Done {})
            }
            AppendEntriesResponse::HigherVote(vote) => Reply::HigherVote(codec::vote(&vote)),
        };
        Ok(Response::new(pb::AppendReply {
            result: Some(result),
        }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotRequest>>,
    ) -> Answer<pb::SnapshotReply> {
        let mut parts = request.into_inner();
        let Some(pb::snapshot_request::Part::Header(header)) =
            parts.message().await?.and_then(|part| part.part)
        else {
            return Err(Status::invalid_argument(
                "a snapshot begins with its header",
            ));
        };
        self.check_target(header.to)?;
        let vote = need_vote(header.vote.as_ref())?;
        if header.size > MAX_SNAPSHOT_BYTES {
            return Err(Status::resource_exhausted(
                "the snapshot is larger than this version takes",
            ));
        }
        self.note_leader(&vote);
        let data = collect(&mut parts, &header).await?;
        let meta = header
            .meta
            .ok_or_else(|| bad_request(&Missing("metadata")))?;
        let meta = codec::to_snapshot_meta(meta).map_err(|error| bad_request(&error))?;
        let snapshot = Snapshot {
            meta,
            snapshot: Box::new(SnapshotData::Received(data)),
        };
        let reply = self.inner.raft.install_full_snapshot(vote, snapshot).await;
        let reply = reply.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        Ok(Response::new(pb::SnapshotReply {
            vote: Some(codec::vote(&reply.vote)),
        }))
    }

    async fn campaign(&self, request: Request<pb::CampaignRequest>) -> Answer<pb::CampaignReply> {
        let request = request.into_inner();
        self.check_target(request.to)?;
        if self.inner.metrics().current_term == request.term {
            self.inner.contact.note_gone(request.term);
        }
        Ok(Response::new(pb::CampaignReply {}))
    }

    async fn removed(&self, request: Request<pb::RemovedRequest>) -> Answer<pb::RemovedReply> {
        let request = request.into_inner();
        self.check_target(request.to)?;
        let membership = request
            .membership
            .ok_or_else(|| bad_request(&Missing("membership")))?;
        self.inner.note_removed(membership);
        Ok(Response::new(pb::RemovedReply {}))
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Answer<Self::WatchStream> {
        self.check_target(request.into_inner().to)?;
        let mut closing = self.inner.closing.subscribe();
        let end = async move {
            // An error means that the member has ended without a word; the stream then ends in the same way.
            closing.wait_for(|closing| *closing).await.ok()?;
            Some((Ok(pb::WatchReply { closing: true }), ()))
        };
        let mut end = Some(end);
        let stream = futures_util::stream::unfold((), move |()| {
            let end = end.take();
            async move { end?.await }
        });
        Ok(Response::new(Box::pin(stream)))
    }
}

impl RaftService {
    /// An address may have passed to another member; what is meant for the old one is not for this one.
    fn check_target(&self, to: u64) -> Result<(), Status> {
        if to == self.inner.me() {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this is Raft member {:x}, not {to:x}",
            self.inner.me()
        )))
    }

    /// Notes a sign of life of the leader, unless it comes from a former one.
    fn note_leader(&self, vote: &Vote) {
        if vote.committed && vote.leader_id.term >= self.inner.raft.metrics().borrow().current_term
        {
            self.inner.contact.note_leader();
        }
    }

    /// Whether a heartbeat can be answered at once: it claims nothing about the log, its sender is whom this member
    /// follows, and all that may be in the way is a sync of the disk.
    fn can_vouch(&self, rpc: &AppendEntriesRequest<TypeConfig>) -> bool {
        let claims_nothing =
            rpc.entries.is_empty() && rpc.prev_log_id.is_none() && rpc.leader_commit.is_none();
        claims_nothing
            && self.inner.raft.metrics().borrow().vote == rpc.vote
            && !self.inner.is_stalled()
            && self.inner.halted().is_none()
    }

    /// Whether this member, too, has no leader.
    fn misses_leader(&self) -> bool {
        let metrics = self.inner.metrics();
        if metrics.current_leader == Some(self.inner.me()) {
            return !leader::has_quorum(&self.inner, &metrics);
        }
        self.inner.contact.silence() > self.inner.lease()
    }

    /// The committed configuration, when `candidate` is not in it and cannot know: its log ends before.
    fn departed(&self, candidate: u64, last_log: Option<LogId>) -> Option<pb::StoredMembership> {
        let metrics = self.inner.metrics();
        let stored = &metrics.membership_config;
        let committed = *stored.log_id() <= metrics.last_applied;
        let absent = stored.nodes().all(|(id, _)| *id != candidate);
        (committed && absent && *stored.log_id() > last_log)
            .then(|| codec::stored_membership(stored))
    }

    fn stopped(&self, error: &RaftError<u64>) -> Status {
        tracing::debug!(%error, "a member's call fails because this one has stopped");
        Status::unavailable(self.inner.stop_reason())
    }
}

/// The data of a snapshot, whole and right.
async fn collect(
    parts: &mut Streaming<pb::SnapshotRequest>,
    header: &pb::SnapshotHeader,
) -> Result<Bytes, Status> {
    let mut data = BytesMut::new();
    while let Some(part) = parts.message().await? {
        let Some(pb::snapshot_request::Part::Chunk(chunk)) = part.part else {
            return Err(Status::invalid_argument("a snapshot has one header"));
        };
        if (data.len() + chunk.len()) as u64 > header.size {
            return Err(Status::invalid_argument(
                "the snapshot is longer than its header tells",
            ));
        }
        data.extend_from_slice(&chunk);
    }
    if data.len() as u64 != header.size || crc32c::crc32c(&data) != header.crc32c {
        return Err(Status::data_loss("the snapshot did not arrive whole"));
    }
    Ok(data.freeze())
}

fn need_vote(vote: Option<&pb::Vote>) -> Result<Vote, Status> {
    codec::need_vote(vote).map_err(|error| bad_request(&error))
}

fn bad_request(error: &Missing) -> Status {
    Status::invalid_argument(error.to_string())
}
