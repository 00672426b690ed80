//! Validation of what clients ask for, with Docker's texts where tools match them. Nothing is changed here.
//!
//! Docker checks a part of this on the manager (`swarmkit/manager/controlapi`, `swarmkit/api/validation`) and the rest only on the
//! node, where the task is then REJECTED. Whatever can be known to be wrong without the node is refused here.

mod cluster;
mod container;
mod files;
mod limits;
mod log;
mod mount;
mod name;
mod payload;
mod service;
mod task;
mod template;

pub use cluster::{MIN_CERT_EXPIRY, cluster, node, token};
pub use limits::{CAPABILITIES, ULIMITS};
pub use log::{LogRotation, MAX_LOG_FILES, log_rotation};
pub use name::{MAX_NAME_LEN, payload_name, service_name};
pub use payload::payload;
pub use service::{MAX_REPLICAS, service};
pub use task::{MIN_MEMORY_BYTES, MIN_NANO_CPUS};

/// What is wrong with a request, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// The first of `items` that has come before.
fn first_duplicate<T: Ord>(items: impl IntoIterator<Item = T>) -> Option<T> {
    let mut seen = std::collections::BTreeSet::new();
    items.into_iter().find_map(|item| seen.replace(item))
}

#[cfg(test)]
mod tests;
