//! `/services`.

use crate::ApiError;
use crate::body::{self, Body, json, json_with, read_json};
use crate::convert::{self, ServiceCounts};
use crate::router::Call;
use crate::{filter, names};
use api_types::service as json_service;
use http::{Response, StatusCode};
use model::control::{Query, Selector, TaskSelector, Write, Written};
use model::{NodeState, Service, ServiceId, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FILTERS: [&str; 5] = ["id", "label", "mode", "name", "runtime"];

/// The service that a user's word means.
pub(super) async fn find(call: &Call, reference: &str) -> Result<Arc<Service>, ApiError> {
    let query = Query::Services(Selector::Reference(reference.into()));
    let mut found = call.api.swarm.query(query).await?;
    found
        .services
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("service {reference} not found")))
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    let modes = ["replicated", "global", "replicated-job", "global-job"];
    if let Some(mode) = filters.values("mode").find(|m| !modes.contains(m)) {
        return Err(ApiError::bad_request(format!(
            "invalid mode filter '{mode}': use one of {}",
            modes.join(", ")
        )));
    }
    let found = call.api.swarm.query(Query::Services(Selector::All)).await?;
    let services: Vec<_> = found
        .services
        .into_iter()
        .filter(|s| {
            filter::object(&filters, s.id.as_str(), &s.spec.name, &s.spec.labels)
                && filters.any("mode", |m| m == "replicated")
                && filters.any("runtime", |r| matches!(r, "" | "container"))
        })
        .collect();
    let counts = if call.query.flag("status") {
        Some(count(&call, &services).await?)
    } else {
        None
    };
    let answer: Vec<_> = services
        .iter()
        .map(|s| {
            convert::service(
                s,
                counts
                    .as_ref()
                    .map(|c| c.get(&s.id).copied().unwrap_or_default()),
                false,
            )
        })
        .collect();
    Ok(json(&answer))
}

/// Tasks that run on nodes that are not down, and tasks that are asked for.
async fn count(
    call: &Call,
    services: &[Arc<Service>],
) -> Result<BTreeMap<ServiceId, ServiceCounts>, ApiError> {
    let mut counts: BTreeMap<ServiceId, ServiceCounts> = BTreeMap::new();
    for service in services {
        let count = ServiceCounts {
            running: 0,
            desired: service.spec.replicas(),
        };
        counts.insert(service.id.clone(), count);
    }
    let ids = services.iter().map(|s| s.id.clone()).collect();
    let tasks = call
        .api
        .swarm
        .query(Query::Tasks(TaskSelector::Services(ids)))
        .await?;
    let nodes = call.api.swarm.query(Query::Nodes(Selector::All)).await?;
    let down = nodes
        .nodes
        .into_iter()
        .filter(|n| n.node.status.state == NodeState::Down);
    let down: BTreeSet<_> = down.map(|n| n.node.id.clone()).collect();
    for task in tasks.tasks.iter().map(|t| &t.task) {
        let runs = task.status.state == TaskState::Running
            && task.node.as_ref().is_some_and(|n| !down.contains(n));
        if let Some(count) = counts
            .get_mut(&task.service)
            .filter(|_| runs && task.is_wanted())
        {
            count.running += 1;
        }
    }
    Ok(counts)
}

pub(crate) async fn inspect(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let service = find(&call, id).await?;
    Ok(json(&convert::service(
        &service,
        None,
        call.query.flag("insertDefaults"),
    )))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>, ApiError> {
    let spec: json_service::ServiceSpec = read_json(&call.headers, call.body).await?;
    let mut spec = convert::service_spec(spec)?;
    if spec.name.is_empty() {
        spec.name = names::generate(call.api.host.random());
    }
    match call
        .api
        .swarm
        .write(Write::CreateService(Arc::new(spec)))
        .await?
    {
        Written::Service(id) => {
            let answer = json_service::ServiceCreateResponse {
                id: id.to_string(),
                warnings: None,
            };
            Ok(json_with(StatusCode::CREATED, &answer))
        }
        Written::Done => Err(ApiError::internal(
            "the service was created but its id was not told",
        )),
    }
}

pub(crate) async fn update(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let version = call.query.version("service")?;
    match call.query.get("rollback") {
        "" | "none" => {}
        "previous" => return Err(ApiError::not_built("rollback=previous")),
        other => {
            return Err(ApiError::internal(format!(
                "unrecognized rollback option {other}"
            )));
        }
    }
    match call.query.get("registryAuthFrom") {
        "" | "spec" | "previous-spec" => {}
        other => {
            return Err(ApiError::internal(format!(
                "unrecognized registryAuthFrom {other}"
            )));
        }
    }
    let service = find(&call, id).await?;
    let spec: json_service::ServiceSpec = read_json(&call.headers, call.body).await?;
    let spec = Arc::new(convert::service_spec(spec)?);
    call.api
        .swarm
        .write(Write::UpdateService {
            id: service.id.clone(),
            version,
            spec,
        })
        .await?;
    Ok(json(&json_service::ServiceUpdateResponse {
        warnings: None,
    }))
}

pub(crate) async fn remove(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let service = find(&call, id).await?;
    call.api
        .swarm
        .write(Write::RemoveService(service.id.clone()))
        .await?;
    Ok(body::empty(StatusCode::OK))
}
