//! The control interface: what a manager that does not lead hands to the leader.

mod found;
mod query;

use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::error::need;
use crate::pb::control::{self as pb, write_request};
use model::control::{ControlError, Write, WriteRequest, Written};
use std::sync::Arc;

impl From<&WriteRequest> for pb::WriteRequest {
    fn from(request: &WriteRequest) -> Self {
        pb::WriteRequest {
            id: Some(request.id.into()),
            write: Some(write_write(&request.write)),
        }
    }
}

impl TryFrom<pb::WriteRequest> for WriteRequest {
    type Error = DecodeError;
    fn try_from(request: pb::WriteRequest) -> Result<Self, DecodeError> {
        Ok(WriteRequest {
            write: read_write(request.write)?,
            id: need("the id of a request", request.id)?.into(),
        })
    }
}

fn ids<Id: ToString>(ids: &[Id]) -> pb::Ids {
    pb::Ids {
        ids: ids.iter().map(ToString::to_string).collect(),
    }
}

fn read_ids<Id: From<String>>(ids: pb::Ids) -> Vec<Id> {
    ids.ids.into_iter().map(Into::into).collect()
}

/// One arm a write, so that a new one does not compile before it is written here.
fn write_write(write: &Write) -> write_request::Write {
    use write_request::Write as Kind;
    match write {
        Write::CreateService(spec) => Kind::CreateService(spec.as_ref().into()),
        Write::UpdateService { id, version, spec } => Kind::UpdateService(pb::UpdateService {
            id: id.as_str().into(),
            version: *version,
            spec: Some(spec.as_ref().into()),
        }),
        Write::RollbackService { id, version, to } => Kind::RollbackService(pb::RollbackService {
            id: id.as_str().into(),
            version: *version,
            to: *to,
        }),
        Write::RemoveService(id) => Kind::RemoveService(id.as_str().into()),
        Write::RestartTasks(tasks) => Kind::RestartTasks(ids(tasks)),
        Write::Rebalance(services) => Kind::Rebalance(ids(services)),
        Write::CreatePayload { kind, spec } => Kind::CreatePayload(pb::CreatePayload {
            kind: kind.to_wire(),
            spec: Some(spec.as_ref().into()),
        }),
        Write::UpdatePayload {
            id,
            kind,
            version,
            spec,
        } => Kind::UpdatePayload(pb::UpdatePayload {
            id: id.as_str().into(),
            kind: kind.to_wire(),
            version: *version,
            spec: Some(spec.as_ref().into()),
        }),
        Write::RemovePayload { id, kind } => Kind::RemovePayload(pb::RemovePayload {
            id: id.as_str().into(),
            kind: kind.to_wire(),
        }),
        Write::UpdateNode { id, version, spec } => Kind::UpdateNode(pb::UpdateNode {
            id: id.as_str().into(),
            version: *version,
            spec: Some(spec.into()),
        }),
        Write::RemoveNode { id, force } => Kind::RemoveNode(pb::RemoveNode {
            id: id.as_str().into(),
            force: *force,
        }),
        Write::UpdateCluster {
            version,
            spec,
            rotate_worker_token,
            rotate_manager_token,
        } => Kind::UpdateCluster(pb::UpdateCluster {
            version: *version,
            spec: Some(spec.into()),
            rotate_worker_token: *rotate_worker_token,
            rotate_manager_token: *rotate_manager_token,
        }),
        Write::CreateToken { name, role, labels } => Kind::CreateToken(pb::CreateToken {
            name: name.clone(),
            role: role.to_wire(),
            labels: labels.clone(),
        }),
        Write::RemoveToken { name } => Kind::RemoveToken(name.clone()),
    }
}

fn read_write(write: Option<write_request::Write>) -> Result<Write, DecodeError> {
    use write_request::Write as Kind;
    Ok(match need("what to write (or it is unknown)", write)? {
        Kind::CreateService(spec) => Write::CreateService(Arc::new(spec.try_into()?)),
        Kind::UpdateService(update) => Write::UpdateService {
            id: update.id.into(),
            version: update.version,
            spec: Arc::new(need("the spec of a service", update.spec)?.try_into()?),
        },
        Kind::RollbackService(rollback) => Write::RollbackService {
            id: rollback.id.into(),
            version: rollback.version,
            to: rollback.to,
        },
        Kind::RemoveService(id) => Write::RemoveService(id.into()),
        Kind::RestartTasks(tasks) => Write::RestartTasks(read_ids(tasks)),
        Kind::Rebalance(services) => Write::Rebalance(read_ids(services)),
        Kind::CreatePayload(create) => Write::CreatePayload {
            kind: Enumeration::from_wire(create.kind)?,
            spec: Arc::new(need("the spec of a secret or config", create.spec)?.into()),
        },
        Kind::UpdatePayload(update) => Write::UpdatePayload {
            id: update.id.into(),
            kind: Enumeration::from_wire(update.kind)?,
            version: update.version,
            spec: Arc::new(need("the spec of a secret or config", update.spec)?.into()),
        },
        Kind::RemovePayload(remove) => Write::RemovePayload {
            id: remove.id.into(),
            kind: Enumeration::from_wire(remove.kind)?,
        },
        Kind::UpdateNode(update) => Write::UpdateNode {
            id: update.id.into(),
            version: update.version,
            spec: need("the spec of a node", update.spec)?.try_into()?,
        },
        Kind::RemoveNode(remove) => Write::RemoveNode {
            id: remove.id.into(),
            force: remove.force,
        },
        Kind::UpdateCluster(update) => Write::UpdateCluster {
            version: update.version,
            spec: need("the spec of the cluster", update.spec)?.try_into()?,
            rotate_worker_token: update.rotate_worker_token,
            rotate_manager_token: update.rotate_manager_token,
        },
        Kind::CreateToken(create) => Write::CreateToken {
            name: create.name,
            role: Enumeration::from_wire(create.role)?,
            labels: create.labels,
        },
        Kind::RemoveToken(name) => Write::RemoveToken { name },
    })
}

impl From<&Result<Written, ControlError>> for pb::WriteReply {
    fn from(result: &Result<Written, ControlError>) -> Self {
        use pb::write_reply::Reply;
        let reply = match result {
            Ok(Written::Done) => Reply::Done(pb::Done {}),
            Ok(Written::Service(id)) => Reply::Service(id.as_str().into()),
            Ok(Written::Payload(id)) => Reply::Payload(id.as_str().into()),
            Err(error) => Reply::Error(error.into()),
        };
        pb::WriteReply { reply: Some(reply) }
    }
}

impl TryFrom<pb::WriteReply> for Result<Written, ControlError> {
    type Error = DecodeError;
    fn try_from(reply: pb::WriteReply) -> Result<Self, DecodeError> {
        use pb::write_reply::Reply;
        Ok(match need("the answer (or it is unknown)", reply.reply)? {
            Reply::Done(pb::Done {}) => Ok(Written::Done),
            Reply::Service(id) => Ok(Written::Service(id.into())),
            Reply::Payload(id) => Ok(Written::Payload(id.into())),
            Reply::Error(error) => Err(error.try_into()?),
        })
    }
}

impl From<&ControlError> for pb::Error {
    fn from(error: &ControlError) -> Self {
        use pb::ErrorKind as Kind;
        let (kind, text) = match error {
            ControlError::InvalidArgument(text) => (Kind::InvalidArgument, text.as_str()),
            ControlError::NotFound(text) => (Kind::NotFound, text.as_str()),
            ControlError::AlreadyExists(text) => (Kind::AlreadyExists, text.as_str()),
            ControlError::FailedPrecondition(text) => (Kind::FailedPrecondition, text.as_str()),
            ControlError::Unimplemented(text) => (Kind::Unimplemented, text.as_str()),
            ControlError::OutOfSequence => (Kind::OutOfSequence, ""),
            ControlError::Unavailable(text) => (Kind::Unavailable, text.as_str()),
            ControlError::NotManager(text) => (Kind::NotManager, text.as_str()),
        };
        pb::Error {
            kind: kind.into(),
            text: text.into(),
        }
    }
}

impl TryFrom<pb::Error> for ControlError {
    type Error = DecodeError;
    fn try_from(error: pb::Error) -> Result<Self, DecodeError> {
        use pb::ErrorKind as Kind;
        let text = error.text;
        match Kind::try_from(error.kind) {
            Ok(Kind::InvalidArgument) => Ok(ControlError::InvalidArgument(text)),
            Ok(Kind::NotFound) => Ok(ControlError::NotFound(text)),
            Ok(Kind::AlreadyExists) => Ok(ControlError::AlreadyExists(text)),
            Ok(Kind::FailedPrecondition) => Ok(ControlError::FailedPrecondition(text)),
            Ok(Kind::Unimplemented) => Ok(ControlError::Unimplemented(text)),
            Ok(Kind::OutOfSequence) => Ok(ControlError::OutOfSequence),
            Ok(Kind::Unavailable) => Ok(ControlError::Unavailable(text)),
            Ok(Kind::NotManager) => Ok(ControlError::NotManager(text)),
            Ok(Kind::Unspecified) | Err(_) => Err(DecodeError::UnknownEnum {
                what: "the kind of an error",
                value: error.kind,
            }),
        }
    }
}
