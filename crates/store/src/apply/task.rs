//! Changes of tasks: two ladders that only climb, and a place on a node.

use super::Run;
use crate::guard::ensure;
use model::change::{Change, NewTask, Refusal};
use model::task::GenericResource;
use model::{DesiredState, Labels, NodeId, Service, Task, TaskId, TaskState, TaskStatus};
use std::sync::Arc;

impl Run<'_> {
    pub(super) fn change_task(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateTask(new) => self.create_task(new),
            Change::SetDesired { id, desired } => self.set_desired(id, *desired),
            Change::SetReplace { id, reason } => {
                let old = self.tables.known_task(id)?;
                ensure(
                    old.is_wanted(),
                    "a task that is not wanted any more cannot be replaced",
                )?;
                self.write_task(&old, |task| task.replace = *reason)
            }
            Change::AssignTask {
                id,
                node,
                generic,
                status,
            } => self.assign_task(id, node, generic, status),
            Change::SetTaskStatus { id, status } => self.set_task_status(id, status),
            Change::SetFailureCounted { id } => {
                let old = self.tables.known_task(id)?;
                self.write_task(&old, |task| task.failure_counted = true)
            }
            Change::RemoveTask { id } => {
                let old = self.tables.known_task(id)?;
                self.tables.task_may_be_removed(&old)?;
                let event = self.tables.set_task(id.clone(), None);
                self.events.push(event);
                Ok(())
            }
            _ => unreachable!("Run::one sends only changes of tasks"),
        }
    }

    /// What changes nothing makes no event.
    fn write_task(&mut self, old: &Task, write: impl FnOnce(&mut Task)) -> Result<(), Refusal> {
        let mut new = old.clone();
        write(&mut new);
        if new != *old {
            self.put_task(new);
        }
        Ok(())
    }

    fn create_task(&mut self, new: &NewTask) -> Result<(), Refusal> {
        let service = self.tables.task_may_be_created(new)?;
        let (service_name, service_labels) = self.shared_names(&service, new.spec_version);
        self.put_task(Task {
            id: new.id.clone(),
            meta: self.new_meta(),
            service: service.id.clone(),
            slot: new.slot,
            spec: service.spec.task.clone(),
            spec_version: service.spec_version,
            service_name,
            service_labels,
            endpoint: service.spec.endpoint.clone(),
            node: new.node.clone(),
            generic: Vec::new(),
            job_iteration: service.job.map(|job| job.iteration),
            replace: None,
            desired: new.desired,
            start_after: new.start_after,
            restarts: new.restarts.clone(),
            status: TaskStatus::new(TaskState::New, self.at, "created"),
            running_at: None,
            failure_counted: false,
        });
        Ok(())
    }

    /// The service's name and labels as all tasks of one spec version share them.
    fn shared_names(&self, service: &Service, spec_version: u64) -> (Arc<str>, Arc<Labels>) {
        let of_service = self.tables.indexes.services.get(&service.id);
        let newest = of_service
            .and_then(|s| s.slots.values().next_back())
            .and_then(|slot| slot.last())
            .filter(|t| t.spec_version == spec_version);
        match newest {
            Some(task) => (task.service_name.clone(), task.service_labels.clone()),
            None => (
                service.spec.name.as_str().into(),
                Arc::new(service.spec.labels.clone()),
            ),
        }
    }

    fn set_desired(&mut self, id: &TaskId, desired: DesiredState) -> Result<(), Refusal> {
        let old = self.tables.known_task(id)?;
        ensure(
            desired >= old.desired,
            "the desired state of a task never goes back",
        )?;
        self.write_task(&old, |task| task.desired = desired)
    }

    fn assign_task(
        &mut self,
        id: &TaskId,
        node: &NodeId,
        generic: &[GenericResource],
        status: &TaskStatus,
    ) -> Result<(), Refusal> {
        let old = self.tables.known_task(id)?;
        let node = self.tables.task_may_be_assigned(&old, node, generic)?;
        ensure(
            status.state == TaskState::Assigned,
            "an assignment has the state assigned",
        )?;
        let mut new = Task::clone(&old);
        new.node = Some(node.id.clone());
        new.generic = generic.to_vec();
        self.write_status(&mut new, status);
        self.put_task(new);
        Ok(())
    }

    fn set_task_status(&mut self, id: &TaskId, status: &TaskStatus) -> Result<(), Refusal> {
        let old = self.tables.known_task(id)?;
        ensure(
            status.state >= old.status.state,
            "the state of a task never goes back",
        )?;
        ensure(
            old.placed_on().is_some()
                || status.state < TaskState::Assigned
                || status.state.is_terminal(),
            "a task without a node cannot have this state",
        )?;
        let mut new = Task::clone(&old);
        self.write_status(&mut new, status);
        if new.status != old.status {
            self.put_task(new);
        }
        Ok(())
    }

    /// `applied_at` belongs to the state: another message of the same state does not move it.
    fn write_status(&self, task: &mut Task, status: &TaskStatus) {
        let applied_at = if status.state == task.status.state {
            task.status.applied_at
        } else {
            self.at
        };
        if status.state == TaskState::Running && task.running_at.is_none() {
            task.running_at = Some(self.at);
        }
        task.status = TaskStatus {
            applied_at,
            ..status.clone()
        };
    }
}
