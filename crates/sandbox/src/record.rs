//! What is kept of each container in `exec_root/containers/<id>.json`: enough to kill it, or to
//! report how it ended, when the supervisor is gone. exec_root lies in memory: nothing is synced.
//!
//! The format is versioned, so that a later supervisor can read what an earlier one left. Version 1:
//! `{"version":1,"boot_id":"...","state":{...}}` with [`ContainerState`] as state. Fields may be added to it
//! without a new version; a reader refuses only higher versions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::state::ContainerState;

const VERSION: u32 = 1;
const DIRECTORY: &str = "containers";
const SUFFIX: &str = ".json";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// Tells records of before a restart of the host, if exec_root survived it after all.
    boot_id: String,
    state: ContainerState,
}

/// The directory of records.
#[derive(Debug)]
pub(crate) struct Records {
    directory: PathBuf,
    boot_id: String,
}

impl Records {
    /// Creates the directory when absent.
    pub(crate) fn open(exec_root: &Path) -> io::Result<Records> {
        let directory = exec_root.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Records {
            directory,
            boot_id: boot_id.trim().to_owned(),
        })
    }

    /// Replaces the container's record as a whole.
    pub(crate) fn write(&self, state: &ContainerState) -> io::Result<()> {
        let record = Record {
            version: VERSION,
            boot_id: self.boot_id.clone(),
            state: state.clone(),
        };
        let path = self.path(&state.id);
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(&record)?)?;
        fs::rename(new, path)
    }

    /// An absent one is no error.
    pub(crate) fn remove(&self, id: &str) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// All records, each with whether it was written since the host started. One that cannot be
    /// read is an error: it may stand for a running container.
    pub(crate) fn read_all(&self) -> io::Result<Vec<(ContainerState, bool)>> {
        let mut states = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if !path.to_string_lossy().ends_with(SUFFIX) {
                continue;
            }
            let unusable = |error: &dyn std::fmt::Display| {
                io::Error::other(format!("cannot read {}: {error}", path.display()))
            };
            let text = fs::read(&path).map_err(|error| unusable(&error))?;
            let record: Record = serde_json::from_slice(&text).map_err(|error| unusable(&error))?;
            if record.version > VERSION {
                return Err(unusable(&"it was written by a later version of Starling"));
            }
            states.push((record.state, record.boot_id == self.boot_id));
        }
        Ok(states)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}{SUFFIX}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;

    fn state(id: &str) -> ContainerState {
        ContainerState {
            id: id.into(),
            pid: 7,
            start_time: 8,
            status: Status::Running,
            started_at: 9,
            log_path: "/log".into(),
            cgroup: "/docker/abc".into(),
        }
    }

    #[test]
    fn records_are_written_replaced_and_removed() {
        let exec_root = tempfile::tempdir().unwrap();
        let records = Records::open(exec_root.path()).unwrap();
        records.write(&state("a")).unwrap();
        let mut changed = state("a");
        changed.pid = 70;
        records.write(&changed).unwrap();
        assert_eq!(records.read_all().unwrap(), [(changed, true)]);
        records.remove("a").unwrap();
        records.remove("a").unwrap();
        assert!(records.read_all().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        let exec_root = tempfile::tempdir().unwrap();
        let records = Records::open(exec_root.path()).unwrap();
        let record = Record {
            version: 2,
            boot_id: "other".into(),
            state: state("a"),
        };
        fs::write(records.path("a"), serde_json::to_vec(&record).unwrap()).unwrap();
        let error = records.read_all().unwrap_err().to_string();
        assert!(error.contains("later version"), "{error}");
        fs::write(records.path("a"), "{").unwrap();
        assert!(records.read_all().is_err());
    }
}
