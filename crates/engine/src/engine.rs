//! The engine: who knows all containers.

use crate::clock;
use crate::config::EngineConfig;
use crate::error::{FindError, OpenError};
use crate::events::{self, ContainerAction, ContainerEvent};
use crate::inject::Injected;
use crate::paths::Paths;
use crate::record::{self, ContainerRecord, ContainerView, Phase, State};
use crate::supervise;
use crate::task::TASK_ID_LABEL;
use crate::volumes;
use crate::writer::{Write, Writer};
use images::{ContainerUse, ImageId, Images, LayerHold, Table};
use model::TaskId;
use sandbox::{Supervisor, SupervisorConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tokio::sync::{Notify, broadcast, watch};

/// This host's containers. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: EngineConfig,
    pub(crate) paths: Paths,
    pub(crate) images: Images,
    pub(crate) writer: Writer,
    /// Replaced when the supervisor was lost.
    pub(crate) supervisor: RwLock<Supervisor>,
    index: Mutex<Index>,
    pub(crate) events: broadcast::Sender<ContainerEvent>,
    pub(crate) volumes: volumes::Store,
    /// There is something in the trash.
    pub(crate) trash: Arc<Notify>,
    pub(crate) tasks: crate::task::Locks,
    pub(crate) pulls: crate::image::Pulls,
}

#[derive(Default)]
struct Index {
    by_id: BTreeMap<String, Arc<Container>>,
    /// Ids by name; also of containers that are being made.
    by_name: BTreeMap<String, String>,
    /// Ids by task.
    by_task: BTreeMap<TaskId, String>,
}

impl Index {
    fn insert(&mut self, container: Arc<Container>) {
        let record = Arc::clone(&container.record);
        if let Some(task) = record.config.labels.get(TASK_ID_LABEL) {
            let task = task.as_str().into();
            self.by_task.insert(task, record.id.clone());
        }
        let name = record.config.name.clone();
        self.by_name.insert(name, record.id.clone());
        self.by_id.insert(record.id.clone(), container);
    }

    /// Containers by the volumes that they have.
    fn volume_users(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (id, container) in &self.by_id {
            for name in container.volume_names() {
                users.entry(name).or_default().insert(id.clone());
            }
        }
        users
    }

    fn remove(&mut self, record: &ContainerRecord) {
        self.by_id.remove(&record.id);
        self.by_name.remove(&record.config.name);
        if let Some(task) = record.config.labels.get(TASK_ID_LABEL) {
            self.by_task.remove(task.as_str());
        }
    }
}

/// One container.
pub(crate) struct Container {
    pub(crate) record: Arc<ContainerRecord>,
    pub(crate) state: watch::Sender<State>,
    /// Held by whoever starts, stops or removes it, or writes its end down.
    pub(crate) busy: tokio::sync::Mutex<()>,
    /// Keeps the layers of its root.
    pub(crate) layers: Option<LayerHold>,
    /// Secrets and configs until it starts; none when they have yet to come.
    pub(crate) injected: Mutex<Option<Injected>>,
    /// Somebody looks after its health.
    pub(crate) monitored: AtomicBool,
}

impl Container {
    pub(crate) fn new(record: ContainerRecord, state: State, layers: Option<LayerHold>) -> Self {
        Container {
            record: Arc::new(record),
            state: watch::Sender::new(state),
            busy: tokio::sync::Mutex::new(()),
            layers,
            injected: Mutex::new(None),
            monitored: AtomicBool::new(false),
        }
    }

    /// Keeps its secrets and configs in memory until it starts.
    pub(crate) fn inject(&self, injected: Injected) {
        let mut place = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(injected);
    }

    /// Its secrets and configs: kept here only until it runs.
    pub(crate) fn injected(&self) -> Option<Injected> {
        let place = self.injected.lock();
        place.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It runs, or will never run: nobody needs them any more.
    pub(crate) fn forget_injected(&self) {
        let mut place = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        *place = None;
    }

    /// Names of its volumes.
    pub(crate) fn volume_names(&self) -> impl Iterator<Item = String> + use<> {
        let names: Vec<String> = volumes::of(&self.record.config)
            .map(|(_, volume)| volume.name.clone())
            .collect();
        names.into_iter()
    }

    pub(crate) fn has_volumes(&self) -> bool {
        volumes::of(&self.record.config).next().is_some()
    }

    pub(crate) fn view(&self) -> ContainerView {
        ContainerView {
            record: Arc::clone(&self.record),
            state: self.state.borrow().clone(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Its row as it is now.
    pub(crate) fn write(&self) -> Write {
        Write {
            key: self.record.id.clone(),
            value: Some(record::encode(&self.record, &self.state.borrow())),
        }
    }
}

/// A name that is taken for a container in the making; free again when this is dropped.
pub(crate) struct Reservation<'a> {
    inner: &'a Inner,
    name: Option<String>,
}

impl Reservation<'_> {
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.inner.index().by_name.remove(name);
        }
    }
}

impl Inner {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn supervisor(&self) -> Supervisor {
        let supervisor = self.supervisor.read();
        supervisor.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a name, or says which container has it.
    pub(crate) fn reserve(&self, name: &str, id: &str) -> Result<Reservation<'_>, String> {
        let mut index = self.index();
        if let Some(owner) = index.by_name.get(name) {
            return Err(owner.clone());
        }
        index.by_name.insert(name.into(), id.into());
        Ok(Reservation {
            inner: self,
            name: Some(name.into()),
        })
    }

    pub(crate) fn insert(&self, container: Arc<Container>) {
        self.index().insert(container);
    }

    pub(crate) fn forget(&self, record: &ContainerRecord) {
        self.index().remove(record);
    }

    /// The container of a task.
    pub(crate) fn task_index(&self, task: &TaskId) -> Option<String> {
        self.index().by_task.get(task).cloned()
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Container>> {
        self.index().by_id.get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.index().by_id.values().cloned().collect()
    }

    /// Docker's rule: the id, else the name, else the only one whose id begins so.
    pub(crate) fn find(&self, reference: &str) -> Result<Arc<Container>, FindError> {
        let index = self.index();
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let id = index.by_name.get(name).map_or(reference, String::as_str);
        if let Some(container) = index.by_id.get(id) {
            return Ok(Arc::clone(container));
        }
        let not_found = || FindError::NotFound(reference.into());
        if reference.is_empty() {
            return Err(not_found());
        }
        let mut matches = index
            .by_id
            .range(reference.to_owned()..)
            .take_while(|(id, _)| id.starts_with(reference));
        let (_, first) = matches.next().ok_or_else(not_found)?;
        match matches.count() {
            0 => Ok(Arc::clone(first)),
            more => Err(FindError::Ambiguous {
                prefix: reference.into(),
                count: more + 1,
            }),
        }
    }

    pub(crate) fn emit(&self, container: &Container, action: ContainerAction) {
        // Nobody may be listening.
        let _ = self.events.send(ContainerEvent {
            container: Arc::clone(&container.record),
            action,
            time: clock::now(),
        });
    }
}

impl Engine {
    /// Opens the engine: reads the table, finds or starts the supervisor, and adopts what runs. Run
    /// [`Images::gc`] only afterwards: the containers hold their layers by then.
    ///
    /// # Errors
    /// When the directories, the table or the supervisor cannot be used.
    pub async fn open(
        config: EngineConfig,
        images: Images,
        table: Arc<dyn Table>,
    ) -> Result<Engine, OpenError> {
        let paths = Paths::new(&config.data_root);
        for path in paths.all() {
            std::fs::create_dir_all(path).map_err(|source| OpenError::Directory {
                path: path.to_owned(),
                source,
            })?;
        }
        let index = load(&*table, &images)?;
        let known: BTreeSet<String> = index.by_id.keys().cloned().collect();
        if let Err(error) = paths.discard_others(&known) {
            tracing::warn!(%error, "directories of unknown containers stay");
        }
        let users = index.volume_users();
        let volumes = volumes::Store::open(&paths, users, &known).map_err(OpenError::Volumes)?;
        let at = SupervisorConfig::new(&config.exec_root, &config.supervisor_binary);
        let (supervisor, reports) = Supervisor::connect_or_start(&at).await?;
        let engine = Engine(Arc::new(Inner {
            config,
            paths,
            images,
            writer: Writer::new(table),
            supervisor: RwLock::new(supervisor),
            index: Mutex::new(index),
            events: broadcast::Sender::new(events::QUEUE),
            volumes,
            trash: Arc::new(Notify::new()),
            tasks: crate::task::Locks::default(),
            pulls: crate::image::Pulls::default(),
        }));
        supervise::adopt(&engine).await?;
        let tidied = engine.clone();
        tokio::task::spawn_blocking(move || tidied.0.volumes.tidy());
        tokio::spawn(supervise::run(Arc::downgrade(&engine.0), at, reports));
        tokio::spawn(crate::remove::empty_trash(
            Arc::downgrade(&engine.0),
            engine.0.paths.clone(),
            Arc::clone(&engine.0.trash),
        ));
        Ok(engine)
    }

    /// The image store that it uses.
    pub fn images(&self) -> &Images {
        &self.0.images
    }

    /// All containers, by id.
    pub fn list(&self) -> Vec<ContainerView> {
        let all = self.0.all();
        all.iter().map(|container| container.view()).collect()
    }

    /// The container of this id, name or beginning of an id.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn inspect(&self, reference: &str) -> Result<ContainerView, FindError> {
        self.0.find(reference).map(|container| container.view())
    }

    /// Who uses an image, for [`Images::remove`].
    pub fn users_of(&self, image: &ImageId) -> Vec<ContainerUse> {
        let all = self.0.all();
        let uses = all.iter().filter(|c| c.record.image_id == image.as_str());
        uses.map(|container| ContainerUse {
            id: container.record.id.clone(),
            running: container.phase() == Phase::Running,
        })
        .collect()
    }

    /// What happens to containers from now on.
    pub fn events(&self) -> broadcast::Receiver<ContainerEvent> {
        self.0.events.subscribe()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("data_root", &self.0.config.data_root)
            .finish_non_exhaustive()
    }
}

/// Reads the table. A row that cannot be read is a container that is not known any more.
fn load(table: &dyn Table, images: &Images) -> Result<Index, OpenError> {
    let mut index = Index::default();
    for (key, value) in table.scan().map_err(OpenError::Table)? {
        let (record, state) = match record::decode(&value) {
            Ok(row) => row,
            Err(error) => {
                let id = String::from_utf8_lossy(&key).into_owned();
                tracing::error!(container = id, %error, "the record of a container cannot be read: it is given up");
                table.delete(&key).map_err(OpenError::Table)?;
                continue;
            }
        };
        let layers = record.layers.as_ref().and_then(|layers| {
            images
                .hold_layers(layers)
                .inspect_err(|error| {
                    tracing::warn!(container = record.id, %error, "its layers are gone");
                })
                .ok()
        });
        index.insert(Arc::new(Container::new(record, state, layers)));
    }
    Ok(index)
}
