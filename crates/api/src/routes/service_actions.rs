//! What Docker's services do not have: restart, rebalance, history.

use super::services::{find, planned};
use super::tasks;
use crate::body::{self, Body, json, read_json_if_any};
use crate::router::Call;
use crate::{Api, ApiError, convert};
use api_types::starling::{RebalanceRequest, RebalanceResponse, RestartRequest};
use http::{Response, StatusCode};
use model::control::{ControlError, Query, Selector, Write};
use model::service::Mode;
use model::{Service, ServiceId, TaskId};
use std::sync::Arc;

/// Tries of a restart when others change the service at the same moment.
const RESTART_TRIES: u32 = 5;

pub(crate) async fn history(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let service = find(&call.api, id).await?;
    Ok(json(&convert::history(&service)))
}

/// All tasks (as `service update --force` does), or some of them.
pub(crate) async fn restart(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let request: Option<RestartRequest> = read_json_if_any(&call.headers, call.body).await?;
    let request = request.unwrap_or_default();
    let api = &call.api;
    let service = find(api, id).await?;
    if request.tasks.is_empty() {
        restart_all(api, service).await?;
    } else {
        let tasks = tasks_of(api, &service, &request.tasks).await?;
        api.swarm.write(Write::RestartTasks(tasks)).await?;
    }
    Ok(body::empty(StatusCode::OK))
}

async fn restart_all(api: &Api, mut service: Arc<Service>) -> Result<(), ApiError> {
    let mut tries = 1;
    loop {
        let mut spec = (*service.spec).clone();
        let task = Arc::make_mut(&mut spec.task);
        task.force_update = task.force_update.wrapping_add(1);
        let write = Write::UpdateService {
            id: service.id.clone(),
            version: service.meta.version,
            spec: Arc::new(spec),
        };
        match api.swarm.write(write).await {
            Ok(_) => return Ok(()),
            Err(ControlError::OutOfSequence) if tries < RESTART_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
        service = by_id(api, &service.id).await?;
    }
}

async fn by_id(api: &Api, id: &ServiceId) -> Result<Arc<Service>, ApiError> {
    let query = Query::Services(Selector::Id(id.clone()));
    let mut found = api.swarm.query(query).await?;
    found
        .services
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("service {id} not found")))
}

async fn tasks_of(
    api: &Api,
    service: &Service,
    references: &[String],
) -> Result<Vec<TaskId>, ApiError> {
    let mut ids = Vec::new();
    for reference in references {
        let task = tasks::find(api, reference).await?.task;
        if task.service != service.id {
            return Err(ApiError::bad_request(format!(
                "task {reference} is of service {}, not of {}",
                task.service_name, service.spec.name
            )));
        }
        ids.push(task.id.clone());
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Answers the moves that there will be, or would be.
pub(crate) async fn rebalance(call: Call) -> Result<Response<Body>, ApiError> {
    let request: Option<RebalanceRequest> = read_json_if_any(&call.headers, call.body).await?;
    let mut ids = Vec::new();
    for reference in request.unwrap_or_default().services {
        let service = find(&call.api, &reference).await?;
        if !matches!(service.spec.mode, Mode::Replicated { .. }) {
            return Err(ApiError::bad_request(format!(
                "service {} is {}: only replicated services can be rebalanced",
                service.spec.name,
                service.spec.mode.name()
            )));
        }
        ids.push(service.id.clone());
    }
    ids.sort_unstable();
    ids.dedup();
    let plan = planned(&call.api, Write::Rebalance(ids.clone())).await?;
    let moves = convert::moves(&plan);
    if !call.query.boolean("dryRun")? && !moves.is_empty() {
        call.api.swarm.write(Write::Rebalance(ids)).await?;
    }
    Ok(json(&RebalanceResponse { moves }))
}
