//! `swarm init`.

use super::place::{Place, credentials};
use super::state::{self, RaftState, State};
use super::{Phase, Swarm, SwarmError};
use crate::ca::{CertificateAuthority, Identity, Issued, new_key, signing_request};
use crate::random::{self, OsIds};
use crate::server;
use model::cluster::{JoinSecret, RootCa};
use model::node::{ManagerStatus, NodeStatus};
use model::{
    Availability, Cluster, ClusterId, ClusterSpec, IdSource, Meta, Node, NodeId, NodeSpec, Role,
    id, validate,
};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// What `swarm init` asks for.
#[derive(Clone, Debug)]
pub struct Init {
    /// Where the node server listens. Port 0 is any that is free.
    pub listen: SocketAddr,
    /// Under which address others reach it. Port 0 is the one that is listened on.
    pub advertise: SocketAddr,
    /// What the operator wishes of the cluster.
    pub spec: ClusterSpec,
    /// Of this node.
    pub availability: Availability,
}

impl Swarm {
    /// Makes a new cluster with this node as its first manager. When it returns, the cluster serves.
    ///
    /// # Errors
    /// When the node is in a swarm already, an address is wrong or in use, or the disk refuses. Nothing is left then.
    pub async fn init(&self, request: Init) -> Result<NodeId, SwarmError> {
        let swarm = self.clone();
        Self::uninterrupted(async move { swarm.init_now(request).await }).await
    }

    async fn init_now(&self, request: Init) -> Result<NodeId, SwarmError> {
        let _turn = self.inner.changing.lock().await;
        self.must_be_outside()?;
        validate::cluster(&request.spec).map_err(|e| SwarmError::Invalid(e.to_string()))?;
        // Before anything is made, so that a port in use changes nothing.
        let listener = server::listen(&request.listen.to_string())
            .await
            .map_err(SwarmError::refused)?;
        let listen = listener.local_addr().map_err(SwarmError::refused)?;
        let advertise = with_port(request.advertise, listen).to_string();
        self.inner.phase.send_replace(Phase::Pending);
        let state = State::new(listen.to_string(), advertise.clone(), vec![advertise]);
        match self.found(request, listener, state).await {
            Ok(place) => {
                let node = place.node();
                self.enter(place);
                Ok(node)
            }
            Err(error) => {
                self.inner.phase.send_replace(Phase::Outside);
                Err(error)
            }
        }
    }

    /// Whether this node may make a swarm or join one. [`Swarm::init`] and [`Swarm::join`] look themselves; this is for
    /// a caller that would find fault with something else first.
    ///
    /// # Errors
    /// When it is in a swarm already, with Docker's text.
    pub fn must_be_outside(&self) -> Result<(), SwarmError> {
        match &*self.inner.phase.borrow() {
            Phase::Outside => Ok(()),
            _ => Err(SwarmError::Refused(SwarmError::IN_SWARM.into())),
        }
    }

    async fn found(
        &self,
        request: Init,
        listener: TcpListener,
        mut state: State,
    ) -> Result<Arc<Place>, SwarmError> {
        let config = &self.inner.config;
        let paths = config.paths();
        state::wipe(&paths).map_err(SwarmError::refused)?;
        let founding = Founding::new(&request.spec)?;
        founding
            .identity
            .store(&paths.certificates())
            .map_err(SwarmError::refused)?;
        let raft_id = random::number();
        state.raft = Some(RaftState::new(raft_id, true, &request.spec));
        let manager_status = ManagerStatus {
            raft_id,
            addr: state.advertise_addr.clone(),
        };
        let identity = founding.identity.clone();
        let place = Place::take(
            config,
            credentials(identity)?,
            state.clone(),
            Some(listener),
        )
        .await?;
        let manager = place.manager.clone();
        let manager = manager.expect("the founder's certificate is a manager's");
        let node = founding.node(request.availability, manager_status);
        let cluster = founding.cluster(request.spec);
        let founded = manager.initialize(cluster, node).await;
        let founded = founded.map_err(SwarmError::refused);
        // With the state file the node is in the swarm.
        let founded = founded.and_then(|()| state.store(&paths).map_err(SwarmError::refused));
        if let Err(error) = founded {
            place.stop().await;
            if let Err(error) = state::wipe(&paths) {
                tracing::warn!(%error, "cannot remove what is left of a swarm that was not made");
            }
            return Err(error);
        }
        Ok(place)
    }
}

/// The address with the port that is listened on, unless it has one of its own.
pub(super) fn with_port(mut advertise: SocketAddr, listen: SocketAddr) -> SocketAddr {
    if advertise.port() == 0 {
        advertise.set_port(listen.port());
    }
    advertise
}

/// What is made once for a new cluster.
struct Founding {
    ca: RootCa,
    identity: Identity,
}

impl Founding {
    fn new(spec: &ClusterSpec) -> Result<Founding, SwarmError> {
        let ca = CertificateAuthority::create().map_err(SwarmError::refused)?;
        let authority = CertificateAuthority::load(&ca).map_err(SwarmError::refused)?;
        let key = new_key().map_err(SwarmError::refused)?;
        let request = signing_request(&key).map_err(SwarmError::refused)?;
        let issued = Issued {
            node: &NodeId::generate(&mut OsIds),
            role: Role::Manager,
            cluster: &ClusterId::generate(&mut OsIds),
            validity: spec.node_cert_expiry,
        };
        let certificate = authority
            .issue(&request, &issued)
            .map_err(SwarmError::refused)?;
        let identity = Identity::new(ca.cert_pem.clone(), certificate, key);
        Ok(Founding {
            identity: identity.map_err(SwarmError::refused)?,
            ca,
        })
    }

    fn cluster(self, spec: ClusterSpec) -> Cluster {
        let secret = || JoinSecret(id::encode(OsIds.next_id()));
        Cluster {
            id: self.identity.cluster().clone(),
            meta: Meta::default(),
            spec,
            ca: self.ca,
            worker_token: secret(),
            manager_token: secret(),
            tokens: Vec::new(),
        }
    }

    fn node(&self, availability: Availability, manager: ManagerStatus) -> Node {
        Node {
            id: self.identity.node().clone(),
            meta: Meta::default(),
            spec: NodeSpec {
                role: Role::Manager,
                availability,
                ..NodeSpec::default()
            },
            role: Role::Manager,
            description: None,
            status: NodeStatus::default(),
            manager: Some(manager),
        }
    }
}
