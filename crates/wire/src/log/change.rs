//! Changes.

use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::convert::{each, maybe};
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
        Change::SetTokens { if_version, tokens } => Kind::SetTokens(pb::SetTokens {
            if_version: *if_version,
            tokens: tokens.iter().map(Into::into).collect(),
        }),
        Change::CreateService { id, spec } => Kind::CreateService(pb::CreateService {
            id: id.as_str().into(),
            spec: Some(spec.as_ref().into()),
        }),
        Change::UpdateService {
            id,
            if_version,
            spec,
            cause,
            status,
        } => Kind::UpdateService(pb::UpdateService {
            id: id.as_str().into(),
            if_version: *if_version,
            spec: Some(spec.as_ref().into()),
            cause: Some((*cause).into()),
            status: status.as_ref().map(Into::into),
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
        Change::SetReplace { id, reason } => Kind::SetReplace(pb::SetReplace {
            id: id.as_str().into(),
            reason: reason.map(Enumeration::to_wire),
        }),
        Change::AssignTask {
            id,
            node,
            generic,
            status,
        } => Kind::AssignTask(pb::AssignTask {
            id: id.as_str().into(),
            node: node.as_str().into(),
            status: Some(status.into()),
            generic: generic.iter().map(Into::into).collect(),
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
        Change::SetNodeRole { id, role } => Kind::SetNodeRole(pb::SetNodeRole {
            id: id.as_str().into(),
            role: role.to_wire(),
        }),
        Change::SetNodeManager { id, manager } => Kind::SetNodeManager(pb::SetNodeManager {
            id: id.as_str().into(),
            manager: manager.as_ref().map(Into::into),
        }),
        Change::RemoveNode { id } => Kind::RemoveNode(id.as_str().into()),
        Change::CreatePayload(payload) => Kind::CreatePayload(payload.as_ref().into()),
        Change::UpdatePayload {
            id,
            if_version,
            labels,
        } => Kind::UpdatePayload(pb::UpdatePayload {
            id: id.as_str().into(),
            if_version: *if_version,
            labels: labels.clone(),
        }),
        Change::RemovePayload { id } => Kind::RemovePayload(id.as_str().into()),
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
            Kind::SetTokens(set) => Ok(Change::SetTokens {
                if_version: set.if_version,
                tokens: each(set.tokens)?,
            }),
            Kind::CreateService(create) => Ok(Change::CreateService {
                id: create.id.into(),
                spec: Arc::new(need("the spec of a service", create.spec)?.try_into()?),
            }),
            Kind::UpdateService(update) => Ok(Change::UpdateService {
                id: update.id.into(),
                if_version: update.if_version,
                spec: Arc::new(need("the spec of a service", update.spec)?.try_into()?),
                cause: need("the cause of an update", update.cause)?.try_into()?,
                status: maybe(update.status)?,
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
            Kind::SetReplace(set) => Ok(Change::SetReplace {
                id: set.id.into(),
                reason: set.reason.map(Enumeration::from_wire).transpose()?,
            }),
            Kind::AssignTask(assign) => Ok(Change::AssignTask {
                id: assign.id.into(),
                node: assign.node.into(),
                generic: each(assign.generic)?,
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
            Kind::SetNodeRole(set) => Ok(Change::SetNodeRole {
                id: set.id.into(),
                role: Enumeration::from_wire(set.role)?,
            }),
            Kind::SetNodeManager(set) => Ok(Change::SetNodeManager {
                id: set.id.into(),
                manager: set.manager.map(Into::into),
            }),
            Kind::RemoveNode(id) => Ok(Change::RemoveNode { id: id.into() }),
            Kind::CreatePayload(payload) => {
                Ok(Change::CreatePayload(Box::new(payload.try_into()?)))
            }
            Kind::UpdatePayload(update) => Ok(Change::UpdatePayload {
                id: update.id.into(),
                if_version: update.if_version,
                labels: update.labels,
            }),
            Kind::RemovePayload(id) => Ok(Change::RemovePayload { id: id.into() }),
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
            node: task.node.as_ref().map(|n| n.as_str().into()),
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
            node: task.node.map(Into::into),
            desired: Enumeration::from_wire(task.desired)?,
            start_after: task.start_after.map(Timestamp),
            restarts: task.restarts.into_iter().map(Timestamp).collect(),
        })
    }
}
