//! What the supervisor reports, and how its containers are found again.

use crate::clock;
use crate::engine::{Container, Engine, Inner};
use crate::events::ContainerAction;
use crate::health;
use crate::record::{EXIT_UNKNOWN, Phase, State};
use sandbox::{ContainerState, Event, Exit, Started, Status, Supervisor, SupervisorConfig};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::mpsc;

/// First pause before a lost supervisor is looked for again.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// Longest pause.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// A start that an earlier daemon asked for is waited for this long; it takes milliseconds.
const STARTING_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const STARTING_POLL: Duration = Duration::from_millis(20);
/// Why a container ended that was running before and that no supervisor knows.
const HOST_RESTARTED: &str = "the host was restarted, or the supervisor of containers was lost";

/// Listens to the supervisor until the engine is gone; finds a new one when it is lost.
pub(crate) async fn run(
    engine: Weak<Inner>,
    config: SupervisorConfig,
    mut reports: mpsc::UnboundedReceiver<Event>,
) {
    loop {
        let report = reports.recv().await;
        let Some(inner) = engine.upgrade() else {
            return;
        };
        let engine = Engine(inner);
        match report {
            Some(Event::Exited { id, exit }) => engine.reported(&id, exit).await,
            Some(Event::SupervisorLost) | None => {
                tracing::error!("the supervisor of containers is lost; a new one is started");
                reports = engine.reconnect(&config).await;
            }
        }
    }
}

/// Takes up what the supervisor holds. Once, before anybody else uses the engine, and after each reconnection.
pub(crate) async fn adopt(engine: &Engine) -> Result<(), sandbox::ClientError> {
    let supervisor = engine.0.supervisor();
    let list = settled_list(&supervisor).await?;
    let mut held: BTreeMap<&str, &ContainerState> = list
        .iter()
        .map(|state| (state.id.as_str(), state))
        .collect();
    for container in engine.0.all() {
        match held.remove(container.record.id.as_str()) {
            Some(state) => take(engine, &container, state).await,
            None if container.phase() == Phase::Running => {
                let exit = Exit {
                    exit_code: EXIT_UNKNOWN,
                    oom_killed: false,
                    finished_at: clock::now(),
                    error: HOST_RESTARTED.into(),
                };
                engine.exited(&container, exit);
            }
            None => {}
        }
    }
    for (id, state) in held {
        tracing::warn!(
            container = id,
            "the supervisor holds a container without a record: it is ended"
        );
        match state.status {
            Status::Exited(_) => supervisor.acknowledge(id).await?,
            // Its end is reported, and acknowledged then.
            Status::Running | Status::Starting => supervisor.kill_all(id).await?,
        }
    }
    Ok(())
}

/// The supervisor's list, once starts that an earlier daemon asked for are over.
async fn settled_list(
    supervisor: &Supervisor,
) -> Result<Vec<ContainerState>, sandbox::ClientError> {
    let patience = tokio::time::Instant::now() + STARTING_PATIENCE;
    loop {
        let list = supervisor.list().await?;
        let starting = list.iter().any(|held| held.status == Status::Starting);
        if !starting || tokio::time::Instant::now() > patience {
            return Ok(list);
        }
        tokio::time::sleep(STARTING_POLL).await;
    }
}

/// Brings a container to the state in which the supervisor has it.
pub(crate) async fn take(engine: &Engine, container: &Arc<Container>, held: &ContainerState) {
    let started = Started {
        pid: held.pid,
        start_time: held.start_time,
        started_at: held.started_at,
    };
    match &held.status {
        Status::Starting => {}
        Status::Running => {
            engine.now_running(container, started).await;
            health::watch(engine, container);
            if container.has_volumes() {
                let names = container.volume_names();
                engine.0.volumes.adopt(names, &container.record.id);
            }
        }
        Status::Exited(exit) => {
            container.state.send_modify(|state| {
                if state.started_at == 0 {
                    state.started_at = held.started_at;
                }
            });
            engine.exited(container, exit.clone());
        }
    }
}

impl Engine {
    async fn reported(&self, id: &str, exit: Exit) {
        match self.0.get(id) {
            Some(container) => self.exited(&container, exit),
            None => self.acknowledge(id).await,
        }
    }

    /// The container has ended: everybody is told at once; it is written down before the supervisor may forget it.
    fn exited(&self, container: &Arc<Container>, exit: Exit) {
        let mut before = Phase::Exited;
        container.state.send_if_modified(|state| {
            before = state.phase;
            let ends = matches!(before, Phase::Created | Phase::Running);
            if ends {
                *state = State {
                    phase: Phase::Exited,
                    pid: 0,
                    started_at: match state.started_at {
                        0 => exit.finished_at,
                        at => at,
                    },
                    finished_at: exit.finished_at.max(1),
                    exit_code: exit.exit_code,
                    oom_killed: exit.oom_killed,
                    error: exit.error.clone(),
                    health: state.health.take(),
                };
            }
            ends
        });
        // It ended before the answer to its start came.
        if before == Phase::Created {
            self.0.emit(container, ContainerAction::Start);
        }
        if matches!(before, Phase::Created | Phase::Running) {
            if exit.oom_killed {
                self.0.emit(container, ContainerAction::Oom);
            }
            let exit_code = exit.exit_code;
            self.0.emit(container, ContainerAction::Die { exit_code });
        }
        let (engine, container) = (self.clone(), Arc::clone(container));
        tokio::spawn(async move {
            // Not while it is being removed: its row must not come back.
            let _busy = container.busy.lock().await;
            if container.phase() == Phase::Exited
                && let Err(error) = engine.0.writer.write(container.write()).await
            {
                tracing::error!(container = container.record.id, %error, "its end is not written down");
                return;
            }
            engine.acknowledge(&container.record.id).await;
            if container.phase() == Phase::Exited && container.has_volumes() {
                engine.volumes_started(&container, true).await;
            }
        });
    }

    /// A supervisor that is lost meanwhile reports the end again.
    async fn acknowledge(&self, id: &str) {
        if let Err(error) = self.0.supervisor().acknowledge(id).await {
            tracing::debug!(container = id, %error, "not acknowledged");
        }
    }

    async fn reconnect(&self, config: &SupervisorConfig) -> mpsc::UnboundedReceiver<Event> {
        let mut pause = RECONNECT_MIN;
        loop {
            match Supervisor::connect_or_start(config).await {
                Ok((supervisor, reports)) => {
                    *self
                        .0
                        .supervisor
                        .write()
                        .unwrap_or_else(PoisonError::into_inner) = supervisor;
                    match adopt(self).await {
                        Ok(()) => return reports,
                        Err(error) => tracing::error!(%error, "the new supervisor is lost, too"),
                    }
                }
                Err(error) => tracing::error!(%error, "no supervisor of containers"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
    }

    /// Ends the supervisor, for a daemon that stops for good.
    ///
    /// # Errors
    /// When containers run, or it is lost already.
    pub async fn shutdown_supervisor(&self) -> Result<(), sandbox::ClientError> {
        self.0.supervisor().shutdown().await
    }
}
