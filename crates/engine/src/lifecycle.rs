//! Starting, waiting, signalling and stopping.

use crate::engine::{Container, Engine};
use crate::error::{FindError, StartError, StopError};
use crate::events::ContainerAction;
use crate::health;
use crate::record::{ContainerView, Phase, State};
use crate::signal;
use crate::spec;
use crate::volumes;
use sandbox::Started;
use std::sync::Arc;
use std::time::Duration;

/// Time that killed processes have to end. They are usually gone in milliseconds; some wait for a disk.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

impl Engine {
    /// Starts a container that was made; returns when its program has been executed. One that runs already is no
    /// error. Once begun it is carried through even when the caller goes away.
    ///
    /// # Errors
    /// When its program cannot be executed, or the supervisor cannot be asked.
    pub async fn start(&self, reference: &str) -> Result<ContainerView, StartError> {
        let engine = self.clone();
        let container = self.0.find(reference)?;
        let work = async move {
            let _busy = container.busy.lock().await;
            engine.run(&container).await?;
            Ok(container.view())
        };
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(StartError::Failed {
                message: error.to_string(),
                exit_code: crate::EXIT_UNKNOWN,
            }),
        }
    }

    async fn run(&self, container: &Arc<Container>) -> Result<(), StartError> {
        let record = &container.record;
        match container.phase() {
            Phase::Created => {}
            Phase::Running => return Ok(()),
            Phase::Exited => return Err(StartError::AlreadyRan(record.id.clone())),
            Phase::Removed => return Err(FindError::NotFound(record.id.clone()).into()),
        }
        let inner = &*self.0;
        let injected = container.injected();
        if record.config.injects && injected.is_none() {
            return Err(StartError::NotInjected(record.id.clone()));
        }
        let lower = self.lower(container)?;
        let sources = self.mount_volumes(container).await?;
        let spec = spec::build(
            record,
            &inner.paths,
            lower,
            &sources,
            injected.unwrap_or_default(),
        );
        let spec = spec.map_err(|error| StartError::Failed {
            message: error.to_string(),
            exit_code: 128,
        });
        let result = match spec {
            Ok(mut spec) => {
                spec.cgroup_parent.clone_from(&inner.config.cgroup_parent);
                self.launch(container, spec).await
            }
            Err(error) => Err(error),
        };
        if container.has_volumes() {
            let ended = container.phase() != Phase::Running;
            self.volumes_started(container, ended).await;
        }
        result
    }

    async fn launch(
        &self,
        container: &Arc<Container>,
        spec: sandbox::ContainerSpec,
    ) -> Result<(), StartError> {
        match self.0.supervisor().start(spec).await {
            Ok(started) => {
                self.now_running(container, started).await;
                Ok(())
            }
            Err(sandbox::StartError::Client(error)) => Err(StartError::Supervisor(error)),
            // An earlier start whose answer was lost.
            Err(sandbox::StartError::AlreadyExists(_)) => self.already_there(container).await,
            Err(error) => {
                let (message, exit_code) = (error.to_string(), error.exit_code());
                self.not_started(container, &message, exit_code).await;
                Err(StartError::Failed { message, exit_code })
            }
        }
    }

    /// Where its volumes are on the host, by their targets.
    async fn mount_volumes(&self, container: &Container) -> Result<spec::Sources, StartError> {
        if !container.has_volumes() {
            return Ok(spec::Sources::new());
        }
        let engine = self.clone();
        let record = Arc::clone(&container.record);
        let work = move || {
            let store = &engine.0.volumes;
            let volumes = volumes::of(&record.config).enumerate();
            let mounted = volumes.map(|(number, (target, volume))| {
                let source = store.mount(volume, &record.id, number)?;
                Ok((target.to_owned(), source))
            });
            mounted.collect::<Result<spec::Sources, crate::VolumeError>>()
        };
        let mounted = tokio::task::spawn_blocking(work).await;
        let mounted = mounted.unwrap_or_else(|e| Err(crate::VolumeError::Invalid(e.to_string())));
        if mounted.is_err() {
            self.volumes_started(container, true).await;
        }
        Ok(mounted?)
    }

    /// The container has its mounts; or it has ended, and needs none.
    pub(crate) async fn volumes_started(&self, container: &Container, ended: bool) {
        let engine = self.clone();
        let id = container.record.id.clone();
        let names = container.volume_names();
        let work = move || {
            engine.0.volumes.started(&id);
            if ended {
                engine.0.volumes.unmount(names, &id);
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "volumes may stay mounted");
        }
    }

    fn lower(&self, container: &Container) -> Result<Vec<std::path::PathBuf>, StartError> {
        if let Some(layers) = &container.layers {
            return Ok(layers.lower.clone());
        }
        let Some(layers) = &container.record.layers else {
            return Ok(Vec::new());
        };
        let held = self.0.images.hold_layers(layers);
        held.map(|held| held.lower.clone())
            .map_err(|source| StartError::Layers {
                id: container.record.id.clone(),
                source,
            })
    }

    async fn already_there(&self, container: &Arc<Container>) -> Result<(), StartError> {
        let list = self.0.supervisor().list().await;
        let list = list.map_err(StartError::Supervisor)?;
        let held = list.into_iter().find(|held| held.id == container.record.id);
        if let Some(held) = held {
            crate::supervise::take(self, container, &held).await;
        }
        match container.phase() {
            Phase::Running | Phase::Exited => Ok(()),
            _ => Err(StartError::Supervisor(sandbox::ClientError::Lost)),
        }
    }

    /// The supervisor says that its program runs. Its end may have been reported already.
    pub(crate) async fn now_running(&self, container: &Arc<Container>, started: Started) {
        let begins = container.state.send_if_modified(|state| {
            let begins = state.phase == Phase::Created;
            if begins {
                *state = State {
                    phase: Phase::Running,
                    pid: started.pid,
                    started_at: started.started_at,
                    ..State::default()
                };
            }
            begins
        });
        container.forget_injected();
        if begins {
            self.0.emit(container, ContainerAction::Start);
            health::watch(self, container);
            // Nobody waits for it: after a crash the supervisor says what runs.
            self.0.writer.write_later(container.write()).await;
        }
    }

    async fn not_started(&self, container: &Container, message: &str, exit_code: i32) {
        container.state.send_modify(|state| {
            state.exit_code = exit_code;
            state.error = message.into();
        });
        self.0.writer.write_later(container.write()).await;
    }

    /// Returns the state in which the container ended; waits until it has.
    ///
    /// # Errors
    /// When there is no such container, or it is removed before it has run.
    pub async fn wait(&self, reference: &str) -> Result<State, FindError> {
        let container = self.0.find(reference)?;
        let state = ended(&container).await;
        match state.finished_at {
            0 => Err(FindError::NotFound(reference.into())),
            _ => Ok(state),
        }
    }

    /// Sends a signal to a running container's first process; SIGKILL goes to all of its processes.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&self, reference: &str, signal: i32) -> Result<(), StopError> {
        let container = self.0.find(reference)?;
        self.send(&container, signal).await
    }

    async fn send(&self, container: &Container, number: i32) -> Result<(), StopError> {
        let id = &container.record.id;
        if container.phase() != Phase::Running {
            return Err(StopError::NotRunning(id.clone()));
        }
        let supervisor = self.0.supervisor();
        let sent = if number == signal::KILL {
            supervisor.kill_all(id).await
        } else {
            supervisor.signal(id, number).await
        };
        match sent {
            // It ended just now; its end is on its way.
            Err(sandbox::ClientError::NoSuchContainer(_)) => {}
            other => other?,
        }
        self.0
            .emit(container, ContainerAction::Kill { signal: number });
        Ok(())
    }

    /// Stop signal, then, after the container's own grace period or `timeout`, SIGKILL. Returns when it has ended; a
    /// container that does not run is no error.
    ///
    /// # Errors
    /// When there is no such container, or its processes do not end.
    pub async fn stop(&self, reference: &str, timeout: Option<Duration>) -> Result<(), StopError> {
        let container = self.0.find(reference)?;
        let engine = self.clone();
        let work = async move {
            let _busy = container.busy.lock().await;
            engine.end(&container, timeout).await
        };
        let id = reference.to_owned();
        tokio::spawn(work)
            .await
            .unwrap_or(Err(StopError::StillRuns(id)))
    }

    async fn end(
        &self,
        container: &Arc<Container>,
        timeout: Option<Duration>,
    ) -> Result<(), StopError> {
        let asked = self.send(container, container.record.process.stop_signal);
        match asked.await {
            Err(StopError::NotRunning(_)) => return Ok(()),
            other => other?,
        }
        let own = container.record.config.stop_timeout;
        let grace = timeout.or(own).unwrap_or(crate::DEFAULT_STOP_TIMEOUT);
        if tokio::time::timeout(grace, ended(container)).await.is_err() {
            self.kill_hard(container).await?;
        }
        self.0.emit(container, ContainerAction::Stop);
        Ok(())
    }

    /// Kills all processes and waits until they are gone.
    pub(crate) async fn kill_hard(&self, container: &Arc<Container>) -> Result<(), StopError> {
        self.send(container, signal::KILL).await?;
        let ended = tokio::time::timeout(KILL_TIMEOUT, ended(container)).await;
        let id = || container.record.id.clone();
        ended.map(drop).map_err(|_| StopError::StillRuns(id()))
    }
}

/// Waits until the container has ended or is removed.
async fn ended(container: &Container) -> State {
    let mut states = container.state.subscribe();
    let over = |state: &State| matches!(state.phase, Phase::Exited | Phase::Removed);
    match states.wait_for(over).await {
        Ok(state) => state.clone(),
        Err(_) => container.state.borrow().clone(),
    }
}
