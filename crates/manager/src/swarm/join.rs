//! `swarm join`.

use super::init::with_port;
use super::place::{Place, credentials};
use super::state::{self, RaftState, State};
use super::{Phase, Swarm, SwarmError, addr, enter};
use crate::random;
use crate::server;
use model::{Availability, ClusterSpec, Role};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What `swarm join` asks for.
#[derive(Clone)]
pub struct Join {
    /// As in [`super::Init`].
    pub listen: SocketAddr,
    /// As in [`super::Init`]. None: the address of this host on the way to the manager that answers.
    pub advertise: Option<SocketAddr>,
    /// Managers to ask, `host:port`.
    pub remote_addrs: Vec<String>,
    /// Says which cluster and in which role.
    pub token: String,
    /// Of this node.
    pub availability: Availability,
}

/// Without the token: who has it can join.
impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("remote_addrs", &self.remote_addrs)
            .field("availability", &self.availability)
            .finish_non_exhaustive()
    }
}

impl Swarm {
    /// Joins a cluster; the token says in which role. When it returns, a manager has its vote.
    ///
    /// # Errors
    /// When the node is in a swarm already, the token is wrong or of another cluster, no manager can be reached, or
    /// an address is wrong or in use. Nothing is left on this node then.
    pub async fn join(&self, request: Join) -> Result<(), SwarmError> {
        let swarm = self.clone();
        Self::uninterrupted(async move { swarm.join_now(request).await }).await
    }

    async fn join_now(&self, request: Join) -> Result<(), SwarmError> {
        let _turn = self.inner.changing.lock().await;
        self.must_be_outside()?;
        self.inner.phase.send_replace(Phase::Pending);
        match self.take_part(request).await {
            Ok(place) => {
                self.enter(place);
                Ok(())
            }
            Err(error) => {
                self.inner.phase.send_replace(Phase::Outside);
                Err(error)
            }
        }
    }

    async fn take_part(&self, request: Join) -> Result<Arc<Place>, SwarmError> {
        let config = &self.inner.config;
        let paths = config.paths();
        let mut listen = request.listen;
        let door = enter::find(&request.remote_addrs, &request.token).await?;
        // Before the cluster knows of this node, so that a port in use changes nothing.
        let listener = match door.role().await? {
            Role::Worker => None,
            Role::Manager => {
                let listener = server::listen(&listen.to_string()).await;
                Some(listener.map_err(SwarmError::refused)?)
            }
        };
        if let Some(listener) = &listener {
            listen = listener.local_addr().map_err(SwarmError::refused)?;
        }
        let advertise = match request.advertise {
            Some(advertise) => with_port(advertise, listen),
            None => SocketAddr::new(on_the_way(&door.remote)?, listen.port()),
        };
        let (identity, managers) = door.enter(request.availability).await?;
        state::wipe(&paths).map_err(SwarmError::refused)?;
        let mut state = State::new(listen.to_string(), advertise.to_string(), managers);
        if identity.role() == Role::Manager {
            let spec = ClusterSpec::default();
            state.raft = Some(RaftState::new(random::number(), false, &spec));
        }
        let entered = async {
            identity
                .store(&paths.certificates())
                .map_err(SwarmError::refused)?;
            // Before the group counts on this manager: what it acknowledges must be found again.
            state.store(&paths).map_err(SwarmError::refused)?;
            let place = Place::take(config, credentials(identity)?, state, listener).await?;
            if let Err(error) = place.join_group().await {
                if let Err(error) = place.leave_group().await {
                    tracing::warn!(%error, "the group may still count on this manager");
                }
                place.stop().await;
                return Err(error);
            }
            Ok(place)
        };
        let entered = entered.await;
        if entered.is_err()
            && let Err(error) = state::wipe(&paths)
        {
            tracing::warn!(%error, "cannot remove what is left of a swarm that was not joined");
        }
        entered
    }
}

fn on_the_way(remote: &str) -> Result<IpAddr, SwarmError> {
    addr::towards(remote).ok_or_else(|| {
        let text = format!(
            "could not find the address of this host on the way to {remote} - specify one with --advertise-addr"
        );
        SwarmError::Invalid(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_printed() {
        let join = Join {
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: None,
            remote_addrs: vec!["a:1".into()],
            token: "SWMTKN-1-x-hunter2".into(),
            availability: Availability::default(),
        };
        let printed = format!("{join:?}");
        assert!(printed.contains("a:1"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
