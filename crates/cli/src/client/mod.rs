//! A small HTTP client for the daemon's unix socket.

mod frames;
mod host;
mod slow;
mod url;

pub use frames::{Frame, FrameDecoder, Stream};
pub use host::{Environment, Host};
pub use url::escape;

use crate::console::Tell;
use crate::error::{Error, Result};
use api_types::{API_VERSION, ErrorResponse};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use slow::Slow;
use std::cell::RefCell;
use std::io;
use tokio::net::UnixStream;

/// The most that is read of an answer that is no stream; the largest real ones are lists of some ten thousand tasks.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// What a daemon without the header speaks.
const OLDEST_VERSION: &str = "1.24";
/// How much of a file is sent at a time.
const UPLOAD_CHUNK_BYTES: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Query parameters.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// A client of one daemon. It keeps one connection open for plain requests.
pub struct Client {
    host: Host,
    /// What both sides speak; unknown until the first request.
    version: RefCell<Option<String>>,
    fixed_version: Option<String>,
    idle: RefCell<Option<SendRequest<Body>>>,
    registry_auth: RefCell<Option<HeaderValue>>,
    slow: Slow,
}

impl Client {
    /// A client that connects when it has to. `fixed_version` turns the negotiation off.
    pub fn new(host: Host, fixed_version: Option<String>) -> Self {
        Client {
            host,
            version: RefCell::new(None),
            fixed_version,
            idle: RefCell::new(None),
            registry_auth: RefCell::new(None),
            slow: Slow::default(),
        }
    }

    /// Says with `tell` what the daemon does when a plain request takes long; none for silence.
    pub fn tell_when_slow(&self, tell: Option<Tell>) {
        self.slow.set(tell);
    }

    /// Sends these credentials, the value of `X-Registry-Auth`, with every request from now on for which the daemon may ask a
    /// registry.
    pub fn use_registry_auth(&self, value: &str) -> Result<()> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Error::usage("the credentials for the registry cannot be sent"))?;
        value.set_sensitive(true);
        *self.registry_auth.borrow_mut() = Some(value);
        Ok(())
    }

    fn add_credentials(&self, path: &str, request: &mut Request<Body>) {
        let asks_registry = ["/distribution/", "/services/", "/images/create"]
            .iter()
            .any(|prefix| path.starts_with(prefix));
        if let Some(value) = self
            .registry_auth
            .borrow()
            .as_ref()
            .filter(|_| asks_registry)
        {
            request
                .headers_mut()
                .insert("x-registry-auth", value.clone());
        }
    }

    /// The version of the API that both sides speak.
    pub async fn version(&self) -> Result<String> {
        if let Some(version) = self
            .fixed_version
            .clone()
            .or_else(|| self.version.borrow().clone())
        {
            return Ok(version);
        }
        let mut response = self.send(request(Method::HEAD, "/_ping", empty())?).await?;
        if !response.status().is_success() {
            response = self.send(request(Method::GET, "/_ping", empty())?).await?;
        }
        let offered = response
            .headers()
            .get("api-version")
            .and_then(|value| value.to_str().ok())
            .unwrap_or(OLDEST_VERSION);
        let version = if older(offered, API_VERSION) {
            offered
        } else {
            API_VERSION
        }
        .to_owned();
        self.drain(response).await?;
        *self.version.borrow_mut() = Some(version.clone());
        Ok(version)
    }

    /// Whether the version that both sides speak is at least `wanted`.
    pub async fn speaks(&self, wanted: &str) -> Result<bool> {
        Ok(!older(&self.version().await?, wanted))
    }

    /// What a GET answers.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: Query<'_>) -> Result<T> {
        let bytes = self.get_bytes(path, query).await?;
        read_json(path, &bytes)
    }

    /// What a GET answers, as it came.
    pub async fn get_bytes(&self, path: &str, query: Query<'_>) -> Result<Bytes> {
        self.call(Method::GET, path, query, None).await
    }

    /// Sends a value, or nothing, with POST.
    pub async fn post(
        &self,
        path: &str,
        query: Query<'_>,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes> {
        let json = body
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|err| Error::Transport(err.to_string()))?;
        self.call(Method::POST, path, query, Some(json.unwrap_or_default()))
            .await
    }

    /// As [`Client::post`], and reads the answer.
    pub async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let bytes = self.post(path, query, body).await?;
        read_json(path, &bytes)
    }

    /// Removes something.
    pub async fn delete(&self, path: &str, query: Query<'_>) -> Result<Bytes> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// Opens an answer that does not end soon, on a connection of its own.
    pub async fn stream(&self, method: Method, path: &str, query: Query<'_>) -> Result<Download> {
        let uri = self.uri(path, query).await?;
        let mut request = request(method, &uri, empty())?;
        self.add_credentials(path, &mut request);
        self.open(request).await
    }

    /// Sends a file (or whatever comes), and opens the answer.
    pub async fn upload(
        &self,
        path: &str,
        query: Query<'_>,
        content: impl tokio::io::AsyncRead + Send + 'static,
    ) -> Result<Download> {
        let uri = self.uri(path, query).await?;
        let chunks = tokio_chunks(content).map_ok(BodyFrame::data);
        let mut request = request(Method::POST, &uri, StreamBody::new(chunks).boxed_unsync())?;
        request.headers_mut().insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-tar"),
        );
        self.open(request).await
    }

    async fn open(&self, request: Request<Body>) -> Result<Download> {
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(transport)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let multiplexed = response
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|kind| {
                kind.as_bytes() == api_types::MEDIA_TYPE_MULTIPLEXED_STREAM.as_bytes()
            });
        Ok(Download {
            body: response.into_body(),
            multiplexed,
            _connection: sender,
        })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: Query<'_>,
        body: Option<Vec<u8>>,
    ) -> Result<Bytes> {
        let uri = self.uri(path, query).await?;
        let mut request = request(
            method,
            &uri,
            Full::new(body.unwrap_or_default().into())
                .map_err(|never| match never {})
                .boxed_unsync(),
        )?;
        self.add_credentials(path, &mut request);
        if request.method() == Method::POST {
            request.headers_mut().insert(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        let exchange = async {
            let response = self.send(request).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            self.drain(response).await
        };
        self.slow.watch(slow::what(path, query), exchange).await
    }

    async fn uri(&self, path: &str, query: Query<'_>) -> Result<String> {
        let version = self.version().await?;
        Ok(format!("/v{version}{path}{}", url::query(query)))
    }

    /// Sends on the connection that is open, or on a new one. A request is repeated on a new connection only when the old one
    /// was closed before the request left, so that nothing is done twice.
    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let idle = self.idle.borrow_mut().take();
        let mut request = request;
        if let Some(mut sender) = idle
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    *self.idle.borrow_mut() = Some(sender);
                    return Ok(response);
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(transport(failed.into_error())),
                },
            }
        }
        let mut sender = self.connect().await?;
        let response = sender.send_request(request).await.map_err(transport)?;
        *self.idle.borrow_mut() = Some(sender);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let stream = UnixStream::connect(&self.host.path)
            .await
            .map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => Error::Permission {
                    host: self.host.to_string(),
                },
                _ => Error::Connect {
                    host: self.host.to_string(),
                    source,
                },
            })?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(transport)?;
        // The task ends with the connection; its errors come out of the requests too.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn drain(&self, response: Response<Incoming>) -> Result<Bytes> {
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
            .collect()
            .await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|err| Error::Transport(err.to_string()))
    }
}

/// An answer that comes bit by bit.
pub struct Download {
    body: Incoming,
    /// Whether the daemon says that the stream has frames.
    pub multiplexed: bool,
    /// Dropping the sender would close the connection.
    _connection: SendRequest<Body>,
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame.map_err(transport)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// Cuts a stream of JSON values into its lines.
#[derive(Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Whole lines in what has come so far.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            if !line.iter().all(u8::is_ascii_whitespace) {
                lines.push(line);
            }
        }
        lines
    }

    /// What is left at the end, a last line without line feed.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.rest.iter().all(u8::is_ascii_whitespace)).then_some(self.rest)
    }
}

fn tokio_chunks(
    content: impl tokio::io::AsyncRead + Send + 'static,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::try_unfold(Box::pin(content), |mut content| async move {
        let mut chunk = bytes::BytesMut::with_capacity(UPLOAD_CHUNK_BYTES);
        let read = tokio::io::AsyncReadExt::read_buf(&mut content, &mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), content)))
    })
}

fn empty() -> Body {
    Full::default()
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn request(method: Method, uri: &str, body: Body) -> Result<Request<Body>> {
    let agent = concat!("starling/", env!("CARGO_PKG_VERSION"));
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(http::header::HOST, "starling")
        .header(http::header::USER_AGENT, agent);
    request
        .body(body)
        .map_err(|err| Error::Usage(format!("cannot ask for {uri}: {err}")))
}

fn transport(err: hyper::Error) -> Error {
    Error::Transport(err.to_string())
}

async fn refusal(response: Response<Incoming>) -> Error {
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    Error::Api {
        status: status.as_u16(),
        message: refusal_text(status, &body),
    }
}

fn refusal_text(status: StatusCode, body: &[u8]) -> String {
    match api_types::from_json::<ErrorResponse>(body) {
        Ok(error) if !error.message.is_empty() => error.message.trim_end().to_owned(),
        _ if body.is_empty() => format!("{status}, without further words"),
        _ => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

fn read_json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    api_types::from_json(bytes).map_err(|err| Error::Answer {
        path: path.to_owned(),
        why: err.to_string(),
    })
}

/// Compares versions like 1.9 and 1.41 number by number.
fn older(a: &str, b: &str) -> bool {
    let numbers = |version: &str| {
        version
            .split('.')
            .map(|part| part.parse::<u32>().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    numbers(a) < numbers(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert!(older("1.9", "1.41") && !older("1.50", "1.50") && !older("1.51", "1.50"));
    }

    #[test]
    fn lines_of_a_stream() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"{\"a\":1}\n{\"b\""), [b"{\"a\":1}\n".to_vec()]);
        assert_eq!(lines.push(b":2}\n\r\n{}"), [b"{\"b\":2}\n".to_vec()]);
        assert_eq!(lines.finish(), Some(b"{}".to_vec()));
    }

    #[test]
    fn refusals() {
        assert_eq!(
            refusal_text(
                StatusCode::NOT_FOUND,
                br#"{"message":"service x not found"}"#
            ),
            "service x not found"
        );
        assert_eq!(
            refusal_text(StatusCode::BAD_GATEWAY, b""),
            "502 Bad Gateway, without further words"
        );
        assert_eq!(refusal_text(StatusCode::BAD_GATEWAY, b"oops\n"), "oops");
    }
}
