//! One daemon per data directory, and the pid file.

use anyhow::{Context, bail};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Holds the data directory while it lives. The kernel lets go of it when the process ends, however it ends.
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the directory.
    pub(crate) fn take(data_root: &Path) -> anyhow::Result<DataLock> {
        let path = data_root.join("lock");
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path);
        let file = open.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(DataLock { _file: file }),
            Err(TryLockError::WouldBlock) => bail!(
                "another daemon uses the data directory {}: stop it, or give this one another --data-root",
                data_root.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }
}

/// The pid file, removed when this is dropped. One that a killed daemon left is overwritten: the lock is what counts.
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    pub(crate) fn write(path: &Path) -> anyhow::Result<PidFile> {
        let written = std::fs::write(path, std::process::id().to_string());
        written.with_context(|| format!("cannot write the pid file {}", path.display()))?;
        Ok(PidFile { path: path.into() })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may be gone already; a stale one is no obstacle.
        let _ = std::fs::remove_file(&self.path);
    }
}
