//! Managers come and go in the Raft group.

use crate::auth::Gate;
use crate::control::forward::{self, status};
use crate::control::{Failed, LEADER_WAIT, LeaderChannel, Route};
use crate::machine::Machine;
use consensus::{Member, MembershipError, Raft};
use model::control::ControlError;
use model::{NodeId, Role};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};
use wire::pb::membership as pb;
use wire::pb::membership::membership_server::Membership;

/// How long a manager tries to join the group: it waits for other changes and gets the whole state.
const JOIN_WAIT: Duration = Duration::from_secs(60);

/// What Docker says when a member cannot go.
const QUORUM: &str = "can't remove member from the raft: this would result in a loss of quorum";

/// Changes members on the leader; hands the calls on elsewhere.
#[derive(Clone)]
pub(crate) struct MembershipService {
    pub(crate) gate: Gate,
    pub(crate) machine: Arc<Machine>,
    pub(crate) raft: Raft,
    pub(crate) leader: Arc<LeaderChannel>,
}

/// What a refused change of members means for the request behind it.
pub(crate) fn member_error(error: MembershipError) -> Failed {
    match error {
        MembershipError::NotLeader { .. }
        | MembershipError::InProgress
        | MembershipError::Unknown => Failed::Again(error.to_string()),
        MembershipError::WouldLoseQuorum { .. } => Failed::Final(ControlError::FailedPrecondition(
            format!("{QUORUM} ({error})"),
        )),
        _ => Failed::Final(ControlError::FailedPrecondition(error.to_string())),
    }
}

impl MembershipService {
    /// Adds a manager to the group; it is a voter when this returns.
    pub(crate) async fn join(&self, request: &pb::JoinRequest) -> Result<(), ControlError> {
        let attempt = |route| async move {
            match route {
                Route::Here => self.join_here(request).await,
                Route::There(_) if request.forwarded => Err(not_leading()),
                Route::There(channel) => {
                    let mut request = request.clone();
                    request.forwarded = true;
                    let reply = forward::membership(channel).join(request).await;
                    reply.map(drop).map_err(|status| forward::failed(&status))
                }
            }
        };
        self.leader.ask(JOIN_WAIT, attempt).await
    }

    async fn join_here(&self, request: &pb::JoinRequest) -> Result<(), Failed> {
        let node = NodeId::from(request.node.as_str());
        let role = self.machine.view().node(&node).map(|n| n.role);
        if role != Some(Role::Manager) {
            let text = format!("node {node} is not a manager of this cluster");
            return Err(Failed::Final(ControlError::FailedPrecondition(text)));
        }
        let member = Member {
            raft_id: request.raft_id,
            node_id: request.node.clone(),
            addr: request.addr.clone(),
            voter: true,
        };
        self.raft.add_member(member).await.map_err(member_error)
    }

    /// Takes a manager out of the group.
    pub(crate) async fn leave(&self, request: &pb::LeaveRequest) -> Result<(), ControlError> {
        let attempt = |route| async move {
            match route {
                Route::Here => match self.raft.remove_member(request.raft_id).await {
                    Ok(()) | Err(MembershipError::NotFound(_)) => Ok(()),
                    Err(error) => Err(member_error(error)),
                },
                Route::There(_) if request.forwarded => Err(not_leading()),
                Route::There(channel) => {
                    let mut request = request.clone();
                    request.forwarded = true;
                    let reply = forward::membership(channel).leave(request).await;
                    reply.map(drop).map_err(|status| forward::failed(&status))
                }
            }
        };
        self.leader.ask(LEADER_WAIT, attempt).await
    }
}

/// A call that was forwarded here and is not for us is not forwarded again.
fn not_leading() -> Failed {
    Failed::Again("this manager does not lead".into())
}

/// A node speaks for itself, a manager that forwards for another one.
fn check_caller(caller: &NodeId, node: &str, forwarded: bool) -> Result<(), Status> {
    if forwarded || caller.as_str() == node {
        return Ok(());
    }
    Err(Status::permission_denied(
        "Permission denied: a node can only speak for itself",
    ))
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinReply>, Status> {
        let caller = self.gate.manager(&request)?;
        let request = request.into_inner();
        check_caller(&caller, &request.node, request.forwarded)?;
        let joined = MembershipService::join(self, &request).await;
        joined
            .map(|()| Response::new(pb::JoinReply {}))
            .map_err(|e| status(&e))
    }

    async fn leave(
        &self,
        request: Request<pb::LeaveRequest>,
    ) -> Result<Response<pb::LeaveReply>, Status> {
        let caller = self.gate.manager(&request)?;
        let request = request.into_inner();
        check_caller(&caller, &request.node, request.forwarded)?;
        let left = MembershipService::leave(self, &request).await;
        left.map(|()| Response::new(pb::LeaveReply {}))
            .map_err(|e| status(&e))
    }
}
