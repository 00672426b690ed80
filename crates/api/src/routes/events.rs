//! `/events`.

use super::logs::point;
use crate::ApiError;
use crate::body::{self, Body};
use crate::events::{Gone, Past, TASK};
use crate::router::Call;
use api_types::Filters;
use api_types::events::Event;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use http::{Response, StatusCode};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;

const FILTERS: [&str; 15] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
    "reload",
];

pub(crate) fn stream(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    let since = point(call.query.get("since"))?.map(|t| t.0);
    let until = point(call.query.get("until"))?.map(|t| t.0);
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(ApiError::bad_request(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.get("since"),
            call.query.get("until")
        )));
    }
    let index = call.query.number("sinceIndex")?;
    if index.is_some() && since.is_some() {
        return Err(ApiError::bad_request(
            "`since` and `sinceIndex` cannot be given together",
        ));
    }
    let past = match (index, since) {
        (Some(index), _) => Past::After(index),
        (None, Some(since)) => Past::Since(since),
        (None, None) if until.is_some() => Past::All,
        (None, None) => Past::Nothing,
    };
    let wants_tasks = filters.values("type").any(|kind| kind == TASK);
    let (past, receiver) = call.api.events.subscribe(past, wants_tasks).map_err(gone)?;
    // A reader that is too slow would miss some: its stream ends, and it can ask again.
    let coming = BroadcastStream::new(receiver)
        .take_while(|event| future::ready(event.is_ok()))
        .filter_map(|event| future::ready(event.ok()));
    let wait = until.map(|until| until - call.api.host.now());
    // The end is one of what is to come: what has been is told whole, also when the end is past.
    let events = stream::iter(past).chain(end_at(coming, wait));
    let events = events.filter(move |e| {
        future::ready(
            until.is_none_or(|u| e.time_nano <= u)
                && (wants_tasks || e.kind != TASK)
                && passes(&filters, e),
        )
    });
    let lines = events.map(|event| line(&event));
    Ok(body::stream("application/json", lines))
}

/// 410: what was asked for is not kept any more.
fn gone(gone: Gone) -> ApiError {
    let text = match gone.kept_after {
        Some(index) => format!(
            "events are kept from index {} on: list the objects, then ask with sinceIndex={index} or later",
            index.saturating_add(1)
        ),
        None => "this host keeps no events by index: it is no manager, or is just becoming one; ask another manager, or without sinceIndex".to_owned(),
    };
    ApiError::new(StatusCode::GONE, text)
}

fn line(event: &Arc<Event>) -> io::Result<Bytes> {
    let mut line = serde_json::to_vec(&**event)?;
    line.push(b'\n');
    Ok(line.into())
}

/// Ends the stream when so many nanoseconds have passed; at once when they have passed already.
fn end_at<T>(items: impl Stream<Item = T>, nanos: Option<i64>) -> impl Stream<Item = T> {
    let wait = nanos.map(|n| Duration::from_nanos(u64::try_from(n).unwrap_or(0)));
    let end = async move {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => future::pending().await,
        }
    };
    items.take_until(end)
}

fn passes(filters: &Filters, event: &Event) -> bool {
    let attributes = &event.actor.attributes;
    let name = attributes.get("name").map_or("", String::as_str);
    let of_kind = |kind: &str| {
        filters.any(kind, |wanted| {
            event.kind == kind && (event.actor.id.starts_with(wanted) || name == wanted)
        })
    };
    let action = event.action.split(':').next().unwrap_or_default();
    filters.any("event", |wanted| wanted == event.action || wanted == action)
        && filters.exact("type", &event.kind)
        && filters.exact("scope", &event.scope)
        && filters.labels("label", attributes)
        && filters.any("image", |wanted| {
            (event.kind == "image" && (event.actor.id == wanted || name == wanted))
                || attributes.get("image").is_some_and(|i| i == wanted)
        })
        && [
            "container",
            "network",
            "node",
            "service",
            "secret",
            "config",
            "volume",
            "plugin",
            "daemon",
        ]
        .iter()
        .all(|kind| of_kind(kind))
}
