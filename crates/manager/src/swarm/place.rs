//! A node's place in a swarm while it is taken: its credentials, its manager if it is one, and what keeps both fresh.

use super::state::{Paths, RaftState, State};
use super::{SwarmConfig, SwarmError};
use crate::ca::Identity;
use crate::connector::Connector;
use crate::control::forward;
use crate::credentials::Credentials;
use crate::manager::{Manager, ManagerConfig};
use crate::server;
use consensus::Member;
use model::{NodeId, Role};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Event;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use wire::pb::membership::{JoinRequest, LeaveRequest};

/// Pause before a renewal or a join that failed is tried again.
pub(super) const TRY_AGAIN: Duration = Duration::from_secs(10);
/// Time for the group to take a new manager in: it waits for other changes and gets the whole state.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Time to say goodbye to the group.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(25);

/// Credentials of this identity.
pub(super) fn credentials(identity: Identity) -> Result<Arc<Credentials>, SwarmError> {
    let credentials = Credentials::new(identity).map_err(SwarmError::refused)?;
    Ok(Arc::new(credentials))
}

/// A place in a swarm.
pub(super) struct Place {
    pub(super) paths: Paths,
    credentials: Arc<Credentials>,
    connector: Connector,
    pub(super) manager: Option<Manager>,
    state: Mutex<State>,
    stop: CancellationToken,
}

impl Place {
    /// Takes the place up: a manager recovers its state and serves. `listener` is bound here unless it is given.
    pub(super) async fn take(
        config: &SwarmConfig,
        credentials: Arc<Credentials>,
        state: State,
        listener: Option<TcpListener>,
    ) -> Result<Arc<Place>, SwarmError> {
        let identity = credentials.get().identity.clone();
        let manager = match (identity.role(), &state.raft) {
            (Role::Worker, _) => None,
            (Role::Manager, None) => {
                let text =
                    "the state of this manager is incomplete: leave the swarm and join it again";
                return Err(SwarmError::Refused(text.into()));
            }
            (Role::Manager, Some(raft)) => {
                let listener = match listener {
                    Some(listener) => listener,
                    None => server::listen(&state.listen_addr)
                        .await
                        .map_err(SwarmError::refused)?,
                };
                let config = ManagerConfig {
                    raft: raft_config(config, &identity, &state.advertise_addr, raft),
                    listener,
                    credentials: Arc::clone(&credentials),
                    limits: config.limits,
                };
                Some(Manager::start(config).await.map_err(SwarmError::refused)?)
            }
        };
        let place = Arc::new(Place {
            paths: config.paths(),
            connector: Connector::new(Arc::clone(&credentials)),
            credentials,
            manager,
            state: Mutex::new(state),
            stop: CancellationToken::new(),
        });
        Ok(place)
    }

    /// Starts what keeps certificate and state file fresh.
    pub(super) fn keep(self: &Arc<Self>) {
        self.spawn(Arc::clone(self).renew_for_ever());
        if let Some(manager) = &self.manager {
            self.spawn(Arc::clone(self).remember(manager.clone()));
            self.spawn(Arc::clone(self).join_until_joined());
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Ends when the manager takes part no longer, with the reason; never for a worker.
    pub(super) async fn halted(&self) -> String {
        match &self.manager {
            Some(manager) => manager.halted().await,
            None => std::future::pending().await,
        }
    }

    /// Stops everything; the place can be taken up again.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        if let Some(manager) = &self.manager {
            manager.shutdown().await;
        }
    }

    pub(super) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }
    pub(super) fn identity(&self) -> Identity {
        self.credentials.get().identity.clone()
    }
    pub(super) fn node(&self) -> NodeId {
        self.identity().node().clone()
    }
    pub(super) fn role(&self) -> Role {
        self.identity().role()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Managers that are known, without this one.
    pub(super) fn other_managers(&self) -> Vec<String> {
        let state = self.state();
        let others = state.managers.iter();
        others
            .filter(|addr| **addr != state.advertise_addr)
            .cloned()
            .collect()
    }

    /// Changes the state file when there is something to change.
    pub(super) fn update(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        let before = state.clone();
        change(&mut state);
        if *state != before
            && !self.stop.is_cancelled()
            && let Err(error) = state.store(&self.paths)
        {
            tracing::error!(%error, "cannot write the state of the swarm");
        }
    }

    /// Keeps the list of managers, and what the cluster's spec says of the log: for now and for the next start.
    async fn remember(self: Arc<Self>, manager: Manager) {
        let (mut members, mut events) = (manager.watch_members(), manager.all_events());
        loop {
            let addrs: Vec<_> = manager.members().into_iter().map(|m| m.addr).collect();
            let spec = manager.local(|view| view.cluster().map(|c| c.spec.clone()));
            self.update(|state| {
                if !addrs.is_empty() {
                    state.managers = addrs;
                }
                if let (Some(raft), Some(spec)) = (&mut state.raft, &spec) {
                    *raft = RaftState::new(raft.id, raft.joined, spec);
                    manager.raft().set_compaction(raft.compaction());
                }
            });
            loop {
                tokio::select! {
                    changed = members.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    batch = events.recv() => match batch {
                        Ok(batch) if batch.events.iter().any(|e| matches!(e, Event::Cluster { .. })) => break,
                        Ok(_) => {}
                        Err(RecvError::Lagged(_)) => break,
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// Asks the managers that are known to take this one into the group.
    pub(super) async fn join_group(&self) -> Result<(), SwarmError> {
        let (request, managers) = {
            let state = self.state();
            let Some(raft) = state.raft.as_ref().filter(|raft| !raft.joined) else {
                return Ok(());
            };
            let request = JoinRequest {
                node: self.node().to_string(),
                raft_id: raft.id,
                addr: state.advertise_addr.clone(),
                forwarded: false,
            };
            (request, state.managers.clone())
        };
        let mut failure = SwarmError::Refused("no manager is known".into());
        for manager in managers.iter().filter(|addr| **addr != request.addr) {
            let joined = async {
                let channel = self.connector.channel(manager).await;
                let channel = channel.map_err(SwarmError::refused)?;
                let mut request = tonic::Request::new(request.clone());
                request.set_timeout(JOIN_TIMEOUT);
                forward::membership(channel).join(request).await?;
                Ok::<_, SwarmError>(())
            };
            match joined.await {
                Ok(()) => {
                    self.update(|state| {
                        if let Some(raft) = &mut state.raft {
                            raft.joined = true;
                        }
                    });
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// A manager that was stopped while it joined goes on with it.
    async fn join_until_joined(self: Arc<Self>) {
        while let Err(error) = self.join_group().await {
            tracing::warn!(%error, "the managers have not taken this one in yet");
            sleep(TRY_AGAIN).await;
        }
    }

    /// Leaves the group, so that it does not count on this manager any more. The managers are asked in turn, since
    /// this one may have lost them already.
    pub(super) async fn leave_group(&self) -> Result<(), SwarmError> {
        let Some(manager) = &self.manager else {
            return Ok(());
        };
        let me = manager.raft_id();
        if manager.members().iter().all(|member| member.raft_id == me) {
            return Ok(());
        }
        // A leader that goes hands over first: the others need not wait for an election.
        manager.raft().step_down().await;
        let request = LeaveRequest {
            node: self.node().to_string(),
            raft_id: me,
            forwarded: false,
        };
        let leaving = manager.membership().leave(&request);
        match tokio::time::timeout(LEAVE_TIMEOUT, leaving).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SwarmError::refused(error)),
            Err(_) => Err(SwarmError::Refused("no leader answers".into())),
        }
    }
}

fn raft_config(
    config: &SwarmConfig,
    identity: &Identity,
    addr: &str,
    raft: &RaftState,
) -> consensus::Config {
    let me = Member {
        raft_id: raft.id,
        node_id: identity.node().to_string(),
        addr: addr.into(),
        voter: true,
    };
    let defaults = consensus::Config::new(config.paths().raft(), me);
    consensus::Config {
        heartbeat: config.raft.heartbeat,
        election_min: config.raft.election_min,
        election_max: config.raft.election_max,
        compaction: raft.compaction(),
        ..defaults
    }
}
