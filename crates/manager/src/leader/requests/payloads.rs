//! Secrets and configs (`swarmkit/manager/controlapi/{secret,config}.go`).

use super::{Desk, Planned, Rejected, in_sequence, invalid, not_found};
use model::control::{ControlError, Written};
use model::{Change, Meta, Payload, PayloadId, PayloadKind, PayloadSpec, validate};
use std::sync::Arc;

pub(super) fn create(desk: &mut Desk<'_>, kind: PayloadKind, spec: Arc<PayloadSpec>) -> Planned {
    validate::payload(kind, &spec)?;
    if desk.view.payload_by_name(kind, &spec.name).is_some() {
        let text = format!("{} {} already exists", kind.name(), spec.name);
        return Err(Rejected(ControlError::AlreadyExists(text)));
    }
    let id = PayloadId::generate(desk.ids);
    let payload = Payload {
        id: id.clone(),
        kind,
        meta: Meta::default(),
        spec,
    };
    let change = Change::CreatePayload(Box::new(payload));
    Ok((vec![change], Written::Payload(id)))
}

pub(super) fn update(
    desk: &Desk<'_>,
    id: PayloadId,
    kind: PayloadKind,
    version: u64,
    spec: &PayloadSpec,
) -> Planned {
    let payload = known(desk, &id, kind)?;
    in_sequence(payload.meta.version, version)?;
    let has_data = !spec.data.0.is_empty();
    if spec.name != payload.spec.name || (has_data && spec.data != payload.spec.data) {
        return invalid("only updates to Labels are allowed");
    }
    let labels = spec.labels.clone();
    let merged = PayloadSpec {
        labels: labels.clone(),
        ..payload.spec.as_ref().clone()
    };
    validate::payload(kind, &merged)?;
    let change = Change::UpdatePayload {
        id,
        if_version: version,
        labels,
    };
    Ok((vec![change], Written::Done))
}

pub(super) fn remove(desk: &Desk<'_>, id: PayloadId, kind: PayloadKind) -> Planned {
    let payload = known(desk, &id, kind)?;
    let users: Vec<&str> = desk
        .view
        .services_using(&id)
        .map(|service| service.spec.name.as_str())
        .collect();
    if !users.is_empty() {
        let services = if users.len() == 1 {
            "service"
        } else {
            "services"
        };
        return invalid(format!(
            "{} '{}' is in use by the following {services}: {}",
            kind.name(),
            payload.spec.name,
            users.join(", ")
        ));
    }
    Ok((vec![Change::RemovePayload { id }], Written::Done))
}

fn known<'a>(
    desk: &Desk<'a>,
    id: &PayloadId,
    kind: PayloadKind,
) -> Result<&'a Arc<Payload>, Rejected> {
    let payload = desk.view.payload(id).filter(|p| p.kind == kind);
    payload.map_or_else(|| not_found(kind.name(), id.as_str()), Ok)
}
