//! What a node remembers of its swarm beside its identity and the Raft log. The file is written last when a swarm is
//! made or joined, and removed first when it is left: what lies there without it is left over and goes.

use crate::files;
use consensus::Compaction;
use model::ClusterSpec;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "state.json";
/// Raised when an older daemon would misread the file.
const FORMAT: u32 = 1;
const CERTIFICATES: &str = "certificates";
const RAFT: &str = "raft";

/// The paths below `data-root/swarm`.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    pub(super) dir: PathBuf,
}

impl Paths {
    pub(super) fn certificates(&self) -> PathBuf {
        self.dir.join(CERTIFICATES)
    }
    pub(super) fn raft(&self) -> PathBuf {
        self.dir.join(RAFT)
    }
    fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// `host:port` of the node server; managers only.
    pub(super) listen_addr: String,
    /// `host:port` that other nodes are told.
    pub(super) advertise_addr: String,
    /// Managers that are known, `host:port`.
    pub(super) managers: Vec<String>,
    /// Managers only.
    pub(super) raft: Option<RaftState>,
}

/// A manager's place in the Raft group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RaftState {
    /// Never used twice.
    pub(super) id: u64,
    /// The group has taken this node in. Until then the attempt goes on.
    pub(super) joined: bool,
    /// As the cluster's spec says.
    pub(super) snapshot_interval: u64,
    /// As the cluster's spec says.
    pub(super) log_entries_for_slow_followers: u64,
}

impl RaftState {
    pub(super) fn new(id: u64, joined: bool, spec: &ClusterSpec) -> RaftState {
        RaftState {
            id,
            joined,
            snapshot_interval: spec.snapshot_interval,
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
        }
    }

    pub(super) fn compaction(&self) -> Compaction {
        Compaction {
            snapshot_every: self.snapshot_interval,
            keep_entries: self.log_entries_for_slow_followers,
        }
    }
}

impl State {
    pub(super) fn new(listen: String, advertise: String, managers: Vec<String>) -> State {
        State {
            format: FORMAT,
            listen_addr: listen,
            advertise_addr: advertise,
            managers,
            raft: None,
        }
    }

    /// Reads the file; none when there is none.
    pub(super) fn load(paths: &Paths) -> io::Result<Option<State>> {
        let Some(text) = files::read_if_there(&paths.file())? else {
            return Ok(None);
        };
        let state: State =
            serde_json::from_str(&text).map_err(|e| unreadable(&paths.file(), &e))?;
        if state.format != FORMAT {
            let text = format!("format {} is unknown", state.format);
            return Err(unreadable(&paths.file(), &text));
        }
        Ok(Some(state))
    }

    pub(super) fn store(&self, paths: &Paths) -> io::Result<()> {
        files::make_private_dir(&paths.dir)?;
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        files::write_atomically(&paths.file(), 0o600, text.as_bytes())
    }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    let text = format!("cannot read {}: {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Removes all that belongs to a swarm: the file first.
pub(super) fn wipe(paths: &Paths) -> io::Result<()> {
    match std::fs::remove_file(paths.file()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    files::remove_dir(&paths.dir)
}
