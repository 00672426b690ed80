//! This node becomes a manager, or a worker again, while its containers run on.
//!
//! What is on disk is right after a crash at any point: a manager's place in the Raft group is written before its
//! certificate, and goes after it.

use super::init::with_port;
use super::place::Place;
use super::restore::Found;
use super::state::RaftState;
use super::{Phase, PoisonError, Swarm, SwarmError, enter};
use crate::ca::Identity;
use crate::{files, random, server};
use model::{ClusterSpec, Role};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause before a change of role is tried again: the CA may not know of it yet, or no manager answers.
const TRY_AGAIN: Duration = Duration::from_millis(200);
/// Tries with that pause: two seconds. The reason is not one that passes then (the disk is full, a port is in use), and
/// each try costs the CA a certificate: the pause doubles.
const QUICK_TRIES: u32 = 10;
/// Longest pause: an operator who has mended it does not wait for longer.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(30);
/// How long a manager that was taken out of the group looks for its new role before it counts as removed: Docker's time for a change of role.
const ROLE_WAIT: Duration = Duration::from_secs(16);

impl Swarm {
    /// The leader says which role this node has. The change is made in the background, and tried until it works or
    /// another role is said.
    pub fn note_role(&self, role: Role) {
        self.inner.role.send_replace(Some(role));
    }

    /// Follows [`Swarm::note_role`] as long as the swarm exists.
    pub(super) async fn follow_role(self) {
        let mut said = self.inner.role.subscribe();
        let mut phase = self.inner.phase.subscribe();
        let mut failures = 0;
        loop {
            let wished = *said.borrow_and_update();
            phase.mark_unchanged();
            let taken = self.take_role(wished).await;
            failures = if taken.is_ok() { 0 } else { failures + 1 };
            self.note_held_back(taken.err());
            let go_on = tokio::select! {
                changed = said.changed() => changed.is_ok(),
                // A place that could not be taken up before may have been taken up for another role.
                changed = phase.changed() => changed.is_ok(),
                () = sleep(pause(failures)), if failures > 0 => true,
            };
            if !go_on {
                return;
            }
        }
    }

    /// Each reason is told once, not at every try.
    fn note_held_back(&self, error: Option<SwarmError>) {
        let why = error.map(|error| format!("this node has not changed its role yet: {error}"));
        let held_back = &self.inner.held_back;
        let mut known = held_back.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != why {
            if let Some(why) = &why {
                tracing::warn!("{why}");
            }
            *known = why;
        }
    }

    /// Why the node has not taken the role that the leader says; empty when it has.
    pub(super) fn held_back(&self) -> String {
        let held_back = &self.inner.held_back;
        let known = held_back.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().unwrap_or_default()
    }

    async fn take_role(&self, wished: Option<Role>) -> Result<(), SwarmError> {
        let _turn = self.inner.changing.lock().await;
        let Some(place) = self.place() else {
            return Ok(());
        };
        match wished {
            Some(Role::Manager) if place.manager.is_none() => self.become_manager(&place).await,
            Some(Role::Worker) if place.manager.is_some() => self.become_worker(&place).await,
            _ => Ok(()),
        }
    }

    async fn become_manager(&self, place: &Arc<Place>) -> Result<(), SwarmError> {
        let managers = place.state().managers.clone();
        let identity = enter::renew(&place.identity(), &managers).await?;
        must_be(&identity, Role::Manager)?;
        let mut state = place.state().clone();
        // Before anything changes: the port may be in use.
        let listener = server::listen(&state.listen_addr)
            .await
            .map_err(SwarmError::refused)?;
        let listen = listener.local_addr().map_err(SwarmError::refused)?;
        if let Ok(advertise) = state.advertise_addr.parse() {
            state.advertise_addr = with_port(advertise, listen).to_string();
        }
        state.listen_addr = listen.to_string();
        let paths = self.inner.config.paths();
        // An id is never used twice, and what an earlier time as a manager left belongs to another one.
        files::remove_dir(&paths.raft()).map_err(SwarmError::refused)?;
        let spec = ClusterSpec::default();
        state.raft = Some(RaftState::new(random::number(), false, &spec));
        state.store(&paths).map_err(SwarmError::refused)?;
        identity
            .store(&paths.certificates())
            .map_err(SwarmError::refused)?;
        let credentials = Arc::clone(place.credentials());
        credentials.replace(identity).map_err(SwarmError::refused)?;
        place.stop().await;
        let (config, known) = (&self.inner.config, Arc::clone(&credentials));
        let taken = Place::take(config, known, state.clone(), Some(listener)).await;
        let new = match taken {
            Ok(new) => new,
            Err(error) => {
                tracing::error!(%error, "this node is to be a manager, and cannot yet");
                let found = Found {
                    credentials,
                    state,
                    unwritten: None,
                };
                self.try_later(&error, Some(found));
                return Ok(());
            }
        };
        if let Err(error) = new.join_group().await {
            // Whoever keeps the place goes on with it.
            tracing::warn!(%error, "the managers have not taken this one in yet");
        }
        tracing::info!("this node is a manager now");
        self.enter(new);
        Ok(())
    }

    async fn become_worker(&self, place: &Arc<Place>) -> Result<(), SwarmError> {
        let others = place.other_managers();
        let identity = enter::renew(&place.identity(), &others).await?;
        must_be(&identity, Role::Worker)?;
        self.settle_as_worker(place, identity, others).await;
        Ok(())
    }

    /// What cannot be written now (the disk is full) is written later: the node has this role from now on.
    async fn settle_as_worker(
        &self,
        place: &Arc<Place>,
        identity: Identity,
        managers: Vec<String>,
    ) {
        place.stop().await;
        let mut state = place.state().clone();
        (state.raft, state.managers) = (None, managers);
        let credentials = Arc::clone(place.credentials());
        if let Err(error) = credentials.replace(identity.clone()) {
            tracing::error!(%error, "the certificate of a worker is of no use");
        }
        let mut found = Some(Found {
            credentials,
            state,
            unwritten: Some(identity),
        });
        match self.restore(&mut found).await {
            Ok(()) => tracing::info!("this node is a worker now"),
            Err(error) => {
                tracing::error!(%error, "this node is to be a worker, and cannot yet");
                self.try_later(&error, found);
            }
        }
    }

    /// A manager that was taken out of the group asks the others what it is now. Returns whether it has become a worker.
    pub(super) async fn was_demoted(&self, place: &Arc<Place>) -> bool {
        let deadline = Instant::now() + ROLE_WAIT;
        while Instant::now() < deadline {
            {
                let _turn = self.inner.changing.lock().await;
                let is_current = matches!(&*self.inner.phase.borrow(), Phase::Inside(p) if Arc::ptr_eq(p, place));
                if !is_current {
                    return true;
                }
                let others = place.other_managers();
                match enter::renew(&place.identity(), &others).await {
                    Ok(identity) if identity.role() == Role::Worker => {
                        self.settle_as_worker(place, identity, others).await;
                        return true;
                    }
                    Ok(_) => {}
                    // It is not in the cluster any more.
                    Err(SwarmError::Remote { code, .. }) if code == "FailedPrecondition" => {
                        return false;
                    }
                    Err(error) => tracing::debug!(%error, "nobody says which role this node has"),
                }
            }
            sleep(TRY_AGAIN).await;
        }
        false
    }
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(QUICK_TRIES).min(u32::BITS - 1);
    let factor = 1_u32 << doublings;
    TRY_AGAIN.saturating_mul(factor).min(TRY_AGAIN_MAX)
}

fn must_be(identity: &Identity, role: Role) -> Result<(), SwarmError> {
    if identity.role() == role {
        return Ok(());
    }
    let text = format!(
        "the CA does not know yet that this node is a {}",
        role.name()
    );
    Err(SwarmError::Refused(text))
}
