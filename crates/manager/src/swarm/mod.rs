//! This node's place in a swarm: making one, joining, leaving, and finding it again after a restart.

mod addr;
mod enter;
mod error;
mod info;
mod init;
mod join;
mod leave;
mod place;
mod state;

pub use error::SwarmError;
pub use info::{Info, LocalState, join_tokens};
pub use init::Init;
pub use join::Join;

use crate::ca::Identity;
use crate::connector::Connector;
use crate::credentials::Credentials;
use crate::leader;
use crate::logs::LogStream;
use crate::manager::Manager;
use crate::random;
use model::change::RequestId;
use model::control;
use model::control::{ControlError, Query, Write, WriteRequest, Written};
use model::logs::{LogOptions, LogSelector};
use model::{ClusterId, NodeId, Role};
use place::Place;
use state::{Paths, State};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Pause before a swarm that could not be taken up (its port is in use, its address is not there yet) is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// What a node needs to be in a swarm.
#[derive(Clone, Debug)]
pub struct SwarmConfig {
    /// Where everything of the swarm lies: `data-root/swarm`.
    pub dir: PathBuf,
    /// Times of the Raft group.
    pub raft: RaftTiming,
    /// Bounds of the leader.
    pub limits: leader::Limits,
}

/// Times of the Raft group; the same on all managers.
#[derive(Clone, Copy, Debug)]
pub struct RaftTiming {
    /// Time between heartbeats of the leader.
    pub heartbeat: Duration,
    /// Least election time-out.
    pub election_min: Duration,
    /// Longest election time-out.
    pub election_max: Duration,
}

impl Default for RaftTiming {
    fn default() -> RaftTiming {
        RaftTiming {
            heartbeat: consensus::HEARTBEAT,
            election_min: consensus::ELECTION_MIN,
            election_max: consensus::ELECTION_MAX,
        }
    }
}

impl SwarmConfig {
    /// The defaults, for a swarm that lies in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> SwarmConfig {
        SwarmConfig {
            dir: dir.into(),
            raft: RaftTiming::default(),
            limits: leader::Limits::default(),
        }
    }

    fn paths(&self) -> Paths {
        Paths {
            dir: self.dir.clone(),
        }
    }
}

/// What an agent needs of the swarm that its node is in.
#[derive(Clone)]
pub struct Membership {
    /// This node.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
    /// The cluster.
    pub cluster: ClusterId,
    /// Managers to begin with, `host:port`.
    pub managers: Vec<String>,
    /// The way to managers.
    pub connector: Connector,
}

/// This node's place in a swarm, or outside. Cheap to clone.
#[derive(Clone)]
pub struct Swarm {
    inner: Arc<Inner>,
}

struct Inner {
    config: SwarmConfig,
    /// Held while the place changes: one init, join or leave at a time.
    changing: Mutex<()>,
    phase: watch::Sender<Phase>,
    membership: watch::Sender<Option<Membership>>,
}

/// A place as it lies on disk.
struct Found {
    credentials: Arc<Credentials>,
    state: State,
}

#[derive(Clone, Default)]
enum Phase {
    #[default]
    Outside,
    /// On the way in.
    Pending,
    Inside(Arc<Place>),
    /// There is a place on disk, but it cannot be taken up, or was lost.
    Failed {
        error: String,
        place: Option<Arc<Place>>,
    },
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
            }),
        };
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

    /// The place is taken.
    fn enter(&self, place: Arc<Place>) {
        place.keep();
        self.inner
            .phase
            .send_replace(Phase::Inside(Arc::clone(&place)));
        let managers = place.state().managers.clone();
        self.publish(place.credentials(), &managers);
        let swarm = self.clone();
        tokio::spawn(async move {
            let mut phase = swarm.inner.phase.subscribe();
            let moved_on = |now: &Phase| !matches!(now, Phase::Inside(p) if Arc::ptr_eq(p, &place));
            tokio::select! {
                reason = place.halted() => {
                    swarm.fail(reason, Some(Arc::clone(&place)));
                    place.stop().await;
                }
                () = async { drop(phase.wait_for(moved_on).await) } => {}
            }
        });
    }

    /// Tells the agent.
    fn publish(&self, credentials: &Arc<Credentials>, managers: &[String]) {
        let identity = &credentials.get().identity;
        self.inner.membership.send_replace(Some(Membership {
            node: identity.node().clone(),
            role: identity.role(),
            cluster: identity.cluster().clone(),
            managers: managers.to_vec(),
            connector: Connector::new(Arc::clone(credentials)),
        }));
    }

    /// Something is wrong. The node is in the swarm nevertheless, and its agent finds other managers.
    fn fail(&self, error: String, place: Option<Arc<Place>>) {
        self.inner
            .phase
            .send_replace(Phase::Failed { error, place });
    }

    /// Does `work` to its end, also when whoever asked for it goes away meanwhile: a place is not taken by halves.
    async fn uninterrupted<T: Send + 'static>(
        work: impl Future<Output = Result<T, SwarmError>> + Send + 'static,
    ) -> Result<T, SwarmError> {
        let done = tokio::spawn(work).await;
        done.unwrap_or_else(|error| Err(SwarmError::refused(error)))
    }

    fn place(&self) -> Option<Arc<Place>> {
        match &*self.inner.phase.borrow() {
            Phase::Inside(place) => Some(Arc::clone(place)),
            _ => None,
        }
    }

    /// What an agent needs; none outside of a swarm. Changes when the node enters one, leaves it or was removed, not
    /// at [`Swarm::shutdown`]. It may be sent again for the same node, when its manager has started.
    pub fn membership(&self) -> watch::Receiver<Option<Membership>> {
        self.inner.membership.subscribe()
    }

    /// The manager that runs on this node, if it is one.
    pub fn manager(&self) -> Option<Manager> {
        self.place()?.manager.clone()
    }

    /// The manager, or why there is none, in Docker's words.
    fn control(&self) -> Result<Manager, ControlError> {
        let place = self.place();
        let text = match place.as_ref().map(|place| &place.manager) {
            Some(Some(manager)) => return Ok(manager.clone()),
            Some(None) => SwarmError::WORKER,
            None => SwarmError::NO_SWARM,
        };
        Err(ControlError::NotManager(text.into()))
    }

    /// Carries out a change under a new request id: see [`Manager::write`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn write(&self, write: Write) -> Result<Written, ControlError> {
        let id = RequestId(u128::from_ne_bytes(random::bytes()));
        self.control()?.write(WriteRequest { id, write }).await
    }

    /// Answers a question: see [`Manager::query`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn query(&self, query: Query) -> Result<control::Found, ControlError> {
        self.control()?.query(query).await
    }

    /// Logs of tasks: see [`Manager::logs`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<LogStream, ControlError> {
        self.control()?.logs(selector, options).await
    }

    /// The agent knows better which managers there are (on workers): kept for the next start.
    pub fn note_managers(&self, addrs: Vec<String>) {
        if let Some(place) = self.place()
            && !addrs.is_empty()
        {
            place.update(|state| state.managers = addrs);
        }
    }

    /// The managers have refused this node for good: it was removed from the swarm.
    pub fn note_removed(&self, reason: &str) {
        if let Some(place) = self.place() {
            self.fail(reason.into(), Some(Arc::clone(&place)));
            self.inner.membership.send_replace(None);
            tokio::spawn(async move { place.stop().await });
        }
    }

    /// Stops, after the agent: a leader hands over, the Raft log is closed. The place is taken up again by [`Swarm::open`].
    pub async fn shutdown(&self) {
        let _turn = self.inner.changing.lock().await;
        let place = match &*self.inner.phase.borrow() {
            Phase::Inside(place) => Some(Arc::clone(place)),
            Phase::Failed { place, .. } => place.clone(),
            Phase::Outside | Phase::Pending => None,
        };
        if let Some(place) = place {
            if let Some(manager) = &place.manager {
                manager.raft().step_down().await;
            }
            place.stop().await;
        }
        self.inner.phase.send_replace(Phase::Outside);
    }
}

#[cfg(test)]
impl Swarm {
    /// Renews the certificate as if it were time.
    pub(crate) async fn renew_now(&self) -> Result<(), SwarmError> {
        self.place().expect("in a swarm").renew().await
    }
}
