//! The control interface on any manager: carried out here when this manager leads, else handed to the leader.

pub(crate) mod forward;
mod query;
mod service;

pub(crate) use forward::{Failed, LEADER_WAIT, LeaderChannel, Route};
pub(crate) use service::ControlService;

use crate::clock::wall;
use crate::driver::{DriverHandle, ProposalError};
use crate::leader::plan;
use crate::machine::Machine;
use crate::membership::member_error;
use crate::roles;
use consensus::{MembershipError, Raft};
use model::control::{ControlError, Found, Query, Write, WriteRequest, Written};
use model::{Change, NodeId, NodeState};
use std::sync::Arc;
use std::time::Duration;

/// Time for the leader to answer one attempt. A slow disk takes longer sometimes; the same request is then asked
/// again and applied once.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);

/// Answers as the leader.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) machine: Arc<Machine>,
    pub(crate) raft: Raft,
    pub(crate) driver: DriverHandle,
}

impl Here {
    pub(crate) async fn write(&self, request: WriteRequest) -> Result<Written, ControlError> {
        if let Write::RemoveNode { id, force: true } = &request.write {
            self.expel(id).await?;
        }
        roles::may_change(self, &request.write).await?;
        self.driver.write(request).await
    }

    /// A manager that is down leaves the Raft group before it is removed by force: nobody can ask it to. Refused when
    /// the rest would have no quorum. Other nodes are left as they are.
    async fn expel(&self, id: &NodeId) -> Result<(), ControlError> {
        let member = {
            let view = self.machine.view();
            let down = view.node(id).filter(|n| n.status.state == NodeState::Down);
            down.and_then(|n| n.manager.as_ref()).map(|m| m.raft_id)
        };
        let Some(raft_id) = member else {
            return Ok(());
        };
        match self.raft.remove_member(raft_id).await {
            Ok(()) | Err(MembershipError::NotFound(_)) => {}
            Err(error) => {
                return Err(match member_error(error) {
                    Failed::Again(text) => ControlError::Unavailable(text),
                    Failed::Final(error) => error,
                });
            }
        }
        let (id, manager) = (id.clone(), None);
        let changes = vec![Change::SetNodeManager { id, manager }];
        let proposed = self.driver.propose(changes).await;
        proposed.map_err(|error| match error {
            ProposalError::Lost => ControlError::Unavailable(error.to_string()),
            ProposalError::Refused(_) => ControlError::FailedPrecondition(error.to_string()),
        })
    }

    /// Answers from the state as of now: nothing that was acknowledged before the question is missing.
    pub(crate) async fn query(&self, query: &Query) -> Result<Found, ControlError> {
        let unavailable = |e: consensus::ProposeError| ControlError::Unavailable(e.to_string());
        self.raft.read_barrier().await.map_err(unavailable)?;
        if let Query::Plan(write) = query {
            return self.plan(write).await;
        }
        let reachable = self.raft.reachability().into_iter();
        let managers = query::Managers {
            leader: self
                .raft
                .leadership()
                .borrow()
                .leader
                .as_ref()
                .map(|m| NodeId::from(m.node_id.as_str())),
            reachable: reachable
                .filter(|(_, reachable)| *reachable)
                .map(|(id, _)| id)
                .collect(),
        };
        query::answer(&self.machine.view(), &managers, wall(), query)
    }

    /// Runs the loops on a copy of the state, beside everything else: it may take seconds.
    async fn plan(&self, write: &Write) -> Result<Found, ControlError> {
        let state = self.machine.view().clone();
        let (limits, write) = (self.driver.limits(), write.clone());
        let plan = tokio::task::spawn_blocking(move || plan(state, wall(), &limits, write));
        let ended = |_| ControlError::Unavailable("this manager is shutting down".into());
        let plan = plan.await.map_err(ended)??;
        Ok(Found {
            plan: Some(plan),
            ..Found::default()
        })
    }
}

/// Whether the leader could not answer, which is a reason to ask again.
fn again<T>(answer: Result<T, ControlError>) -> Result<T, Failed> {
    answer.map_err(|error| match error {
        ControlError::Unavailable(text) => Failed::Again(text),
        error => Failed::Final(error),
    })
}

/// Asks the leader for a change. The same request may be made more than once: it is applied once.
pub(crate) async fn write(
    here: &Here,
    leader: &LeaderChannel,
    request: &WriteRequest,
) -> Result<Written, ControlError> {
    let attempt = |route| async move {
        match route {
            Route::Here => again(here.write(request.clone()).await),
            Route::There(channel) => {
                let mut message = tonic::Request::new(request.into());
                message.set_timeout(ATTEMPT_TIMEOUT);
                let reply = forward::control(channel).write(message).await;
                let reply = reply.map_err(|status| forward::failed(&status))?;
                again(intelligible(reply.into_inner().try_into())?)
            }
        }
    };
    leader.ask(LEADER_WAIT, attempt).await
}

/// Asks the leader a question.
pub(crate) async fn query(
    here: &Here,
    leader: &LeaderChannel,
    query: &Query,
) -> Result<Found, ControlError> {
    let attempt = |route| async move {
        match route {
            Route::Here => again(here.query(query).await),
            Route::There(channel) => {
                let mut message = tonic::Request::new(query.into());
                message.set_timeout(ATTEMPT_TIMEOUT);
                let reply = forward::control(channel).query(message).await;
                let reply = reply.map_err(|status| forward::failed(&status))?;
                again(intelligible(reply.into_inner().try_into())?)
            }
        }
    };
    leader.ask(LEADER_WAIT, attempt).await
}

/// An answer of a leader of another version may say what this one does not know.
fn intelligible<T>(answer: Result<T, wire::DecodeError>) -> Result<T, Failed> {
    answer.map_err(|error| {
        let text = format!("the leader's answer cannot be understood: {error}");
        Failed::Final(ControlError::FailedPrecondition(text))
    })
}
