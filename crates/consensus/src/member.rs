//! The members of the group, and how this crate reaches them.

use async_trait::async_trait;

/// One manager as the Raft group knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Member {
    /// Identity inside the group. Never used twice: a node that left and joins again gets a new one.
    pub raft_id: u64,
    /// The cluster-wide node id; opaque here.
    pub node_id: String,
    /// `host:port` at which the other members reach this one.
    pub addr: String,
    /// `false` for a learner, which receives the log but has no vote.
    pub voter: bool,
}

/// Opens channels to other members. The implementer brings TLS and checks the peer's identity.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// A channel to `member`, connected or connecting lazily.
    ///
    /// It is called more than once per member (bulk data and heartbeats travel on connections of their own) and
    /// again after a connection failed, so it must not hand out one cached connection for all calls.
    ///
    /// # Errors
    /// Any I/O error; the caller retries later.
    async fn channel(&self, member: &Member) -> std::io::Result<tonic::transport::Channel>;
}
