//! A place that has to be taken up: after a restart of the daemon the one on disk, and one that could not be taken when
//! the role changed.

use super::place::{self, Place};
use super::state::{self, State};
use super::{Inner, Phase, Swarm, SwarmConfig, SwarmError};
use crate::ca::Identity;
use crate::credentials::Credentials;
use crate::files;
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// First pause before a place that could not be taken up (its port is in use, its address is not there yet, the disk is
/// full) is tried again; it doubles.
const RETRY: Duration = Duration::from_secs(2);
/// Longest pause: an operator who has made room does not wait for longer.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A place to be taken up.
pub(super) struct Found {
    pub(super) credentials: Arc<Credentials>,
    pub(super) state: State,
    /// What the disk does not hold yet: the identity, and with it the state.
    pub(super) unwritten: Option<Identity>,
}

impl Found {
    fn write(&mut self, paths: &state::Paths) -> Result<(), SwarmError> {
        if let Some(identity) = &self.unwritten {
            let stored = identity.store(&paths.certificates());
            stored.map_err(SwarmError::refused)?;
            self.state.store(paths).map_err(SwarmError::refused)?;
            if self.state.raft.is_none() {
                files::remove_dir(&paths.raft()).map_err(SwarmError::refused)?;
            }
            self.unwritten = None;
        }
        Ok(())
    }
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
                held_back: Lock::default(),
            }),
        };
        tokio::spawn(swarm.clone().follow_role());
        {
            let _turn = swarm.inner.changing.lock().await;
            let mut found = None;
            if let Err(error) = swarm.restore(&mut found).await {
                tracing::error!(%error, "cannot take up the place in the swarm");
                swarm.try_later(&error, found);
            }
        }
        swarm
    }

    /// A place that cannot be taken up now is shown as an error, and taken up when it can be.
    pub(super) fn try_later(&self, error: &SwarmError, found: Option<Found>) {
        self.fail(error.to_string(), None);
        tokio::spawn(self.clone().restore_later(found));
    }

    /// Takes up the place that is on disk; what was read of it is kept in `found`.
    pub(super) async fn restore(&self, found: &mut Option<Found>) -> Result<(), SwarmError> {
        if found.is_none() {
            *found = self.find()?;
            if let Some(found) = found {
                self.publish(&found.credentials, &found.state.managers);
            }
        }
        if let Some(found) = found {
            found.write(&self.inner.config.paths())?;
            let (credentials, state) = (Arc::clone(&found.credentials), found.state.clone());
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
        Ok(Some(Found {
            credentials,
            state,
            unwritten: None,
        }))
    }

    async fn restore_later(self, mut found: Option<Found>) {
        let mut pause = RETRY;
        let mut said = self.inner.role.subscribe();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (2 * pause).min(RETRY_MAX),
                // The leader asks for it again: at once.
                _ = said.changed() => {}
            }
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
