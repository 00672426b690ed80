//! Containers of a service's tasks: from an assignment to a container, and the life of the latter by task id.

mod convert;
mod logging;
mod mounts;
mod payloads;
mod template;

pub use convert::{NodeContext, container_config};

use crate::engine::Engine;
use crate::error::{CreateError, FindError, LogError, StartError, StopError};
use crate::health::Health;
use crate::image::{Say, Wanted};
use crate::logs::LogLine;
use crate::record::{ContainerView, Phase, State};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use model::assignment::AssignedTask;
use model::logs::LogOptions;
use model::service::RegistryAuth;
use model::task::ContainerStatus;
use model::{Payload, PayloadId, TaskId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;
use tokio::sync::broadcast::error::RecvError;

/// Secrets and configs of this node's tasks.
pub type Payloads = BTreeMap<PayloadId, Arc<Payload>>;

/// Label that every container of a task has, with an empty value.
pub const TASK_LABEL: &str = "com.docker.swarm.task";
/// Label with the task's id.
pub const TASK_ID_LABEL: &str = "com.docker.swarm.task.id";
/// Label with the task's name, `service.slot.id`.
pub const TASK_NAME_LABEL: &str = "com.docker.swarm.task.name";
/// Label with the node's id.
pub const NODE_ID_LABEL: &str = "com.docker.swarm.node.id";
/// Label with the service's id.
pub const SERVICE_ID_LABEL: &str = "com.docker.swarm.service.id";
/// Label with the service's name.
pub const SERVICE_NAME_LABEL: &str = "com.docker.swarm.service.name";

/// Why a task's container could not be made, started, stopped or removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TaskError {
    /// For the user.
    pub message: String,
    /// Trying again is of no use.
    pub permanent: bool,
}

impl TaskError {
    fn new(permanent: bool, error: &dyn std::error::Error) -> TaskError {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        TaskError { message, permanent }
    }
}

/// A task's container at the start of the daemon.
#[derive(Clone, Debug)]
pub struct TaskContainer {
    /// The task.
    pub task: TaskId,
    /// Its container.
    pub container: ContainerView,
}

impl ContainerView {
    /// What a manager is told of it.
    pub fn status(&self) -> ContainerStatus {
        ContainerStatus {
            id: self.record.id.clone(),
            pid: self.state.pid.into(),
            exit_code: self.state.exit_code.into(),
        }
    }
}

/// One lock per task that is being prepared or taken down.
#[derive(Default)]
pub(crate) struct Locks(Mutex<BTreeMap<TaskId, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    async fn lock(&self, task: &TaskId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are of no use any more.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(task.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Waits until what is under way now is over.
    async fn settle(&self) {
        let held: Vec<_> = {
            let locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.values().cloned().collect()
        };
        for lock in held {
            drop(lock.lock().await);
        }
    }
}

/// The credentials of a service. Their text is not shown when they cannot be read.
fn auth(auth: Option<&RegistryAuth>) -> Result<Option<images::Auth>, TaskError> {
    let Some(auth) = auth.filter(|auth| !auth.0.is_empty()) else {
        return Ok(None);
    };
    images::Auth::from_header(&auth.0).map_err(|why| TaskError {
        message: format!("the service's credentials for the registry cannot be read: {why}"),
        permanent: true,
    })
}

impl Engine {
    /// Gets the image and makes the container of a task. One that is there already is no error. The future may be
    /// dropped: a pull is given up then; a container in the making is finished, and found by [`Engine::stop_task`] and
    /// [`Engine::remove_task`].
    ///
    /// # Errors
    /// With Docker's text where it has one.
    ///
    /// A container that was made by an earlier daemon gets its secrets and configs, which that one had in memory.
    pub async fn prepare_task(
        &self,
        task: &AssignedTask,
        node: &NodeContext,
        payloads: &Payloads,
        say: &Say<'_>,
    ) -> Result<(), TaskError> {
        let failed = |error: CreateError| TaskError::new(error.is_permanent(), &error);
        let config = container_config(task, node).map_err(failed)?;
        let injected = payloads::injected(task, node, payloads, &config.env).map_err(failed)?;
        if let Some(id) = self.0.task_index(&task.id) {
            if let Some(container) = self.0.get(&id).filter(|c| c.phase() == Phase::Created) {
                container.inject(injected);
            }
            return Ok(());
        }
        let wanted = Wanted {
            reference: &config.image,
            auth: auth(task.registry_auth.as_ref())?,
            asker: (&task.service, &task.spec),
        };
        self.pull_for(wanted, say)
            .await
            .map_err(|error| TaskError::new(true, &error))?;
        let guard = self.0.tasks.lock(&task.id).await;
        let engine = self.clone();
        let work = async move {
            let _guard = guard;
            engine.create_with(config, injected).await
        };
        let made = tokio::spawn(work).await;
        match made.unwrap_or_else(|error| Err(CreateError::Record(error.to_string()))) {
            Ok(_) => Ok(()),
            Err(CreateError::NameInUse { .. }) if self.find_task(&task.id).is_some() => Ok(()),
            Err(error) => Err(TaskError::new(error.is_permanent(), &error)),
        }
    }

    /// Starts a task's container.
    ///
    /// # Errors
    /// When there is none or its program cannot be executed.
    pub async fn start_task(&self, task: &TaskId) -> Result<ContainerStatus, TaskError> {
        let id = self.task_container(task)?;
        match self.start(&id).await {
            Ok(view) => Ok(view.status()),
            Err(error) => {
                let permanent = !matches!(error, StartError::Supervisor(_));
                let TaskError { message, .. } = TaskError::new(permanent, &error);
                Err(TaskError {
                    // Docker's words.
                    message: format!("starting container failed: {message}"),
                    permanent,
                })
            }
        }
    }

    /// Returns the state in which a task's container ended, once it has.
    ///
    /// # Errors
    /// When there is none, or it is removed before it has run.
    pub async fn wait_task(&self, task: &TaskId) -> Result<State, TaskError> {
        let id = self.task_container(task)?;
        let state = self.wait(&id).await;
        state.map_err(|error| TaskError::new(true, &error))
    }

    /// Stops a task's container within its grace period. None, or one that does not run, is no error.
    ///
    /// # Errors
    /// When its processes do not end; trying again is of use.
    pub async fn stop_task(&self, task: &TaskId) -> Result<(), TaskError> {
        let _guard = self.0.tasks.lock(task).await;
        let Some(view) = self.find_task(task) else {
            return Ok(());
        };
        match self.stop(&view.record.id, None).await {
            Ok(()) | Err(StopError::Find(_)) => Ok(()),
            Err(error) => Err(TaskError::new(false, &error)),
        }
    }

    /// Removes a task's container with its root and logs. None is no error.
    ///
    /// # Errors
    /// When it runs and cannot be killed; trying again is of use.
    pub async fn remove_task(&self, task: &TaskId) -> Result<(), TaskError> {
        let _guard = self.0.tasks.lock(task).await;
        let Some(view) = self.find_task(task) else {
            return Ok(());
        };
        match self.remove(&view.record.id, true).await {
            Ok(()) | Err(crate::RemoveError::Find(_)) => Ok(()),
            Err(error) => Err(TaskError::new(false, &error)),
        }
    }

    /// The health of a task's container: as it is now, and after each probe, until the container does not run any
    /// more. None without a container or a health check.
    pub fn watch_health(&self, task: &TaskId) -> Option<BoxStream<'static, Health>> {
        let container = self.0.get(&self.0.task_index(task)?)?;
        container.record.process.probe.as_ref()?;
        let states = container.state.subscribe();
        let changes =
            futures_util::stream::unfold((states, None), |(mut states, last)| async move {
                loop {
                    let (phase, health) = {
                        let state = states.borrow_and_update();
                        (state.phase, state.health.clone())
                    };
                    match health {
                        _ if phase != Phase::Running => return None,
                        Some(health) if last.as_ref() != Some(&health) => {
                            return Some((health.clone(), (states, Some(health))));
                        }
                        _ => states.changed().await.ok()?,
                    }
                }
            });
        Some(changes.boxed())
    }

    /// All containers of tasks.
    pub fn task_containers(&self) -> Vec<TaskContainer> {
        let all = self.list().into_iter();
        let of_task = |view: ContainerView| {
            let task = view.record.config.labels.get(TASK_ID_LABEL)?;
            Some(TaskContainer {
                task: task.as_str().into(),
                container: view.clone(),
            })
        };
        all.filter_map(of_task).collect()
    }

    /// The container of a task.
    pub fn find_task(&self, task: &TaskId) -> Option<ContainerView> {
        let id = self.0.task_index(task)?;
        self.inspect(&id).ok()
    }

    fn task_container(&self, task: &TaskId) -> Result<String, TaskError> {
        let view = self.find_task(task).ok_or_else(|| {
            let error = FindError::NotFound(task.to_string());
            TaskError::new(true, &error)
        })?;
        Ok(view.record.id.clone())
    }

    /// Lines of a task's log. When it follows, a container that is not there yet is waited for.
    ///
    /// # Errors
    /// When there is no container and none is waited for, or its log cannot be read.
    pub async fn task_logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, LogLine>, LogError> {
        let mut events = self.events();
        let id = loop {
            if let Some(view) = self.find_task(task) {
                break view.record.id.clone();
            }
            if !options.follow {
                return Err(FindError::NotFound(task.to_string()).into());
            }
            if let Err(RecvError::Closed) = events.recv().await {
                return Err(FindError::NotFound(task.to_string()).into());
            }
        };
        self.logs(&id, options)
    }

    /// Removes all containers of tasks: this node leaves its cluster. To be called when nobody prepares tasks any more.
    /// What cannot be removed is said in the log.
    pub async fn remove_all_tasks(&self) {
        self.0.tasks.settle().await;
        let removals = self.task_containers().into_iter().map(|found| async move {
            let task = found.task;
            if matches!(found.container.state.phase, Phase::Running)
                && let Err(error) = self.stop_task(&task).await
            {
                tracing::warn!(%task, %error, "not stopped in time");
            }
            if let Err(error) = self.remove_task(&task).await {
                tracing::error!(%task, %error, "not removed");
            }
        });
        futures_util::future::join_all(removals).await;
    }
}
