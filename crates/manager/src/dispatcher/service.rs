//! The gRPC side of sessions.

use super::sessions::{Opened, Sessions, message};
use crate::auth::{Caller, Gate, was_removed};
use crate::driver::DriverHandle;
use crate::leader::{Input, SessionId};
use crate::logs::LogBroker;
use crate::machine::Machine;
use consensus::Raft;
use model::{NodeDescription, NodeId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use wire::pb::dispatcher::dispatcher_server::Dispatcher;
use wire::pb::dispatcher::to_agent::Message as ToAgentMessage;
use wire::pb::dispatcher::to_manager::Message;
use wire::pb::dispatcher::{LogFrames, LogsTaken, NotLeader, ToAgent, ToManager, Welcome};

/// Time for an agent to say Hello: it has nothing to wait for.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How often agents send a sign of life. The leader calls a node silent after four of them.
const HEARTBEAT_PERIOD: Duration = Duration::from_millis(500);

/// Serves sessions on the leader; sends agents on elsewhere.
#[derive(Clone)]
pub(crate) struct DispatcherService {
    pub(crate) gate: Gate,
    pub(crate) machine: Arc<Machine>,
    pub(crate) raft: Raft,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) driver: DriverHandle,
    pub(crate) logs: Arc<LogBroker>,
}

type Outgoing = ReceiverStream<Result<ToAgent, Status>>;

#[tonic::async_trait]
impl Dispatcher for DispatcherService {
    type SessionStream = Outgoing;

    async fn session(
        &self,
        request: Request<Streaming<ToManager>>,
    ) -> Result<Response<Outgoing>, Status> {
        let node = self.gate.node(&request)?;
        let addr = Caller::of(&request)?.addr().ip().to_canonical().to_string();
        let mut incoming = request.into_inner();
        let leadership = self.raft.leadership().borrow().clone();
        if !leadership.i_lead {
            let leader = leadership.leader.map(|m| m.addr).unwrap_or_default();
            return Ok(Response::new(not_leader(leader)));
        }
        let known_role = || self.machine.view().node(&node).map(|known| known.role);
        if known_role().is_none() {
            return Err(was_removed(&node));
        }
        let description = timeout(HELLO_TIMEOUT, hello(&mut incoming))
            .await
            .map_err(|_| Status::deadline_exceeded("a session begins with Hello"))??;
        let Some(role) = known_role() else {
            return Err(was_removed(&node));
        };
        let opened = self.sessions.open(&node, |managers| {
            ToAgentMessage::Welcome(Welcome {
                node: node.to_string(),
                managers: managers.to_vec(),
                heartbeat_period: Some(HEARTBEAT_PERIOD.into()),
                role: wire::dispatcher::role(role),
            })
        });
        let Opened {
            id,
            outbound,
            closed,
        } = opened;
        tracing::debug!(%node, %addr, "session opened");
        // Changes from now on are told to open sessions; one in between would be missed.
        if let Some(now) = known_role().filter(|now| *now != role) {
            self.sessions.role_changed(id, now);
        }
        self.driver
            .session(Input::SessionOpened {
                node: node.clone(),
                session: id,
                description,
                addr,
            })
            .await;
        tokio::spawn(self.clone().serve(node, id, incoming, closed));
        Ok(Response::new(ReceiverStream::new(outbound)))
    }

    async fn publish_logs(
        &self,
        request: Request<Streaming<LogFrames>>,
    ) -> Result<Response<LogsTaken>, Status> {
        let node = self.gate.node(&request)?;
        self.logs.publish(&node, request.into_inner()).await?;
        Ok(Response::new(LogsTaken {}))
    }
}

fn not_leader(leader: String) -> Outgoing {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let answer = message(ToAgentMessage::NotLeader(NotLeader { leader }));
    sender
        .try_send(Ok(answer))
        .expect("an empty queue takes one message");
    ReceiverStream::new(receiver)
}

async fn hello(incoming: &mut Streaming<ToManager>) -> Result<NodeDescription, Status> {
    let first = incoming.message().await?.and_then(|m| m.message);
    let Some(Message::Hello(hello)) = first else {
        return Err(Status::invalid_argument("a session begins with Hello"));
    };
    let description = hello
        .description
        .ok_or_else(|| Status::invalid_argument("Hello without a description of the node"))?;
    NodeDescription::try_from(description).map_err(invalid)
}

fn invalid(error: wire::DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

impl DispatcherService {
    /// Reads what the agent sends until either side ends the session.
    async fn serve(
        self,
        node: NodeId,
        session: SessionId,
        mut incoming: Streaming<ToManager>,
        closed: CancellationToken,
    ) {
        let ended = tokio::select! {
            () = closed.cancelled() => None,
            ended = self.read(&node, session, &mut incoming) => Some(ended),
        };
        if let Some(ended) = ended {
            tracing::debug!(%node, reason = %ended, "session ended");
            self.driver
                .session(Input::SessionClosed { node, session })
                .await;
        }
        self.sessions.close(session);
    }

    async fn read(
        &self,
        node: &NodeId,
        session: SessionId,
        incoming: &mut Streaming<ToManager>,
    ) -> String {
        loop {
            let message = match incoming.message().await {
                Ok(Some(message)) => message.message,
                Ok(None) => return "closed by the agent".into(),
                Err(status) => return status.message().into(),
            };
            let node = node.clone();
            let input = match message {
                Some(Message::Heartbeat(_)) => Input::Heartbeat { node, session },
                Some(Message::NeedComplete(_)) => Input::NeedComplete { node, session },
                Some(Message::Report(report)) => {
                    let sequence = report.sequence;
                    match wire::dispatcher::reported(report) {
                        Ok(updates) => Input::Report {
                            node,
                            session,
                            sequence,
                            updates,
                        },
                        Err(error) => return format!("unintelligible report: {error}"),
                    }
                }
                Some(Message::Hello(_)) | None => return "an unexpected message".into(),
            };
            self.driver.session(input).await;
        }
    }
}
