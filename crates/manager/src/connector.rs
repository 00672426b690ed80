//! Channels to other nodes: TCP, mutual TLS, HTTP/2 with keep-alive.

use crate::ca::MANAGER_UNIT;
use crate::credentials::Credentials;
use async_trait::async_trait;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Time for TCP and TLS to a peer. A lost first packet is sent again after one second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How a connection on which nothing comes in is looked after.
#[derive(Clone, Copy)]
struct KeepAlive {
    /// A ping goes out when nothing came in for this long...
    interval: Duration,
    /// ...and the connection is given up when it is not answered within this.
    timeout: Duration,
}

/// A dead host is noticed after 1.3 s, and a peer that is merely busy has time. Pings are most of what an idle node
/// sends, so the larger part of the time goes before them.
const SESSION: KeepAlive = KeepAlive {
    interval: Duration::from_millis(500),
    timeout: Duration::from_millis(800),
};
/// Between managers heartbeats tell who is alive, within 0.3 to 0.6 s; pings only clear away what a cut left.
const RAFT: KeepAlive = KeepAlive {
    interval: Duration::from_secs(1),
    timeout: Duration::from_secs(1),
};

/// Bytes that a peer may send ahead on a connection. Well above the window of one stream (1 MiB), so that a stream
/// that nobody reads does not hold up the others.
pub(crate) const CONNECTION_WINDOW: u32 = 16 << 20;
/// Bytes that a peer may send ahead on one stream.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
/// Largest message between nodes: answers to queries carry all objects asked for, and an entry of the log is at
/// most 8 MiB.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Opens channels to managers with this node's identity. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    credentials: Arc<Credentials>,
}

impl Connector {
    pub(crate) fn new(credentials: Arc<Credentials>) -> Connector {
        Connector { credentials }
    }

    /// A channel to the manager at `addr` (`host:port`), connected, with mutual TLS. It connects again by itself
    /// when the connection breaks.
    ///
    /// # Errors
    /// When the peer cannot be reached within three seconds or is no manager of this cluster.
    pub async fn channel(&self, addr: &str) -> io::Result<Channel> {
        self.open(addr, MANAGER_UNIT, SESSION).await
    }

    async fn open(&self, addr: &str, name: &str, alive: KeepAlive) -> io::Result<Channel> {
        let credentials = Arc::clone(&self.credentials);
        // Asked for at each connection: the certificate may have been renewed since.
        let config = move || Arc::clone(&credentials.get().client);
        connect(addr, name, alive, config).await
    }
}

#[async_trait]
impl consensus::Connector for Connector {
    async fn channel(&self, member: &consensus::Member) -> io::Result<Channel> {
        // The node id is among the names of its certificate: nobody else can take its address over.
        self.open(&member.addr, &member.node_id, RAFT).await
    }
}

/// A channel without a certificate of our own to a manager whose root is known.
pub(crate) async fn connect_with(addr: &str, config: Arc<ClientConfig>) -> io::Result<Channel> {
    connect(addr, MANAGER_UNIT, SESSION, move || Arc::clone(&config)).await
}

async fn connect(
    addr: &str,
    name: &str,
    alive: KeepAlive,
    config: impl Fn() -> Arc<ClientConfig> + Clone + Send + Sync + 'static,
) -> io::Result<Channel> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let target = addr.to_owned();
    // Only the connector below looks at the address; the URI is what HTTP/2 wants to see.
    let endpoint = Endpoint::from_static("http://manager")
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(alive.interval)
        .keep_alive_timeout(alive.timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let connector = tower::service_fn(move |_: Uri| {
        let (target, name, config) = (target.clone(), name.clone(), config());
        async move {
            let tcp = TcpStream::connect(&target).await?;
            tcp.set_nodelay(true)?;
            let tls = TlsConnector::from(config).connect(name, tcp).await?;
            Ok::<_, io::Error>(TokioIo::new(tls))
        }
    });
    let opening = endpoint.connect_with_connector(connector);
    match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(io::Error::other(format!(
            "cannot connect to {addr}: {}",
            chain(&error)
        ))),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "cannot connect to {addr}: no answer within {} s",
                CONNECT_TIMEOUT.as_secs()
            ),
        )),
    }
}

/// An error with its causes: tonic's own text says only "transport error".
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}
