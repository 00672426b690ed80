//! `/events`.

use super::logs::point;
use crate::ApiError;
use crate::body::{self, Body};
use crate::router::Call;
use api_types::Filters;
use api_types::events::Event;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future, stream};
use http::Response;
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
        return Err(ApiError::bad_request(
            "`since` time cannot be after `until` time",
        ));
    }
    let (kept, receiver) = call.api.events.subscribe();
    let past: Vec<_> = kept
        .into_iter()
        .filter(|e| since.is_some_and(|s| e.time_nano >= s) || (since.is_none() && until.is_some()))
        .collect();
    let coming = BroadcastStream::new(receiver).filter_map(|event| future::ready(event.ok()));
    let wait = until.map(|until| until - call.api.host.now());
    // The end is one of what is to come: what has been is told whole, also when the end is past.
    let events = stream::iter(past).chain(end_at(coming, wait));
    let events = events.filter(move |e| {
        future::ready(until.is_none_or(|u| e.time_nano <= u) && passes(&filters, e))
    });
    let lines = events.map(|event| line(&event));
    Ok(body::stream("application/json", lines))
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
