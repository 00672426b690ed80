//! JSON to model and back, by hand: a field that is not converted is refused, not dropped.

mod additions;
mod cluster;
mod container_in;
mod container_out;
mod merge;
mod mount;
mod objects;
mod order;
mod payload;
mod plan;
mod service_in;
mod service_out;

pub(crate) use additions::{history, settle as settle_additions};
pub(crate) use cluster::{cluster_info, cluster_spec, swarm};
pub(crate) use merge::{is_missing, keep_unknown, node as keep_unknown_of_node};
pub(crate) use objects::{
    availability as node_availability, generic_resources, node, node_spec, node_spec_out, role,
    task,
};
pub(crate) use order::keep_order;
pub(crate) use payload::{config, payload_spec, secret};
pub(crate) use plan::{differences, moves, plan};
pub(crate) use service_in::service_spec;
pub(crate) use service_out::{ServiceCounts, service, service_spec as service_spec_out};

use crate::ApiError;
use model::control::ControlError;
use std::time::Duration;

/// Nanoseconds as Go sends them, which must not be negative.
fn duration(nanos: i64, field: &str) -> Result<Duration, ApiError> {
    let nanos = u64::try_from(nanos).map_err(|_| {
        invalid(format!(
            "{field}: a duration cannot be negative ({nanos} ns)"
        ))
    })?;
    Ok(Duration::from_nanos(nanos))
}

/// As [`duration`], with the text that Docker has for this field.
fn duration_or(nanos: i64, text: &str) -> Result<Duration, ApiError> {
    let nanos = u64::try_from(nanos).map_err(|_| invalid(text))?;
    Ok(Duration::from_nanos(nanos))
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn timestamp(at: model::Timestamp) -> api_types::Timestamp {
    api_types::Timestamp::from_unix_nanos(at.0)
}

/// Docker's manager says this: 400 with the text that gRPC puts before it.
fn invalid(text: impl Into<String>) -> ApiError {
    ControlError::InvalidArgument(text.into()).into()
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
mod clients;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
