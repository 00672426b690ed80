//! Answers, and plans in them.

use crate::DecodeError;
use crate::convert::{each, maybe};
use crate::error::need;
use crate::pb::control as pb;
use crate::template::{Reader, Writer};
use model::control::{ControlError, Found, FoundNode, FoundTask};
use model::plan::{Plan, PlannedReplacement, PlannedTask, Unplaced};
use std::sync::Arc;

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
            payloads: found.payloads.iter().map(|p| p.as_ref().into()).collect(),
            plan: found.plan.as_ref().map(Into::into),
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
        let payloads = found.payloads.into_iter();
        let payloads = payloads.map(|p| p.try_into().map(Arc::new));
        Ok(Found {
            cluster: maybe(found.cluster)?.map(Arc::new),
            nodes: found
                .nodes
                .into_iter()
                .map(node)
                .collect::<Result<_, _>>()?,
            services: services.collect::<Result<_, DecodeError>>()?,
            payloads: payloads.collect::<Result<_, DecodeError>>()?,
            plan: maybe(found.plan)?,
            tasks: found
                .tasks
                .into_iter()
                .map(task)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Plan> for pb::Plan {
    fn from(plan: &Plan) -> Self {
        pb::Plan {
            version: plan.version,
            start: plan.start.iter().map(Into::into).collect(),
            stop: plan.stop.iter().map(Into::into).collect(),
            replace: plan.replace.iter().map(Into::into).collect(),
            unplaced: plan.unplaced.iter().map(Into::into).collect(),
            unchanged: plan.unchanged,
            notes: plan.notes.clone(),
        }
    }
}

impl TryFrom<pb::Plan> for Plan {
    type Error = DecodeError;
    fn try_from(plan: pb::Plan) -> Result<Self, DecodeError> {
        Ok(Plan {
            version: plan.version,
            start: each(plan.start)?,
            stop: each(plan.stop)?,
            replace: each(plan.replace)?,
            unplaced: each(plan.unplaced)?,
            unchanged: plan.unchanged,
            notes: plan.notes,
        })
    }
}

impl From<&PlannedTask> for pb::PlannedTask {
    fn from(task: &PlannedTask) -> Self {
        pb::PlannedTask {
            service: task.service.as_str().into(),
            service_name: task.service_name.clone(),
            slot: Some((&task.slot).into()),
            task: task.task.as_ref().map(|id| id.as_str().into()),
            node: task.node.as_ref().map(|id| id.as_str().into()),
        }
    }
}

impl TryFrom<pb::PlannedTask> for PlannedTask {
    type Error = DecodeError;
    fn try_from(task: pb::PlannedTask) -> Result<Self, DecodeError> {
        Ok(PlannedTask {
            service: task.service.into(),
            service_name: task.service_name,
            slot: need("the slot of a planned task", task.slot)?.try_into()?,
            task: task.task.map(Into::into),
            node: task.node.map(Into::into),
        })
    }
}

impl From<&PlannedReplacement> for pb::PlannedReplacement {
    fn from(replacement: &PlannedReplacement) -> Self {
        pb::PlannedReplacement {
            old: Some((&replacement.old).into()),
            new_node: replacement.new_node.as_ref().map(|id| id.as_str().into()),
        }
    }
}

impl TryFrom<pb::PlannedReplacement> for PlannedReplacement {
    type Error = DecodeError;
    fn try_from(replacement: pb::PlannedReplacement) -> Result<Self, DecodeError> {
        Ok(PlannedReplacement {
            old: need("the old task of a replacement", replacement.old)?.try_into()?,
            new_node: replacement.new_node.map(Into::into),
        })
    }
}

impl From<&Unplaced> for pb::Unplaced {
    fn from(unplaced: &Unplaced) -> Self {
        pb::Unplaced {
            service_name: unplaced.service_name.clone(),
            slot: Some((&unplaced.slot).into()),
            reason: unplaced.reason.clone(),
        }
    }
}

impl TryFrom<pb::Unplaced> for Unplaced {
    type Error = DecodeError;
    fn try_from(unplaced: pb::Unplaced) -> Result<Self, DecodeError> {
        Ok(Unplaced {
            service_name: unplaced.service_name,
            slot: need("the slot of a task without a node", unplaced.slot)?.try_into()?,
            reason: unplaced.reason,
        })
    }
}
