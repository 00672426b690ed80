//! Which handler answers which path.

use crate::body::{self, Body, RequestBody};
use crate::query::Query;
use crate::routes::{
    containers, events, images, logs, networks, nodes, payloads, service_actions, service_update,
    services, swarm, system, tasks, volumes,
};
use crate::version::{self, Version};
use crate::{Api, ApiError, query};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use model::PayloadKind;

/// A request as handlers see it.
pub(crate) struct Call {
    pub(crate) api: Api,
    pub(crate) version: Version,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
}

/// Areas of Docker's API that exist there: here, what is not routed in them is not built rather than unknown.
const DOCKER_AREAS: [&str; 24] = [
    "auth",
    "build",
    "commit",
    "configs",
    "containers",
    "debug",
    "distribution",
    "events",
    "exec",
    "grpc",
    "images",
    "info",
    "networks",
    "nodes",
    "plugins",
    "secrets",
    "services",
    "session",
    "swarm",
    "system",
    "tasks",
    "version",
    "volumes",
    "_ping",
];

pub(crate) async fn route(
    api: Api,
    request: Request<Incoming>,
) -> Result<Response<Body>, ApiError> {
    let (parts, body) = request.into_parts();
    let body = RequestBody::new(body);
    if parts.method == Method::OPTIONS {
        return Ok(body::empty(StatusCode::OK));
    }
    let (version, path) = version::split(parts.uri.path())?;
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(query::decode)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let call = Call {
        api,
        version,
        query,
        headers: parts.headers,
        body,
    };
    match segments[0] {
        "services" => services(call, &parts.method, &segments).await,
        "secrets" | "configs" => payloads(call, &parts.method, &segments).await,
        "tasks" | "nodes" | "swarm" => cluster(call, &parts.method, &segments).await,
        "images" | "distribution" => pictures(call, &parts.method, &segments).await,
        _ => host(call, &parts.method, &segments).await,
    }
}

async fn cluster(call: Call, method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (method.as_str(), path) {
        ("GET", ["swarm"]) => swarm::inspect(call).await,
        ("POST", ["swarm", "init"]) => swarm::init(call).await,
        ("POST", ["swarm", "join"]) => swarm::join(call).await,
        ("POST", ["swarm", "leave"]) => swarm::leave(call).await,
        ("POST", ["swarm", "update"]) => swarm::update(call).await,
        ("GET", ["swarm", "unlockkey"]) => swarm::unlock_key(call).await,
        ("POST", ["swarm", "unlock"]) => swarm::unlock(call).await,
        ("POST", ["swarm", "tokens"]) => swarm::create_token(call).await,
        ("DELETE", ["swarm", "tokens", name]) => swarm::remove_token(call, name).await,
        ("GET", ["nodes"]) => nodes::list(call).await,
        ("GET", ["nodes", id]) => nodes::inspect(call, id).await,
        ("POST", ["nodes", id, "update"]) => nodes::update(call, id).await,
        ("DELETE", ["nodes", id]) => nodes::remove(call, id).await,
        ("GET", ["tasks"]) => tasks::list(call).await,
        ("GET", ["tasks", id]) => tasks::inspect(call, id).await,
        ("GET", ["tasks", id, "logs"]) => logs::of_task(call, id).await,
        _ => unknown(method, path),
    }
}

async fn services(call: Call, method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (method.as_str(), &path[1..]) {
        ("GET", []) => services::list(call).await,
        ("POST", ["create"]) => services::create(call).await,
        ("POST", ["rebalance"]) => service_actions::rebalance(call).await,
        ("GET", [id]) => services::inspect(call, id).await,
        ("DELETE", [id]) => services::remove(call, id).await,
        ("POST", [id, "update"]) => service_update::update(call, id).await,
        ("POST", [id, "restart"]) => service_actions::restart(call, id).await,
        ("GET", [id, "history"]) => service_actions::history(call, id).await,
        ("GET", [id, "logs"]) => logs::of_service(call, id).await,
        _ => unknown(method, path),
    }
}

async fn payloads(call: Call, method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    let kind = if path[0] == "secrets" {
        PayloadKind::Secret
    } else {
        PayloadKind::Config
    };
    match (method.as_str(), &path[1..]) {
        ("GET", []) => payloads::list(call, kind).await,
        ("POST", ["create"]) => payloads::create(call, kind).await,
        ("GET", [id]) => payloads::inspect(call, kind, id).await,
        ("DELETE", [id]) => payloads::remove(call, kind, id).await,
        ("POST", [id, "update"]) => payloads::update(call, kind, id).await,
        _ => unknown(method, path),
    }
}

/// Names of images have slashes in them, so the verb is the last part.
async fn pictures(call: Call, method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (method.as_str(), path) {
        ("GET", ["images", "json"]) => images::list(call),
        ("POST", ["images", "create"]) => images::create(call).await,
        ("POST", ["images", "load"]) => images::load(call).await,
        ("GET", ["images", "get"]) => {
            let names = call.query.all("names");
            images::save(call, names).await
        }
        ("GET", ["distribution", name @ .., "json"]) => {
            images::distribution(call, &name.join("/")).await
        }
        ("GET", ["images", name @ .., "json"]) => images::inspect(call, &name.join("/")),
        ("GET", ["images", name @ .., "history"]) => images::history(call, &name.join("/")),
        ("GET", ["images", name @ .., "get"]) => images::save(call, vec![name.join("/")]).await,
        ("POST", ["images", name @ .., "tag"]) => images::tag(call, &name.join("/")).await,
        ("DELETE", ["images", name @ ..]) => images::remove(call, &name.join("/")).await,
        _ => unknown(method, path),
    }
}

async fn host(call: Call, method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    match (method.as_str(), path) {
        ("GET" | "HEAD", ["_ping"]) => Ok(system::ping(&call, method == Method::HEAD)),
        ("GET", ["version"]) => Ok(system::version(&call)),
        ("GET", ["info"]) => system::info(call).await,
        ("GET", ["events"]) => events::stream(call),
        ("GET", ["containers", "json"]) => containers::list(call).await,
        ("GET", ["containers", id, "json"]) => containers::inspect(call, id).await,
        ("GET", ["volumes"]) => volumes::list(call).await,
        ("POST", ["volumes", "create"]) => volumes::create(call).await,
        ("POST", ["volumes", "prune"]) => volumes::prune(call).await,
        ("GET", ["volumes", name]) => volumes::inspect(call, name).await,
        ("DELETE", ["volumes", name]) => volumes::remove(call, name).await,
        ("GET", ["networks"]) => networks::list(&call),
        ("GET", ["networks", id]) => networks::inspect(&call, id),
        _ => unknown(method, path),
    }
}

fn unknown(method: &Method, path: &[&str]) -> Result<Response<Body>, ApiError> {
    if DOCKER_AREAS.contains(&path[0]) {
        return Err(ApiError::not_built(&format!(
            "{method} /{}",
            path.join("/")
        )));
    }
    Err(ApiError::not_found("page not found"))
}
