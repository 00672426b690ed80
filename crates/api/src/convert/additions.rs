//! What Starling adds to services: the object `Starling` in specs and answers, and revisions.

use super::service_out::service_spec;
use super::{duration, invalid, nanos, timestamp};
use crate::ApiError;
use api_types::starling as json;
use api_types::starling::Change;
use model::PayloadId;
use model::container::Device;
use model::payload::SecretEnv;
use model::service::{Revision, RevisionCause, Service, ServiceSpec};
use std::sync::Arc;

/// Puts what was `sent` into `spec`; what was not mentioned comes from the `current` spec, which is absent for a new
/// service. A service that gets replicas again is no longer stopped, also when the client does not know that it was.
pub(crate) fn settle(
    spec: &mut ServiceSpec,
    sent: Option<json::StarlingServiceSpec>,
    current: Option<&ServiceSpec>,
) -> Result<(), ApiError> {
    let sent = sent.unwrap_or_default();
    let none = ServiceSpec::default();
    let current = current.unwrap_or(&none);
    let container = &current.task.container;

    let deadline = |nanos: i64| duration(nanos, "Starling.ProgressDeadline").map(Some);
    spec.progress_deadline = pick(sent.progress_deadline, &current.progress_deadline, deadline)?;
    let names_stopped = sent.stopped != Change::Keep;
    spec.stopped = pick(sent.stopped, &current.stopped, |s| Ok(Some(s.replicas)))?;
    if !names_stopped && spec.replicas() > 0 {
        spec.stopped = None;
    }
    spec.auto_rebalance = pick(sent.auto_rebalance, &current.auto_rebalance, Ok)?;

    let devices = pick(sent.devices, &container.devices, |devices| {
        Ok(devices.into_iter().map(device).collect())
    })?;
    let privileged = pick(sent.privileged, &container.privileged, Ok)?;
    let secret_env = pick(sent.secret_env, &container.secret_env, |variables| {
        Ok(variables.into_iter().map(variable).collect())
    })?;
    let container = &mut Arc::make_mut(&mut spec.task).container;
    container.devices = devices;
    container.privileged = privileged;
    container.secret_env = secret_env;
    Ok(())
}

/// The value after the change.
fn pick<S, T: Clone + Default>(
    change: Change<S>,
    current: &T,
    read: impl FnOnce(S) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    match change {
        Change::Keep => Ok(current.clone()),
        Change::Clear => Ok(T::default()),
        Change::Set(value) => read(value),
    }
}

fn device(asked: json::Device) -> Device {
    Device {
        host_path: asked.host_path,
        container_path: asked.container_path,
        permissions: asked.permissions,
    }
}

fn variable(asked: json::SecretEnv) -> SecretEnv {
    SecretEnv {
        id: PayloadId::from(asked.secret_id),
        name: asked.secret_name,
        variable: asked.variable,
    }
}

/// The additions of a spec; none when it has none, so that a spec of Docker's is echoed as it was sent.
pub(super) fn of_spec(spec: &ServiceSpec) -> Option<json::StarlingServiceSpec> {
    let container = &spec.task.container;
    let devices = container.devices.iter().map(|d| json::Device {
        host_path: d.host_path.clone(),
        container_path: d.container_path.clone(),
        permissions: d.permissions.clone(),
    });
    let variables = container.secret_env.iter().map(|v| json::SecretEnv {
        secret_id: v.id.to_string(),
        secret_name: v.name.clone(),
        variable: v.variable.clone(),
    });
    let stopped = spec.stopped.map(|replicas| json::Stopped { replicas });
    let additions = json::StarlingServiceSpec {
        progress_deadline: Change::shown(spec.progress_deadline.map(nanos)),
        stopped: Change::shown(stopped),
        auto_rebalance: shown_if(spec.auto_rebalance, true),
        devices: shown_if(!container.devices.is_empty(), devices.collect()),
        privileged: shown_if(container.privileged, true),
        secret_env: shown_if(!container.secret_env.is_empty(), variables.collect()),
    };
    (additions != json::StarlingServiceSpec::default()).then_some(additions)
}

fn shown_if<T>(is_set: bool, value: T) -> Change<T> {
    Change::shown(is_set.then_some(value))
}

/// The additions of a service in an answer.
pub(super) fn of_service(service: &Service) -> Option<json::StarlingService> {
    let current = service.history.last()?;
    let summary = |revision: &Revision| json::RevisionSummary {
        number: revision.number,
        created_at: timestamp(revision.created_at),
        cause: cause(revision.cause),
        image: revision.spec.task.container.image.clone(),
    };
    Some(json::StarlingService {
        revision: current.number,
        revisions: service.history.iter().map(summary).collect(),
    })
}

/// All revisions with their specs, oldest first.
pub(crate) fn history(service: &Service) -> Vec<json::Revision> {
    let revision = |revision: &Revision| json::Revision {
        number: revision.number,
        created_at: timestamp(revision.created_at),
        cause: cause(revision.cause),
        spec: service_spec(&revision.spec, false),
    };
    service.history.iter().map(revision).collect()
}

fn cause(cause: RevisionCause) -> String {
    match cause {
        RevisionCause::Create => "create".into(),
        RevisionCause::Update => "update".into(),
        RevisionCause::Rollback(0) => "rollback".into(),
        RevisionCause::Rollback(number) => format!("rollback to {number}"),
        RevisionCause::FailedUpdate => "failed update".into(),
    }
}

/// The drain configuration of a node, read.
pub(super) fn drain(
    sent: Option<json::StarlingNodeSpec>,
    current: Option<model::node::DrainConfig>,
) -> Result<Option<model::node::DrainConfig>, ApiError> {
    let change = sent.map_or(Change::Keep, |s| s.drain);
    pick(change, &current, |asked| {
        let order = super::service_in::order(&asked.order).ok_or_else(|| {
            invalid(format!(
                "Starling.Drain.Order: '{}' is unknown, use stop-first or start-first",
                asked.order
            ))
        })?;
        Ok(Some(model::node::DrainConfig {
            parallelism: asked.parallelism,
            order,
        }))
    })
}

/// The drain configuration of a node, shown.
pub(super) fn of_node(drain: Option<model::node::DrainConfig>) -> Option<json::StarlingNodeSpec> {
    let drain = drain?;
    Some(json::StarlingNodeSpec {
        drain: Change::Set(json::Drain {
            parallelism: drain.parallelism,
            order: super::service_out::order(drain.order).into(),
        }),
    })
}
