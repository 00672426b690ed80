//! Changes of services: versions, revisions and runs of jobs.

use super::Run;
use crate::guard::{ensure, exists, version};
use model::change::{Change, Refusal};
use model::service::{
    JobStatus, MAX_REVISIONS, Revision, RevisionCause, ServiceSpec, UpdateStatus,
};
use model::{Service, ServiceId};
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn change_service(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateService { id, spec } => self.create_service(id, spec),
            Change::UpdateService {
                id,
                if_version,
                spec,
                cause,
                status,
            } => {
                let old = self.tables.known_service(id)?;
                version(old.meta.version, *if_version)?;
                self.update_service(&old, spec, *cause, status.as_ref())
            }
            Change::SetUpdateStatus {
                id,
                if_spec_version,
                status,
            } => {
                let mut new = Service::clone(&*self.tables.known_service(id)?);
                ensure(
                    new.spec_version == *if_spec_version,
                    "the progress is of an update that another one has replaced",
                )?;
                new.update_status = status.clone();
                self.put_service(new);
                Ok(())
            }
            Change::RemoveService { id } => {
                self.tables.known_service(id)?;
                let event = self.tables.set_service(id.clone(), None);
                self.events.push(event);
                Ok(())
            }
            _ => unreachable!("Run::one sends only changes of services"),
        }
    }

    fn create_service(&mut self, id: &ServiceId, spec: &Arc<ServiceSpec>) -> Result<(), Refusal> {
        if self.tables.services.contains_key(id) {
            return Err(exists("service", id.as_str()));
        }
        self.tables.name_is_free(spec)?;
        self.tables.payloads_are_there(spec)?;
        let new = Service {
            id: id.clone(),
            meta: self.new_meta(),
            spec: spec.clone(),
            previous_spec: None,
            spec_version: self.index,
            update_status: None,
            history: vec![self.revision(1, spec, RevisionCause::Create)],
            job: self.run_of(spec),
        };
        self.put_service(new);
        Ok(())
    }

    fn update_service(
        &mut self,
        old: &Service,
        spec: &Arc<ServiceSpec>,
        cause: RevisionCause,
        status: Option<&UpdateStatus>,
    ) -> Result<(), Refusal> {
        ensure(
            old.spec.name == spec.name,
            "renaming services is not supported",
        )?;
        ensure(
            old.spec.mode.is_same_kind(&spec.mode),
            "service mode change is not allowed",
        )?;
        // Nobody is there to ask when an update failed: tasks of the old specification wait for what is missing.
        if cause != RevisionCause::FailedUpdate {
            self.tables.payloads_are_there(spec)?;
        }
        let mut new = Service::clone(old);
        new.previous_spec = Some(old.spec.clone());
        new.spec = spec.clone();
        new.spec_version = self.index;
        new.update_status = status.cloned();
        new.job = self.run_of(spec);
        self.write_history(&mut new.history, &old.spec, spec, cause);
        self.write_spec(&mut new.meta);
        self.put_service(new);
        Ok(())
    }

    fn write_history(
        &self,
        history: &mut Vec<Revision>,
        old: &ServiceSpec,
        spec: &Arc<ServiceSpec>,
        cause: RevisionCause,
    ) {
        match history.last_mut() {
            Some(current) if !spec.begins_revision(old) => current.spec = spec.clone(),
            last => {
                let number = last.map_or(1, |r| r.number + 1);
                history.push(self.revision(number, spec, cause));
                let surplus = history.len().saturating_sub(MAX_REVISIONS);
                history.drain(..surplus);
            }
        }
    }

    fn revision(&self, number: u64, spec: &Arc<ServiceSpec>, cause: RevisionCause) -> Revision {
        Revision {
            number,
            spec: spec.clone(),
            created_at: self.at,
            cause,
        }
    }

    fn run_of(&self, spec: &ServiceSpec) -> Option<JobStatus> {
        spec.mode.is_job().then_some(JobStatus {
            iteration: self.index,
            last_execution: self.at,
        })
    }
}
