//! Removing containers, with the slow part in the background.

use crate::engine::{Container, Engine, Inner};
use crate::error::{RemoveError, StopError};
use crate::events::ContainerAction;
use crate::paths::Paths;
use crate::record::Phase;
use crate::writer::Write;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// The trash is looked through again after this time even when nobody says so: something may not have been deletable.
const TRASH_PERIOD: Duration = Duration::from_secs(60);

impl Engine {
    /// Removes a container with its root file system and logs. Its files are deleted in the background.
    ///
    /// # Errors
    /// When there is none, or it runs and is not to be removed by force.
    pub async fn remove(&self, reference: &str, force: bool) -> Result<(), RemoveError> {
        let engine = self.clone();
        let container = self.0.find(reference)?;
        let work = async move {
            if force {
                match engine.kill_hard(&container).await {
                    Ok(()) | Err(StopError::NotRunning(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let _busy = container.busy.lock().await;
            let record = &container.record;
            match container.phase() {
                Phase::Running => return Err(RemoveError::Running(record.config.name.clone())),
                Phase::Removed => return Ok(()),
                Phase::Created | Phase::Exited => {}
            }
            let write = Write {
                key: record.id.clone(),
                value: None,
            };
            let written = engine.0.writer.write(write).await;
            written.map_err(RemoveError::Record)?;
            container
                .state
                .send_modify(|state| state.phase = Phase::Removed);
            engine.0.forget(record);
            engine.forget_volumes(&container).await;
            engine.discard(&record.id);
            engine.0.emit(&container, ContainerAction::Destroy);
            Ok(())
        };
        match tokio::spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(RemoveError::Record(error.to_string())),
        }
    }

    async fn forget_volumes(&self, container: &Container) {
        if !container.has_volumes() {
            return;
        }
        self.volumes_started(container, true).await;
        let (engine, id) = (self.clone(), container.record.id.clone());
        let names = container.volume_names();
        let work = move || engine.0.volumes.release(names, &id);
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "volumes may count as in use until the next start");
        }
    }

    /// Moves a container's files into the trash.
    pub(crate) fn discard(&self, id: &str) {
        if let Err(error) = self.0.paths.discard(id) {
            tracing::warn!(container = id, %error, "the files of a removed container stay until the next start");
        }
        self.0.trash.notify_one();
    }
}

/// Deletes what lies in the trash, until the engine is gone.
pub(crate) async fn empty_trash(engine: Weak<Inner>, paths: Paths, full: Arc<Notify>) {
    while engine.strong_count() > 0 {
        let paths = paths.clone();
        let deleted = tokio::task::spawn_blocking(move || paths.empty_trash()).await;
        if let Err(error) = deleted {
            tracing::warn!(%error, "the trash could not be emptied");
        }
        // Late is no harm: nobody waits for the deletion.
        let _ = tokio::time::timeout(TRASH_PERIOD, full.notified()).await;
    }
}
