//! Changes.

use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::convert::maybe;
use crate::error::need;
use crate::pb::log::{self as pb, change::Change as Kind};
use model::cluster::JoinSecret;
use model::{Change, NewTask, Timestamp};
use std::sync::Arc;

impl From<&Change> for pb::Change {
    fn from(change: &Change) -> Self {
        pb::Change {
            change: Some(write(change)),
        }
    }
}

/// One arm a change, so that a new change does not compile before it is written here.
fn write(change: &Change) -> Kind {
    match change {
        Change::CreateCluster(cluster) => Kind::CreateCluster(cluster.as_ref().into()),
        Change::UpdateCluster {
            if_version,
            spec,
            worker_token,
            manager_token,
        } => Kind::UpdateCluster(pb::UpdateCluster {
            if_version: *if_version,
            spec: Some(spec.into()),
            worker_token: worker_token.as_ref().map(|t| t.0.clone()),
            manager_token: manager_token.as_ref().map(|t| t.0.clone()),
        }),
        Change::CreateService { id, spec } => Kind::CreateService(pb::CreateService {
            id: id.as_str().into(),
            spec: Some(spec.as_ref().into()),
        }),
        Change::UpdateService {
            id,
            if_version,
            spec,
        } => Kind::UpdateService(pb::UpdateService {
            id: id.as_str().into(),
            if_version: *if_version,
            spec: Some(spec.as_ref().into()),
        }),
        Change::SetUpdateStatus {
            id,
            if_spec_version,
            status,
        } => Kind::SetUpdateStatus(pb::SetUpdateStatus {
            id: id.as_str().into(),
            if_spec_version: *if_spec_version,
            status: status.as_ref().map(Into::into),
        }),
        Change::RemoveService { id } => Kind::RemoveService(id.as_str().into()),
        Change::CreateTask(task) => Kind::CreateTask(task.into()),
        Change::SetDesired { id, desired } => Kind::SetDesired(pb::SetDesired {
            id: id.as_str().into(),
            desired: desired.to_wire(),
        }),
        Change::AssignTask { id, node, status } => Kind::AssignTask(pb::AssignTask {
            id: id.as_str().into(),
            node: node.as_str().into(),
            status: Some(status.into()),
        }),
        Change::SetTaskStatus { id, status } => Kind::SetTaskStatus(pb::SetTaskStatus {
            id: id.as_str().into(),
            status: Some(status.into()),
        }),
        Change::SetFailureCounted { id } => Kind::SetFailureCounted(id.as_str().into()),
        Change::RemoveTask { id } => Kind::RemoveTask(id.as_str().into()),
        Change::CreateNode(node) => Kind::CreateNode(node.as_ref().into()),
        Change::UpdateNodeSpec {
            id,
            if_version,
            spec,
        } => Kind::UpdateNodeSpec(pb::UpdateNodeSpec {
            id: id.as_str().into(),
            if_version: *if_version,
            spec: Some(spec.into()),
        }),
        Change::SetNodeDescription { id, description } => {
            Kind::SetNodeDescription(pb::SetNodeDescription {
                id: id.as_str().into(),
                description: Some(description.as_ref().into()),
            })
        }
        Change::SetNodeStatus { id, status } => Kind::SetNodeStatus(pb::SetNodeStatus {
            id: id.as_str().into(),
            status: Some(status.into()),
        }),
        Change::SetNodeManager { id, manager } => Kind::SetNodeManager(pb::SetNodeManager {
            id: id.as_str().into(),
            manager: manager.as_ref().map(Into::into),
        }),
        Change::RemoveNode { id } => Kind::RemoveNode(id.as_str().into()),
    }
}

impl TryFrom<pb::Change> for Change {
    type Error = DecodeError;
    fn try_from(change: pb::Change) -> Result<Self, DecodeError> {
        match need("a change (or it is unknown)", change.change)? {
            Kind::CreateCluster(cluster) => {
                Ok(Change::CreateCluster(Box::new(cluster.try_into()?)))
            }
            Kind::UpdateCluster(update) => Ok(Change::UpdateCluster {
                if_version: update.if_version,
                spec: need("the spec of the cluster", update.spec)?.try_into()?,
                worker_token: update.worker_token.map(JoinSecret),
                manager_token: update.manager_token.map(JoinSecret),
            }),
            Kind::CreateService(create) => Ok(Change::CreateService {
                id: create.id.into(),
                spec: Arc::new(need("the spec of a service", create.spec)?.try_into()?),
            }),
            Kind::UpdateService(update) => Ok(Change::UpdateService {
                id: update.id.into(),
                if_version: update.if_version,
                spec: Arc::new(need("the spec of a service", update.spec)?.try_into()?),
            }),
            Kind::SetUpdateStatus(set) => Ok(Change::SetUpdateStatus {
                id: set.id.into(),
                if_spec_version: set.if_spec_version,
                status: maybe(set.status)?,
            }),
            Kind::RemoveService(id) => Ok(Change::RemoveService { id: id.into() }),
            Kind::CreateTask(task) => Ok(Change::CreateTask(task.try_into()?)),
            Kind::SetDesired(set) => Ok(Change::SetDesired {
                id: set.id.into(),
                desired: Enumeration::from_wire(set.desired)?,
            }),
            Kind::AssignTask(assign) => Ok(Change::AssignTask {
                id: assign.id.into(),
                node: assign.node.into(),
                status: need("the status of a task", assign.status)?.try_into()?,
            }),
            Kind::SetTaskStatus(set) => Ok(Change::SetTaskStatus {
                id: set.id.into(),
                status: need("the status of a task", set.status)?.try_into()?,
            }),
            Kind::SetFailureCounted(id) => Ok(Change::SetFailureCounted { id: id.into() }),
            Kind::RemoveTask(id) => Ok(Change::RemoveTask { id: id.into() }),
            Kind::CreateNode(node) => Ok(Change::CreateNode(Box::new(node.try_into()?))),
            Kind::UpdateNodeSpec(update) => Ok(Change::UpdateNodeSpec {
                id: update.id.into(),
                if_version: update.if_version,
                spec: need("the spec of a node", update.spec)?.try_into()?,
            }),
            Kind::SetNodeDescription(set) => Ok(Change::SetNodeDescription {
                id: set.id.into(),
                description: Box::new(
                    need("the description of a node", set.description)?.try_into()?,
                ),
            }),
            Kind::SetNodeStatus(set) => Ok(Change::SetNodeStatus {
                id: set.id.into(),
                status: need("the status of a node", set.status)?.try_into()?,
            }),
            Kind::SetNodeManager(set) => Ok(Change::SetNodeManager {
                id: set.id.into(),
                manager: set.manager.map(Into::into),
            }),
            Kind::RemoveNode(id) => Ok(Change::RemoveNode { id: id.into() }),
        }
    }
}

impl From<&NewTask> for pb::NewTask {
    fn from(task: &NewTask) -> Self {
        pb::NewTask {
            id: task.id.as_str().into(),
            service: task.service.as_str().into(),
            spec_version: task.spec_version,
            slot: task.slot,
            desired: task.desired.to_wire(),
            start_after: task.start_after.map(|at| at.0),
            restarts: task.restarts.iter().map(|at| at.0).collect(),
        }
    }
}

impl TryFrom<pb::NewTask> for NewTask {
    type Error = DecodeError;
    fn try_from(task: pb::NewTask) -> Result<Self, DecodeError> {
        Ok(NewTask {
            id: task.id.into(),
            service: task.service.into(),
            spec_version: task.spec_version,
            slot: task.slot,
            desired: Enumeration::from_wire(task.desired)?,
            start_after: task.start_after.map(Timestamp),
            restarts: task.restarts.into_iter().map(Timestamp).collect(),
        })
    }
}
