//! `/swarm`.

use crate::ApiError;
use crate::backend::{Init, Join};
use crate::body::{self, Body, json, read_json};
use crate::convert;
use crate::router::Call;
use api_types::swarm::{InitRequest, JoinRequest, Spec};
use http::{Response, StatusCode};
use model::Cluster;
use model::control::{ControlError, Query, Write};
use model::node::Availability;
use std::sync::Arc;

async fn cluster(call: &Call) -> Result<Arc<Cluster>, ApiError> {
    let found = call.api.swarm.query(Query::Cluster).await?;
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
    let cluster = cluster(&call).await?;
    let swarm = &call.api.swarm;
    Ok(json(&convert::swarm(
        &cluster,
        swarm.tls_info(&cluster),
        swarm.join_tokens(&cluster),
    )))
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
    let init = Init {
        availability: availability(&request.availability)?,
        spec: convert::cluster_spec(request.spec)?,
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
    if call.query.flag("rotateManagerUnlockKey") {
        return Err(ApiError::not_built("rotateManagerUnlockKey"));
    }
    let rotate_worker_token = call.query.flag("rotateWorkerToken");
    let rotate_manager_token = call.query.flag("rotateManagerToken");
    let spec: Spec = read_json(&call.headers, call.body).await?;
    let spec = convert::cluster_spec(spec)?;
    let write = Write::UpdateCluster {
        version,
        spec,
        rotate_worker_token,
        rotate_manager_token,
    };
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::OK))
}
