//! Bodies: JSON in with a bound, JSON and streams out.

use crate::ApiError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Most JSON that a client may send: a service's spec has a few KiB, and 4 MiB is what managers take in one message.
pub(crate) const MAX_JSON: usize = 4 << 20;

/// The body of a request. What no handler takes is read and thrown away: a client that is still sending would see a broken pipe
/// instead of the answer that says why its request was refused.
pub(crate) struct RequestBody(Option<Incoming>);

impl RequestBody {
    pub(crate) fn new(body: Incoming) -> RequestBody {
        RequestBody(Some(body))
    }

    fn take(mut self) -> Incoming {
        self.0
            .take()
            .expect("it is there until the value is consumed")
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let left = self.0.take().filter(|body| !body.is_end_stream());
        // Without a runtime the connection ends, too.
        if let (Some(body), Ok(runtime)) = (left, Handle::try_current()) {
            runtime.spawn(async move {
                let mut chunks = Limited::new(body, MAX_JSON).into_data_stream();
                while let Some(Ok(_)) = chunks.next().await {}
            });
        }
    }
}

/// The whole of `bytes`.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A value as JSON with the line feed that Docker puts behind it.
pub(crate) fn json_bytes(value: &impl Serialize) -> Body {
    let mut text = serde_json::to_vec(value).expect("types of api-types have string keys only");
    text.push(b'\n');
    full(text)
}

/// 200 with JSON.
pub(crate) fn json(value: &impl Serialize) -> Response<Body> {
    json_with(StatusCode::OK, value)
}

/// Any status with JSON.
pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(json_bytes(value));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A stream of bytes of some type. Its headers leave at once.
pub(crate) fn stream(
    content_type: &'static str,
    items: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> Response<Body> {
    let body = BodyExt::boxed_unsync(StreamBody::new(items.map(|item| item.map(Frame::data))));
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Reads a JSON body. An empty one is an error.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: RequestBody,
) -> Result<T, ApiError> {
    parse(&read(headers, body).await?)
}

/// Reads a JSON body that may be empty.
pub(crate) async fn read_json_if_any<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: RequestBody,
) -> Result<Option<T>, ApiError> {
    match read(headers, body).await? {
        bytes if bytes.iter().all(u8::is_ascii_whitespace) => Ok(None),
        bytes => parse(&bytes).map(Some),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    api_types::from_json(bytes).map_err(malformed)
}

/// JSON that does not fit its type.
pub(crate) fn malformed(error: api_types::DecodeError) -> ApiError {
    ApiError::bad_request(error.to_string())
}

async fn read(headers: &HeaderMap, body: RequestBody) -> Result<Bytes, ApiError> {
    check_content_type(headers)?;
    let collected = Limited::new(body.take(), MAX_JSON).collect().await;
    let collected = collected.map_err(|error| {
        if error
            .downcast_ref::<http_body_util::LengthLimitError>()
            .is_some()
        {
            let text = format!(
                "the request body is too large: at most {} MiB of JSON are taken",
                MAX_JSON >> 20
            );
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, text)
        } else {
            ApiError::bad_request(format!("the request body could not be read: {error}"))
        }
    })?;
    Ok(collected.to_bytes())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "unsupported Content-Type header ({media_type}): must be 'application/json'"
    )))
}

/// Chunks of a body that may wait for whoever reads them: a few, since each has some 10 KiB.
const WAITING_CHUNKS: usize = 16;

/// The body as a stream of bytes, for tars. When the reader gives up, the rest is read and thrown away: a client that is
/// still sending would see a broken pipe instead of the answer that says why.
pub(crate) fn incoming(body: RequestBody) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
    tokio::spawn(async move {
        let mut chunks = body.take().into_data_stream();
        let mut is_wanted = true;
        while let Some(chunk) = chunks.next().await {
            let is_broken = chunk.is_err();
            if is_wanted {
                is_wanted = sender.send(chunk.map_err(io::Error::other)).await.is_ok();
            }
            if is_broken {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}
