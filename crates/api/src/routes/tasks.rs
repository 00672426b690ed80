//! `/tasks`.

use crate::body::{Body, json};
use crate::router::Call;
use crate::{Api, ApiError, convert};
use http::Response;
use model::control::{FoundTask, Query, Selector, TaskSelector};
use model::{NodeId, ServiceId, TaskState};

const FILTERS: [&str; 8] = [
    "_up-to-date",
    "desired-state",
    "id",
    "label",
    "name",
    "node",
    "runtime",
    "service",
];

/// States that a filter may name beside those that tasks have: one of Docker's allocator, and one that is only wished for.
const OTHER_STATES: [&str; 2] = ["allocated", "remove"];

fn is_state(name: &str) -> bool {
    OTHER_STATES.contains(&name) || TaskState::ALL.iter().any(|state| state.name() == name)
}

/// The task that a user's word means.
pub(super) async fn find(api: &Api, reference: &str) -> Result<FoundTask, ApiError> {
    let query = Query::Tasks(TaskSelector::Reference(reference.into()));
    let mut found = api.swarm.query(query).await?;
    found
        .tasks
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("task {reference} not found")))
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    if let Some(state) = filters
        .values("desired-state")
        .find(|s| !is_state(&s.to_ascii_lowercase()))
    {
        return Err(ApiError::bad_request(format!(
            "invalid task state filter '{state}'"
        )));
    }
    let bad = |e: api_types::filters::FilterError| ApiError::bad_request(e.to_string());
    let up_to_date = filters.boolean("_up-to-date").map_err(bad)?;
    let services = services(&call, filters.values("service").collect()).await?;
    let nodes = nodes(&call, filters.values("node").collect()).await?;
    let selector = match (&services, &nodes) {
        (Some(services), _) => TaskSelector::Services(services.clone()),
        (None, Some(nodes)) => TaskSelector::Nodes(nodes.clone()),
        (None, None) => TaskSelector::All,
    };
    let found = call.api.swarm.query(Query::Tasks(selector)).await?;
    let tasks: Vec<_> = found
        .tasks
        .iter()
        .filter(|f| {
            let task = &f.task;
            filters.prefix("id", task.id.as_str())
                && filters.prefix("name", &task.name())
                && filters.labels("label", &task.service_labels)
                && filters.any("desired-state", |s| {
                    s.eq_ignore_ascii_case(task.desired.name())
                })
                && filters.any("runtime", |r| matches!(r, "" | "container"))
                && nodes
                    .as_ref()
                    .is_none_or(|nodes| task.node.as_ref().is_some_and(|n| nodes.contains(n)))
                && up_to_date.is_none_or(|wanted| wanted == f.up_to_date)
        })
        .map(|f| convert::task(&f.task))
        .collect();
    Ok(json(&tasks))
}

async fn services(call: &Call, references: Vec<&str>) -> Result<Option<Vec<ServiceId>>, ApiError> {
    let mut ids = Vec::new();
    for reference in &references {
        let query = Query::Services(Selector::Reference((*reference).into()));
        let found = call.api.swarm.query(query).await?;
        if found.services.is_empty() {
            return Err(ApiError::not_found(format!(
                "service {reference} not found"
            )));
        }
        ids.extend(found.services.iter().map(|s| s.id.clone()));
    }
    Ok((!references.is_empty()).then_some(ids))
}

async fn nodes(call: &Call, references: Vec<&str>) -> Result<Option<Vec<NodeId>>, ApiError> {
    let mut ids = Vec::new();
    for reference in &references {
        let query = Query::Nodes(Selector::Reference((*reference).into()));
        let found = call.api.swarm.query(query).await?;
        if found.nodes.is_empty() {
            return Err(ApiError::not_found(format!("node {reference} not found")));
        }
        ids.extend(found.nodes.iter().map(|n| n.node.id.clone()));
    }
    Ok((!references.is_empty()).then_some(ids))
}

pub(crate) async fn inspect(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let found = find(&call.api, id).await?;
    Ok(json(&convert::task(&found.task)))
}
