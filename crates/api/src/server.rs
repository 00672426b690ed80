//! The HTTP server: connections of unix sockets, one answer per request.

use crate::address::Lenient;
use crate::backend::{Containers, Host, Swarm, Volumes};
use crate::body::Body;
use crate::events::EventHub;
use crate::refusal::Explained;
use crate::{router, version};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use images::Images;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

/// After the word to stop, requests under way get this long; streams that follow something never end by themselves.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);
/// A pause after the process ran out of file descriptors, so that accepting does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the API serves. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// The swarm.
    pub swarm: Arc<dyn Swarm>,
    /// This host's containers.
    pub containers: Arc<dyn Containers>,
    /// This host's volumes.
    pub volumes: Arc<dyn Volumes>,
    /// This host.
    pub host: Arc<dyn Host>,
    /// This host's images.
    pub images: Images,
    /// What happens.
    pub events: EventHub,
}

/// Serves `api` on `listener` until `stop`.
pub async fn serve(api: Api, listener: UnixListener, stop: CancellationToken) {
    let server = auto::Builder::new(TokioExecutor::new());
    let graceful = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        let api = api.clone();
        let served = Arc::new(AtomicBool::new(false));
        let stream = Explained::new(Lenient::new(TokioIo::new(stream)), Arc::clone(&served));
        let service = service_fn(move |request| {
            served.store(true, Ordering::Release);
            let api = api.clone();
            async move { Ok::<_, Infallible>(answer(api, request).await) }
        });
        let connection = server
            .serve_connection_with_upgrades(stream, service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an API connection ended");
            }
        });
    }
    let _ = tokio::time::timeout(SHUTDOWN_GRACE, graceful.shutdown()).await;
}

async fn answer(api: Api, request: Request<Incoming>) -> Response<Body> {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = router::route(api, request).await.unwrap_or_else(|error| {
        tracing::debug!(%method, path, status = error.status.as_u16(), %error, "request refused");
        error.response()
    });
    version::add_headers(response.headers_mut());
    response
}
