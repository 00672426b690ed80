//! Services.

use super::enums::Enumeration;
use super::maybe;
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::service::{EndpointSpec, Mode, UpdateConfig};
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
        }
    }
}

impl TryFrom<pb::Service> for Service {
    type Error = DecodeError;
    fn try_from(service: pb::Service) -> Result<Self, DecodeError> {
        Ok(Service {
            id: ServiceId::from(service.id),
            meta: need("the meta data of a service", service.meta)?.into(),
            spec: Arc::new(need("the spec of a service", service.spec)?.try_into()?),
            previous_spec: maybe(service.previous_spec)?.map(Arc::new),
            spec_version: service.spec_version,
            update_status: maybe(service.update_status)?,
        })
    }
}

impl From<&ServiceSpec> for pb::ServiceSpec {
    fn from(spec: &ServiceSpec) -> Self {
        let Mode::Replicated { replicas } = spec.mode;
        pb::ServiceSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            task: Some(spec.task.as_ref().into()),
            mode: Some(pb::service_spec::Mode::Replicated(pb::Replicated {
                replicas,
            })),
            update: spec.update.as_ref().map(Into::into),
            rollback: spec.rollback.as_ref().map(Into::into),
            endpoint: spec.endpoint.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::ServiceSpec> for ServiceSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::ServiceSpec) -> Result<Self, DecodeError> {
        let pb::service_spec::Mode::Replicated(pb::Replicated { replicas }) =
            need("the mode of a service (or it is unknown)", spec.mode)?;
        Ok(ServiceSpec {
            name: spec.name,
            labels: spec.labels,
            task: Arc::new(need("the task template of a service", spec.task)?.try_into()?),
            mode: Mode::Replicated { replicas },
            update: maybe(spec.update)?,
            rollback: maybe(spec.rollback)?,
            endpoint: maybe(spec.endpoint)?,
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
        })
    }
}
