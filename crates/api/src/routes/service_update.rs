//! `POST /services/{id}/update`: a new spec, or an old one again.

use super::services::{find, plan, validate};
use crate::body::{Body, json, malformed, read_json_if_any};
use crate::router::Call;
use crate::{ApiError, auth, convert};
use api_types::service as json_service;
use http::Response;
use model::control::Write;
use model::service::RegistryAuth;
use model::{Service, ServiceSpec};
use serde_json::Value;
use std::sync::Arc;

/// What an update asks for beside its body.
struct Asked {
    version: u64,
    /// None for a new spec; the number of a revision, or 0 for the previous one.
    back_to: Option<u64>,
    auth_of_previous: bool,
    auth: auth::Sent,
    dry_run: bool,
    api_version: crate::version::Version,
}

fn asked(call: &Call) -> Result<Asked, ApiError> {
    let version = call.query.version("service")?;
    let revision = call.query.number("revision")?;
    let back_to = match (call.query.get("rollback"), revision) {
        ("" | "none", None) => None,
        ("" | "none", Some(_)) => {
            return Err(ApiError::bad_request(
                "revision is for rollbacks: send rollback=previous with it",
            ));
        }
        ("previous", Some(0)) => {
            return Err(ApiError::bad_request(
                "invalid revision 0: they count from 1, see the service's history",
            ));
        }
        ("previous", revision) => Some(revision.unwrap_or(0)),
        (other, _) => {
            return Err(ApiError::internal(format!(
                "unrecognized rollback option {other}"
            )));
        }
    };
    let auth_of_previous = match call.query.get("registryAuthFrom") {
        "" | "spec" => false,
        "previous-spec" => true,
        other => {
            return Err(ApiError::internal(format!(
                "unsupported registryAuthFrom value: {other}: use spec or previous-spec"
            )));
        }
    };
    Ok(Asked {
        version,
        back_to,
        auth_of_previous,
        auth: auth::of_service(&call.headers)?,
        dry_run: call.query.boolean("dryRun")?,
        api_version: call.version,
    })
}

pub(crate) async fn update(call: Call, id: &str) -> Result<Response<Body>, ApiError> {
    let asked = asked(&call)?;
    let service = find(&call.api, id).await?;
    let Call {
        api, headers, body, ..
    } = call;
    let sent: Option<Value> = read_json_if_any(&headers, body).await?;
    let (write, new) = match asked.back_to {
        Some(revision) => {
            // Docker wants a spec here, too, and does not look at it.
            if let Some(sent) = sent {
                api_types::from_value::<json_service::ServiceSpec>(sent).map_err(malformed)?;
            }
            rollback(&service, revision, asked.version)?
        }
        None => {
            let sent = sent.ok_or_else(|| malformed(api_types::DecodeError::Empty))?;
            let spec = Arc::new(new_spec(&service, sent, &asked)?);
            let write = Write::UpdateService {
                id: service.id.clone(),
                version: asked.version,
                spec: spec.clone(),
            };
            (write, spec)
        }
    };
    if asked.dry_run {
        let printed = |spec: &ServiceSpec| convert::service_spec_out(spec, false);
        let diff = convert::differences(Some(&printed(&service.spec)), &printed(&new));
        return plan(&api, write, diff).await;
    }
    api.swarm.write(write).await?;
    Ok(json(&json_service::ServiceUpdateResponse {
        warnings: None,
    }))
}

/// What the service will be: what the client sent, and what it cannot know of the current spec.
fn new_spec(service: &Service, sent: Value, asked: &Asked) -> Result<ServiceSpec, ApiError> {
    let current = convert::service_spec_out(&service.spec, false);
    let merged = convert::keep_unknown(sent, &current, asked.api_version);
    let sent: json_service::ServiceSpec = api_types::from_value(merged).map_err(malformed)?;
    let additions = sent.starling.clone();
    let mut spec = convert::service_spec(sent)?;
    convert::settle_additions(&mut spec, additions, Some(&service.spec))?;
    let container = &mut Arc::make_mut(&mut spec.task).container;
    convert::keep_order(container, &service.spec.task.container);
    spec.registry_auth = registry_auth(service, asked)?;
    validate(&spec)?;
    Ok(spec)
}

fn registry_auth(service: &Service, asked: &Asked) -> Result<Option<RegistryAuth>, ApiError> {
    match &asked.auth {
        auth::Sent::Auth(auth) => Ok(auth.clone()),
        auth::Sent::Nothing if asked.auth_of_previous => {
            let previous = service
                .previous_spec
                .as_ref()
                .ok_or_else(|| no_previous(service))?;
            Ok(previous.registry_auth.clone())
        }
        auth::Sent::Nothing => Ok(service.spec.registry_auth.clone()),
    }
}

fn no_previous(service: &Service) -> ApiError {
    let text = format!("service {} does not have a previous spec", service.id);
    model::control::ControlError::FailedPrecondition(text).into()
}

/// The write, and the spec that it leads to.
fn rollback(
    service: &Service,
    revision: u64,
    version: u64,
) -> Result<(Write, Arc<ServiceSpec>), ApiError> {
    let write = Write::RollbackService {
        id: service.id.clone(),
        version,
        to: (revision > 0).then_some(revision),
    };
    if revision == 0 {
        let previous = service.previous_spec.clone();
        return Ok((write, previous.ok_or_else(|| no_previous(service))?));
    }
    let known = service.history.iter().find(|r| r.number == revision);
    let known = known.ok_or_else(|| {
        let numbers: Vec<_> = service
            .history
            .iter()
            .map(|r| r.number.to_string())
            .collect();
        ApiError::not_found(format!(
            "service {} has no revision {revision}: it has {}",
            service.spec.name,
            numbers.join(", ")
        ))
    })?;
    Ok((write, Arc::new(service.spec.back_to(&known.spec))))
}
