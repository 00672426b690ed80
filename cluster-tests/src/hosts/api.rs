//! A client of the engine's HTTP API on a unix socket: one connection for each request, blocking.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// The daemon gives up on a request after 20 s, Docker's limit; its own error is worth waiting for.
const REQUEST_LIMIT: Duration = Duration::from_secs(25);

/// One daemon's API.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
    limit: Duration,
}

/// What the daemon answered, also when it refused.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Body as it came.
    pub body: Bytes,
}

/// A request that the daemon refused.
#[derive(Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The daemon's `message`.
    pub message: String,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}: {}", self.status, self.message)
    }
}

impl std::error::Error for ApiError {}

impl Reply {
    /// The body as JSON; `Null` when it is empty.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Docker's error text, or the whole body where there is none.
    pub fn message(&self) -> String {
        let message = self
            .json()
            .ok()
            .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
        message.unwrap_or_else(|| self.text())
    }

    fn success(self) -> Result<Reply> {
        if self.status < 400 {
            return Ok(self);
        }
        Err(ApiError {
            status: self.status,
            message: self.message(),
        }
        .into())
    }
}

impl Api {
    /// The API on this unix socket.
    pub fn new(socket: &Path) -> Api {
        Api {
            socket: socket.to_owned(),
            limit: REQUEST_LIMIT,
        }
    }

    /// The same, with another bound on the whole of a request.
    pub fn within(&self, limit: Duration) -> Api {
        Api {
            socket: self.socket.clone(),
            limit,
        }
    }

    /// GET; a refusal is an [`ApiError`].
    pub fn get(&self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, None)?.success()?.json()
    }

    /// POST of JSON; a refusal is an [`ApiError`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.send_json(Method::POST, path, body)?.success()?.json()
    }

    /// DELETE; a refusal is an [`ApiError`].
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.send(Method::DELETE, path, None)?.success()?.json()
    }

    /// POST of a tar; a refusal is an [`ApiError`]. The stream of progress messages is read to its end.
    pub fn upload(&self, path: &str, tar: Vec<u8>) -> Result<Reply> {
        let reply = self
            .send(Method::POST, path, Some(("application/x-tar", tar.into())))?
            .success()?;
        match reply
            .text()
            .lines()
            .find(|line| line.contains("\"errorDetail\""))
        {
            Some(refusal) => Err(anyhow!("the upload to {path} failed: {refusal}")),
            None => Ok(reply),
        }
    }

    /// Any request with a JSON body, whatever the answer is.
    pub fn send_json(&self, method: Method, path: &str, body: &Value) -> Result<Reply> {
        self.send(
            method,
            path,
            Some(("application/json", body.to_string().into())),
        )
    }

    /// Any request, with content type and body, whatever the answer is.
    pub fn send(&self, method: Method, path: &str, body: Option<(&str, Bytes)>) -> Result<Reply> {
        let what = format!("{method} {path} on {}", self.socket.display());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "starling");
        if let Some((content_type, _)) = &body {
            request = request.header(CONTENT_TYPE, *content_type);
        }
        let request = request.body(Full::new(body.map(|(_, bytes)| bytes).unwrap_or_default()))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            match tokio::time::timeout(self.limit, self.exchange(request)).await {
                Ok(reply) => reply.with_context(|| what),
                Err(_) => Err(anyhow!("{what}: no answer within {:?}", self.limit)),
            }
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .context("cannot connect")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Reply { status, body })
    }
}

/// Docker's `filters` query parameter, percent-encoded, with its name: `filters={"service":{"web":true}}`.
pub fn filters(pairs: &[(&str, &str)]) -> String {
    let mut all = serde_json::Map::new();
    for (key, value) in pairs {
        let values = all
            .entry(*key)
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        values[*value] = Value::Bool(true);
    }
    let text = Value::Object(all).to_string();
    let encoded: String = text.bytes().map(percent_encoded).collect();
    format!("filters={encoded}")
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::filters;

    #[test]
    fn filters_are_docker_s_maps_of_sets() {
        assert_eq!(
            filters(&[("service", "web")]),
            "filters=%7B%22service%22%3A%7B%22web%22%3Atrue%7D%7D"
        );
    }
}
