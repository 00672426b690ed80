//! A dispatcher that does what a test tells it.

use crate::session::{ConnectError, Connector, endpoint};
use async_trait::async_trait;
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::{Payload, TaskId, TaskState, TaskStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};
use wire::pb::dispatcher::dispatcher_server::{Dispatcher, DispatcherServer};
use wire::pb::dispatcher::to_agent::Message as ToAgentKind;
use wire::pb::dispatcher::to_manager::Message as ToManagerKind;
use wire::pb::dispatcher::{LogFrames, LogsTaken, ToAgent, ToManager, Welcome};

/// Longest wait for what takes milliseconds on an idle machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// How a manager answers to a new session.
#[derive(Clone)]
pub(super) enum Answer {
    Lead,
    Refer(String),
    Refuse,
}

pub(super) struct Manager {
    pub(super) addr: String,
    sessions: Mutex<mpsc::Receiver<Session>>,
    pub(super) logs: Mutex<mpsc::Receiver<Streaming<LogFrames>>>,
    server: JoinHandle<()>,
}

/// An open session, on the manager's side.
pub(super) struct Session {
    pub(super) inbound: Streaming<ToManager>,
    pub(super) outbound: mpsc::Sender<Result<ToAgent, Status>>,
}

struct Service {
    answer: Answer,
    sessions: mpsc::Sender<Session>,
    logs: mpsc::Sender<Streaming<LogFrames>>,
}

fn to_agent(kind: ToAgentKind) -> ToAgent {
    ToAgent {
        message: Some(kind),
    }
}

#[tonic::async_trait]
impl Dispatcher for Service {
    type SessionStream = ReceiverStream<Result<ToAgent, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<ToManager>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (outbound, messages) = mpsc::channel(64);
        match &self.answer {
            Answer::Refuse => return Err(Status::permission_denied("node1 is not a member")),
            Answer::Refer(leader) => {
                let leader = leader.clone();
                let kind = ToAgentKind::NotLeader(wire::pb::dispatcher::NotLeader { leader });
                outbound.send(Ok(to_agent(kind))).await.expect("room");
            }
            Answer::Lead => {
                let inbound = request.into_inner();
                let session = Session { inbound, outbound };
                self.sessions
                    .send(session)
                    .await
                    .expect("a test that listens");
            }
        }
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn publish_logs(
        &self,
        request: Request<Streaming<LogFrames>>,
    ) -> Result<Response<LogsTaken>, Status> {
        self.logs
            .send(request.into_inner())
            .await
            .expect("a test that listens");
        // The call lasts until the agent has sent everything; the test reads.
        std::future::pending().await
    }
}

impl Manager {
    pub(super) async fn start(answer: Answer) -> Manager {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let (sessions, opened) = mpsc::channel(8);
        let (logs, published) = mpsc::channel(8);
        let service = Service {
            answer,
            sessions,
            logs,
        };
        let server = Server::builder()
            .add_service(DispatcherServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { server.await.expect("the server serves") });
        Manager {
            addr,
            sessions: Mutex::new(opened),
            logs: Mutex::new(published),
            server,
        }
    }

    /// The next session, welcomed, with its Hello.
    pub(super) async fn session(&self) -> (Session, wire::pb::dispatcher::Hello) {
        let mut sessions = self.sessions.lock().await;
        let mut session = in_time("a session", sessions.recv())
            .await
            .expect("a server");
        let hello = match session.next().await {
            ToManagerKind::Hello(hello) => hello,
            other => panic!("not a hello: {other:?}"),
        };
        session
            .send(ToAgentKind::Welcome(Welcome {
                node: "node1".into(),
                managers: vec![self.addr.clone()],
                heartbeat_period: Some(Duration::from_millis(50).into()),
                role: wire::dispatcher::role(model::Role::Worker),
            }))
            .await;
        (session, hello)
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Session {
    pub(super) async fn send(&self, kind: ToAgentKind) {
        self.outbound
            .send(Ok(to_agent(kind)))
            .await
            .expect("an agent that listens");
    }

    async fn next(&mut self) -> ToManagerKind {
        let message = in_time("a message", self.inbound.message()).await;
        message
            .expect("a message")
            .expect("an open stream")
            .message
            .expect("a kind")
    }

    /// The next message of the agent that is no heartbeat.
    pub(super) async fn said(&mut self) -> ToManagerKind {
        loop {
            match self.next().await {
                ToManagerKind::Heartbeat(_) => {}
                other => return other,
            }
        }
    }

    pub(super) async fn heartbeat(&mut self) {
        while !matches!(self.next().await, ToManagerKind::Heartbeat(_)) {}
    }

    /// Sends a complete set of one task and one secret.
    pub(super) async fn assign_with(&self, index: u64, task: &AssignedTask, secret: Arc<Payload>) {
        let listed = [(&task.id, task.desired)].into_iter();
        let digest = digest(listed, std::iter::once(&secret.id));
        let changes = vec![
            AssignmentChange::PutPayload(secret),
            AssignmentChange::Put(task.clone()),
        ];
        let assignments = Assignments {
            index,
            complete: true,
            changes,
            digest,
        };
        self.send(ToAgentKind::Assignments((&assignments).into()))
            .await;
    }

    /// Sends assignments; the digest is that of `listed`.
    pub(super) async fn assign(&self, index: u64, complete: bool, tasks: &[AssignedTask]) {
        let assignments = Assignments {
            index,
            complete,
            changes: tasks.iter().cloned().map(AssignmentChange::Put).collect(),
            digest: digest(
                tasks.iter().map(|task| (&task.id, task.desired)),
                std::iter::empty(),
            ),
        };
        self.send(ToAgentKind::Assignments((&assignments).into()))
            .await;
    }

    /// Reads and acknowledges reports until `done` holds for one; returns that status.
    pub(super) async fn report(
        &mut self,
        done: impl Fn(&TaskId, &TaskStatus) -> bool,
    ) -> TaskStatus {
        loop {
            let report = match self.said().await {
                ToManagerKind::Report(report) => report,
                other => panic!("not a report: {other:?}"),
            };
            let sequence = report.sequence;
            let statuses = wire::dispatcher::reported(report).expect("a report");
            let reported = wire::pb::dispatcher::Reported { sequence };
            self.send(ToAgentKind::Reported(reported)).await;
            if let Some((_, status)) = statuses.into_iter().find(|(id, status)| done(id, status)) {
                return status;
            }
        }
    }

    pub(super) async fn reaches(&mut self, task: &str, state: TaskState) -> TaskStatus {
        self.report(|id, status| id.as_str() == task && status.state == state)
            .await
    }
}

/// Plain HTTP/2 over loopback.
pub(super) struct Plain;

#[async_trait]
impl Connector for Plain {
    async fn connect(&self, addr: &str) -> Result<Channel, ConnectError> {
        Ok(endpoint(addr)?.connect().await?)
    }
}
