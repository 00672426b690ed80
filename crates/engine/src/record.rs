//! A container as it is written down and shown.

use crate::config::ContainerConfig;
use crate::health::{Health, Probe};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Version of the rows in the table. A row of another version is not read.
const FORMAT: u32 = 1;
/// Docker's exit code of a container whose end nobody saw.
pub const EXIT_UNKNOWN: i32 = 255;

/// What does not change in a container's life.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made, nanoseconds since 1970.
    pub created_at: u64,
    /// As it was asked for.
    pub config: ContainerConfig,
    /// Id of the image, `sha256:…`.
    pub image_id: String,
    /// What the layers of its root are held by, see `images::LayerHold`.
    pub layers: Option<images::Digest>,
    /// What really runs, after the image has filled the gaps.
    pub process: Process,
    /// The current log file.
    pub log_path: PathBuf,
}

/// What runs in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Entrypoint in effect; empty when there is none.
    pub entrypoint: Vec<String>,
    /// Command in effect, the entrypoint's arguments if there is one.
    pub command: Vec<String>,
    /// Environment in effect.
    pub env: Vec<String>,
    /// Working directory in effect.
    pub working_dir: String,
    /// User in effect.
    pub user: String,
    /// Host name in effect.
    pub hostname: String,
    /// Number of the stop signal.
    pub stop_signal: i32,
    /// Labels in effect, the image's included.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Health check in effect; none when there is nothing to check.
    #[serde(default)]
    pub probe: Option<Probe>,
}

impl Process {
    /// Program and arguments.
    pub fn args(&self) -> Vec<String> {
        [self.entrypoint.as_slice(), self.command.as_slice()].concat()
    }
}

/// Where a container is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Phase.
    pub phase: Phase,
    /// Process id of its init, as this daemon sees it; 0 unless it runs.
    pub pid: i32,
    /// When its program was executed, nanoseconds since 1970; 0 before.
    pub started_at: u64,
    /// When it ended, nanoseconds since 1970; 0 before.
    pub finished_at: u64,
    /// Exit code once it ended, or of a failed start.
    pub exit_code: i32,
    /// The kernel killed it for lack of memory.
    pub oom_killed: bool,
    /// Why it ended or did not start, when it was not the program's own doing.
    pub error: String,
    /// Its health as last seen; none without a health check, or before it runs.
    #[serde(default)]
    pub health: Option<Health>,
}

/// Phases of a container's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Made, never started.
    #[default]
    Created,
    /// Runs.
    Running,
    /// Ended.
    Exited,
    /// Removed; nobody finds it any more, but who waits for it is told.
    Removed,
}

impl Phase {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Created => "created",
            Phase::Running => "running",
            Phase::Exited => "exited",
            Phase::Removed => "removing",
        }
    }
}

/// A container at one moment.
#[derive(Clone, Debug)]
pub struct ContainerView {
    /// What does not change.
    pub record: Arc<ContainerRecord>,
    /// Where it is in its life.
    pub state: State,
}

/// A row of the table.
#[derive(Serialize, Deserialize)]
struct Row<R, S> {
    format: u32,
    record: R,
    state: S,
}

/// The value of a container's row.
pub(crate) fn encode(record: &ContainerRecord, state: &State) -> Vec<u8> {
    let format = FORMAT;
    let row = Row {
        format,
        record,
        state,
    };
    serde_json::to_vec(&row).expect("a record has only text keys")
}

/// The container of a row.
pub(crate) fn decode(value: &[u8]) -> Result<(ContainerRecord, State), serde_json::Error> {
    let row: Row<ContainerRecord, State> = serde_json::from_slice(value)?;
    if row.format != FORMAT {
        let text = format!("format {} instead of {FORMAT}", row.format);
        return Err(serde::de::Error::custom(text));
    }
    Ok((row.record, row.state))
}
