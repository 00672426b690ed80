//! The cluster.

use super::service_in::log_driver;
use super::{duration_or, invalid, nanos, timestamp, unless};
use crate::ApiError;
use api_types::starling::{StarlingSwarm, Token};
use api_types::swarm as json;
use api_types::{Driver, Version};
use model::cluster::{Cluster, ClusterSpec};

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

/// The cluster with its tokens: those of the two roles, and the labelled ones.
pub(crate) fn swarm(
    cluster: &Cluster,
    tls: json::TlsInfo,
    (worker, manager): (String, String),
    labelled: Vec<Token>,
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
        starling: (!labelled.is_empty()).then_some(StarlingSwarm { tokens: labelled }),
    }
}

fn spec_out(spec: &ClusterSpec) -> json::Spec {
    let tick = |tick: u64| i64::try_from(tick).unwrap_or(i64::MAX);
    json::Spec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        orchestration: json::OrchestrationConfig {
            task_history_retention_limit: Some(spec.task_history_limit),
        },
        raft: json::RaftConfig {
            snapshot_interval: spec.snapshot_interval,
            keep_old_snapshots: Some(spec.keep_old_snapshots),
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
            election_tick: tick(spec.election_tick),
            heartbeat_tick: tick(spec.heartbeat_tick),
        },
        dispatcher: json::DispatcherConfig {
            heartbeat_period: nanos(spec.heartbeat_period),
        },
        ca_config: json::CaConfig {
            node_cert_expiry: nanos(spec.node_cert_expiry),
            ..Default::default()
        },
        task_defaults: json::TaskDefaults {
            log_driver: spec.log_driver.as_ref().map(|d| Driver {
                name: d.name.clone(),
                options: d.options.clone(),
            }),
        },
        encryption_config: json::EncryptionConfig::default(),
    }
}

/// What a client wishes of the cluster. Zero and absent numbers stand for those of `base`: the defaults for a new cluster, what it
/// has for an update. (Docker stores the zero, and then takes the default.)
pub(crate) fn cluster_spec(spec: json::Spec, base: &ClusterSpec) -> Result<ClusterSpec, ApiError> {
    refuse_certificates(&spec)?;
    let heartbeat = duration_or(
        spec.dispatcher.heartbeat_period,
        "heartbeat time period cannot be a negative duration",
    )?;
    let expiry = duration_or(
        spec.ca_config.node_cert_expiry,
        "minimum certificate expiry time is: 1h0m0s",
    )?;
    let or = |given: u64, base: u64| if given == 0 { base } else { given };
    let tick = |given: i64, base: u64, field: &str| {
        let tick = u64::try_from(given)
            .map_err(|_| invalid(format!("Raft.{field} cannot be negative ({given})")))?;
        Ok::<_, ApiError>(or(tick, base))
    };
    let time = |given: std::time::Duration, base| if given.is_zero() { base } else { given };
    let orchestration = spec.orchestration;
    Ok(ClusterSpec {
        name: if spec.name.is_empty() {
            base.name.clone()
        } else {
            spec.name
        },
        labels: spec.labels,
        task_history_limit: orchestration
            .task_history_retention_limit
            .unwrap_or(base.task_history_limit),
        snapshot_interval: or(spec.raft.snapshot_interval, base.snapshot_interval),
        keep_old_snapshots: spec
            .raft
            .keep_old_snapshots
            .unwrap_or(base.keep_old_snapshots),
        log_entries_for_slow_followers: or(
            spec.raft.log_entries_for_slow_followers,
            base.log_entries_for_slow_followers,
        ),
        election_tick: tick(spec.raft.election_tick, base.election_tick, "ElectionTick")?,
        heartbeat_tick: tick(
            spec.raft.heartbeat_tick,
            base.heartbeat_tick,
            "HeartbeatTick",
        )?,
        log_driver: spec
            .task_defaults
            .log_driver
            .map(|d| log_driver(d, "TaskDefaults.LogDriver"))
            .transpose()?,
        heartbeat_period: time(heartbeat, base.heartbeat_period),
        node_cert_expiry: time(expiry, base.node_cert_expiry),
    })
}

fn refuse_certificates(spec: &json::Spec) -> Result<(), ApiError> {
    let ca = &spec.ca_config;
    unless(
        spec.encryption_config.auto_lock_managers,
        "EncryptionConfig.AutoLockManagers",
    )?;
    unless(!ca.external_cas.is_empty(), "CAConfig.ExternalCAs")?;
    unless(!ca.signing_ca_cert.is_empty(), "CAConfig.SigningCACert")?;
    unless(!ca.signing_ca_key.is_empty(), "CAConfig.SigningCAKey")?;
    unless(ca.force_rotate != 0, "CAConfig.ForceRotate")
}
