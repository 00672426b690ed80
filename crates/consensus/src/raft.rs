//! The handle to one member of the group.

use std::sync::Arc;

use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};
use wire::raft::{self as pb, raft_server::RaftServer};

use crate::{
    Config, Connector, InitializeError, Leadership, Member, MembershipError, ProposeError,
    StartError, StateMachine,
};

/// An entry that was committed and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its index in the log.
    pub index: u64,
    /// What [`StateMachine::apply`] returned for it on this node.
    pub reply: Vec<u8>,
}

/// One member of the group. Clones share it.
#[derive(Clone)]
pub struct Raft {
    inner: Arc<Inner>,
}

struct Inner {}

/// The gRPC service that the other members call.
pub struct RaftService {
    inner: Arc<Inner>,
}

#[allow(unused_variables, clippy::unimplemented)]
impl Raft {
    /// Opens the directory, restores the state machine and joins in. A member without a log waits until it is
    /// initialized or added by a leader.
    pub async fn start(
        config: Config,
        machine: Arc<dyn StateMachine>,
        connector: Arc<dyn Connector>,
    ) -> Result<Self, StartError> {
        unimplemented!()
    }

    /// Forms a new group with this node as its only member; returns when it leads.
    pub async fn initialize(&self) -> Result<(), InitializeError> {
        unimplemented!()
    }

    /// Whether this node has a log or a vote of a group.
    pub fn is_initialized(&self) -> bool {
        unimplemented!()
    }

    /// Replicates `entry` and returns what applying it gave. Concurrent calls are fine.
    pub async fn propose(&self, entry: Vec<u8>) -> Result<Applied, ProposeError> {
        unimplemented!()
    }

    /// Linearizable read: when it returns, the local state machine holds everything that was acknowledged before the
    /// call. Leader only. Concurrent callers share a round.
    pub async fn read_barrier(&self) -> Result<u64, ProposeError> {
        unimplemented!()
    }

    /// Adds `member`: as a learner, then, when it has the log, as a voter. Idempotent; waits for an earlier change.
    pub async fn add_member(&self, member: Member) -> Result<(), MembershipError> {
        unimplemented!()
    }

    /// Removes a member. Refused when the reachable rest would be no quorum. Idempotent: an unknown id is `NotFound`.
    pub async fn remove_member(&self, raft_id: u64) -> Result<(), MembershipError> {
        unimplemented!()
    }

    /// Changes the address at which a member is reached.
    pub async fn update_address(&self, raft_id: u64, addr: String) -> Result<(), MembershipError> {
        unimplemented!()
    }

    /// The members by the latest configuration that this node has, ordered by id.
    pub fn members(&self) -> Vec<Member> {
        unimplemented!()
    }

    /// Index of the last entry that the state machine has applied.
    pub fn applied_index(&self) -> u64 {
        unimplemented!()
    }

    /// Who leads; changes are published at once.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        unimplemented!()
    }

    /// The leader's view: for each member whether it answered within the longest election time-out. Empty elsewhere.
    pub fn reachability(&self) -> Vec<(u64, bool)> {
        unimplemented!()
    }

    /// The service to mount into the node's gRPC server.
    pub fn service(&self) -> RaftServer<RaftService> {
        unimplemented!()
    }

    /// Hands leadership to another voter, if this node leads; about one lease. Best effort.
    pub async fn step_down(&self) {
        unimplemented!()
    }

    /// Stops: pending calls end, the log is synced and closed, the directory is unlocked.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
}

#[allow(clippy::unimplemented)]
#[tonic::async_trait]
impl wire::raft::raft_server::Raft for RaftService {
    type WatchStream = tokio_stream::Pending<Result<pb::WatchReply, Status>>;
    async fn vote(&self, _: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        unimplemented!()
    }
    async fn append(
        &self,
        _: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendReply>, Status> {
        unimplemented!()
    }
    async fn snapshot(
        &self,
        _: Request<Streaming<pb::SnapshotRequest>>,
    ) -> Result<Response<pb::SnapshotReply>, Status> {
        unimplemented!()
    }
    async fn campaign(
        &self,
        _: Request<pb::CampaignRequest>,
    ) -> Result<Response<pb::CampaignReply>, Status> {
        unimplemented!()
    }
    async fn removed(
        &self,
        _: Request<pb::RemovedRequest>,
    ) -> Result<Response<pb::RemovedReply>, Status> {
        unimplemented!()
    }
    async fn watch(
        &self,
        _: Request<pb::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        unimplemented!()
    }
}
