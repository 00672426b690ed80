//! `/nodes`.

use crate::ApiError;
use crate::body::{self, Body, json, read_json};
use crate::convert;
use crate::filter;
use crate::router::Call;
use api_types::swarm::{NodeSpec, TlsInfo};
use http::{Response, StatusCode};
use model::Labels;
use model::control::{FoundNode, Query, Selector, Write};

const FILTERS: [&str; 6] = ["id", "label", "membership", "name", "node.label", "role"];

async fn tls(call: &Call) -> Result<TlsInfo, ApiError> {
    let found = call.api.swarm.query(Query::Cluster).await?;
    Ok(found
        .cluster
        .map(|c| call.api.swarm.tls_info(&c))
        .unwrap_or_default())
}

async fn find(call: &Call, reference: &str) -> Result<FoundNode, ApiError> {
    let query = Query::Nodes(Selector::Reference(reference.into()));
    let mut found = call.api.swarm.query(query).await?;
    found
        .nodes
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("node {reference} not found")))
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    if filters.contains("membership")
        && !filters
            .values("membership")
            .all(|m| matches!(m, "accepted" | "pending"))
    {
        return Err(ApiError::bad_request(
            "invalid membership filter: use accepted or pending",
        ));
    }
    if !filters
        .values("role")
        .all(|r| matches!(r, "manager" | "worker"))
    {
        return Err(ApiError::bad_request(
            "invalid role filter: use manager or worker",
        ));
    }
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
    let node = find(&call, id).await?;
    let tls = tls(&call).await?;
    Ok(json(&convert::node(&node, &tls)))
}

pub(crate) async fn update(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let version = call.query.version("node")?;
    let node = find(&call, id).await?;
    let spec: NodeSpec = read_json(&call.headers, call.body).await?;
    let spec = convert::node_spec(spec)?;
    call.api
        .swarm
        .write(Write::UpdateNode {
            id: node.node.id.clone(),
            version,
            spec,
        })
        .await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn remove(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let node = find(&call, id).await?;
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
