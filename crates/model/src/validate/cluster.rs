//! The cluster, its nodes, its join tokens.

use super::{Invalid, invalid, log_rotation, name};
use crate::cluster::{CLUSTER_NAME, ClusterSpec};
use crate::{Labels, NodeSpec};
use std::time::Duration;

/// Least validity of a node certificate, as in Docker.
pub const MIN_CERT_EXPIRY: Duration = Duration::from_secs(3600);

/// The specification of the cluster.
///
/// # Errors
/// With Docker's text.
pub fn cluster(spec: &ClusterSpec) -> Result<(), Invalid> {
    if spec.name != CLUSTER_NAME {
        return invalid(r#"swarm spec must be named "default""#);
    }
    if spec.node_cert_expiry < MIN_CERT_EXPIRY {
        return invalid("minimum certificate expiry time is: 1h0m0s");
    }
    if spec.heartbeat_period.is_zero() {
        return invalid("heartbeat time period cannot be zero: use 5s, which is the default");
    }
    if spec.snapshot_interval == 0 {
        return invalid("the snapshot interval must be at least one log entry");
    }
    if spec.election_tick <= spec.heartbeat_tick {
        return invalid(format!(
            "the election tick ({}) must be greater than the heartbeat tick ({})",
            spec.election_tick, spec.heartbeat_tick
        ));
    }
    labels("the cluster", &spec.labels)?;
    match &spec.log_driver {
        Some(driver) => log_rotation(driver).map(|_| ()),
        None => Ok(()),
    }
}

/// The specification of a node.
///
/// # Errors
/// In words for the user.
pub fn node(spec: &NodeSpec) -> Result<(), Invalid> {
    if spec.name.contains('\0') {
        return invalid("the node's name must not contain a zero byte");
    }
    labels("the node", &spec.labels)
}

/// A join token with labels.
///
/// # Errors
/// In words for the user.
pub fn token(token: &str, token_labels: &Labels) -> Result<(), Invalid> {
    name::payload_name(token).map_err(|e| Invalid(format!("join token: {e}")))?;
    labels("the join token", token_labels)
}

/// Keys of labels must be there.
pub(super) fn labels(of: &str, labels: &Labels) -> Result<(), Invalid> {
    if labels.contains_key("") {
        return invalid(format!("a label of {of} has no key: use key=value"));
    }
    Ok(())
}
