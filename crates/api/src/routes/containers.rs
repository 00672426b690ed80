//! `/containers`: tasks of services as containers.

use crate::ApiError;
use crate::backend::Listed;
use crate::body::{Body, json};
use crate::router::Call;
use api_types::Filters;
use http::Response;

const FILTERS: [&str; 16] = [
    "ancestor",
    "before",
    "expose",
    "exited",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "annotation",
];

/// Filters whose matter is not built yet: asking by them finds out nothing true.
const NOT_BUILT: [&str; 3] = ["expose", "publish", "annotation"];

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    if let Some(filter) = NOT_BUILT.iter().find(|f| filters.contains(f)) {
        return Err(ApiError::not_built(&format!(
            "the filter {filter} of containers"
        )));
    }
    let states = ["none", "starting", "healthy", "unhealthy"];
    if let Some(health) = filters.values("health").find(|h| !states.contains(h)) {
        return Err(ApiError::bad_request(format!(
            "invalid filter 'health={health}'"
        )));
    }
    let mut exited = Vec::new();
    for text in filters.values("exited") {
        exited.push(
            text.parse::<i64>()
                .map_err(|_| ApiError::bad_request(format!("invalid filter 'exited={text}'")))?,
        );
    }
    let all = call.query.flag("all") || filters.contains("status") || filters.contains("exited");
    let limit = match call.query.get("limit") {
        "" => 0,
        text => text
            .parse::<i64>()
            .map_err(|_| ApiError::bad_request(format!("invalid limit '{text}'")))?,
    };
    let listed = call.api.containers.list().await;
    let (before, since) = (
        position(&listed, &filters, "before")?,
        position(&listed, &filters, "since")?,
    );
    let mut images = Vec::new();
    for ancestor in filters.values("ancestor") {
        images.extend(
            call.api
                .images
                .inspect(ancestor)
                .ok()
                .map(|record| record.id.to_string()),
        );
    }
    let found = listed.iter().enumerate().filter(|(at, c)| {
        (all || limit > 0 || c.summary.state == "running")
            && passes(&filters, c)
            && (!filters.contains("ancestor") || images.contains(&c.summary.image_id))
            && (exited.is_empty() || c.exit_code.is_some_and(|code| exited.contains(&code)))
            // The newest comes first, so what was made before another stands behind it.
            && before.is_none_or(|b| *at > b)
            && since.is_none_or(|s| *at < s)
    });
    let limit = usize::try_from(limit)
        .ok()
        .filter(|l| *l > 0)
        .unwrap_or(usize::MAX);
    let summaries: Vec<_> = found.take(limit).map(|(_, c)| &c.summary).collect();
    Ok(json(&summaries))
}

fn position(listed: &[Listed], filters: &Filters, filter: &str) -> Result<Option<usize>, ApiError> {
    let Some(reference) = filters.values(filter).next() else {
        return Ok(None);
    };
    let named = |c: &Listed| c.summary.id.starts_with(reference) || is_named(c, |n| n == reference);
    let found = listed.iter().position(named);
    found
        .map(Some)
        .ok_or_else(|| ApiError::not_found(format!("No such container: {reference}")))
}

fn is_named(container: &Listed, mut matches: impl FnMut(&str) -> bool) -> bool {
    container
        .summary
        .names
        .iter()
        .any(|n| matches(n.trim_start_matches('/')))
}

fn passes(filters: &Filters, container: &Listed) -> bool {
    let summary = &container.summary;
    let is_task = summary.labels.contains_key("com.docker.swarm.task.id");
    filters.prefix("id", &summary.id)
        && filters.any("name", |wanted| {
            is_named(container, |n| n.contains(wanted.trim_start_matches('/')))
        })
        && filters.labels("label", &summary.labels)
        && filters.exact("status", &summary.state)
        && filters.any("is-task", |wanted| {
            matches!(wanted, "true" | "1") == is_task
        })
        && filters.exact("health", container.health)
        && filters.any("volume", |wanted| {
            summary
                .mounts
                .iter()
                .any(|m| (m.kind == "volume" && m.name == wanted) || m.destination == wanted)
        })
        && filters.any("isolation", |wanted| wanted == "default")
        && filters.any("network", |wanted| {
            summary.network_settings.as_ref().is_some_and(|s| {
                s.networks
                    .iter()
                    .any(|(name, network)| name == wanted || network.network_id == wanted)
            })
        })
}

pub(crate) async fn inspect(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    Ok(json(&call.api.containers.inspect(id).await?))
}
