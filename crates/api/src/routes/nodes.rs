//! `/nodes`.

use super::services;
use crate::body::{self, Body, json, malformed, read_json};
use crate::router::Call;
use crate::{Api, ApiError, convert, filter};
use api_types::Filters;
use api_types::swarm::{NodeSpec, TlsInfo};
use http::{Response, StatusCode};
use model::Labels;
use model::control::{ControlError, FoundNode, Query, Selector, Write};
use serde_json::Value;

const FILTERS: [&str; 6] = ["id", "label", "membership", "name", "node.label", "role"];

async fn tls(call: &Call) -> Result<TlsInfo, ApiError> {
    let found = call.api.swarm.query(Query::Cluster).await?;
    Ok(found
        .cluster
        .map(|c| call.api.swarm.tls_info(&c))
        .unwrap_or_default())
}

async fn find(api: &Api, reference: &str) -> Result<FoundNode, ApiError> {
    let query = Query::Nodes(Selector::Reference(reference.into()));
    let mut found = api.swarm.query(query).await?;
    found
        .nodes
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("node {reference} not found")))
}

/// Refuses another value of a filter, in the words of Docker's daemon.
fn one_of(filters: &Filters, key: &str, known: [&str; 2]) -> Result<(), ApiError> {
    match filters.values(key).find(|value| !known.contains(value)) {
        Some(value) => Err(ApiError::bad_request(format!(
            "Invalid {key} filter: '{value}': use {}",
            known.join(" or ")
        ))),
        None => Ok(()),
    }
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    one_of(&filters, "membership", ["accepted", "pending"])?;
    one_of(&filters, "role", ["manager", "worker"])?;
    let found = call.api.swarm.query(Query::Nodes(Selector::All)).await?;
    let tls = tls(&call).await?;
    let none = Labels::new();
    let nodes: Vec<_> = found
        .nodes
        .iter()
        .filter(|f| {
            let said = f.node.description.as_ref();
            let hostname = said.map_or("", |d| &d.hostname);
            filter::object(
                &filters,
                f.node.id.as_str(),
                hostname,
                said.map_or(&none, |d| &d.engine_labels),
            ) && filters.labels("node.label", &f.node.spec.labels)
                && filters.any("role", |role| role == f.node.spec.role.name())
                && filters.any("membership", |m| m == "accepted")
        })
        .map(|f| convert::node(f, &tls))
        .collect();
    Ok(json(&nodes))
}

pub(crate) async fn inspect(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let node = find(&call.api, id).await?;
    let tls = tls(&call).await?;
    Ok(json(&convert::node(&node, &tls)))
}

pub(crate) async fn update(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let version = call.query.version("node")?;
    let dry_run = call.query.boolean("dryRun")?;
    let sent: Value = read_json(&call.headers, call.body).await?;
    let node = find(&call.api, id).await?.node;
    let printed = convert::node_spec_out(&node.spec);
    let sent = convert::keep_unknown_of_node(sent, &printed);
    let sent: NodeSpec = api_types::from_value(sent).map_err(malformed)?;
    let spec = convert::node_spec(sent, &node.spec)?;
    model::validate::node(&spec)
        .map_err(|error| ControlError::InvalidArgument(error.to_string()))?;
    let diff = dry_run.then(|| {
        let new = convert::node_spec_out(&spec);
        convert::differences(Some(&printed), &new)
    });
    let write = Write::UpdateNode {
        id: node.id.clone(),
        version,
        spec,
    };
    if let Some(diff) = diff {
        return services::plan(&call.api, write, diff).await;
    }
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn remove(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let node = find(&call.api, id).await?;
    let force = call.query.flag("force");
    call.api
        .swarm
        .write(Write::RemoveNode {
            id: node.node.id.clone(),
            force,
        })
        .await?;
    Ok(body::empty(StatusCode::OK))
}
