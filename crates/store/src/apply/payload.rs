//! Changes of secrets and configs.

use super::Run;
use crate::guard::{exists, version};
use model::{Change, Payload, PayloadSpec, Refusal};
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn change_payload(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreatePayload(payload) => {
                if let Some(old) = self.tables.payloads.get(&payload.id) {
                    return Err(exists(old.kind.name(), old.id.as_str()));
                }
                self.tables.payload_name_is_free(payload)?;
                let mut new = Payload::clone(payload);
                new.meta = self.new_meta();
                self.put_payload(new);
            }
            Change::UpdatePayload {
                id,
                if_version,
                labels,
            } => {
                let mut new = Payload::clone(&*self.tables.known_payload(id)?);
                version(new.meta.version, *if_version)?;
                new.spec = Arc::new(PayloadSpec {
                    labels: labels.clone(),
                    ..PayloadSpec::clone(&new.spec)
                });
                self.write_spec(&mut new.meta);
                self.put_payload(new);
            }
            Change::RemovePayload { id } => {
                self.tables.known_payload(id)?;
                self.tables.payload_is_unused(id)?;
                let event = self.tables.set_payload(id.clone(), None);
                self.events.push(event);
            }
            _ => unreachable!("Run::one sends only changes of secrets and configs"),
        }
        Ok(())
    }
}
