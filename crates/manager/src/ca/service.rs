//! The CA's calls. They are open to strangers: each brings its own proof.

use super::{CertificateAuthority, Issued, JoinToken};
use crate::control::forward::{self, status};
use crate::control::{Failed, LEADER_WAIT, LeaderChannel, Route};
use crate::dispatcher::Sessions;
use crate::driver::{DriverHandle, ProposalError};
use crate::machine::Machine;
use model::control::ControlError;
use model::node::NodeStatus;
use model::{
    Availability, Change, Cluster, Labels, Meta, Node, NodeId, NodeSpec, Refusal, Role, id,
};
use ring::digest::{SHA256, digest};
use std::sync::Arc;
use tonic::{Request, Response, Status};
use wire::pb::ca as pb;
use wire::pb::ca::ca_server::Ca;

/// What Docker says to a wrong token.
const NO_TOKEN: &str = "A valid join token is necessary to join this cluster";

/// Issues and renews certificates on the leader; hands the calls on elsewhere.
#[derive(Clone)]
pub(crate) struct CaService {
    pub(crate) machine: Arc<Machine>,
    pub(crate) driver: DriverHandle,
    pub(crate) leader: Arc<LeaderChannel>,
    pub(crate) sessions: Arc<Sessions>,
}

#[tonic::async_trait]
impl Ca for CaService {
    async fn root(&self, _: Request<pb::RootRequest>) -> Result<Response<pb::RootReply>, Status> {
        let cluster = self.cluster().map_err(|e| status(&e))?;
        Ok(Response::new(pb::RootReply {
            cert_pem: cluster.ca.cert_pem.clone(),
        }))
    }

    async fn issue(
        &self,
        request: Request<pb::IssueRequest>,
    ) -> Result<Response<pb::IssueReply>, Status> {
        let request = request.into_inner();
        // Checked before anything is forwarded, so that strangers cannot keep the leader busy.
        let (role, _) = self.grant_of(&request.token).map_err(|e| status(&e))?;
        if request.check_only {
            return Ok(Response::new(pb::IssueReply {
                role: wire_role(role),
                ..Default::default()
            }));
        }
        let request = &request;
        let attempt = |route| async move {
            match route {
                Route::Here => self.issue_here(request).await.map_err(Failed::Final),
                Route::There(_) if request.forwarded => again(),
                Route::There(channel) => {
                    let mut request = request.clone();
                    request.forwarded = true;
                    let reply = forward::ca(channel).issue(request).await;
                    let reply = reply.map_err(|status| forward::failed(&status))?;
                    Ok(reply.into_inner())
                }
            }
        };
        let reply = self.leader.ask(LEADER_WAIT, attempt).await;
        reply.map(Response::new).map_err(|e| status(&e))
    }

    async fn renew(
        &self,
        request: Request<pb::RenewRequest>,
    ) -> Result<Response<pb::IssueReply>, Status> {
        let request = request.into_inner();
        let request = &request;
        let attempt = |route| async move {
            match route {
                Route::Here => self.renew_here(request).map_err(Failed::Final),
                Route::There(_) if request.forwarded => again(),
                Route::There(channel) => {
                    let mut request = request.clone();
                    request.forwarded = true;
                    let reply = forward::ca(channel).renew(request).await;
                    let reply = reply.map_err(|status| forward::failed(&status))?;
                    Ok(reply.into_inner())
                }
            }
        };
        let reply = self.leader.ask(LEADER_WAIT, attempt).await;
        reply.map(Response::new).map_err(|e| status(&e))
    }
}

/// A call that was forwarded here and is not for us is not forwarded again.
fn again<T>() -> Result<T, Failed> {
    Err(Failed::Again("this manager does not lead".into()))
}

fn unusable(error: super::CaError) -> ControlError {
    match error {
        super::CaError::Authority(_) | super::CaError::Make(_) => {
            ControlError::FailedPrecondition(error.to_string())
        }
        _ => ControlError::InvalidArgument(error.to_string()),
    }
}

impl CaService {
    fn cluster(&self) -> Result<Arc<Cluster>, ControlError> {
        let cluster = self.machine.view().cluster().cloned();
        cluster.ok_or_else(|| ControlError::Unavailable("this manager has no state yet".into()))
    }

    /// The role and the labels that a token gives. All secrets are compared, whichever fits.
    fn grant_of(&self, token: &str) -> Result<(Role, Labels), ControlError> {
        let refused = || ControlError::InvalidArgument(NO_TOKEN.into());
        let cluster = self.cluster()?;
        let token = JoinToken::parse(token).map_err(|_| refused())?;
        let mut grant = None;
        if token.has_secret(&cluster.worker_token) {
            grant = Some((Role::Worker, Labels::new()));
        }
        for labelled in &cluster.tokens {
            if token.has_secret(&labelled.secret) {
                grant = Some((labelled.role, labelled.labels.clone()));
            }
        }
        if token.has_secret(&cluster.manager_token) {
            grant = Some((Role::Manager, Labels::new()));
        }
        if token.check_root(&cluster.ca.cert_pem).is_err() {
            return Err(refused());
        }
        grant.ok_or_else(refused)
    }

    async fn issue_here(&self, request: &pb::IssueRequest) -> Result<pb::IssueReply, ControlError> {
        // Again, since it may have been rotated here.
        let (role, labels) = self.grant_of(&request.token)?;
        let cluster = self.cluster()?;
        let availability = model_availability(request.availability)?;
        // The id follows from the request, which is signed with a new key: a joiner that asks again, because it did
        // not hear the answer, is the same node.
        let node = node_of(&request.csr_pem);
        let reply = self.sign(&cluster, &request.csr_pem, &node, role)?;
        let object = Node {
            id: node.clone(),
            meta: Meta::default(),
            spec: NodeSpec {
                role,
                availability,
                labels,
                ..NodeSpec::default()
            },
            role,
            description: None,
            status: NodeStatus::default(),
            manager: None,
        };
        let known = self.machine.view().node(&node).map(|n| n.spec.role);
        match known {
            Some(known) if known == role => return Ok(reply),
            Some(_) => return Err(ControlError::InvalidArgument(NO_TOKEN.into())),
            None => {}
        }
        match self
            .driver
            .propose(vec![Change::CreateNode(Box::new(object))])
            .await
        {
            Ok(()) | Err(ProposalError::Refused(Refusal::Exists { .. })) => {
                tracing::info!(%node, role = role.name(), "a node joined");
                Ok(reply)
            }
            Err(error) => Err(ControlError::Unavailable(error.to_string())),
        }
    }

    fn renew_here(&self, request: &pb::RenewRequest) -> Result<pb::IssueReply, ControlError> {
        let cluster = self.cluster()?;
        let ca = CertificateAuthority::load(&cluster.ca).map_err(unusable)?;
        let node = ca
            .check_renewal(&request.csr_pem, &request.cert_pem)
            .map_err(unusable)?;
        let role = self.machine.view().node(&node).map(|n| n.role);
        let Some(role) = role else {
            let text = crate::auth::was_removed(&node).message().to_owned();
            return Err(ControlError::FailedPrecondition(text));
        };
        self.sign(&cluster, &request.csr_pem, &node, role)
    }

    fn sign(
        &self,
        cluster: &Cluster,
        csr_pem: &str,
        node: &NodeId,
        role: Role,
    ) -> Result<pb::IssueReply, ControlError> {
        let issued = Issued {
            node,
            role,
            cluster: &cluster.id,
            validity: cluster.spec.node_cert_expiry,
        };
        let ca = CertificateAuthority::load(&cluster.ca).map_err(unusable)?;
        Ok(pb::IssueReply {
            node: node.to_string(),
            role: wire_role(role),
            cluster: cluster.id.to_string(),
            cert_pem: ca.issue(csr_pem, &issued).map_err(unusable)?,
            managers: self.sessions.managers(),
        })
    }
}

fn wire_role(role: Role) -> i32 {
    match role {
        Role::Worker => wire::pb::objects::Role::Worker.into(),
        Role::Manager => wire::pb::objects::Role::Manager.into(),
    }
}

fn node_of(csr_pem: &str) -> NodeId {
    let mut bytes = [0; id::ID_BYTES];
    let hash = digest(&SHA256, csr_pem.as_bytes());
    bytes.copy_from_slice(&hash.as_ref()[..id::ID_BYTES]);
    NodeId::from(id::encode(bytes))
}

fn model_availability(wire: i32) -> Result<Availability, ControlError> {
    use wire::pb::objects::Availability as Wire;
    match Wire::try_from(wire) {
        Ok(Wire::Active) => Ok(Availability::Active),
        Ok(Wire::Pause) => Ok(Availability::Pause),
        Ok(Wire::Drain) => Ok(Availability::Drain),
        Ok(Wire::Unspecified) | Err(_) => Err(ControlError::InvalidArgument(format!(
            "the availability of a node has no value {wire}"
        ))),
    }
}
