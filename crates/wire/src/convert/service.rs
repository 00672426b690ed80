//! Services.

use super::enums::Enumeration;
use super::maybe;
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::service::{
    EndpointSpec, JobStatus, Mode, RegistryAuth, Revision, RevisionCause, UpdateConfig,
};
use model::{Service, ServiceId, ServiceSpec, Timestamp, UpdateStatus};
use std::sync::Arc;

impl From<&Service> for pb::Service {
    fn from(service: &Service) -> Self {
        pb::Service {
            id: service.id.as_str().into(),
            meta: Some(service.meta.into()),
            spec: Some(service.spec.as_ref().into()),
            previous_spec: service.previous_spec.as_deref().map(Into::into),
            spec_version: service.spec_version,
            update_status: service.update_status.as_ref().map(Into::into),
            history: service
                .history
                .iter()
                .map(|r| write_revision(r, service))
                .collect(),
            job: service.job.map(|job| pb::JobStatus {
                iteration: job.iteration,
                last_execution: job.last_execution.0,
            }),
        }
    }
}

impl TryFrom<pb::Service> for Service {
    type Error = DecodeError;
    fn try_from(service: pb::Service) -> Result<Self, DecodeError> {
        let spec = Arc::new(need("the spec of a service", service.spec)?.try_into()?);
        let previous_spec = maybe(service.previous_spec)?.map(Arc::new);
        let history = service.history.into_iter();
        let history = history.map(|r| read_revision(r, &spec, previous_spec.as_ref()));
        Ok(Service {
            id: ServiceId::from(service.id),
            meta: need("the meta data of a service", service.meta)?.into(),
            history: history.collect::<Result<_, _>>()?,
            spec,
            previous_spec,
            spec_version: service.spec_version,
            update_status: maybe(service.update_status)?,
            job: service.job.map(|job| JobStatus {
                iteration: job.iteration,
                last_execution: Timestamp(job.last_execution),
            }),
        })
    }
}

/// A revision whose spec the service has already points to it.
fn write_revision(revision: &Revision, service: &Service) -> pb::Revision {
    use pb::revision::Spec;
    let same =
        |spec: &Arc<ServiceSpec>| Arc::ptr_eq(spec, &revision.spec) || *spec == revision.spec;
    let spec = if same(&service.spec) {
        Spec::Current(pb::Nothing {})
    } else if service.previous_spec.as_ref().is_some_and(same) {
        Spec::Previous(pb::Nothing {})
    } else {
        Spec::Own(revision.spec.as_ref().into())
    };
    pb::Revision {
        number: revision.number,
        spec: Some(spec),
        created_at: revision.created_at.0,
        cause: Some(revision.cause.into()),
    }
}

fn read_revision(
    revision: pb::Revision,
    current: &Arc<ServiceSpec>,
    previous: Option<&Arc<ServiceSpec>>,
) -> Result<Revision, DecodeError> {
    use pb::revision::Spec;
    let spec = match need("the spec of a revision (or it is unknown)", revision.spec)? {
        Spec::Own(spec) => Arc::new(spec.try_into()?),
        Spec::Current(pb::Nothing {}) => Arc::clone(current),
        Spec::Previous(pb::Nothing {}) => {
            Arc::clone(need("the previous spec of a revision", previous)?)
        }
    };
    Ok(Revision {
        number: revision.number,
        spec,
        created_at: Timestamp(revision.created_at),
        cause: need("the cause of a revision", revision.cause)?.try_into()?,
    })
}

impl From<RevisionCause> for pb::RevisionCause {
    fn from(cause: RevisionCause) -> Self {
        use pb::revision_cause::Cause;
        let cause = match cause {
            RevisionCause::Create => Cause::Create(pb::Nothing {}),
            RevisionCause::Update => Cause::Update(pb::Nothing {}),
            RevisionCause::Rollback(to) => Cause::Rollback(to),
            RevisionCause::FailedUpdate => Cause::FailedUpdate(pb::Nothing {}),
        };
        pb::RevisionCause { cause: Some(cause) }
    }
}

impl TryFrom<pb::RevisionCause> for RevisionCause {
    type Error = DecodeError;
    fn try_from(cause: pb::RevisionCause) -> Result<Self, DecodeError> {
        use pb::revision_cause::Cause;
        let cause = need("the cause of a revision (or it is unknown)", cause.cause)?;
        Ok(match cause {
            Cause::Create(pb::Nothing {}) => RevisionCause::Create,
            Cause::Update(pb::Nothing {}) => RevisionCause::Update,
            Cause::Rollback(to) => RevisionCause::Rollback(to),
            Cause::FailedUpdate(pb::Nothing {}) => RevisionCause::FailedUpdate,
        })
    }
}

impl From<&Mode> for pb::service_spec::Mode {
    fn from(mode: &Mode) -> Self {
        use pb::service_spec::Mode as Kind;
        match *mode {
            Mode::Replicated { replicas } => Kind::Replicated(pb::Replicated { replicas }),
            Mode::Global => Kind::Global(pb::Nothing {}),
            Mode::ReplicatedJob {
                max_concurrent,
                total_completions,
            } => Kind::ReplicatedJob(pb::ReplicatedJob {
                max_concurrent,
                total_completions,
            }),
            Mode::GlobalJob => Kind::GlobalJob(pb::Nothing {}),
        }
    }
}

impl From<pb::service_spec::Mode> for Mode {
    fn from(mode: pb::service_spec::Mode) -> Self {
        use pb::service_spec::Mode as Kind;
        match mode {
            Kind::Replicated(pb::Replicated { replicas }) => Mode::Replicated { replicas },
            Kind::Global(pb::Nothing {}) => Mode::Global,
            Kind::ReplicatedJob(job) => Mode::ReplicatedJob {
                max_concurrent: job.max_concurrent,
                total_completions: job.total_completions,
            },
            Kind::GlobalJob(pb::Nothing {}) => Mode::GlobalJob,
        }
    }
}

impl From<&RegistryAuth> for pb::RegistryAuth {
    fn from(auth: &RegistryAuth) -> Self {
        pb::RegistryAuth {
            value: auth.0.clone(),
        }
    }
}

impl From<pb::RegistryAuth> for RegistryAuth {
    fn from(auth: pb::RegistryAuth) -> Self {
        RegistryAuth(auth.value)
    }
}

impl From<&ServiceSpec> for pb::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        pb::ServiceSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            task: Some(spec.task.as_ref().into()),
            mode: Some((&spec.mode).into()),
            update: spec.update.as_ref().map(Into::into),
            rollback: spec.rollback.as_ref().map(Into::into),
            endpoint: spec.endpoint.as_ref().map(Into::into),
            registry_auth: spec.registry_auth.as_ref().map(Into::into),
            progress_deadline: spec.progress_deadline.map(Into::into),
            stopped: spec.stopped,
            auto_rebalance: spec.auto_rebalance,
        }
    }
}

impl TryFrom<pb::ServiceSpec> for ServiceSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::ServiceSpec) -> Result<Self, DecodeError> {
        Ok(ServiceSpec {
            name: spec.name,
            labels: spec.labels,
            task: Arc::new(need("the task template of a service", spec.task)?.try_into()?),
            mode: need("the mode of a service (or it is unknown)", spec.mode)?.into(),
            update: maybe(spec.update)?,
            rollback: maybe(spec.rollback)?,
            endpoint: maybe(spec.endpoint)?,
            registry_auth: spec.registry_auth.map(Into::into),
            progress_deadline: maybe(spec.progress_deadline)?,
            stopped: spec.stopped,
            auto_rebalance: spec.auto_rebalance,
        })
    }
}

impl From<&UpdateConfig> for pb::UpdateConfig {
    fn from(config: &UpdateConfig) -> Self {
        pb::UpdateConfig {
            parallelism: config.parallelism,
            delay: Some(config.delay.into()),
            failure_action: config.failure_action.to_wire(),
            monitor: config.monitor.map(Into::into),
            max_failure_ratio: config.max_failure_ratio,
            order: config.order.to_wire(),
        }
    }
}

impl TryFrom<pb::UpdateConfig> for UpdateConfig {
    type Error = DecodeError;
    fn try_from(config: pb::UpdateConfig) -> Result<Self, DecodeError> {
        Ok(UpdateConfig {
            parallelism: config.parallelism,
            delay: need("the delay of an update", config.delay)?.try_into()?,
            failure_action: Enumeration::from_wire(config.failure_action)?,
            monitor: maybe(config.monitor)?,
            max_failure_ratio: config.max_failure_ratio,
            order: Enumeration::from_wire(config.order)?,
        })
    }
}

impl From<&EndpointSpec> for pb::EndpointSpec {
    fn from(endpoint: &EndpointSpec) -> Self {
        pb::EndpointSpec {
            mode: endpoint.mode.map(Enumeration::to_wire),
        }
    }
}

impl TryFrom<pb::EndpointSpec> for EndpointSpec {
    type Error = DecodeError;
    fn try_from(endpoint: pb::EndpointSpec) -> Result<Self, DecodeError> {
        Ok(EndpointSpec {
            mode: endpoint.mode.map(Enumeration::from_wire).transpose()?,
        })
    }
}

impl From<&UpdateStatus> for pb::UpdateStatus {
    fn from(status: &UpdateStatus) -> Self {
        pb::UpdateStatus {
            state: status.state.to_wire(),
            started_at: status.started_at.map(|at| at.0),
            completed_at: status.completed_at.map(|at| at.0),
            message: status.message.clone(),
            total_slots: status.total_slots,
            failures: status.failures,
            replaced_at: status.replaced_at.map(|at| at.0),
            progressed_at: status.progressed_at.map(|at| at.0),
        }
    }
}

impl TryFrom<pb::UpdateStatus> for UpdateStatus {
    type Error = DecodeError;
    fn try_from(status: pb::UpdateStatus) -> Result<Self, DecodeError> {
        Ok(UpdateStatus {
            state: Enumeration::from_wire(status.state)?,
            started_at: status.started_at.map(Timestamp),
            completed_at: status.completed_at.map(Timestamp),
            message: status.message,
            total_slots: status.total_slots,
            failures: status.failures,
            replaced_at: status.replaced_at.map(Timestamp),
            progressed_at: status.progressed_at.map(Timestamp),
        })
    }
}
