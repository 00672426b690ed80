//! The control interface: what a manager that does not lead hands to the leader.

use crate::DecodeError;
use crate::convert::maybe;
use crate::error::need;
use crate::pb::control::{self as pb, query_request, task_selector, write_request};
use crate::template::{Reader, Writer};
use model::control::{
    ControlError, Found, FoundNode, FoundTask, Query, Selector, TaskSelector, Write, WriteRequest,
    Written,
};
use std::sync::Arc;

impl From<&WriteRequest> for pb::WriteRequest {
    fn from(request: &WriteRequest) -> Self {
        use write_request::Write as Kind;
        let write = match &request.write {
            Write::CreateService(spec) => Kind::CreateService(spec.as_ref().into()),
            Write::UpdateService { id, version, spec } => Kind::UpdateService(pb::UpdateService {
                id: id.as_str().into(),
                version: *version,
                spec: Some(spec.as_ref().into()),
            }),
            Write::RemoveService(id) => Kind::RemoveService(id.as_str().into()),
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
        };
        pb::WriteRequest {
            id: Some(request.id.into()),
            write: Some(write),
        }
    }
}

impl TryFrom<pb::WriteRequest> for WriteRequest {
    type Error = DecodeError;
    fn try_from(request: pb::WriteRequest) -> Result<Self, DecodeError> {
        use write_request::Write as Kind;
        let write = match need("what to write (or it is unknown)", request.write)? {
            Kind::CreateService(spec) => Write::CreateService(Arc::new(spec.try_into()?)),
            Kind::UpdateService(update) => Write::UpdateService {
                id: update.id.into(),
                version: update.version,
                spec: Arc::new(need("the spec of a service", update.spec)?.try_into()?),
            },
            Kind::RemoveService(id) => Write::RemoveService(id.into()),
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
        };
        Ok(WriteRequest {
            id: need("the id of a request", request.id)?.into(),
            write,
        })
    }
}

impl From<&Result<Written, ControlError>> for pb::WriteReply {
    fn from(result: &Result<Written, ControlError>) -> Self {
        use pb::write_reply::Reply;
        let reply = match result {
            Ok(Written::Done) => Reply::Done(pb::Done {}),
            Ok(Written::Service(id)) => Reply::Service(id.as_str().into()),
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

impl From<&Query> for pb::QueryRequest {
    fn from(query: &Query) -> Self {
        use query_request::Query as Kind;
        let kind = match query {
            Query::Cluster => Kind::Cluster(pb::AllCluster {}),
            Query::Nodes(selector) => Kind::Nodes(selector.into()),
            Query::Services(selector) => Kind::Services(selector.into()),
            Query::Tasks(selector) => Kind::Tasks(selector.into()),
        };
        pb::QueryRequest { query: Some(kind) }
    }
}

impl TryFrom<pb::QueryRequest> for Query {
    type Error = DecodeError;
    fn try_from(request: pb::QueryRequest) -> Result<Self, DecodeError> {
        use query_request::Query as Kind;
        Ok(
            match need("the question (or it is unknown)", request.query)? {
                Kind::Cluster(pb::AllCluster {}) => Query::Cluster,
                Kind::Nodes(selector) => Query::Nodes(selector.try_into()?),
                Kind::Services(selector) => Query::Services(selector.try_into()?),
                Kind::Tasks(selector) => Query::Tasks(selector.try_into()?),
            },
        )
    }
}

impl<Id: ToString> From<&Selector<Id>> for pb::Selector {
    fn from(selector: &Selector<Id>) -> Self {
        use pb::selector::Selector as Kind;
        let kind = match selector {
            Selector::All => Kind::All(pb::All {}),
            Selector::Id(id) => Kind::Id(id.to_string()),
            Selector::Reference(reference) => Kind::Reference(reference.clone()),
        };
        pb::Selector {
            selector: Some(kind),
        }
    }
}

impl<Id: From<String>> TryFrom<pb::Selector> for Selector<Id> {
    type Error = DecodeError;
    fn try_from(selector: pb::Selector) -> Result<Self, DecodeError> {
        use pb::selector::Selector as Kind;
        Ok(
            match need("the selector (or it is unknown)", selector.selector)? {
                Kind::All(pb::All {}) => Selector::All,
                Kind::Id(id) => Selector::Id(id.into()),
                Kind::Reference(reference) => Selector::Reference(reference),
            },
        )
    }
}

fn ids<Id: ToString>(ids: &[Id]) -> pb::Ids {
    pb::Ids {
        ids: ids.iter().map(ToString::to_string).collect(),
    }
}

impl From<&TaskSelector> for pb::TaskSelector {
    fn from(selector: &TaskSelector) -> Self {
        use task_selector::Selector as Kind;
        let kind = match selector {
            TaskSelector::All => Kind::All(pb::All {}),
            TaskSelector::Reference(reference) => Kind::Reference(reference.clone()),
            TaskSelector::Id(id) => Kind::Id(id.to_string()),
            TaskSelector::Services(services) => Kind::Services(ids(services)),
            TaskSelector::Nodes(nodes) => Kind::Nodes(ids(nodes)),
        };
        pb::TaskSelector {
            selector: Some(kind),
        }
    }
}

impl TryFrom<pb::TaskSelector> for TaskSelector {
    type Error = DecodeError;
    fn try_from(selector: pb::TaskSelector) -> Result<Self, DecodeError> {
        use task_selector::Selector as Kind;
        Ok(
            match need("the selector (or it is unknown)", selector.selector)? {
                Kind::All(pb::All {}) => TaskSelector::All,
                Kind::Reference(reference) => TaskSelector::Reference(reference),
                Kind::Id(id) => TaskSelector::Id(id.into()),
                Kind::Services(ids) => {
                    TaskSelector::Services(ids.ids.into_iter().map(Into::into).collect())
                }
                Kind::Nodes(ids) => {
                    TaskSelector::Nodes(ids.ids.into_iter().map(Into::into).collect())
                }
            },
        )
    }
}

impl From<&Result<Found, ControlError>> for pb::QueryReply {
    fn from(result: &Result<Found, ControlError>) -> Self {
        use pb::query_reply::Reply;
        let reply = match result {
            Ok(found) => Reply::Found(found.into()),
            Err(error) => Reply::Error(error.into()),
        };
        pb::QueryReply { reply: Some(reply) }
    }
}

impl TryFrom<pb::QueryReply> for Result<Found, ControlError> {
    type Error = DecodeError;
    fn try_from(reply: pb::QueryReply) -> Result<Self, DecodeError> {
        use pb::query_reply::Reply;
        Ok(match need("the answer (or it is unknown)", reply.reply)? {
            Reply::Found(found) => Ok(found.try_into()?),
            Reply::Error(error) => Err(error.try_into()?),
        })
    }
}

impl From<&Found> for pb::Found {
    fn from(found: &Found) -> Self {
        let mut templates = Writer::default();
        let tasks = found.tasks.iter().map(|found| pb::FoundTask {
            task: Some(templates.task(&found.task)),
            up_to_date: found.up_to_date,
        });
        let tasks = tasks.collect();
        let node = |found: &FoundNode| pb::FoundNode {
            node: Some(found.node.as_ref().into()),
            leader: found.leader,
            reachable: found.reachable,
        };
        pb::Found {
            cluster: found.cluster.as_deref().map(Into::into),
            nodes: found.nodes.iter().map(node).collect(),
            services: found.services.iter().map(|s| s.as_ref().into()).collect(),
            templates: templates.finish(),
            tasks,
        }
    }
}

impl TryFrom<pb::Found> for Found {
    type Error = DecodeError;
    fn try_from(found: pb::Found) -> Result<Self, DecodeError> {
        let templates = Reader::new(found.templates)?;
        let node = |found: pb::FoundNode| {
            Ok::<_, DecodeError>(FoundNode {
                node: Arc::new(need("a node", found.node)?.try_into()?),
                leader: found.leader,
                reachable: found.reachable,
            })
        };
        let task = |found: pb::FoundTask| {
            Ok::<_, DecodeError>(FoundTask {
                task: Arc::new(templates.task(need("a task", found.task)?)?),
                up_to_date: found.up_to_date,
            })
        };
        let services = found.services.into_iter();
        let services = services.map(|s| s.try_into().map(Arc::new));
        Ok(Found {
            cluster: maybe(found.cluster)?.map(Arc::new),
            nodes: found
                .nodes
                .into_iter()
                .map(node)
                .collect::<Result<_, _>>()?,
            services: services.collect::<Result<_, DecodeError>>()?,
            tasks: found
                .tasks
                .into_iter()
                .map(task)
                .collect::<Result<_, _>>()?,
        })
    }
}
