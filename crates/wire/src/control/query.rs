//! Questions.

use super::{ids, read_ids, read_write, write_write};
use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::error::need;
use crate::pb::control::{self as pb, query_request, task_selector};
use model::control::{Query, Selector, TaskSelector};

impl From<&Query> for pb::QueryRequest {
    fn from(query: &Query) -> Self {
        use query_request::Query as Kind;
        let kind = match query {
            Query::Cluster => Kind::Cluster(pb::AllCluster {}),
            Query::Nodes(selector) => Kind::Nodes(selector.into()),
            Query::Services(selector) => Kind::Services(selector.into()),
            Query::Tasks(selector) => Kind::Tasks(selector.into()),
            Query::Payloads(kind, selector) => Kind::Payloads(pb::PayloadQuery {
                kind: kind.to_wire(),
                selector: Some(selector.into()),
            }),
            Query::Plan(write) => Kind::Plan(pb::WriteRequest {
                id: None,
                write: Some(write_write(write)),
            }),
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
                Kind::Payloads(query) => Query::Payloads(
                    Enumeration::from_wire(query.kind)?,
                    need("the selector of secrets or configs", query.selector)?.try_into()?,
                ),
                Kind::Plan(request) => Query::Plan(Box::new(read_write(request.write)?)),
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
                Kind::Services(services) => TaskSelector::Services(read_ids(services)),
                Kind::Nodes(nodes) => TaskSelector::Nodes(read_ids(nodes)),
            },
        )
    }
}
