//! Secrets and configs, both ways. The data of a secret is never printed.

use super::{invalid, timestamp, unless};
use crate::ApiError;
use api_types::payload as json;
use api_types::{Driver, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::payload::{Payload, PayloadData, PayloadKind, PayloadSpec};

/// What a client wishes a secret or a config to be: a config's JSON is a secret's without the driver.
pub(crate) fn payload_spec(
    kind: PayloadKind,
    spec: json::SecretSpec,
) -> Result<PayloadSpec, ApiError> {
    unless(
        spec.driver.is_some() && kind == PayloadKind::Secret,
        "Driver (external secret stores)",
    )?;
    let data = STANDARD.decode(&spec.data).map_err(|error| {
        ApiError::bad_request(format!("invalid JSON: Data is not base64: {error}"))
    })?;
    let templating = spec.templating.map(|d| model::Driver {
        name: d.name,
        options: d.options,
    });
    if templating.as_ref().is_some_and(|t| t.name.is_empty()) {
        return Err(invalid("Templating: a name must be provided"));
    }
    Ok(PayloadSpec {
        name: spec.name,
        labels: spec.labels,
        data: PayloadData(data.into()),
        driver: None,
        templating,
    })
}

fn templating(spec: &PayloadSpec) -> Option<Driver> {
    spec.templating.as_ref().map(|d| Driver {
        name: d.name.clone(),
        options: d.options.clone(),
    })
}

/// A secret without its data.
pub(crate) fn secret(payload: &Payload) -> json::Secret {
    json::Secret {
        id: payload.id.to_string(),
        version: Version {
            index: payload.meta.version,
        },
        created_at: timestamp(payload.meta.created_at),
        updated_at: timestamp(payload.meta.updated_at),
        spec: json::SecretSpec {
            name: payload.spec.name.clone(),
            labels: payload.spec.labels.clone(),
            templating: templating(&payload.spec),
            ..Default::default()
        },
    }
}

/// A config with its data.
pub(crate) fn config(payload: &Payload) -> json::Config {
    json::Config {
        id: payload.id.to_string(),
        version: Version {
            index: payload.meta.version,
        },
        created_at: timestamp(payload.meta.created_at),
        updated_at: timestamp(payload.meta.updated_at),
        spec: json::ConfigSpec {
            name: payload.spec.name.clone(),
            labels: payload.spec.labels.clone(),
            data: STANDARD.encode(&payload.spec.data.0),
            templating: templating(&payload.spec),
        },
    }
}
