//! `/volumes`: those of this host.

use crate::ApiError;
use crate::body::{self, Body, json, json_with, malformed, read_json_if_any};
use crate::router::Call;
use crate::version::Version;
use api_types::filters::FilterError;
use api_types::volume::{Volume, VolumeCreateRequest, VolumeList};
use api_types::{Filters, StringMap};
use http::{Response, StatusCode};
use serde_json::Value;

const LIST_FILTERS: [&str; 4] = ["dangling", "driver", "label", "name"];
const PRUNE_FILTERS: [&str; 3] = ["all", "label", "label!"];

fn bad(error: FilterError) -> ApiError {
    ApiError::bad_request(error.to_string())
}

fn has_labels(filters: &Filters, volume: &Volume) -> bool {
    let none = StringMap::new();
    let labels = volume.labels.as_ref().unwrap_or(&none);
    let without = filters
        .values("label!")
        .all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_none_or(|there| there != value),
            None => !labels.contains_key(wanted),
        });
    filters.labels("label", labels) && without
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&LIST_FILTERS)?;
    let dangling = filters.boolean("dangling").map_err(bad)?;
    let mut volumes = call.api.volumes.list().await?;
    volumes.retain(|v| {
        has_labels(&filters, &v.volume)
            && filters.any("name", |name| v.volume.name.contains(name))
            && filters.exact("driver", &v.volume.driver)
            && dangling.is_none_or(|dangling| dangling != v.in_use)
    });
    Ok(json(&VolumeList {
        volumes: Some(volumes.into_iter().map(|v| v.volume).collect()),
        warnings: None,
    }))
}

pub(crate) async fn inspect(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    Ok(json(&call.api.volumes.inspect(name).await?))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>, ApiError> {
    let sent: Value = read_json_if_any(&call.headers, call.body)
        .await?
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let is_cluster = |map: &serde_json::Map<String, Value>| {
        map.iter()
            .any(|(key, value)| key.eq_ignore_ascii_case("ClusterVolumeSpec") && !value.is_null())
    };
    if sent.as_object().is_some_and(is_cluster) {
        return Err(ApiError::not_built("ClusterVolumeSpec (cluster volumes)"));
    }
    let request: VolumeCreateRequest = api_types::from_value(sent).map_err(malformed)?;
    if !matches!(request.driver.as_str(), "" | "local") {
        return Err(ApiError::not_built(&format!(
            "the volume driver {}",
            request.driver
        )));
    }
    let volume = call.api.volumes.create(request).await?;
    Ok(json_with(StatusCode::CREATED, &volume))
}

pub(crate) async fn remove(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let force = call.query.flag("force");
    call.api.volumes.remove(name, force).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// Docker's label of volumes without a name of their own.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// Volumes that no container has: anonymous ones, with `all` also those with a name.
pub(crate) async fn prune(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&PRUNE_FILTERS)?;
    let all = filters.boolean("all").map_err(bad)?.unwrap_or(false);
    // Before 1.42 there was no such choice, and all were pruned.
    let all = all || call.version < Version(1, 42);
    let wanted = move |volume: &Volume| {
        let labels = volume.labels.as_ref();
        let is_anonymous = labels.is_some_and(|labels| labels.contains_key(ANONYMOUS));
        (all || is_anonymous) && has_labels(&filters, volume)
    };
    Ok(json(&call.api.volumes.prune(Box::new(wanted)).await?))
}
