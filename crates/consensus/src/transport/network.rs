//! The sending side, as openraft sees it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::error::{
    NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use wire::raft as pb;

use super::peer::{Lane, Peer, Peers};
use crate::Member;
use crate::codec::{self, Missing};
use crate::snapshot::SnapshotData;
use crate::types::{LogId, MemberNode, Snapshot, TypeConfig, Vote, storage_error};

/// How long one message with entries may take. openraft gives up after a heartbeat, but what is under way goes on and
/// its result is taken by the next attempt: else a slow link or disk would send the same entries for ever.
const APPEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Time allowed for a snapshot besides its transfer: the receiver restores it.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Least speed of a snapshot's transfer, in bytes per second; slower links need smaller states.
const SNAPSHOT_RATE: u64 = 1 << 20;
/// Bytes of one piece of a snapshot.
const CHUNK_BYTES: usize = 256 << 10;
/// Pieces in flight.
const CHUNK_QUEUE: usize = 4;
/// Pause after a member was not reached. Short: a restarted member is back in the group as fast.
const BACKOFF: Duration = Duration::from_millis(100);

type AppendError = RPCError<u64, MemberNode, RaftError<u64>>;
type AppendResult = Result<AppendEntriesResponse<u64>, AppendError>;

/// Makes the clients for openraft's replication and elections.
pub(crate) struct Network {
    pub(crate) peers: Arc<Peers>,
    /// Told when another member says that this one was removed.
    pub(crate) removed: mpsc::UnboundedSender<pb::StoredMembership>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: u64, node: &MemberNode) -> Client {
        let member = Member {
            raft_id: target,
            node_id: node.node_id.clone(),
            addr: node.addr.clone(),
            voter: true,
        };
        Client {
            peer: self.peers.get(&member),
            removed: self.removed.clone(),
            in_flight: None,
        }
    }
}

/// One stream of messages to one member.
pub(crate) struct Client {
    peer: Arc<Peer>,
    removed: mpsc::UnboundedSender<pb::StoredMembership>,
    in_flight: Option<InFlight>,
}

/// Entries that are under way.
struct InFlight {
    vote: Vote,
    prev: Option<LogId>,
    last: Option<LogId>,
    task: JoinHandle<AppendResult>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl InFlight {
    /// Whether its result answers a request for entries after `prev` up to `last`.
    fn answers(&self, vote: &Vote, prev: Option<&LogId>, last: Option<&LogId>) -> bool {
        self.vote == *vote && self.prev.as_ref() == prev && self.last.as_ref() <= last
    }
}

impl RaftNetwork<TypeConfig> for Client {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _: RPCOption,
    ) -> AppendResult {
        let last = rpc.entries.last().map(|entry| entry.log_id);
        if last.is_none() {
            return append(&self.peer, Lane::Control, rpc).await;
        }
        let (vote, prev) = (rpc.vote, rpc.prev_log_id);
        let reusable = self
            .in_flight
            .take()
            .filter(|sent| sent.answers(&vote, prev.as_ref(), last.as_ref()));
        let in_flight = self.in_flight.insert(reusable.unwrap_or_else(|| {
            let peer = Arc::clone(&self.peer);
            let task = tokio::spawn(async move { append(&peer, Lane::Bulk, rpc).await });
            InFlight {
                vote,
                prev,
                last,
                task,
            }
        }));
        // When openraft's patience ends here, `in_flight` stays for its next attempt.
        let result = (&mut in_flight.task).await;
        let sent = in_flight.last;
        self.in_flight = None;
        match result.map_err(|error| unreachable_error(&error))?? {
            AppendEntriesResponse::Success if sent < last => {
                Ok(AppendEntriesResponse::PartialSuccess(sent))
            }
            response => Ok(response),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _: RPCOption,
    ) -> Result<VoteResponse<u64>, AppendError> {
        let request = pb::VoteRequest {
            to: self.peer.member.raft_id,
            vote: Some(codec::vote(&rpc.vote)),
            last_log: rpc.last_log_id.as_ref().map(codec::log_id),
        };
        let mut client = self
            .peer
            .client(Lane::Control)
            .await
            .map_err(|error| unreachable_error(&error))?;
        let reply = match client.vote(request).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => return Err(failed(&self.peer, Lane::Control, &status).await),
        };
        if let Some(membership) = reply.removed {
            // The receiver ends only with the node.
            let _ = self.removed.send(membership);
        }
        Ok(VoteResponse {
            vote: codec::need_vote(reply.vote.as_ref()).map_err(|error| bad_reply(&error))?,
            vote_granted: reply.granted,
            last_log_id: reply.last_log.as_ref().map(codec::to_log_id),
        })
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, openraft::error::Fatal<u64>>>
    {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            result = send_snapshot(&self.peer, vote, snapshot) => result,
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}

/// Sends one append request and notes the acknowledgement.
pub(crate) async fn append(
    peer: &Peer,
    lane: Lane,
    rpc: AppendEntriesRequest<TypeConfig>,
) -> AppendResult {
    let request = pb::AppendRequest {
        to: peer.member.raft_id,
        vote: Some(codec::vote(&rpc.vote)),
        prev: rpc.prev_log_id.as_ref().map(codec::log_id),
        committed: rpc.leader_commit.as_ref().map(codec::log_id),
        entries: rpc.entries.iter().map(codec::entry).collect(),
    };
    let mut client = peer
        .client(lane)
        .await
        .map_err(|error| unreachable_error(&error))?;
    let sent = Instant::now();
    let reply = match tokio::time::timeout(APPEND_TIMEOUT, client.append(request)).await {
        Ok(Ok(reply)) => reply.into_inner(),
        Ok(Err(status)) => return Err(failed(peer, lane, &status).await),
        Err(elapsed) => {
            peer.disconnect(lane).await;
            return Err(unreachable_error(&elapsed));
        }
    };
    let response = response(reply).map_err(|error| bad_reply(&error))?;
    if !matches!(response, AppendEntriesResponse::HigherVote(_)) {
        peer.note_ack(rpc.vote.leader_id.term, sent);
    }
    Ok(response)
}

fn response(reply: pb::AppendReply) -> Result<AppendEntriesResponse<u64>, Missing> {
    use pb::append_reply::Result as Reply;
    Ok(match reply.result.ok_or(Missing("result"))? {
        Reply::Success(_) => AppendEntriesResponse::Success,
        Reply::Partial(id) => AppendEntriesResponse::PartialSuccess(Some(codec::to_log_id(&id))),
        Reply::Conflict(_) => AppendEntriesResponse::Conflict,
        Reply::HigherVote(vote) => AppendEntriesResponse::HigherVote(codec::to_vote(&vote)),
    })
}

/// The error for a failed call; what a new connection may mend gets one.
async fn failed(peer: &Peer, lane: Lane, status: &Status) -> AppendError {
    if matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled
    ) {
        peer.disconnect(lane).await;
    }
    unreachable_error(status)
}

fn unreachable_error(error: &(impl std::error::Error + 'static)) -> AppendError {
    RPCError::Unreachable(Unreachable::new(error))
}

fn bad_reply(error: &Missing) -> AppendError {
    RPCError::Network(NetworkError::new(error))
}

async fn send_snapshot(
    peer: &Peer,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, openraft::error::Fatal<u64>>> {
    let SnapshotData::Stored(stored) = *snapshot.snapshot else {
        let error = std::io::Error::other("only stored snapshots are sent");
        return Err(storage_error(
            openraft::ErrorSubject::Snapshot(None),
            openraft::ErrorVerb::Read,
            error,
        )
        .into());
    };
    let header = pb::SnapshotHeader {
        to: peer.member.raft_id,
        vote: Some(codec::vote(&vote)),
        meta: Some(codec::snapshot_meta(&snapshot.meta)),
        size: stored.size,
        crc32c: stored.crc32c,
    };
    let timeout = SNAPSHOT_TIMEOUT + Duration::from_secs(stored.size / SNAPSHOT_RATE);
    let mut client = peer
        .client(Lane::Bulk)
        .await
        .map_err(|error| Unreachable::new(&error))?;
    let (sender, receiver) = mpsc::channel(CHUNK_QUEUE);
    let reader = tokio::spawn(async move { send_parts(&sender, header, stored).await });
    let call = client.snapshot(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let sent = Instant::now();
    let result = tokio::time::timeout(timeout, call).await;
    reader.abort();
    let reply = match result {
        Ok(Ok(reply)) => reply.into_inner(),
        Ok(Err(status)) => {
            peer.disconnect(Lane::Bulk).await;
            return Err(Unreachable::new(&status).into());
        }
        Err(elapsed) => {
            peer.disconnect(Lane::Bulk).await;
            return Err(Unreachable::new(&elapsed).into());
        }
    };
    let theirs =
        codec::need_vote(reply.vote.as_ref()).map_err(|error| NetworkError::new(&error))?;
    if theirs == vote {
        peer.note_ack(vote.leader_id.term, sent);
    }
    Ok(SnapshotResponse::new(theirs))
}

/// Feeds the stream of a snapshot. When the receiver is gone, the call has its own error; when the file cannot be
/// read, the stream ends early and the other side refuses it.
async fn send_parts(
    sender: &mpsc::Sender<pb::SnapshotRequest>,
    header: pb::SnapshotHeader,
    stored: Arc<crate::snapshot::Stored>,
) -> Result<(), AnyError> {
    let part = |part| pb::SnapshotRequest { part: Some(part) };
    sender
        .send(part(pb::snapshot_request::Part::Header(header)))
        .await
        .map_err(|error| AnyError::new(&error))?;
    let mut at = 0;
    while at < stored.size {
        let source = Arc::clone(&stored);
        let read = tokio::task::spawn_blocking(move || source.read_at(at, CHUNK_BYTES)).await;
        let chunk = match read.map_err(std::io::Error::other).and_then(|chunk| chunk) {
            Ok(chunk) => chunk,
            Err(error) => {
                tracing::error!(%error, "cannot read a snapshot to send");
                return Err(AnyError::new(&error));
            }
        };
        at += chunk.len() as u64;
        sender
            .send(part(pb::snapshot_request::Part::Chunk(chunk)))
            .await
            .map_err(|error| AnyError::new(&error))?;
    }
    Ok(())
}
