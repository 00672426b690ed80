//! Containers whose supervisor died.

use std::path::Path;

use thiserror::Error;

use crate::state::ContainerState;

/// Why the containers of a dead supervisor could not be killed.
#[derive(Debug, Error)]
pub enum OrphanError {
    /// A supervisor runs: ask that one.
    #[error("a supervisor runs on {0}: its containers are no orphans")]
    SupervisorRuns(std::path::PathBuf),
}

/// Kills what a dead supervisor left, by cgroup.
pub fn kill_orphans(exec_root: &Path) -> Result<Vec<ContainerState>, OrphanError> {
    Err(OrphanError::SupervisorRuns(exec_root.to_owned()))
}
