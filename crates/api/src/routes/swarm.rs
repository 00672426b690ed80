//! `/swarm`.

use crate::backend::{Init, Join};
use crate::body::{self, Body, json, json_with, malformed, read_json};
use crate::router::Call;
use crate::{Api, ApiError, convert};
use api_types::starling::Token;
use api_types::swarm::{InitRequest, JoinRequest, Spec, UnlockKey};
use http::{Response, StatusCode};
use model::cluster::LabelledToken;
use model::control::{ControlError, Query, Write};
use model::node::Availability;
use model::{Cluster, ClusterSpec};
use serde_json::Value;
use std::sync::Arc;

async fn cluster(api: &Api) -> Result<Arc<Cluster>, ApiError> {
    let found = api.swarm.query(Query::Cluster).await?;
    found
        .cluster
        .ok_or_else(|| ControlError::NotFound("cluster not found".into()).into())
}

fn availability(text: &str) -> Result<Availability, ApiError> {
    if text.is_empty() {
        return Ok(Availability::Active);
    }
    convert::node_availability(text)
        .ok_or_else(|| ApiError::bad_request(format!("invalid Availability: {text:?}")))
}

pub(crate) async fn inspect(call: Call) -> Result<Response<Body>, ApiError> {
    let cluster = cluster(&call.api).await?;
    let swarm = &call.api.swarm;
    let labelled = cluster.tokens.iter().map(|t| token(&call.api, &cluster, t));
    Ok(json(&convert::swarm(
        &cluster,
        swarm.tls_info(&cluster),
        swarm.join_tokens(&cluster),
        labelled.collect(),
    )))
}

fn token(api: &Api, cluster: &Cluster, token: &LabelledToken) -> Token {
    Token {
        name: token.name.clone(),
        role: token.role.name().into(),
        labels: token.labels.clone(),
        token: api.swarm.labelled_token(cluster, token),
    }
}

/// The key that a locked manager asks for: none, since managers are not locked here. Docker answers so without autolock.
pub(crate) async fn unlock_key(call: Call) -> Result<Response<Body>, ApiError> {
    cluster(&call.api).await?;
    Ok(json(&UnlockKey::default()))
}

/// There is no lock to open.
pub(crate) async fn unlock(call: Call) -> Result<Response<Body>, ApiError> {
    cluster(&call.api).await?;
    let _: UnlockKey = read_json(&call.headers, call.body).await?;
    Err(ApiError::new(StatusCode::CONFLICT, "swarm is not locked"))
}

/// A join token whose nodes get labels.
pub(crate) async fn create_token(call: Call) -> Result<Response<Body>, ApiError> {
    let asked: Token = read_json(&call.headers, call.body).await?;
    if !asked.token.is_empty() {
        return Err(ApiError::bad_request(
            "Token must not be given: the manager makes it",
        ));
    }
    model::validate::token(&asked.name, &asked.labels).map_err(wrong)?;
    let write = Write::CreateToken {
        name: asked.name.clone(),
        role: convert::role(&asked.role)?,
        labels: asked.labels,
    };
    call.api.swarm.write(write).await?;
    let cluster = cluster(&call.api).await?;
    let made = cluster.tokens.iter().find(|t| t.name == asked.name);
    let made = made.ok_or_else(|| {
        ApiError::not_found(format!("join token {} was removed at once", asked.name))
    })?;
    let answer = Token {
        name: asked.name,
        token: call.api.swarm.labelled_token(&cluster, made),
        ..Default::default()
    };
    Ok(json_with(StatusCode::CREATED, &answer))
}

pub(crate) async fn remove_token(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let write = Write::RemoveToken { name: name.into() };
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}

fn wrong(error: model::validate::Invalid) -> ControlError {
    ControlError::InvalidArgument(error.0)
}

pub(crate) async fn init(call: Call) -> Result<Response<Body>, ApiError> {
    let request: InitRequest = read_json(&call.headers, call.body).await?;
    for (asked, field) in [
        (request.force_new_cluster, "ForceNewCluster"),
        (request.auto_lock_managers, "AutoLockManagers"),
        (!request.data_path_addr.is_empty(), "DataPathAddr"),
        (request.data_path_port != 0, "DataPathPort"),
        (!request.default_addr_pool.is_empty(), "DefaultAddrPool"),
    ] {
        if asked {
            return Err(ApiError::not_built(field));
        }
    }
    if request.listen_addr.is_empty() {
        return Err(ApiError::bad_request(
            "ListenAddr must be given, such as 0.0.0.0:2377",
        ));
    }
    let spec = convert::cluster_spec(request.spec, &ClusterSpec::default())?;
    model::validate::cluster(&spec).map_err(wrong)?;
    let init = Init {
        availability: availability(&request.availability)?,
        spec,
        listen_addr: request.listen_addr,
        advertise_addr: request.advertise_addr,
    };
    let node = call.api.swarm.init(init).await?;
    Ok(json(&node.as_str()))
}

pub(crate) async fn join(call: Call) -> Result<Response<Body>, ApiError> {
    let request: JoinRequest = read_json(&call.headers, call.body).await?;
    if !request.data_path_addr.is_empty() {
        return Err(ApiError::not_built("DataPathAddr"));
    }
    if request.remote_addrs.is_empty() {
        return Err(ApiError::bad_request(
            "at least 1 RemoteAddr is required to join",
        ));
    }
    let join = Join {
        availability: availability(&request.availability)?,
        listen_addr: request.listen_addr,
        advertise_addr: request.advertise_addr,
        remote_addrs: request.remote_addrs,
        token: request.join_token,
    };
    call.api.swarm.join(join).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn leave(call: Call) -> Result<Response<Body>, ApiError> {
    call.api.swarm.leave(call.query.flag("force")).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn update(call: Call) -> Result<Response<Body>, ApiError> {
    let version = call.query.version("swarm")?;
    if call.query.boolean("rotateManagerUnlockKey")? {
        return Err(ApiError::not_built("rotateManagerUnlockKey"));
    }
    let rotate_worker_token = call.query.boolean("rotateWorkerToken")?;
    let rotate_manager_token = call.query.boolean("rotateManagerToken")?;
    let sent: Value = read_json(&call.headers, call.body).await?;
    let current = cluster(&call.api).await?;
    let keeps_labels = convert::is_missing(&sent, "Labels");
    let sent: Spec = api_types::from_value(sent).map_err(malformed)?;
    let mut spec = convert::cluster_spec(sent, &current.spec)?;
    if keeps_labels {
        spec.labels.clone_from(&current.spec.labels);
    }
    model::validate::cluster(&spec).map_err(wrong)?;
    let write = Write::UpdateCluster {
        version,
        spec,
        rotate_worker_token,
        rotate_manager_token,
    };
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::OK))
}
