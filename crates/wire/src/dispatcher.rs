//! Sessions of agents: assignments and reports to and from the model.

use crate::DecodeError;
use crate::convert::each;
use crate::convert::enums::Enumeration;
use crate::error::need;
use crate::pb::dispatcher as pb;
use crate::pb::dispatcher::assignment_change::Change as Kind;
use crate::template::{Reader, Writer};
use model::assignment::{AssignedTask, AssignmentChange, Assignments};
use model::{Role, TaskId, TaskStatus};
use std::sync::Arc;

impl From<&Assignments> for pb::Assignments {
    fn from(assignments: &Assignments) -> Self {
        let mut templates = Writer::default();
        let changes = assignments.changes.iter();
        let changes = changes.map(|c| write(c, &mut templates)).collect();
        pb::Assignments {
            index: assignments.index,
            complete: assignments.complete,
            changes,
            digest: assignments.digest,
            templates: templates.finish(),
        }
    }
}

fn write<'a>(change: &'a AssignmentChange, templates: &mut Writer<'a>) -> pb::AssignmentChange {
    let kind = match change {
        AssignmentChange::Put(task) => Kind::Put(pb::AssignedTask {
            id: task.id.as_str().into(),
            template: templates.position(
                &task.service,
                &task.service_name,
                &task.service_labels,
                &task.spec,
            ),
            slot: task.slot,
            desired: task.desired.to_wire(),
            generic: task.generic.iter().map(Into::into).collect(),
            registry_auth: task.registry_auth.as_ref().map(Into::into),
        }),
        AssignmentChange::SetDesired(id, desired) => Kind::SetDesired(pb::SetDesired {
            id: id.as_str().into(),
            desired: desired.to_wire(),
        }),
        AssignmentChange::Remove(id) => Kind::Remove(id.as_str().into()),
        AssignmentChange::PutPayload(payload) => Kind::PutPayload(payload.as_ref().into()),
        AssignmentChange::RemovePayload(id) => Kind::RemovePayload(id.as_str().into()),
    };
    pb::AssignmentChange { change: Some(kind) }
}

impl TryFrom<pb::Assignments> for Assignments {
    type Error = DecodeError;
    fn try_from(assignments: pb::Assignments) -> Result<Self, DecodeError> {
        let templates = Reader::new(assignments.templates)?;
        let changes = assignments.changes.into_iter();
        let changes = changes.map(|change| read(change, &templates));
        Ok(Assignments {
            index: assignments.index,
            complete: assignments.complete,
            changes: changes.collect::<Result<_, _>>()?,
            digest: assignments.digest,
        })
    }
}

fn read(change: pb::AssignmentChange, templates: &Reader) -> Result<AssignmentChange, DecodeError> {
    Ok(match need("a change (or it is unknown)", change.change)? {
        Kind::Put(task) => {
            let template = templates.get(task.template)?;
            AssignmentChange::Put(AssignedTask {
                id: task.id.into(),
                service: template.service,
                service_name: template.service_name,
                service_labels: template.service_labels,
                slot: task.slot,
                spec: template.spec,
                desired: Enumeration::from_wire(task.desired)?,
                generic: each(task.generic)?,
                registry_auth: task.registry_auth.map(Into::into),
            })
        }
        Kind::SetDesired(set) => {
            AssignmentChange::SetDesired(set.id.into(), Enumeration::from_wire(set.desired)?)
        }
        Kind::Remove(id) => AssignmentChange::Remove(id.into()),
        Kind::PutPayload(payload) => AssignmentChange::PutPayload(Arc::new(payload.try_into()?)),
        Kind::RemovePayload(id) => AssignmentChange::RemovePayload(id.into()),
    })
}

/// The number of a role in [`pb::Welcome`] and [`pb::RoleChanged`].
pub fn role(role: Role) -> i32 {
    role.to_wire()
}

/// The role of a [`pb::Welcome`] or [`pb::RoleChanged`].
///
/// # Errors
/// When it is none that is known.
pub fn read_role(role: i32) -> Result<Role, DecodeError> {
    Enumeration::from_wire(role)
}

/// The report with this number.
pub fn report(sequence: u64, updates: &[(TaskId, TaskStatus)]) -> pb::Report {
    let task = |(id, status): &(TaskId, TaskStatus)| pb::ReportedTask {
        id: id.as_str().into(),
        status: Some(status.into()),
    };
    pb::Report {
        sequence,
        tasks: updates.iter().map(task).collect(),
    }
}

/// The statuses of a report.
///
/// # Errors
/// When it says something that this version does not understand.
pub fn reported(report: pb::Report) -> Result<Vec<(TaskId, TaskStatus)>, DecodeError> {
    let task = |task: pb::ReportedTask| {
        let status = need("the status of a task", task.status)?.try_into()?;
        Ok((task.id.into(), status))
    };
    report.tasks.into_iter().map(task).collect()
}
