//! JSON to model and back, by hand: a field that is not converted is refused, not dropped.

mod cluster;
mod container_in;
mod container_out;
mod objects;
mod service_in;
mod service_out;

pub(crate) use cluster::{cluster_info, cluster_spec, swarm};
pub(crate) use objects::{availability as node_availability, node, node_spec, task};
pub(crate) use service_in::service_spec;
pub(crate) use service_out::{ServiceCounts, service};

use crate::ApiError;
use std::time::Duration;

/// Nanoseconds as Go sends them, which must not be negative.
fn duration(nanos: i64, field: &str) -> Result<Duration, ApiError> {
    let nanos = u64::try_from(nanos).map_err(|_| {
        ApiError::bad_request(format!(
            "{field}: a duration cannot be negative ({nanos} ns)"
        ))
    })?;
    Ok(Duration::from_nanos(nanos))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn timestamp(at: model::Timestamp) -> api_types::Timestamp {
    api_types::Timestamp::from_unix_nanos(at.0)
}

/// Refuses a field that was asked for and is not built.
fn unless(asked: bool, field: &str) -> Result<(), ApiError> {
    if asked {
        Err(ApiError::not_built(field))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
