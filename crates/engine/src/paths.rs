//! Where a container's files are, and getting rid of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The directories of the data root.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    containers: PathBuf,
    rootfs: PathBuf,
    trash: PathBuf,
    volumes: PathBuf,
    mounts: PathBuf,
    empty: PathBuf,
}

static TRASH_NUMBER: AtomicU64 = AtomicU64::new(0);

impl Paths {
    pub(crate) fn new(data_root: &Path) -> Paths {
        Paths {
            containers: data_root.join("containers"),
            rootfs: data_root.join("rootfs"),
            trash: data_root.join("trash"),
            volumes: data_root.join("volumes"),
            mounts: data_root.join("mounts"),
            empty: data_root.join("empty"),
        }
    }

    pub(crate) fn all(&self) -> [&Path; 6] {
        [
            &self.containers,
            &self.rootfs,
            &self.trash,
            &self.volumes,
            &self.mounts,
            &self.empty,
        ]
    }

    /// Of the volumes.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.volumes.clone()
    }

    /// Where parts of volumes are mounted for a moment. Nothing below it may be deleted but empty mount points.
    pub(crate) fn mounts(&self) -> PathBuf {
        self.mounts.clone()
    }

    /// A directory in which nothing ever is.
    pub(crate) fn empty(&self) -> PathBuf {
        self.empty.clone()
    }

    /// Moves a volume out of the way. Nothing may be mounted in it: [`Paths::empty_trash`] would delete that.
    pub(crate) fn discard_volume(&self, name: &str) -> io::Result<()> {
        let number = TRASH_NUMBER.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let target = self.trash.join(format!("volume.{pid}.{number}"));
        std::fs::rename(self.volumes.join(name), target)
    }

    /// hostname, hosts, resolv.conf and the log.
    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers.join(id)
    }

    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.container(id).join(format!("{id}-json.log"))
    }

    /// upper, work and merged of the overlay.
    pub(crate) fn rootfs(&self, id: &str) -> PathBuf {
        self.rootfs.join(id)
    }

    /// Moves a container's directories out of the way; [`Paths::empty_trash`] deletes them.
    pub(crate) fn discard(&self, id: &str) -> io::Result<()> {
        for directory in [self.container(id), self.rootfs(id)] {
            let number = TRASH_NUMBER.fetch_add(1, Ordering::Relaxed);
            let pid = std::process::id();
            let target = self.trash.join(format!("{id}.{pid}.{number}"));
            match std::fs::rename(&directory, target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves the directories of all containers that are not known out of the way.
    pub(crate) fn discard_others(&self, known: &BTreeSet<String>) -> io::Result<()> {
        for parent in [&self.containers, &self.rootfs] {
            for entry in std::fs::read_dir(parent)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !known.contains(&name) {
                    self.discard(&name)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes what was discarded. What cannot be deleted stays for the next time.
    pub(crate) fn empty_trash(&self) {
        let Ok(entries) = std::fs::read_dir(&self.trash) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %path.display(), %error, "cannot delete");
                }
                _ => {}
            }
        }
    }
}
