//! One connection that is kept open.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::path::Path;
use tokio::net::UnixStream;

/// A client of one daemon.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(socket: &Path) -> Result<Client> {
        let stream = UnixStream::connect(socket).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what goes wrong is seen in the answer.
        tokio::spawn(connection);
        Ok(Client { sender })
    }

    /// Sends a request and returns the status and the body.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Bytes)> {
        let bytes = body
            .map(serde_json::to_vec)
            .transpose()?
            .unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1.41{path}"))
            .header(HOST, "load")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))?;
        self.sender.ready().await?;
        let reply = self.sender.send_request(request).await?;
        let status = reply.status().as_u16();
        Ok((status, reply.into_body().collect().await?.to_bytes()))
    }

    /// The answer, which must be a success.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        match self.ask(Method::GET, path, None).await? {
            (200, body) => serde_json::from_slice(&body).context("the answer is not JSON"),
            (status, body) => bail!("GET {path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }

    /// As [`Client::get`], with a body.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Posted> {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await?;
        let text = String::from_utf8_lossy(&answer);
        match status {
            200 | 201 => Ok(Posted::Done(
                serde_json::from_slice(&answer).unwrap_or_default(),
            )),
            _ if text.contains("out of sequence") => Ok(Posted::OutOfSequence),
            _ => bail!("POST {path}: {status} {text}"),
        }
    }

    /// As [`Client::get`].
    pub(crate) async fn delete(&mut self, path: &str) -> Result<()> {
        match self.ask(Method::DELETE, path, None).await? {
            (200 | 204, _) => Ok(()),
            (status, body) => bail!("DELETE {path}: {status} {}", String::from_utf8_lossy(&body)),
        }
    }
}

/// What became of a write.
pub(crate) enum Posted {
    Done(Value),
    /// Somebody else wrote the same object: Docker Swarm does so itself after an update.
    OutOfSequence,
}
