//! Tasks of one service and spec version share their spec, name and labels. A message that carries tasks has each
//! of these once, in a table, and reading it restores the sharing: ten thousand tasks cost one spec.

use crate::DecodeError;
use crate::convert::enums::Enumeration;
use crate::convert::{each, maybe};
use crate::error::need;
use crate::pb::objects as pb;
use model::{Labels, Service, ServiceId, Task, TaskId, TaskSpec, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the tasks of one service and spec version share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    pub(crate) service: ServiceId,
    pub(crate) service_name: Arc<str>,
    pub(crate) service_labels: Arc<Labels>,
    pub(crate) spec: Arc<TaskSpec>,
}

/// Name, labels and position of a template.
type Seen<'a> = (&'a Arc<str>, &'a Arc<Labels>, u32);

/// Gathers the table of a message.
#[derive(Default)]
pub(crate) struct Writer<'a> {
    /// By service and address of the spec: specs are shared, so that equal addresses mean the same one.
    seen: BTreeMap<(&'a ServiceId, usize), Vec<Seen<'a>>>,
    table: Vec<pb::TaskTemplate>,
}

impl<'a> Writer<'a> {
    /// The position of a template in the table; it is added when it is new.
    pub(crate) fn position(
        &mut self,
        service: &'a ServiceId,
        name: &'a Arc<str>,
        labels: &'a Arc<Labels>,
        spec: &'a Arc<TaskSpec>,
    ) -> u32 {
        let key = (service, Arc::as_ptr(spec).addr());
        let known = self.seen.entry(key).or_default();
        let same = |(n, l, _): &&Seen<'_>| *n == name && (Arc::ptr_eq(l, labels) || *l == labels);
        if let Some((_, _, position)) = known.iter().find(same) {
            return *position;
        }
        let position =
            u32::try_from(self.table.len()).expect("fewer than 2^32 specs fit in memory");
        self.table.push(pb::TaskTemplate {
            service: service.as_str().into(),
            service_name: name.to_string(),
            service_labels: labels.as_ref().clone(),
            spec: Some(spec.as_ref().into()),
        });
        known.push((name, labels, position));
        position
    }

    /// A task; its template goes into the table.
    pub(crate) fn task(&mut self, task: &'a Task) -> pb::Task {
        pb::Task {
            id: task.id.as_str().into(),
            meta: Some(task.meta.into()),
            template: self.position(
                &task.service,
                &task.service_name,
                &task.service_labels,
                &task.spec,
            ),
            slot: task.slot,
            spec_version: task.spec_version,
            endpoint: task.endpoint.as_ref().map(Into::into),
            node: task.node.as_ref().map(|n| n.as_str().into()),
            generic: task.generic.iter().map(Into::into).collect(),
            job_iteration: task.job_iteration,
            replace: task.replace.map(Enumeration::to_wire),
            desired: task.desired.to_wire(),
            start_after: task.start_after.map(|at| at.0),
            restarts: task.restarts.iter().map(|at| at.0).collect(),
            status: Some((&task.status).into()),
            running_at: task.running_at.map(|at| at.0),
            failure_counted: task.failure_counted,
        }
    }

    /// The table.
    pub(crate) fn finish(self) -> Vec<pb::TaskTemplate> {
        self.table
    }
}

/// The table of a message that was received.
pub(crate) struct Reader {
    table: Vec<Template>,
}

impl Reader {
    pub(crate) fn new(table: Vec<pb::TaskTemplate>) -> Result<Reader, DecodeError> {
        let read = |template: pb::TaskTemplate| {
            Ok::<_, DecodeError>(Template {
                service: ServiceId::from(template.service),
                service_name: template.service_name.into(),
                service_labels: Arc::new(template.service_labels),
                spec: Arc::new(need("the spec of a task", template.spec)?.try_into()?),
            })
        };
        let table = table.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Reader { table })
    }

    /// Lets templates share their spec with the services that have it, too.
    pub(crate) fn share_with(&mut self, services: &[Arc<Service>]) {
        let by_id: BTreeMap<_, _> = services.iter().map(|s| (&s.id, s)).collect();
        for template in &mut self.table {
            let Some(service) = by_id.get(&template.service) else {
                continue;
            };
            let specs = [Some(&service.spec), service.previous_spec.as_ref()];
            let older = service.history.iter().rev().map(|revision| &revision.spec);
            let mut specs = specs.into_iter().flatten().chain(older);
            let equal = specs.find(|spec| *spec.task == *template.spec);
            if let Some(spec) = equal {
                template.spec = Arc::clone(&spec.task);
            }
        }
    }

    pub(crate) fn get(&self, position: u32) -> Result<Template, DecodeError> {
        let found = usize::try_from(position)
            .ok()
            .and_then(|at| self.table.get(at));
        found.cloned().ok_or(DecodeError::OutOfRange {
            what: "the template of a task",
            value: position.into(),
        })
    }

    pub(crate) fn task(&self, task: pb::Task) -> Result<Task, DecodeError> {
        let template = self.get(task.template)?;
        Ok(Task {
            id: TaskId::from(task.id),
            meta: need("the meta data of a task", task.meta)?.into(),
            service: template.service,
            slot: task.slot,
            spec: template.spec,
            spec_version: task.spec_version,
            service_name: template.service_name,
            service_labels: template.service_labels,
            endpoint: maybe(task.endpoint)?,
            node: task.node.map(Into::into),
            generic: each(task.generic)?,
            job_iteration: task.job_iteration,
            replace: task.replace.map(Enumeration::from_wire).transpose()?,
            desired: Enumeration::from_wire(task.desired)?,
            start_after: task.start_after.map(Timestamp),
            restarts: task.restarts.into_iter().map(Timestamp).collect(),
            status: need("the status of a task", task.status)?.try_into()?,
            running_at: task.running_at.map(Timestamp),
            failure_counted: task.failure_counted,
        })
    }
}
