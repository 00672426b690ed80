//! The node server: one port, TLS, gRPC.
//!
//! Client certificates are optional at this level, since a node that joins has none; [`crate::auth`] checks each call.

use crate::auth::Caller;
use crate::ca::NodeCertificate;
use crate::connector::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::credentials::Credentials;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;

/// Connections whose TLS handshake is under way: more wait in the kernel's queue. A thousand agents that come back
/// at once are through in a second.
const MAX_HANDSHAKES: usize = 64;
/// Time for a handshake, so that silent connections do not use those up.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after the kernel refused to give a connection (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Calls at once on one connection: a manager sends all of its clients' requests over one.
const MAX_STREAMS: u32 = 4096;
/// Peers that are silent are found by heartbeats within two seconds; this only clears away what is left of them.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Why the node server does not listen.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {addr} for cluster traffic: {source}; choose another --listen-addr or stop what uses it"
)]
pub(crate) struct ListenError {
    addr: String,
    #[source]
    source: io::Error,
}

/// Takes the port. Done before anything else, so that a port in use is no obstacle later.
pub(crate) async fn listen(addr: &str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(addr).await.map_err(|source| ListenError {
        addr: addr.into(),
        source,
    })
}

/// A running node server.
pub(crate) struct NodeServer {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl NodeServer {
    /// Serves `routes` on `listener` until [`NodeServer::stop`].
    pub(crate) fn start(
        listener: TcpListener,
        credentials: Arc<Credentials>,
        routes: Routes,
    ) -> NodeServer {
        let stop = CancellationToken::new();
        let (ready, incoming) = mpsc::channel(MAX_HANDSHAKES);
        let accept = accept(listener, credentials, ready, stop.clone());
        let stopped = stop.clone().cancelled_owned();
        let serve = async move {
            let served = Server::builder()
                .http2_keepalive_interval(Some(KEEP_ALIVE))
                .http2_keepalive_timeout(Some(KEEP_ALIVE))
                .max_concurrent_streams(MAX_STREAMS)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .add_routes(routes)
                .serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped)
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the node server ended");
            }
        };
        NodeServer {
            stop,
            tasks: vec![tokio::spawn(accept), tokio::spawn(serve)],
        }
    }

    /// Closes the port and all connections.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "the node server failed");
            }
        }
    }
}

async fn accept(
    listener: TcpListener,
    credentials: Arc<Credentials>,
    ready: mpsc::Sender<io::Result<NodeStream>>,
    stop: CancellationToken,
) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let permit = Arc::clone(&handshakes).acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        let (tcp, addr) = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection of another node");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let (credentials, ready, stop) = (Arc::clone(&credentials), ready.clone(), stop.clone());
        tokio::spawn(async move {
            let handshake = NodeStream::handshake(tcp, addr, &credentials, stop.clone());
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(stream)) => {
                    drop(permit);
                    // Nobody takes it when the server stops just now.
                    let _ = ready.send(Ok(stream)).await;
                }
                Ok(Err(error)) => tracing::debug!(%addr, %error, "refused a connection"),
                Err(_) => tracing::debug!(%addr, "a connection said nothing"),
            }
        });
    }
}

/// A connection of a peer that was let in, and who it is. It breaks when the server stops.
struct NodeStream {
    tls: TlsStream<TcpStream>,
    caller: Arc<Caller>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl NodeStream {
    async fn handshake(
        tcp: TcpStream,
        addr: SocketAddr,
        credentials: &Credentials,
        stop: CancellationToken,
    ) -> io::Result<NodeStream> {
        tcp.set_nodelay(true)?;
        let config = Arc::clone(&credentials.get().server);
        let tls = TlsAcceptor::from(config).accept(tcp).await?;
        let certificate = tls.get_ref().1.peer_certificates();
        let certificate = certificate.and_then(|chain| chain.first());
        let certificate = match certificate {
            None => None,
            Some(der) => Some(NodeCertificate::read(der).ok_or_else(|| {
                io::Error::other("the certificate does not say which node it is")
            })?),
        };
        Ok(NodeStream {
            caller: Arc::new(Caller::new(certificate, addr)),
            stop: Box::pin(stop.cancelled_owned()),
            tls,
        })
    }

    fn check_stopped(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.stop.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for NodeStream {
    type ConnectInfo = Arc<Caller>;
    fn connect_info(&self) -> Arc<Caller> {
        Arc::clone(&self.caller)
    }
}

impl AsyncRead for NodeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_stopped(cx)?;
        Pin::new(&mut self.tls).poll_read(cx, buffer)
    }
}

impl AsyncWrite for NodeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bytes)
    }
    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
