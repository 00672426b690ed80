//! `/secrets` and `/configs`: the same routes for both.

use crate::body::{self, Body, json, json_with, read_json};
use crate::router::Call;
use crate::{Api, ApiError, convert, filter};
use api_types::IdResponse;
use api_types::payload::SecretSpec;
use http::{Response, StatusCode};
use model::Payload;
use model::control::{ControlError, Query, Selector, Write, Written};
use model::payload::PayloadKind;
use std::sync::Arc;

const FILTERS: [&str; 4] = ["id", "label", "name", "names"];

async fn find(api: &Api, kind: PayloadKind, reference: &str) -> Result<Arc<Payload>, ApiError> {
    let query = Query::Payloads(kind, Selector::Reference(reference.into()));
    let mut found = api.swarm.query(query).await?;
    found
        .payloads
        .pop()
        .ok_or_else(|| ApiError::not_found(format!("{} {reference} not found", kind.name())))
}

fn answer(kind: PayloadKind, payloads: &[Arc<Payload>]) -> Response<Body> {
    match kind {
        PayloadKind::Secret => {
            let secrets: Vec<_> = payloads.iter().map(|p| convert::secret(p)).collect();
            json(&secrets)
        }
        PayloadKind::Config => {
            let configs: Vec<_> = payloads.iter().map(|p| convert::config(p)).collect();
            json(&configs)
        }
    }
}

pub(crate) async fn list(call: Call, kind: PayloadKind) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    let query = Query::Payloads(kind, Selector::All);
    let mut found = call.api.swarm.query(query).await?.payloads;
    found.retain(|p| {
        filter::object(&filters, p.id.as_str(), &p.spec.name, &p.spec.labels)
            && filters.exact("names", &p.spec.name)
    });
    Ok(answer(kind, &found))
}

pub(crate) async fn inspect(
    call: Call,
    kind: PayloadKind,
    id: &str,
) -> Result<Response<Body>, ApiError> {
    let payload = find(&call.api, kind, id).await?;
    Ok(match kind {
        PayloadKind::Secret => json(&convert::secret(&payload)),
        PayloadKind::Config => json(&convert::config(&payload)),
    })
}

pub(crate) async fn create(call: Call, kind: PayloadKind) -> Result<Response<Body>, ApiError> {
    let spec: SecretSpec = read_json(&call.headers, call.body).await?;
    let spec = convert::payload_spec(kind, spec)?;
    model::validate::payload(kind, &spec)
        .map_err(|error| ControlError::InvalidArgument(error.to_string()))?;
    let write = Write::CreatePayload {
        kind,
        spec: Arc::new(spec),
    };
    match call.api.swarm.write(write).await? {
        Written::Payload(id) => Ok(json_with(
            StatusCode::CREATED,
            &IdResponse { id: id.to_string() },
        )),
        Written::Done | Written::Service(_) => Err(ApiError::internal(format!(
            "the {} was created but its id was not told",
            kind.name()
        ))),
    }
}

pub(crate) async fn update(
    call: Call,
    kind: PayloadKind,
    id: &str,
) -> Result<Response<Body>, ApiError> {
    let version = call.query.version(kind.name())?;
    let spec: SecretSpec = read_json(&call.headers, call.body).await?;
    let spec = convert::payload_spec(kind, spec)?;
    let payload = find(&call.api, kind, id).await?;
    let write = Write::UpdatePayload {
        id: payload.id.clone(),
        kind,
        version,
        spec: Arc::new(spec),
    };
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::OK))
}

pub(crate) async fn remove(
    call: Call,
    kind: PayloadKind,
    id: &str,
) -> Result<Response<Body>, ApiError> {
    let payload = find(&call.api, kind, id).await?;
    let write = Write::RemovePayload {
        id: payload.id.clone(),
        kind,
    };
    call.api.swarm.write(write).await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}
