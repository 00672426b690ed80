//! All volumes of this host, and who uses them.

use super::{
    ANONYMOUS_LABEL, LOCAL_DRIVER, Pruned, Volume, VolumeEvent, VolumeRequest, VolumeView, device,
    event, subpath,
};
use crate::clock;
use crate::config::VolumeMount;
use crate::error::VolumeError;
use crate::paths::Paths;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Version of `volume.json`. Another one is not read, and its volume is left alone.
const FORMAT: u32 = 1;
/// Name of the file that says what a volume is.
const META: &str = "volume.json";
/// Events that a listener may be behind.
const QUEUE: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Row {
    format: u32,
    volume: Volume,
}

/// A volume with what is done with it.
pub(crate) struct Entry {
    volume: Volume,
    /// Held while its device is mounted or unmounted, or its content copied from an image.
    busy: Mutex<Uses>,
}

#[derive(Default)]
struct Uses {
    /// Containers that run with it: its device stays mounted.
    mounted_for: BTreeSet<String>,
}

#[derive(Default)]
struct Index {
    entries: BTreeMap<String, Arc<Entry>>,
    /// Containers that have it.
    users: BTreeMap<String, BTreeSet<String>>,
}

/// All volumes.
pub(crate) struct Store {
    paths: Paths,
    index: Mutex<Index>,
    events: broadcast::Sender<VolumeEvent>,
}

/// A volume that a container got; see [`Store::claim`].
pub(crate) struct Claim(Arc<Entry>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Reads what is there. `users` says which container has which volume; what belonged to a container that is not
    /// known any more goes.
    pub(crate) fn open(
        paths: &Paths,
        users: BTreeMap<String, BTreeSet<String>>,
        known: &BTreeSet<String>,
    ) -> io::Result<Store> {
        let store = Store {
            paths: paths.clone(),
            index: Mutex::default(),
            events: broadcast::Sender::new(QUEUE),
        };
        subpath::clear(&paths.mounts())?;
        let mut index = Index {
            users,
            ..Index::default()
        };
        for entry in std::fs::read_dir(paths.volumes())? {
            let directory = entry?.path();
            match read(&directory) {
                Ok(volume) if volume.owner.as_ref().is_some_and(|id| !known.contains(id)) => {
                    store.discard(&volume);
                }
                Ok(volume) => {
                    let name = volume.name.clone();
                    index.entries.insert(name, Arc::new(Entry::new(volume)));
                }
                Err(error) => {
                    let path = directory.display();
                    tracing::error!(%path, %error, "this volume cannot be read: it is left alone");
                }
            }
        }
        *lock(&store.index) = index;
        Ok(store)
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<VolumeEvent> {
        self.events.subscribe()
    }

    fn emit(&self, event: VolumeEvent) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    pub(crate) fn list(&self) -> Vec<VolumeView> {
        let index = lock(&self.index);
        let views = index.entries.values().map(|entry| index.view(entry));
        views.collect()
    }

    pub(crate) fn get(&self, name: &str) -> Result<VolumeView, VolumeError> {
        let index = lock(&self.index);
        let entry = index.entries.get(name);
        let entry = entry.ok_or_else(|| VolumeError::NotFound(name.into()))?;
        Ok(index.view(entry))
    }

    pub(crate) fn create(&self, request: VolumeRequest) -> Result<VolumeView, VolumeError> {
        let mut index = lock(&self.index);
        let entry = self.ensure(&mut index, request, None)?;
        Ok(index.view(&entry))
    }

    /// Gives a container the volume, which is made when it is not there.
    pub(crate) fn claim(&self, mount: &VolumeMount, container: &str) -> Result<Claim, VolumeError> {
        let request = VolumeRequest {
            name: mount.name.clone(),
            driver: mount.driver.clone(),
            options: mount.options.clone(),
            labels: mount.labels.clone(),
        };
        let owner = mount.anonymous.then(|| container.to_owned());
        let mut index = lock(&self.index);
        let entry = self.ensure(&mut index, request, owner)?;
        let users = index.users.entry(mount.name.clone()).or_default();
        users.insert(container.into());
        Ok(Claim(entry))
    }

    /// The lock of the index is held over the writing: making a volume takes a millisecond and is rare.
    fn ensure(
        &self,
        index: &mut Index,
        request: VolumeRequest,
        owner: Option<String>,
    ) -> Result<Arc<Entry>, VolumeError> {
        check_driver(&request.driver)?;
        if let Some(entry) = index.entries.get(&request.name) {
            return Ok(Arc::clone(entry));
        }
        device::check(&request.options)?;
        let unnamed = request.name.is_empty();
        let name = if unnamed {
            crate::create::new_id().map_err(io_error("/dev/urandom"))?
        } else {
            check_name(&request.name)?;
            request.name
        };
        let mut labels = request.labels;
        if unnamed || owner.is_some() {
            labels.insert(ANONYMOUS_LABEL.into(), String::new());
        }
        let directory = self.paths.volumes().join(&name);
        let volume = Volume {
            mountpoint: directory.join("_data"),
            name,
            labels,
            options: request.options,
            created_at: clock::now(),
            owner,
        };
        if let Err(error) = write(&directory, &volume) {
            // Nothing is in it yet; what stays is no volume and does no harm.
            let _ = std::fs::remove_dir_all(&directory);
            return Err(io_error(&directory)(error));
        }
        self.emit(event(&volume.name, "create", None));
        let entry = Arc::new(Entry::new(volume));
        let name = entry.volume.name.clone();
        index.entries.insert(name, Arc::clone(&entry));
        Ok(entry)
    }

    /// The container is gone: so are the volumes that belonged to it.
    pub(crate) fn release(&self, names: impl Iterator<Item = String>, container: &str) {
        let mut index = lock(&self.index);
        for name in names {
            if let Some(users) = index.users.get_mut(&name) {
                users.remove(container);
                if users.is_empty() {
                    index.users.remove(&name);
                }
            }
            let owned = index.entries.get(&name);
            let owned = owned.is_some_and(|e| e.volume.owner.as_deref() == Some(container));
            if owned && !index.users.contains_key(&name) {
                let entry = index.entries.remove(&name);
                if let Some(entry) = entry {
                    self.discard(&entry.volume);
                }
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Result<(), VolumeError> {
        let mut index = lock(&self.index);
        let entry = index.entries.get(name);
        let entry = entry.ok_or_else(|| VolumeError::NotFound(name.into()))?;
        if let Some(users) = index.users.get(name).filter(|users| !users.is_empty()) {
            let users: Vec<&str> = users.iter().map(String::as_str).collect();
            return Err(VolumeError::InUse {
                name: name.into(),
                users: users.join(", "),
            });
        }
        let volume = entry.volume.clone();
        index.entries.remove(name);
        self.discard(&volume);
        Ok(())
    }

    pub(crate) fn prune(&self, wanted: impl Fn(&Volume) -> bool) -> Pruned {
        let mut pruned = Pruned::default();
        for view in self.list() {
            if !view.users.is_empty() || !wanted(&view.volume) {
                continue;
            }
            // Of what is mounted nothing is freed.
            let bytes = match view.volume.options.is_empty() {
                true => size(&view.volume.mountpoint),
                false => 0,
            };
            // Somebody may have taken it meanwhile.
            if self.remove(&view.volume.name).is_ok() {
                pruned.bytes += bytes;
                pruned.names.push(view.volume.name);
            }
        }
        pruned
    }

    fn discard(&self, volume: &Volume) {
        let gone = device::unmount(&volume.mountpoint)
            .and_then(|()| self.paths.discard_volume(&volume.name));
        if let Err(error) = gone {
            tracing::warn!(volume = volume.name, %error, "the files of a removed volume stay");
        }
        self.emit(event(&volume.name, "destroy", None));
    }

    /// Fills an empty volume with what an image has at the mount's target.
    pub(crate) fn fill(
        &self,
        claim: &Claim,
        lower: &[PathBuf],
        target: &Path,
    ) -> Result<(), VolumeError> {
        let volume = &claim.0.volume;
        let uses = lock(&claim.0.busy);
        device::mount(volume)?;
        let filled = super::copy::fill(lower, target, &volume.mountpoint, &self.paths.empty());
        if uses.mounted_for.is_empty() && !volume.options.is_empty() {
            device::unmount(&volume.mountpoint).map_err(io_error(&volume.mountpoint))?;
        }
        filled.map_err(|source| VolumeError::Copy {
            name: volume.name.clone(),
            target: target.into(),
            source,
        })
    }

    /// The path to bind into a container that is being started. A device is mounted, and stays so until
    /// [`Store::unmount`].
    pub(crate) fn mount(
        &self,
        mount: &VolumeMount,
        container: &str,
        number: usize,
    ) -> Result<PathBuf, VolumeError> {
        let entry = lock(&self.index).entries.get(&mount.name).cloned();
        let entry = entry.ok_or_else(|| VolumeError::NotFound(mount.name.clone()))?;
        let mut uses = lock(&entry.busy);
        // Also when others run with it: a container that was adopted has its own mount, but the host may not.
        device::mount(&entry.volume)?;
        uses.mounted_for.insert(container.into());
        self.emit(event(&mount.name, "mount", Some(container)));
        if mount.subpath.is_empty() {
            return Ok(entry.volume.mountpoint.clone());
        }
        let at = self.paths.mounts().join(format!("{container}.{number}"));
        subpath::mount(&entry.volume.mountpoint, &mount.subpath, &at).map_err(|source| {
            VolumeError::Subpath {
                name: mount.name.clone(),
                subpath: mount.subpath.clone(),
                source,
            }
        })?;
        Ok(at)
    }

    /// The container has its own mounts now, or will never have: parts of volumes are not needed any more.
    pub(crate) fn started(&self, container: &str) {
        if let Err(error) = subpath::unmount(&self.paths.mounts(), container) {
            tracing::warn!(container, %error, "a part of a volume stays mounted until the next start");
        }
    }

    /// The container runs already: it was started by an earlier daemon.
    pub(crate) fn adopt(&self, names: impl Iterator<Item = String>, container: &str) {
        for name in names {
            let entry = lock(&self.index).entries.get(&name).cloned();
            if let Some(entry) = entry {
                lock(&entry.busy).mounted_for.insert(container.into());
            }
        }
    }

    /// The container does not run any more.
    pub(crate) fn unmount(&self, names: impl Iterator<Item = String>, container: &str) {
        for name in names {
            let entry = lock(&self.index).entries.get(&name).cloned();
            let Some(entry) = entry else {
                continue;
            };
            let mut uses = lock(&entry.busy);
            if !uses.mounted_for.remove(container) {
                continue;
            }
            self.emit(event(&name, "unmount", Some(container)));
            if uses.mounted_for.is_empty() {
                unmount(&entry.volume);
            }
        }
    }

    /// Unmounts what an earlier daemon left and nobody uses.
    pub(crate) fn tidy(&self) {
        let entries: Vec<_> = lock(&self.index).entries.values().cloned().collect();
        for entry in entries {
            if lock(&entry.busy).mounted_for.is_empty() {
                unmount(&entry.volume);
            }
        }
    }
}

fn unmount(volume: &Volume) {
    if volume.options.is_empty() {
        return;
    }
    if let Err(error) = device::unmount(&volume.mountpoint) {
        tracing::warn!(volume = volume.name, %error, "its device stays mounted");
    }
}

impl Entry {
    fn new(volume: Volume) -> Entry {
        Entry {
            volume,
            busy: Mutex::default(),
        }
    }
}

impl Index {
    fn view(&self, entry: &Entry) -> VolumeView {
        let users = self.users.get(&entry.volume.name);
        VolumeView {
            volume: entry.volume.clone(),
            users: users.cloned().unwrap_or_default(),
        }
    }
}

fn io_error(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.as_ref().to_owned();
    move |source| VolumeError::Files { path, source }
}

fn check_driver(driver: &str) -> Result<(), VolumeError> {
    match driver {
        "" | LOCAL_DRIVER => Ok(()),
        other => Err(VolumeError::Driver(other.into())),
    }
}

/// Docker's rule and texts.
fn check_name(name: &str) -> Result<(), VolumeError> {
    if name.len() < 2 {
        let text = "volume name is too short, names should be at least two alphanumeric characters";
        return Err(VolumeError::Invalid(text.into()));
    }
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    // The kernel's limit of a file name.
    if !first || !name.bytes().all(rest) || name.len() > 255 {
        return Err(VolumeError::Invalid(format!(
            "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(())
}

fn read(directory: &Path) -> io::Result<Volume> {
    let text = std::fs::read(directory.join(META))?;
    let row: Row = serde_json::from_slice(&text)?;
    let named = directory
        .file_name()
        .is_some_and(|name| name == row.volume.name.as_str());
    if row.format != FORMAT || !named {
        return Err(io::Error::other(
            "its record is of another version or another volume",
        ));
    }
    let mut volume = row.volume;
    volume.mountpoint = directory.join("_data");
    Ok(volume)
}

/// The record comes last: without it there is no volume.
fn write(directory: &Path, volume: &Volume) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o701).create(directory) {
        // A crash came before its record was written.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if directory.join(META).exists() {
                return Err(error);
            }
        }
        other => other?,
    }
    match std::fs::DirBuilder::new()
        .mode(0o755)
        .create(&volume.mountpoint)
    {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    let new = directory.join("volume.json.new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    let row = Row {
        format: FORMAT,
        volume: volume.clone(),
    };
    file.write_all(&serde_json::to_vec(&row)?)?;
    file.sync_all()?;
    std::fs::rename(&new, directory.join(META))?;
    std::fs::File::open(directory)?.sync_all()?;
    let parent = directory.parent().unwrap_or(directory);
    std::fs::File::open(parent)?.sync_all()
}

/// Bytes of all files below.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    });
    sizes.sum()
}
