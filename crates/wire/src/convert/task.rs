//! Task specs and statuses. Whole tasks point into a table of templates: see [`crate::template`].

use super::enums::Enumeration;
use super::{each, maybe};
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::task::{
    ContainerStatus, GenericResource, GenericValue, Limits, NetworkAttachment, Placement,
    ResourceRequirements, RestartPolicy,
};
use model::{SlotKey, TaskSpec, TaskStatus, Timestamp};

impl From<&TaskSpec> for pb::TaskSpec {
    fn from(spec: &TaskSpec) -> Self {
        pb::TaskSpec {
            container: Some((&spec.container).into()),
            resources: spec.resources.as_ref().map(Into::into),
            restart: spec.restart.as_ref().map(Into::into),
            placement: spec.placement.as_ref().map(Into::into),
            networks: spec.networks.iter().map(Into::into).collect(),
            log_driver: spec.log_driver.as_ref().map(Into::into),
            force_update: spec.force_update,
            runtime: spec.runtime.clone(),
        }
    }
}

impl TryFrom<pb::TaskSpec> for TaskSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::TaskSpec) -> Result<Self, DecodeError> {
        Ok(TaskSpec {
            container: need("the container of a task", spec.container)?.try_into()?,
            resources: maybe(spec.resources)?,
            restart: maybe(spec.restart)?,
            placement: spec.placement.map(Into::into),
            networks: spec.networks.into_iter().map(Into::into).collect(),
            log_driver: spec.log_driver.map(Into::into),
            force_update: spec.force_update,
            runtime: spec.runtime,
        })
    }
}

impl From<&NetworkAttachment> for pb::NetworkAttachment {
    fn from(network: &NetworkAttachment) -> Self {
        pb::NetworkAttachment {
            target: network.target.clone(),
            aliases: network.aliases.clone(),
        }
    }
}

impl From<pb::NetworkAttachment> for NetworkAttachment {
    fn from(network: pb::NetworkAttachment) -> Self {
        NetworkAttachment {
            target: network.target,
            aliases: network.aliases,
        }
    }
}

impl From<&ResourceRequirements> for pb::ResourceRequirements {
    fn from(resources: &ResourceRequirements) -> Self {
        pb::ResourceRequirements {
            limits: resources.limits.map(|limits| pb::Limits {
                nano_cpus: limits.nano_cpus,
                memory_bytes: limits.memory_bytes,
                pids: limits.pids,
            }),
            reservations: resources.reservations.map(Into::into),
            generic: resources.generic.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ResourceRequirements> for ResourceRequirements {
    type Error = DecodeError;
    fn try_from(resources: pb::ResourceRequirements) -> Result<Self, DecodeError> {
        Ok(ResourceRequirements {
            limits: resources.limits.map(|limits| Limits {
                nano_cpus: limits.nano_cpus,
                memory_bytes: limits.memory_bytes,
                pids: limits.pids,
            }),
            reservations: resources.reservations.map(Into::into),
            generic: each(resources.generic)?,
        })
    }
}

impl From<&GenericResource> for pb::GenericResource {
    fn from(resource: &GenericResource) -> Self {
        use pb::generic_resource::Value;
        let value = match &resource.value {
            GenericValue::Discrete(count) => Value::Discrete(*count),
            GenericValue::Named(name) => Value::Named(name.clone()),
        };
        pb::GenericResource {
            kind: resource.kind.clone(),
            value: Some(value),
        }
    }
}

impl TryFrom<pb::GenericResource> for GenericResource {
    type Error = DecodeError;
    fn try_from(resource: pb::GenericResource) -> Result<Self, DecodeError> {
        use pb::generic_resource::Value;
        let value = need(
            "the value of a generic resource (or it is unknown)",
            resource.value,
        )?;
        Ok(GenericResource {
            kind: resource.kind,
            value: match value {
                Value::Discrete(count) => GenericValue::Discrete(count),
                Value::Named(name) => GenericValue::Named(name),
            },
        })
    }
}

impl From<&SlotKey> for pb::SlotKey {
    fn from(slot: &SlotKey) -> Self {
        use pb::slot_key::Key;
        let key = match slot {
            SlotKey::Replica(number) => Key::Replica(*number),
            SlotKey::Node(node) => Key::Node(node.as_str().into()),
        };
        pb::SlotKey { key: Some(key) }
    }
}

impl TryFrom<pb::SlotKey> for SlotKey {
    type Error = DecodeError;
    fn try_from(slot: pb::SlotKey) -> Result<Self, DecodeError> {
        use pb::slot_key::Key;
        Ok(
            match need("the key of a slot (or it is unknown)", slot.key)? {
                Key::Replica(number) => SlotKey::Replica(number),
                Key::Node(node) => SlotKey::Node(node.into()),
            },
        )
    }
}

impl From<&RestartPolicy> for pb::RestartPolicy {
    fn from(policy: &RestartPolicy) -> Self {
        pb::RestartPolicy {
            condition: policy.condition.to_wire(),
            delay: policy.delay.map(Into::into),
            max_attempts: policy.max_attempts,
            window: Some(policy.window.into()),
        }
    }
}

impl TryFrom<pb::RestartPolicy> for RestartPolicy {
    type Error = DecodeError;
    fn try_from(policy: pb::RestartPolicy) -> Result<Self, DecodeError> {
        Ok(RestartPolicy {
            condition: Enumeration::from_wire(policy.condition)?,
            delay: maybe(policy.delay)?,
            max_attempts: policy.max_attempts,
            window: need("the window of a restart policy", policy.window)?.try_into()?,
        })
    }
}

impl From<&Placement> for pb::Placement {
    fn from(placement: &Placement) -> Self {
        pb::Placement {
            constraints: placement.constraints.clone(),
            preferences: placement.preferences.clone(),
            max_replicas: placement.max_replicas,
            platforms: placement.platforms.iter().map(Into::into).collect(),
        }
    }
}

impl From<pb::Placement> for Placement {
    fn from(placement: pb::Placement) -> Self {
        Placement {
            constraints: placement.constraints,
            preferences: placement.preferences,
            max_replicas: placement.max_replicas,
            platforms: placement.platforms.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&TaskStatus> for pb::TaskStatus {
    fn from(status: &TaskStatus) -> Self {
        pb::TaskStatus {
            state: status.state.to_wire(),
            timestamp: status.timestamp.0,
            applied_at: status.applied_at.0,
            message: status.message.clone(),
            error: status.error.clone(),
            container: status.container.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::TaskStatus> for TaskStatus {
    type Error = DecodeError;
    fn try_from(status: pb::TaskStatus) -> Result<Self, DecodeError> {
        Ok(TaskStatus {
            state: Enumeration::from_wire(status.state)?,
            timestamp: Timestamp(status.timestamp),
            applied_at: Timestamp(status.applied_at),
            message: status.message,
            error: status.error,
            container: status.container.map(Into::into),
        })
    }
}

impl From<&ContainerStatus> for pb::ContainerStatus {
    fn from(status: &ContainerStatus) -> Self {
        pb::ContainerStatus {
            id: status.id.clone(),
            pid: status.pid,
            exit_code: status.exit_code,
        }
    }
}

impl From<pb::ContainerStatus> for ContainerStatus {
    fn from(status: pb::ContainerStatus) -> Self {
        ContainerStatus {
            id: status.id,
            pid: status.pid,
            exit_code: status.exit_code,
        }
    }
}
