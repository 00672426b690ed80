//! What a node says of its place in a swarm without asking anybody.

use super::{Phase, Swarm};
use crate::ca::JoinToken;
use model::cluster::LabelledToken;
use model::{Cluster, NodeId, Role};
use std::sync::Arc;

/// Where this node stands, as Docker names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalState {
    /// In no swarm.
    #[default]
    Inactive,
    /// On its way in.
    Pending,
    /// In a swarm.
    Active,
    /// It was in a swarm, and something is wrong: [`Info::error`].
    Error,
}

impl LocalState {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            LocalState::Inactive => "inactive",
            LocalState::Pending => "pending",
            LocalState::Active => "active",
            LocalState::Error => "error",
        }
    }
}

/// A node's place, from its own memory.
#[derive(Clone, Debug, Default)]
pub struct Info {
    /// Where it stands.
    pub state: LocalState,
    /// Why the state is [`LocalState::Error`], or why the node has not taken the role yet that the leader gave it.
    pub error: String,
    /// This node.
    pub node: Option<NodeId>,
    /// Its role.
    pub role: Option<Role>,
    /// The advertised address without its port; empty outside of a swarm.
    pub addr: String,
    /// This node is a manager that serves.
    pub control_available: bool,
    /// Managers that are known: node id (empty on workers) and `host:port`.
    pub managers: Vec<(String, String)>,
    /// The cluster as this manager has it; none on workers.
    pub cluster: Option<Arc<Cluster>>,
    /// Nodes of the cluster; 0 on workers.
    pub nodes: usize,
    /// Managers of the cluster; 0 on workers.
    pub manager_count: usize,
}

impl Swarm {
    /// This node's place, from its own memory: no other node is asked.
    pub fn info(&self) -> Info {
        let phase = self.inner.phase.borrow().clone();
        let (state, error, place) = match phase {
            Phase::Outside => (LocalState::Inactive, String::new(), None),
            Phase::Pending => (LocalState::Pending, String::new(), None),
            Phase::Inside(place) => (LocalState::Active, self.held_back(), Some(place)),
            Phase::Failed { error, place } => (LocalState::Error, error, place),
        };
        let mut info = Info {
            state,
            error,
            ..Info::default()
        };
        let Some(place) = place else { return info };
        info.node = Some(place.node());
        info.role = Some(place.role());
        {
            let state = place.state();
            let host = state.advertise_addr.rsplit_once(':');
            let host = host.map(|(host, _)| host.trim_matches(['[', ']']));
            info.addr = host.unwrap_or_default().to_owned();
            let managers = state.managers.iter();
            info.managers = managers.map(|addr| (String::new(), addr.clone())).collect();
        }
        if let Some(manager) = &place.manager {
            info.control_available = state == LocalState::Active;
            let members = manager.members().into_iter();
            info.managers = members.map(|m| (m.node_id, m.addr)).collect();
            manager.local(|view| {
                info.cluster = view.cluster().cloned();
                info.nodes = view.nodes().len();
                info.manager_count = view.nodes().filter(|n| n.manager.is_some()).count();
            });
        }
        info
    }
}

/// The join tokens of a cluster: for workers and for managers.
pub fn join_tokens(cluster: &Cluster) -> (String, String) {
    let token = |secret| JoinToken::new(&cluster.ca.cert_pem, secret).to_string();
    (token(&cluster.worker_token), token(&cluster.manager_token))
}

/// A join token with labels, as an operator hands it on.
pub fn labelled_token(cluster: &Cluster, token: &LabelledToken) -> String {
    JoinToken::new(&cluster.ca.cert_pem, &token.secret).to_string()
}
