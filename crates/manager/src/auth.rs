//! Who may call what. TLS has proved the certificate; each call asks for a role in this cluster here.

use crate::ca::NodeCertificate;
use model::{ClusterId, NodeId, Role};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tonic::{Request, Status};

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(crate) struct Caller {
    certificate: Option<NodeCertificate>,
    addr: SocketAddr,
}

impl Caller {
    pub(crate) fn new(certificate: Option<NodeCertificate>, addr: SocketAddr) -> Caller {
        Caller { certificate, addr }
    }

    /// The other end of a call.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Arc<Caller>, Status> {
        let caller = request.extensions().get::<Arc<Caller>>();
        caller
            .cloned()
            .ok_or_else(|| Status::internal("a call without a connection"))
    }

    /// The address that the connection comes from.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Checks callers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    cluster: ClusterId,
    removed: Arc<RwLock<BTreeSet<NodeId>>>,
    /// Nodes that the state knows as workers: a certificate of before a demotion opens no manager's call.
    workers: Arc<RwLock<BTreeSet<NodeId>>>,
}

impl Gate {
    pub(crate) fn new(cluster: ClusterId) -> Gate {
        Gate {
            cluster,
            removed: Arc::default(),
            workers: Arc::default(),
        }
    }

    /// From now on the node's certificate opens nothing any more. Nodes that were removed before this manager
    /// started are not in the replicated state, which calls that need the leader are checked against.
    pub(crate) fn shut_out(&self, node: NodeId) {
        let mut removed = self.removed.write().unwrap_or_else(PoisonError::into_inner);
        removed.insert(node);
    }

    /// The role of a node, as the replicated state has it.
    pub(crate) fn note_role(&self, node: &NodeId, role: Role) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        match role {
            Role::Worker => workers.insert(node.clone()),
            Role::Manager => workers.remove(node),
        };
    }

    /// Any node of this cluster.
    pub(crate) fn node<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        let caller = Caller::of(request)?;
        self.check(&caller, &[Role::Worker, Role::Manager])
    }

    /// Only managers.
    pub(crate) fn manager<T>(&self, request: &Request<T>) -> Result<NodeId, Status> {
        let caller = Caller::of(request)?;
        self.check(&caller, &[Role::Manager])
    }

    fn check(&self, caller: &Caller, roles: &[Role]) -> Result<NodeId, Status> {
        let Some(certificate) = &caller.certificate else {
            return Err(Status::unauthenticated(
                "Permission denied: this call needs a certificate of the cluster",
            ));
        };
        if certificate.cluster != self.cluster {
            return Err(Status::permission_denied(
                "Permission denied: the certificate is of another cluster",
            ));
        }
        if !roles.contains(&certificate.role) {
            return Err(Status::permission_denied(format!(
                "Permission denied: a {} may not make this call",
                certificate.role.name()
            )));
        }
        let removed = self.removed.read().unwrap_or_else(PoisonError::into_inner);
        if removed.contains(&certificate.node) {
            return Err(was_removed(&certificate.node));
        }
        let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
        if !roles.contains(&Role::Worker) && workers.contains(&certificate.node) {
            return Err(Status::permission_denied(format!(
                "Permission denied: node {} is not a manager any more",
                certificate.node
            )));
        }
        Ok(certificate.node.clone())
    }
}

/// What a node hears that is not in the cluster any more. The text is Docker's.
pub(crate) fn was_removed(node: &NodeId) -> Status {
    Status::permission_denied(format!(
        "Permission denied: node {node} was removed from swarm"
    ))
}
