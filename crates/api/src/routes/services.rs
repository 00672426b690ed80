//! `/services`.

use crate::body::{self, Body, json, json_with, read_json};
use crate::convert::{self, ServiceCounts};
use crate::router::Call;
use crate::{Api, ApiError, auth, filter, names};
use api_types::service as json_service;
use api_types::starling::Difference;
use http::{Response, StatusCode};
use model::control::{ControlError, Query, Selector, TaskSelector, Write, Written};
use model::plan::Plan;
use model::{NodeState, Service, ServiceId, ServiceSpec, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const FILTERS: [&str; 5] = ["id", "label", "mode", "name", "runtime"];

/// The service that a user's word means.
pub(super) async fn find(api: &Api, reference: &str) -> Result<Arc<Service>, ApiError> {
    let query = Query::Services(Selector::Reference(reference.into()));
    let mut found = api.swarm.query(query).await?;
    found
        .services
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("service {reference} not found")))
}

pub(crate) async fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    let with_status = call.query.boolean("status")?;
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
                && filters.exact("mode", s.spec.mode.name())
                && filters.any("runtime", |r| matches!(r, "" | "container"))
        })
        .collect();
    let counts = if with_status {
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

/// Counts as swarmkit's `ListServiceStatuses` makes them: tasks that run on nodes that are not down; tasks that are asked for, which for
/// services with one task per node are those there are; tasks of a job's present run that came to its end.
async fn count(
    call: &Call,
    services: &[Arc<Service>],
) -> Result<BTreeMap<ServiceId, ServiceCounts>, ApiError> {
    let mut counts: BTreeMap<&ServiceId, (&Service, ServiceCounts)> = BTreeMap::new();
    for service in services {
        let desired = match service.spec.completions() {
            Some((concurrent, _)) => concurrent,
            None => service.spec.replicas(),
        };
        let count = ServiceCounts {
            desired,
            ..Default::default()
        };
        counts.insert(&service.id, (service, count));
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
    for found in &tasks.tasks {
        if let Some((service, count)) = counts.get_mut(&found.task.service) {
            let is_down = found.task.node.as_ref().is_some_and(|n| down.contains(n));
            count_task(service, &found.task, is_down, count);
        }
    }
    Ok(counts
        .into_iter()
        .map(|(id, (_, count))| (id.clone(), count))
        .collect())
}

fn count_task(service: &Service, task: &Task, is_down: bool, count: &mut ServiceCounts) {
    let of_this_run = task.job_iteration == service.job.map(|job| job.iteration);
    if !of_this_run {
        return;
    }
    if task.status.state == TaskState::Running && task.is_wanted() && !is_down {
        count.running += 1;
    }
    let is_complete = service.spec.mode.is_job() && task.status.state == TaskState::Complete;
    // Clients add both for the total of a job with one task per node.
    if service.spec.mode.is_global() && task.is_wanted() && !is_complete {
        count.desired += 1;
    }
    if is_complete {
        count.completed += 1;
    }
}

pub(crate) async fn inspect(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let defaults = call.query.boolean("insertDefaults")?;
    let service = find(&call.api, id).await?;
    Ok(json(&convert::service(&service, None, defaults)))
}

pub(crate) async fn create(call: Call) -> Result<Response<Body>, ApiError> {
    let auth = auth::of_service(&call.headers)?;
    let sent: json_service::ServiceSpec = read_json(&call.headers, call.body).await?;
    let additions = sent.starling.clone();
    let mut spec = convert::service_spec(sent)?;
    convert::settle_additions(&mut spec, additions, None)?;
    if let auth::Sent::Auth(auth) = auth {
        spec.registry_auth = auth;
    }
    if spec.name.is_empty() {
        spec.name = names::generate(call.api.host.random());
    }
    validate(&spec)?;
    let write = Write::CreateService(Arc::new(spec.clone()));
    if call.query.boolean("dryRun")? {
        let diff = convert::differences(None, &convert::service_spec_out(&spec, false));
        return plan(&call.api, write, diff).await;
    }
    match call.api.swarm.write(write).await? {
        Written::Service(id) => {
            let answer = json_service::ServiceCreateResponse {
                id: id.to_string(),
                warnings: None,
            };
            Ok(json_with(StatusCode::CREATED, &answer))
        }
        Written::Done | Written::Payload(_) => Err(ApiError::internal(
            "the service was created but its id was not told",
        )),
    }
}

/// What a manager would refuse, refused here with the same text.
pub(super) fn validate(spec: &ServiceSpec) -> Result<(), ApiError> {
    model::validate::service(spec)
        .map_err(|error| ControlError::InvalidArgument(error.to_string()).into())
}

/// Answers a dry run.
pub(super) async fn plan(
    api: &Api,
    write: Write,
    diff: Vec<Difference>,
) -> Result<Response<Body>, ApiError> {
    let plan = planned(api, write).await?;
    Ok(json(&convert::plan(&plan, diff)))
}

/// What a write would lead to.
pub(super) async fn planned(api: &Api, write: Write) -> Result<Plan, ApiError> {
    let found = api.swarm.query(Query::Plan(Box::new(write))).await?;
    found
        .plan
        .ok_or_else(|| ApiError::internal("the managers gave no plan: try again"))
}

pub(crate) async fn remove(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let service = find(&call.api, id).await?;
    call.api
        .swarm
        .write(Write::RemoveService(service.id.clone()))
        .await?;
    Ok(body::empty(StatusCode::OK))
}
