//! Nodes.

use super::enums::Enumeration;
use super::{each, maybe};
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::node::{DrainConfig, ManagerStatus};
use model::task::{Platform, Resources};
use model::{Node, NodeDescription, NodeId, NodeSpec, NodeStatus, Timestamp};

impl From<&Node> for pb::Node {
    fn from(node: &Node) -> Self {
        pb::Node {
            id: node.id.as_str().into(),
            meta: Some(node.meta.into()),
            spec: Some((&node.spec).into()),
            role: node.role.to_wire(),
            description: node.description.as_ref().map(Into::into),
            status: Some((&node.status).into()),
            manager: node.manager.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<pb::Node> for Node {
    type Error = DecodeError;
    fn try_from(node: pb::Node) -> Result<Self, DecodeError> {
        Ok(Node {
            id: NodeId::from(node.id),
            meta: need("the meta data of a node", node.meta)?.into(),
            spec: need("the spec of a node", node.spec)?.try_into()?,
            role: Enumeration::from_wire(node.role)?,
            description: maybe(node.description)?,
            status: need("the status of a node", node.status)?.try_into()?,
            manager: node.manager.map(Into::into),
        })
    }
}

impl From<&NodeSpec> for pb::NodeSpec {
    fn from(spec: &NodeSpec) -> Self {
        pb::NodeSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            role: spec.role.to_wire(),
            availability: spec.availability.to_wire(),
            drain: spec.drain.map(|drain| pb::DrainConfig {
                parallelism: drain.parallelism,
                order: drain.order.to_wire(),
            }),
        }
    }
}

impl TryFrom<pb::NodeSpec> for NodeSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::NodeSpec) -> Result<Self, DecodeError> {
        Ok(NodeSpec {
            name: spec.name,
            labels: spec.labels,
            role: Enumeration::from_wire(spec.role)?,
            availability: Enumeration::from_wire(spec.availability)?,
            drain: maybe(spec.drain)?,
        })
    }
}

impl TryFrom<pb::DrainConfig> for DrainConfig {
    type Error = DecodeError;
    fn try_from(drain: pb::DrainConfig) -> Result<Self, DecodeError> {
        Ok(DrainConfig {
            parallelism: drain.parallelism,
            order: Enumeration::from_wire(drain.order)?,
        })
    }
}

impl From<&NodeDescription> for pb::NodeDescription {
    fn from(description: &NodeDescription) -> Self {
        pb::NodeDescription {
            hostname: description.hostname.clone(),
            platform: Some((&description.platform).into()),
            resources: Some(description.resources.into()),
            engine_version: description.engine_version.clone(),
            engine_labels: description.engine_labels.clone(),
            generic: description.generic.iter().map(Into::into).collect(),
            allows_privileged: description.allows_privileged,
        }
    }
}

impl TryFrom<pb::NodeDescription> for NodeDescription {
    type Error = DecodeError;
    fn try_from(description: pb::NodeDescription) -> Result<Self, DecodeError> {
        Ok(NodeDescription {
            hostname: description.hostname,
            platform: need("the platform of a node", description.platform)?.into(),
            resources: need("the resources of a node", description.resources)?.into(),
            engine_version: description.engine_version,
            engine_labels: description.engine_labels,
            generic: each(description.generic)?,
            allows_privileged: description.allows_privileged,
        })
    }
}

impl From<&NodeStatus> for pb::NodeStatus {
    fn from(status: &NodeStatus) -> Self {
        pb::NodeStatus {
            state: status.state.to_wire(),
            message: status.message.clone(),
            addr: status.addr.clone(),
            since: status.since.0,
        }
    }
}

impl TryFrom<pb::NodeStatus> for NodeStatus {
    type Error = DecodeError;
    fn try_from(status: pb::NodeStatus) -> Result<Self, DecodeError> {
        Ok(NodeStatus {
            state: Enumeration::from_wire(status.state)?,
            message: status.message,
            addr: status.addr,
            since: Timestamp(status.since),
        })
    }
}

impl From<&ManagerStatus> for pb::ManagerStatus {
    fn from(status: &ManagerStatus) -> Self {
        pb::ManagerStatus {
            raft_id: status.raft_id,
            addr: status.addr.clone(),
        }
    }
}

impl From<pb::ManagerStatus> for ManagerStatus {
    fn from(status: pb::ManagerStatus) -> Self {
        ManagerStatus {
            raft_id: status.raft_id,
            addr: status.addr,
        }
    }
}

impl From<&Platform> for pb::Platform {
    fn from(platform: &Platform) -> Self {
        pb::Platform {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
        }
    }
}

impl From<pb::Platform> for Platform {
    fn from(platform: pb::Platform) -> Self {
        Platform {
            architecture: platform.architecture,
            os: platform.os,
        }
    }
}

impl From<Resources> for pb::Resources {
    fn from(resources: Resources) -> Self {
        pb::Resources {
            nano_cpus: resources.nano_cpus,
            memory_bytes: resources.memory_bytes,
        }
    }
}

impl From<pb::Resources> for Resources {
    fn from(resources: pb::Resources) -> Self {
        Resources {
            nano_cpus: resources.nano_cpus,
            memory_bytes: resources.memory_bytes,
        }
    }
}
