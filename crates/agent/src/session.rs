//! One session with one manager: the handshake.

use crate::executor::Executor;
use async_trait::async_trait;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use wire::pb::dispatcher::dispatcher_client::DispatcherClient;
use wire::pb::dispatcher::to_agent::Message as ToAgent;
use wire::pb::dispatcher::to_manager::Message as ToManager;
use wire::pb::dispatcher::{self as pb, Welcome};

/// An attempt to open a session is given up after this time: a round trip or two and a TLS handshake take
/// milliseconds; a host that is off does not answer at all.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Messages of the agent that may wait for the network. Beyond that the leader is not reading and the session is
/// given up; 256 is a minute of heartbeats.
const OUTBOUND_QUEUE: usize = 256;
/// Largest message from the leader in bytes: thousands of tasks with large specs.
const MAX_MESSAGE: usize = 64 << 20;
/// HTTP/2 pings find out that the leader's host is gone: TCP alone takes minutes.
const PING_INTERVAL: Duration = Duration::from_millis(500);
/// The leader calls a node silent after 2 s; the other way round it is the same.
const PING_TIMEOUT: Duration = Duration::from_millis(1500);

/// Why a manager cannot be reached.
pub type ConnectError = Box<dyn std::error::Error + Send + Sync>;

/// Opens channels to managers; in production with mutual TLS as this node.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// A channel to the manager at `addr` (`host:port`). Use [`endpoint`] so that a dead host is noticed.
    async fn connect(&self, addr: &str) -> Result<Channel, ConnectError>;
}

/// Settings for a channel to a manager: the pings by which a dead host is noticed while nothing is sent.
///
/// # Errors
/// When `addr` is not `host:port`.
pub fn endpoint(addr: &str) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(format!("http://{addr}"))?;
    Ok(endpoint
        .connect_timeout(ATTEMPT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) addr: String,
    pub(crate) welcome: Welcome,
    pub(crate) channel: Channel,
    pub(crate) outbound: mpsc::Sender<pb::ToManager>,
    pub(crate) inbound: Streaming<pb::ToAgent>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("{addr} cannot be reached: {source}")]
    Connect { addr: String, source: ConnectError },
    #[error("{addr} does not answer within {ATTEMPT_TIMEOUT:?}")]
    Timeout { addr: String },
    #[error("{addr} is not the leader")]
    NotLeader { addr: String, leader: String },
    #[error("{addr} refused this node: {message}")]
    Refused { addr: String, message: String },
    #[error("{addr} broke off: {message}")]
    Broken { addr: String, message: String },
}

/// Wraps a message for the stream.
pub(crate) fn message(message: ToManager) -> pb::ToManager {
    pb::ToManager {
        message: Some(message),
    }
}

/// A client for the session's further calls.
pub(crate) fn client(channel: Channel) -> DispatcherClient<Channel> {
    DispatcherClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
}

/// Opens a session with the manager at `addr` if it leads.
pub(crate) async fn open(
    connector: &dyn Connector,
    executor: &dyn Executor,
    last_index: u64,
    addr: String,
) -> Result<Session, SessionError> {
    let attempt = handshake(connector, executor, last_index, &addr);
    match tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await {
        Ok(result) => result,
        Err(_) => Err(SessionError::Timeout { addr }),
    }
}

async fn handshake(
    connector: &dyn Connector,
    executor: &dyn Executor,
    last_index: u64,
    addr: &str,
) -> Result<Session, SessionError> {
    let broken = |status: Status| broken(addr, &status);
    let channel = connector
        .connect(addr)
        .await
        .map_err(|source| SessionError::Connect {
            addr: addr.into(),
            source,
        })?;
    let (outbound, requests) = mpsc::channel(OUTBOUND_QUEUE);
    let hello = message(ToManager::Hello(pb::Hello {
        description: Some((&executor.describe()).into()),
        last_index,
    }));
    outbound
        .try_send(hello)
        .expect("an empty queue takes one message");
    let mut client = client(channel.clone());
    let response = client.session(ReceiverStream::new(requests)).await;
    let mut inbound = response.map_err(broken)?.into_inner();
    let first = inbound.message().await.map_err(broken)?;
    match first.and_then(|first| first.message) {
        Some(ToAgent::Welcome(welcome)) => Ok(Session {
            addr: addr.into(),
            welcome,
            channel,
            outbound,
            inbound,
        }),
        Some(ToAgent::NotLeader(pb::NotLeader { leader })) => Err(SessionError::NotLeader {
            addr: addr.into(),
            leader,
        }),
        other => Err(SessionError::Broken {
            addr: addr.into(),
            message: format!("its first message is {}", kind(other.as_ref())),
        }),
    }
}

fn kind(message: Option<&ToAgent>) -> &'static str {
    match message {
        None => "none",
        Some(_) => "neither a welcome nor a word about the leader",
    }
}

fn broken(addr: &str, status: &Status) -> SessionError {
    let addr = addr.to_owned();
    let message = status.message().to_owned();
    match status.code() {
        Code::PermissionDenied => SessionError::Refused { addr, message },
        _ => SessionError::Broken { addr, message },
    }
}
