//! This node's place in a swarm: making one, joining, leaving, and finding it again after a restart.

mod addr;
mod enter;
mod error;
mod info;
mod init;
mod join;
mod leave;
mod place;
mod renew;
mod requests;
mod restore;
mod role;
mod state;

pub use error::SwarmError;
pub use info::{Info, LocalState, join_tokens, labelled_token};
pub use init::Init;
pub use join::Join;

use crate::connector::Connector;
use crate::credentials::Credentials;
use crate::leader;
use crate::manager::Manager;
use model::{ClusterId, NodeId, Role};
use place::Place;
use state::Paths;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

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
    /// What the leader says that this node is.
    role: watch::Sender<Option<Role>>,
    /// Why the node has not taken the role that the leader says, while that is so.
    held_back: Lock<Option<String>>,
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
                    if !swarm.was_demoted(&place).await {
                        swarm.fail(reason, Some(Arc::clone(&place)));
                        place.stop().await;
                    }
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
