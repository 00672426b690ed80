//! Secrets and configs.

use super::enums::Enumeration;
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::payload::PayloadData;
use model::{Payload, PayloadId, PayloadSpec};
use std::sync::Arc;

impl From<&Payload> for pb::Payload {
    fn from(payload: &Payload) -> Self {
        pb::Payload {
            id: payload.id.as_str().into(),
            kind: payload.kind.to_wire(),
            meta: Some(payload.meta.into()),
            spec: Some(payload.spec.as_ref().into()),
        }
    }
}

impl TryFrom<pb::Payload> for Payload {
    type Error = DecodeError;
    fn try_from(payload: pb::Payload) -> Result<Self, DecodeError> {
        let spec = need("the spec of a secret or config", payload.spec)?;
        Ok(Payload {
            id: PayloadId::from(payload.id),
            kind: Enumeration::from_wire(payload.kind)?,
            meta: need("the meta data of a secret or config", payload.meta)?.into(),
            spec: Arc::new(spec.into()),
        })
    }
}

impl From<&PayloadSpec> for pb::PayloadSpec {
    fn from(spec: &PayloadSpec) -> Self {
        pb::PayloadSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            data: spec.data.0.to_vec().into(),
            driver: spec.driver.as_ref().map(Into::into),
            templating: spec.templating.as_ref().map(Into::into),
        }
    }
}

impl From<pb::PayloadSpec> for PayloadSpec {
    fn from(spec: pb::PayloadSpec) -> Self {
        PayloadSpec {
            name: spec.name,
            labels: spec.labels,
            data: PayloadData(Arc::from(spec.data.as_ref())),
            driver: spec.driver.map(Into::into),
            templating: spec.templating.map(Into::into),
        }
    }
}
