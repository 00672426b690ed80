//! After a restart of the daemon: the place that is on disk.

use super::place::{self, Place};
use super::state::{self, State};
use super::{Inner, Phase, Swarm, SwarmConfig, SwarmError};
use crate::ca::Identity;
use crate::credentials::Credentials;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Pause before a swarm that could not be taken up (its port is in use, its address is not there yet) is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A place as it lies on disk.
struct Found {
    credentials: Arc<Credentials>,
    state: State,
}

impl Swarm {
    /// Finds the swarm that this node was in before, if any. When it cannot be taken up (a manager's port is in use),
    /// the node is in [`LocalState::Error`] and tries again; its agent can work meanwhile.
    pub async fn open(config: SwarmConfig) -> Swarm {
        let swarm = Swarm {
            inner: Arc::new(Inner {
                config,
                changing: Mutex::new(()),
                phase: watch::Sender::default(),
                membership: watch::Sender::default(),
                role: watch::Sender::default(),
            }),
        };
        tokio::spawn(swarm.clone().follow_role());
        {
            let _turn = swarm.inner.changing.lock().await;
            let mut found = None;
            if let Err(error) = swarm.restore(&mut found).await {
                tracing::error!(%error, "cannot take up the place in the swarm");
                swarm.fail(error.to_string(), None);
                tokio::spawn(swarm.clone().restore_later(found));
            }
        }
        swarm
    }

    /// Takes up the place that is on disk; what was read of it is kept in `found`.
    async fn restore(&self, found: &mut Option<Found>) -> Result<(), SwarmError> {
        if found.is_none() {
            *found = self.find()?;
            if let Some(Found { credentials, state }) = found {
                self.publish(credentials, &state.managers);
            }
        }
        if let Some(Found { credentials, state }) = found {
            let (credentials, state) = (Arc::clone(credentials), state.clone());
            let place = Place::take(&self.inner.config, credentials, state, None).await?;
            self.enter(place);
        }
        Ok(())
    }

    fn find(&self) -> Result<Option<Found>, SwarmError> {
        let paths = self.inner.config.paths();
        let Some(state) = State::load(&paths).map_err(SwarmError::refused)? else {
            // What an attempt left that did not get through.
            state::wipe(&paths).map_err(SwarmError::refused)?;
            return Ok(None);
        };
        let identity = Identity::load(&paths.certificates()).map_err(SwarmError::refused)?;
        let missing = || SwarmError::Refused("the certificate of this node is missing".into());
        let credentials = place::credentials(identity.ok_or_else(missing)?)?;
        Ok(Some(Found { credentials, state }))
    }

    async fn restore_later(self, mut found: Option<Found>) {
        loop {
            tokio::time::sleep(RETRY).await;
            let _turn = self.inner.changing.lock().await;
            if !matches!(
                &*self.inner.phase.borrow(),
                Phase::Failed { place: None, .. }
            ) {
                return;
            }
            match self.restore(&mut found).await {
                Ok(()) if found.is_some() => return,
                Ok(()) => {
                    self.inner.phase.send_replace(Phase::Outside);
                    return;
                }
                Err(error) => self.fail(error.to_string(), None),
            }
        }
    }
}
