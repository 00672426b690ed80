//! Logs of services and tasks, as a multiplexed stream.

use super::{services, tasks};
use crate::ApiError;
use crate::body::{self, Body};
use crate::frame;
use crate::router::Call;
use crate::version::Version;
use api_types::{MEDIA_TYPE_MULTIPLEXED_STREAM, MEDIA_TYPE_RAW_STREAM};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Response, StatusCode};
use model::Timestamp;
use model::logs::{LogMessage, LogOptions, LogSelector};

pub(crate) async fn of_service(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let service = services::find(&call.api, id).await?;
    let selector = LogSelector {
        services: vec![service.id.clone()],
        tasks: Vec::new(),
    };
    stream(call, selector, service.spec.task.container.tty).await
}

pub(crate) async fn of_task(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let found = tasks::find(&call.api, id).await?;
    let selector = LogSelector {
        services: Vec::new(),
        tasks: vec![found.task.id.clone()],
    };
    stream(call, selector, found.task.spec.container.tty).await
}

/// What a terminal wrote has no frames, as in Docker: there is but one stream.
async fn stream(
    call: Call,
    selector: LogSelector,
    is_terminal: bool,
) -> Result<Response<Body>, ApiError> {
    let options = options(&call)?;
    let details = call.query.flag("details");
    let timestamps = call.query.flag("timestamps");
    let messages = call.api.swarm.logs(selector, options).await?;
    let frames = messages.map(move |message| {
        Ok(match message {
            Ok(message) if is_terminal => line(&message, details, timestamps),
            Ok(message) => frame::frame(message.stream, &line(&message, details, timestamps)),
            Err(notice) if is_terminal => format!("{notice}\n").into(),
            Err(notice) => frame::system_error(&format!("{notice}\n")),
        })
    });
    let content_type = if call.version >= Version(1, 42) && !is_terminal {
        MEDIA_TYPE_MULTIPLEXED_STREAM
    } else {
        MEDIA_TYPE_RAW_STREAM
    };
    Ok(body::stream(content_type, frames))
}

/// A line with what was asked to stand before it.
fn line(message: &LogMessage, details: bool, timestamps: bool) -> Bytes {
    let mut line = Vec::with_capacity(message.data.len() + 64);
    if timestamps {
        let time = api_types::Timestamp::from_unix_nanos(message.time.0).to_fixed_string();
        line.extend_from_slice(time.as_bytes());
        line.push(b' ');
    }
    if details {
        let attributes = format!(
            "com.docker.swarm.node.id={},com.docker.swarm.service.id={},com.docker.swarm.task.id={} ",
            message.node, message.service, message.task
        );
        line.extend_from_slice(attributes.as_bytes());
    }
    line.extend_from_slice(&message.data);
    line.into()
}

fn options(call: &Call) -> Result<LogOptions, ApiError> {
    let (stdout, stderr) = (call.query.flag("stdout"), call.query.flag("stderr"));
    if !stdout && !stderr {
        let text = "Bad parameters: you must choose at least one stream";
        return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let tail = match call.query.get("tail") {
        "" | "all" => None,
        text => match text.parse::<i64>() {
            Ok(lines) if lines < 0 => None,
            Ok(lines) => Some(lines.unsigned_abs()),
            Err(_) => {
                return Err(ApiError::bad_request(format!(
                    "tail value must be a positive integer or \"all\", not '{text}'"
                )));
            }
        },
    };
    Ok(LogOptions {
        stdout,
        stderr,
        follow: call.query.flag("follow"),
        tail,
        since: seconds(call.query.get("since"))?,
        until: seconds(call.query.get("until"))?,
    })
}

/// As [`point`], where 0 stands for nothing, too.
fn seconds(text: &str) -> Result<Option<Timestamp>, ApiError> {
    Ok(point(text)?.filter(|at| at.0 != 0))
}

/// Unix seconds with an optional fraction, as Docker's client sends points in time; an empty text is none.
pub(super) fn point(text: &str) -> Result<Option<Timestamp>, ApiError> {
    let bad = || {
        ApiError::bad_request(format!(
            "invalid time '{text}': send Unix seconds, such as 1700000000.5"
        ))
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Ok(None);
    }
    let whole: i64 = whole.parse().map_err(|_| bad())?;
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| bad())?;
    let at = whole
        .checked_mul(1_000_000_000)
        .and_then(|at| at.checked_add(nanos))
        .ok_or_else(bad)?;
    Ok(Some(Timestamp(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_time_is_a_point_but_no_bound_of_logs() {
        assert_eq!(point("").expect("an empty text"), None);
        assert_eq!(point("0").expect("zero"), Some(Timestamp(0)));
        assert_eq!(seconds("0").expect("zero"), None);
        assert_eq!(
            seconds("1.5").expect("a fraction"),
            Some(Timestamp(1_500_000_000))
        );
        assert!(point("yesterday").is_err());
    }
}
