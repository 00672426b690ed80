//! Services: create, update, roll back, remove (`swarmkit/manager/controlapi/service.go`).

use super::{Desk, Planned, Rejected, in_sequence, invalid, not_found, precondition};
use model::control::{ControlError, Written};
use model::service::{RevisionCause, UpdateState};
use model::{
    Change, ContainerSpec, PayloadId, PayloadKind, Refusal, Service, ServiceId, ServiceSpec,
    UpdateStatus, validate,
};
use std::sync::Arc;
use store::Store;

pub(super) fn create(desk: &mut Desk<'_>, spec: Arc<ServiceSpec>) -> Planned {
    validate::service(&spec)?;
    payloads_exist(desk.view, &spec.task.container)?;
    if desk.view.service_by_name(&spec.name).is_some() {
        let taken = Refusal::NameTaken {
            kind: "service",
            name: spec.name.clone(),
        };
        return Err(Rejected(ControlError::AlreadyExists(taken.to_string())));
    }
    let id = ServiceId::generate(desk.ids);
    let change = Change::CreateService {
        id: id.clone(),
        spec,
    };
    Ok((vec![change], Written::Service(id)))
}

pub(super) fn update(
    desk: &Desk<'_>,
    id: ServiceId,
    version: u64,
    spec: Arc<ServiceSpec>,
) -> Planned {
    let Some(service) = desk.view.service(&id) else {
        return not_found("service", id.as_str());
    };
    validate::service(&spec)?;
    in_sequence(service.meta.version, version)?;
    let unimplemented = |text: &str| Err(Rejected(ControlError::Unimplemented(text.into())));
    if service.spec.name != spec.name {
        return unimplemented("renaming services is not supported");
    }
    if !service.spec.mode.is_same_kind(&spec.mode) {
        return unimplemented("service mode change is not allowed");
    }
    payloads_exist(desk.view, &spec.task.container)?;
    let change = Change::UpdateService {
        id,
        if_version: version,
        spec,
        cause: RevisionCause::Update,
        status: None,
    };
    Ok((vec![change], Written::Done))
}

pub(super) fn rollback(desk: &Desk<'_>, id: ServiceId, version: u64, to: Option<u64>) -> Planned {
    let Some(service) = desk.view.service(&id) else {
        return not_found("service", id.as_str());
    };
    in_sequence(service.meta.version, version)?;
    let (spec, cause, message) = match to {
        None => {
            let Some(previous) = &service.previous_spec else {
                return precondition(format!("service {id} does not have a previous spec"));
            };
            let message = "manually requested rollback".to_owned();
            (Arc::clone(previous), RevisionCause::Rollback(0), message)
        }
        Some(number) => {
            let spec = revision(service, number)?;
            let message = format!("manually requested rollback to revision {number}");
            (spec, RevisionCause::Rollback(number), message)
        }
    };
    payloads_exist(desk.view, &spec.task.container)?;
    let status = UpdateStatus {
        state: UpdateState::RollbackStarted,
        started_at: None,
        completed_at: None,
        message,
        total_slots: 0,
        failures: 0,
        replaced_at: None,
        progressed_at: None,
    };
    let change = Change::UpdateService {
        id,
        if_version: version,
        spec,
        cause,
        status: Some(status),
    };
    Ok((vec![change], Written::Done))
}

/// What going back to a revision makes of the present specification.
fn revision(service: &Service, number: u64) -> Result<Arc<ServiceSpec>, Rejected> {
    let name = &service.spec.name;
    let numbers = || {
        let numbers = service.history.iter().map(|r| r.number.to_string());
        numbers.collect::<Vec<_>>().join(", ")
    };
    let Some(revision) = service.history.iter().find(|r| r.number == number) else {
        return invalid(format!(
            "service {name} has no revision {number}: it keeps {}",
            numbers()
        ));
    };
    if service.history.last().is_some_and(|r| r.number == number) {
        return precondition(format!(
            "service {name} is at revision {number} already: it keeps {}",
            numbers()
        ));
    }
    Ok(Arc::new(service.spec.back_to(&revision.spec)))
}

pub(super) fn remove(desk: &Desk<'_>, id: ServiceId) -> Planned {
    if desk.view.service(&id).is_none() {
        return not_found("service", id.as_str());
    }
    Ok((vec![Change::RemoveService { id }], Written::Done))
}

/// Each secret and config is there under its id and has the name that the service knows it by.
fn payloads_exist(view: &Store, container: &ContainerSpec) -> Result<(), Rejected> {
    let files = container.secrets.iter().map(|r| (&r.id, &r.name));
    let variables = container.secret_env.iter().map(|r| (&r.id, &r.name));
    missing(view, PayloadKind::Secret, files.chain(variables))?;
    let configs = container.configs.iter().map(|r| (&r.id, &r.name));
    missing(view, PayloadKind::Config, configs)
}

fn missing<'a>(
    view: &Store,
    kind: PayloadKind,
    references: impl Iterator<Item = (&'a PayloadId, &'a String)>,
) -> Result<(), Rejected> {
    let is_there = |id: &PayloadId, name: &String| {
        let payload = view.payload(id).filter(|p| p.kind == kind);
        payload.is_some_and(|p| p.spec.name == *name)
    };
    let mut missing: Vec<&str> = references
        .filter(|(id, name)| !is_there(id, name))
        .map(|(_, name)| name.as_str())
        .collect();
    missing.dedup();
    let kind = kind.name();
    match missing.as_slice() {
        [] => Ok(()),
        [name] => invalid(format!("{kind} not found: {name}")),
        names => invalid(format!("{kind}s not found: {}", names.join(", "))),
    }
}
