//! Volumes: directories of this host that outlive containers. Docker's `local` driver is the only one.
//!
//! ```text
//! <data root>/volumes/<name>/volume.json   what it is; only root reads it, since options may hold passwords
//! <data root>/volumes/<name>/_data         its content, or where its device is mounted while a container uses it
//! <data root>/mounts/<container>.<n>       a part of a volume while a container with a subpath is being started
//! ```
//! What a volume is lies beside its content and not in the table of containers: it survives the loss of the latter.
//! Who uses it follows from the containers' records. A volume that belongs to one container (it was asked for without
//! a name, or by the image) goes with it; named ones stay until somebody removes them.

mod copy;
mod device;
mod store;
mod subpath;

pub(crate) use store::Store;

use crate::clock;
use crate::config::{ContainerConfig, MountConfig, MountKind, VolumeMount};
use crate::engine::Engine;
use crate::error::VolumeError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The only driver.
pub const LOCAL_DRIVER: &str = "local";
/// Docker's label of volumes without a name of their own.
pub const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Unique on this host.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the `local` driver: `type`, `o`, `device`.
    pub options: BTreeMap<String, String>,
    /// When it was made, nanoseconds since 1970.
    pub created_at: u64,
    /// The container that it goes with.
    pub owner: Option<String>,
    /// Where its content is.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

/// A volume and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeView {
    /// What it is.
    pub volume: Volume,
    /// Ids of containers that have it, running or not.
    pub users: BTreeSet<String>,
}

/// What a volume is asked to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeRequest {
    /// A random one when empty.
    pub name: String,
    /// `local` when empty.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Something that happened to a volume.
#[derive(Clone, Debug)]
pub struct VolumeEvent {
    /// Its name.
    pub name: String,
    /// `create`, `mount`, `unmount`, `destroy`.
    pub action: &'static str,
    /// Container that it was mounted for.
    pub container: Option<String>,
    /// When, nanoseconds since 1970.
    pub time: u64,
}

/// What a clean-up did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names of what is gone.
    pub names: Vec<String>,
    /// Bytes that its files had.
    pub bytes: u64,
}

impl Engine {
    /// All volumes, by name.
    pub fn volumes(&self) -> Vec<VolumeView> {
        self.0.volumes.list()
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn volume(&self, name: &str) -> Result<VolumeView, VolumeError> {
        self.0.volumes.get(name)
    }

    /// Makes a volume. One that is there already is returned as it is, as Docker does.
    ///
    /// # Errors
    /// When the name or the options are not right, or this host could not.
    pub async fn create_volume(&self, request: VolumeRequest) -> Result<VolumeView, VolumeError> {
        let engine = self.clone();
        blocking(move || engine.0.volumes.create(request)).await
    }

    /// Removes a volume with its content.
    ///
    /// # Errors
    /// When it is in use, or there is none and that is not to be overlooked.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<(), VolumeError> {
        let (engine, name) = (self.clone(), name.to_owned());
        let removed = blocking(move || engine.0.volumes.remove(&name)).await;
        self.0.trash.notify_one();
        match removed {
            Err(VolumeError::NotFound(_)) if force => Ok(()),
            other => other,
        }
    }

    /// Removes volumes that no container has: those for which `wanted` says yes.
    pub async fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool + Send + 'static) -> Pruned {
        let engine = self.clone();
        let pruned = blocking(move || Ok(engine.0.volumes.prune(wanted))).await;
        self.0.trash.notify_one();
        pruned.unwrap_or_else(|error| {
            tracing::error!(%error, "volumes are not cleaned up");
            Pruned::default()
        })
    }

    /// What happens to volumes from now on.
    pub fn volume_events(&self) -> tokio::sync::broadcast::Receiver<VolumeEvent> {
        self.0.volumes.subscribe()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VolumeError> + Send + 'static,
) -> Result<T, VolumeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(VolumeError::Invalid(error.to_string())))
}

/// The volumes among a container's mounts.
pub(crate) fn of(config: &ContainerConfig) -> impl Iterator<Item = (&Path, &VolumeMount)> {
    config.mounts.iter().filter_map(|mount| match &mount.kind {
        MountKind::Volume(volume) => Some((mount.target.as_path(), volume)),
        MountKind::Bind { .. } | MountKind::Tmpfs { .. } => None,
    })
}

/// Gives volumes without a name one, and adds those that the image asks for.
pub(crate) fn resolve<'a>(
    config: &mut ContainerConfig,
    of_image: impl Iterator<Item = &'a str>,
    new_name: impl Fn() -> std::io::Result<String>,
) -> std::io::Result<()> {
    for target in of_image {
        let taken = |mount: &MountConfig| trimmed(&mount.target) == trimmed(Path::new(target));
        if !config.mounts.iter().any(taken) {
            config.mounts.push(MountConfig {
                target: target.into(),
                read_only: false,
                kind: MountKind::Volume(VolumeMount::default()),
            });
        }
    }
    for mount in &mut config.mounts {
        if let MountKind::Volume(volume) = &mut mount.kind
            && volume.name.is_empty()
        {
            volume.name = new_name()?;
            volume.anonymous = true;
        }
    }
    Ok(())
}

fn trimmed(path: &Path) -> PathBuf {
    path.components().collect()
}

fn event(name: &str, action: &'static str, container: Option<&str>) -> VolumeEvent {
    VolumeEvent {
        name: name.into(),
        action,
        container: container.map(str::to_owned),
        time: clock::now(),
    }
}
