//! The cluster.

use super::{duration, nanos, timestamp, unless};
use crate::ApiError;
use api_types::Version;
use api_types::swarm as json;
use model::cluster::{CLUSTER_NAME, Cluster, ClusterSpec};

/// swarmkit's ticks, which clients show: this engine's own times are the daemon's.
const ELECTION_TICK: i64 = 10;
const HEARTBEAT_TICK: i64 = 1;
/// Docker's defaults for networks, which are not built yet but which clients print.
const DEFAULT_ADDR_POOL: &str = "10.0.0.0/8";
const SUBNET_SIZE: u32 = 24;
const DATA_PATH_PORT: u32 = 4789;

/// What clients see of the cluster without its tokens.
pub(crate) fn cluster_info(cluster: &Cluster, tls: json::TlsInfo) -> json::ClusterInfo {
    json::ClusterInfo {
        id: cluster.id.to_string(),
        version: Version {
            index: cluster.meta.version,
        },
        created_at: timestamp(cluster.meta.created_at),
        updated_at: timestamp(cluster.meta.updated_at),
        spec: spec_out(&cluster.spec),
        tls_info: tls,
        root_rotation_in_progress: false,
        default_addr_pool: Some(vec![DEFAULT_ADDR_POOL.into()]),
        subnet_size: SUBNET_SIZE,
        data_path_port: DATA_PATH_PORT,
    }
}

/// The cluster with its tokens.
pub(crate) fn swarm(
    cluster: &Cluster,
    tls: json::TlsInfo,
    (worker, manager): (String, String),
) -> json::Swarm {
    let info = cluster_info(cluster, tls);
    json::Swarm {
        id: info.id,
        version: info.version,
        created_at: info.created_at,
        updated_at: info.updated_at,
        spec: info.spec,
        tls_info: info.tls_info,
        root_rotation_in_progress: false,
        default_addr_pool: info.default_addr_pool,
        subnet_size: info.subnet_size,
        data_path_port: info.data_path_port,
        join_tokens: json::JoinTokens { worker, manager },
    }
}

fn spec_out(spec: &ClusterSpec) -> json::Spec {
    json::Spec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        orchestration: json::OrchestrationConfig {
            task_history_retention_limit: Some(spec.task_history_limit),
        },
        raft: json::RaftConfig {
            snapshot_interval: spec.snapshot_interval,
            keep_old_snapshots: Some(0),
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
            election_tick: ELECTION_TICK,
            heartbeat_tick: HEARTBEAT_TICK,
        },
        dispatcher: json::DispatcherConfig {
            heartbeat_period: nanos(spec.heartbeat_period),
        },
        ca_config: json::CaConfig {
            node_cert_expiry: nanos(spec.node_cert_expiry),
            ..Default::default()
        },
        task_defaults: json::TaskDefaults::default(),
        encryption_config: json::EncryptionConfig::default(),
    }
}

/// What a client wishes of the cluster; zero and absent mean the default.
pub(crate) fn cluster_spec(spec: json::Spec) -> Result<ClusterSpec, ApiError> {
    unless(
        spec.encryption_config.auto_lock_managers,
        "EncryptionConfig.AutoLockManagers",
    )?;
    unless(
        !spec.ca_config.external_cas.is_empty(),
        "CAConfig.ExternalCAs",
    )?;
    let ca = &spec.ca_config;
    let own_ca =
        !ca.signing_ca_cert.is_empty() || !ca.signing_ca_key.is_empty() || ca.force_rotate != 0;
    unless(
        own_ca,
        "CAConfig.SigningCACert, SigningCAKey and ForceRotate",
    )?;
    unless(
        spec.task_defaults.log_driver.is_some(),
        "TaskDefaults.LogDriver",
    )?;
    unless(
        spec.raft.keep_old_snapshots.is_some_and(|n| n != 0),
        "Raft.KeepOldSnapshots",
    )?;
    let defaults = ClusterSpec::default();
    let or = |given: u64, default: u64| if given == 0 { default } else { given };
    let heartbeat = duration(
        spec.dispatcher.heartbeat_period,
        "Dispatcher.HeartbeatPeriod",
    )?;
    let expiry = duration(spec.ca_config.node_cert_expiry, "CAConfig.NodeCertExpiry")?;
    Ok(ClusterSpec {
        name: if spec.name.is_empty() {
            CLUSTER_NAME.into()
        } else {
            spec.name
        },
        labels: spec.labels,
        task_history_limit: spec
            .orchestration
            .task_history_retention_limit
            .unwrap_or(defaults.task_history_limit),
        snapshot_interval: or(spec.raft.snapshot_interval, defaults.snapshot_interval),
        log_entries_for_slow_followers: or(
            spec.raft.log_entries_for_slow_followers,
            defaults.log_entries_for_slow_followers,
        ),
        heartbeat_period: if heartbeat.is_zero() {
            defaults.heartbeat_period
        } else {
            heartbeat
        },
        node_cert_expiry: if expiry.is_zero() {
            defaults.node_cert_expiry
        } else {
            expiry
        },
    })
}
