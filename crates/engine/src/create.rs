//! Making a container: everything but its processes.

use crate::clock;
use crate::config::{ContainerConfig, MountKind};
use crate::engine::{Container, Engine};
use crate::error::CreateError;
use crate::events::ContainerAction;
use crate::files;
use crate::host;
use crate::inject::Injected;
use crate::limits;
use crate::merge::{cleaned, merge};
use crate::paths::Paths;
use crate::record::{ContainerRecord, State};
use crate::spec;
use crate::volumes;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Random bytes of an id.
const ID_BYTES: usize = 32;
/// Log files that one container may keep at most.
const MAX_LOG_FILES: u32 = 1000;

impl Engine {
    /// Makes a container of an image that is here; returns its id. When it returns, the container survives a crash.
    /// Once begun it is carried through even when the caller goes away.
    ///
    /// # Errors
    /// When what is asked for cannot be; nothing is left then.
    pub async fn create(&self, config: ContainerConfig) -> Result<String, CreateError> {
        self.create_with(config, Injected::default()).await
    }

    /// [`Engine::create`] with secrets and configs, which are kept in memory until the container starts.
    ///
    /// # Errors
    /// When what is asked for cannot be; nothing is left then.
    pub async fn create_with(
        &self,
        mut config: ContainerConfig,
        injected: Injected,
    ) -> Result<String, CreateError> {
        let engine = self.clone();
        config.injects = !injected.is_empty();
        let work = tokio::spawn(async move { engine.make(config, injected).await });
        match work.await {
            Ok(result) => result,
            Err(error) => Err(CreateError::Record(error.to_string())),
        }
    }

    async fn make(
        &self,
        mut config: ContainerConfig,
        injected: Injected,
    ) -> Result<String, CreateError> {
        let inner = &*self.0;
        let image = inner.images.inspect(&config.image)?;
        let rootfs = inner.images.rootfs(&image.id)?;
        let id = new_id().map_err(|source| CreateError::Files {
            path: "/dev/urandom".into(),
            source,
        })?;
        clean_targets(&mut config);
        let of_image = rootfs.config.volumes.iter();
        let named = volumes::resolve(&mut config, of_image, new_id);
        named.map_err(|source| CreateError::Files {
            path: "/dev/urandom".into(),
            source,
        })?;
        let process = merge(&id, &config, &rootfs.config, &host::hostname())?;
        check(&config)?;
        let name = config.name.clone();
        let reservation = inner
            .reserve(&name, &id)
            .map_err(|id| CreateError::NameInUse { name, id })?;
        let record = ContainerRecord {
            log_path: inner.paths.log(&id),
            id,
            created_at: clock::now(),
            config,
            image_id: image.id.to_string(),
            layers: rootfs.hold.chain_id.clone(),
            process,
        };
        check_start(&record, &inner.paths)?;
        make_files(&inner.paths, &record).await?;
        let container = Container::new(record, State::default(), Some(rootfs.hold));
        if let Err(error) = self.make_volumes(&container).await {
            self.undo(&container);
            return Err(error);
        }
        container.inject(injected);
        if let Err(error) = inner.writer.write(container.write()).await {
            self.undo(&container);
            return Err(CreateError::Record(error));
        }
        let id = container.record.id.clone();
        let container = Arc::new(container);
        inner.insert(Arc::clone(&container));
        reservation.keep();
        inner.emit(&container, ContainerAction::Create);
        Ok(id)
    }

    /// Takes its volumes, those that are not there are made and filled.
    async fn make_volumes(&self, container: &Container) -> Result<(), CreateError> {
        if !container.has_volumes() {
            return Ok(());
        }
        let engine = self.clone();
        let record = Arc::clone(&container.record);
        let lower = container.layers.as_ref().map(|layers| layers.lower.clone());
        let lower = lower.unwrap_or_default();
        let work = move || {
            let store = &engine.0.volumes;
            for (target, volume) in volumes::of(&record.config) {
                let claim = store.claim(volume, &record.id)?;
                if !volume.no_copy && volume.subpath.is_empty() {
                    store.fill(&claim, &lower, target)?;
                }
            }
            Ok(())
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => Err(CreateError::Record(error.to_string())),
        }
    }

    fn undo(&self, container: &Container) {
        let id = &container.record.id;
        self.0.volumes.release(container.volume_names(), id);
        self.discard(id);
    }
}

pub(crate) fn new_id() -> io::Result<String> {
    let mut bytes = [0; ID_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut id = String::with_capacity(2 * ID_BYTES);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    Ok(id)
}

/// As Docker does: `/a/../b` is `/b`.
fn clean_targets(config: &mut ContainerConfig) {
    for mount in &mut config.mounts {
        if let Some(target) = mount.target.to_str() {
            mount.target = cleaned(target).into();
        }
    }
}

/// What the supervisor would refuse at the start is refused now: the task is rejected, as in Docker.
fn check_start(record: &ContainerRecord, paths: &Paths) -> Result<(), CreateError> {
    // Where a volume is on the host is found out at the start, and does not matter here.
    let volumes = volumes::of(&record.config);
    let somewhere = volumes.map(|(target, _)| (target.to_owned(), PathBuf::from("/")));
    let injected = Injected::default();
    let spec = spec::build(record, paths, Vec::new(), &somewhere.collect(), injected)?;
    spec.check().map_err(CreateError::Invalid)
}

/// What can be said without touching anything.
fn check(config: &ContainerConfig) -> Result<(), CreateError> {
    limits::check(&config.ulimits).map_err(CreateError::Invalid)?;
    if config.log.max_size == 0 || !(1..=MAX_LOG_FILES).contains(&config.log.max_files) {
        let text = format!("max-size must be positive and max-file between 1 and {MAX_LOG_FILES}");
        return Err(CreateError::Invalid(text));
    }
    let mut targets = BTreeSet::new();
    for mount in &config.mounts {
        if !targets.insert(&mount.target) {
            let text = format!("Duplicate mount point: {}", mount.target.display());
            return Err(CreateError::Invalid(text));
        }
        let kind = match &mount.kind {
            MountKind::Bind { propagation, .. } => {
                spec::propagation(propagation)?;
                "bind"
            }
            MountKind::Volume(_) => "volume",
            MountKind::Tmpfs { .. } => "tmpfs",
        };
        if !mount.target.is_absolute() || mount.target == Path::new("/") {
            let target = mount.target.display();
            let text = format!(
                "invalid mount config for type \"{kind}\": invalid mount path: '{target}' must be absolute and not '/'"
            );
            return Err(CreateError::Invalid(text));
        }
    }
    Ok(())
}

async fn make_files(paths: &Paths, record: &ContainerRecord) -> Result<(), CreateError> {
    let (paths, record) = (paths.clone(), record.clone());
    let work = move || {
        sources(&record.config)?;
        let made = directories(&paths, &record);
        if made.is_err()
            && let Err(error) = paths.discard(&record.id)
        {
            tracing::warn!(container = record.id, %error, "files of a failed container stay");
        }
        made
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(CreateError::Record(error.to_string())),
    }
}

/// What is bound into the container must be there.
fn sources(config: &ContainerConfig) -> Result<(), CreateError> {
    for mount in &config.mounts {
        let MountKind::Bind {
            source,
            create_source,
            ..
        } = &mount.kind
        else {
            continue;
        };
        let invalid = |why: String| {
            CreateError::Invalid(format!("invalid mount config for type \"bind\": {why}"))
        };
        let shown = source.display();
        if !source.is_absolute() {
            let text = format!("invalid mount path: '{shown}' mount path must be absolute");
            return Err(invalid(text));
        }
        match source.try_exists() {
            Ok(true) => {}
            Ok(false) if *create_source => std::fs::create_dir_all(source)
                .map_err(|error| invalid(format!("cannot make {shown}: {error}")))?,
            Ok(false) => {
                return Err(invalid(format!("bind source path does not exist: {shown}")));
            }
            Err(error) => return Err(invalid(format!("cannot look at {shown}: {error}"))),
        }
    }
    Ok(())
}

fn directories(paths: &Paths, record: &ContainerRecord) -> Result<(), CreateError> {
    // Named without the id: the next try has another one, and should have the same reason.
    let files_error = |path: &Path| {
        let whole = path.ancestors().find(|part| part.ends_with(&record.id));
        let path = whole.and_then(Path::parent).unwrap_or(path).to_owned();
        move |source| CreateError::Files { path, source }
    };
    let root = paths.rootfs(&record.id);
    let directories: [(PathBuf, u32); 5] = [
        (paths.container(&record.id), 0o710),
        (root.clone(), 0o710),
        (root.join("upper"), 0o755),
        (root.join("work"), 0o755),
        (root.join("merged"), 0o755),
    ];
    for (path, mode) in directories {
        let made = std::fs::DirBuilder::new().mode(mode).create(&path);
        made.map_err(files_error(&path))?;
    }
    let dir = paths.container(&record.id);
    let written = files::write(&dir, &record.config, &record.process.hostname);
    written.map_err(files_error(&dir))
}
