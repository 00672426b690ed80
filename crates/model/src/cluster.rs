//! The cluster itself: one object.

use crate::{ClusterId, Driver, Labels, Meta, Role};
use std::fmt;
use std::time::Duration;

/// The only name that a cluster may have in Docker's API.
pub const CLUSTER_NAME: &str = "default";

/// The cluster in the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Written once at `swarm init`.
    pub id: ClusterId,
    /// Written by the store.
    pub meta: Meta,
    /// Written by the API.
    pub spec: ClusterSpec,
    /// Certificate authority. Written at `swarm init`.
    pub ca: RootCa,
    /// Secret part of the join token of workers. Written at `swarm init` and on rotation.
    pub worker_token: JoinSecret,
    /// Secret part of the join token of managers. Written at `swarm init` and on rotation.
    pub manager_token: JoinSecret,
    /// Further join tokens, each with labels for the nodes that join with it. Written by the API. Ours.
    pub tokens: Vec<LabelledToken>,
}

/// Labelled join tokens of a cluster: a bound against leaks, far above what is of use.
pub const MAX_LABELLED_TOKENS: usize = 100;

/// A join token that gives its nodes labels: a node cannot label itself, whoever has the token can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledToken {
    /// Name, unique among the tokens.
    pub name: String,
    /// Role of the nodes that join with it.
    pub role: Role,
    /// Their labels.
    pub labels: Labels,
    /// The secret part.
    pub secret: JoinSecret,
}

/// The operator's wishes for the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSpec {
    /// Always [`CLUSTER_NAME`].
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// Tasks kept per slot, the live one included; negative keeps all.
    pub task_history_limit: i64,
    /// Log entries between two snapshots.
    pub snapshot_interval: u64,
    /// Snapshots kept beside the newest, as clients ask for it. It is stored only: a member keeps the newest.
    pub keep_old_snapshots: u64,
    /// Log entries kept for members that are behind.
    pub log_entries_for_slow_followers: u64,
    /// Kept and echoed, as Docker does: elections are timed by the daemon.
    pub election_tick: u64,
    /// Kept and echoed, as Docker does.
    pub heartbeat_tick: u64,
    /// Log driver of tasks whose service names none.
    pub log_driver: Option<Driver>,
    /// Kept and echoed: an agent's heartbeat is set by the leader.
    pub heartbeat_period: Duration,
    /// Validity of node certificates.
    pub node_cert_expiry: Duration,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        ClusterSpec {
            name: CLUSTER_NAME.into(),
            labels: Labels::new(),
            task_history_limit: 5,
            snapshot_interval: 10_000,
            keep_old_snapshots: 0,
            log_entries_for_slow_followers: 500,
            election_tick: 10,
            heartbeat_tick: 1,
            log_driver: None,
            heartbeat_period: Duration::from_secs(5),
            node_cert_expiry: Duration::from_secs(2160 * 3600),
        }
    }
}

/// The cluster's certificate authority.
#[derive(Clone, PartialEq, Eq)]
pub struct RootCa {
    /// Certificate in PEM.
    pub cert_pem: String,
    /// Private key in PEM: it lies in the log, and nowhere else.
    pub key_pem: String,
}

impl fmt::Debug for RootCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCa")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// The secret part of a join token: 25 base-36 digits.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret(pub String);

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}
