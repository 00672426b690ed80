//! Rolling updates: who is stopped, and how many slots are out.

use super::{Rule, Step};
use model::service::{Service, UpdateOrder};
use model::{Change, DesiredState, ServiceId, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Event, Store};

/// What the rules remember of services.
#[derive(Default)]
pub(super) struct Updates {
    /// Services that had a start-first update and may still have two tasks in a slot.
    overlapping: BTreeSet<ServiceId>,
    /// Slots whose running task the present update has taken away and not yet replaced.
    out: BTreeMap<ServiceId, (u64, BTreeSet<u64>)>,
}

impl Updates {
    /// Whether two tasks of a slot may run at once.
    pub(super) fn may_overlap(&self, view: &Store, service: &ServiceId) -> bool {
        self.overlapping.contains(service)
            || view.service(service).is_some_and(|s| is_start_first(s))
    }

    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        for event in step.events {
            match event {
                Event::Task {
                    old: Some(old),
                    new: Some(new),
                    ..
                } => self.task(step, old, new)?,
                Event::Service { id, old, new, .. } => {
                    let services = old.iter().chain(new);
                    if services.into_iter().any(|s| is_start_first(s)) {
                        self.overlapping.insert(id.clone());
                    }
                }
                _ => {}
            }
        }
        self.settle(step);
        self.count(step)
    }

    /// A task that ran well, on a node that is well, is asked to stop.
    fn task(&mut self, step: &Step<'_>, old: &Task, new: &Task) -> Rule {
        let stopped = old.desired == DesiredState::Running && new.desired > DesiredState::Running;
        let well = old.status.state == TaskState::Running
            && new.status.state == TaskState::Running
            && !step.is_fresh(old.meta.changed)
            && old.node.as_ref().is_some_and(|node| step.is_healthy(node));
        let Some(service) = step.view.service(&old.service) else {
            return Ok(());
        };
        if !stopped || !well || !is_decided_for(step, service) {
            return Ok(());
        }
        let others = step.view.tasks_in_slot(&new.service, new.slot);
        let others = || others.iter().filter(|t| t.id != new.id && t.is_wanted());
        if new.desired == DesiredState::Remove {
            return enough_are_left(step, service);
        }
        if !is_dirty(service, new) {
            // One of two in a slot has to go.
            let alone = others().next().is_none();
            let created_now = others().all(|t| t.meta.version == step.index);
            if alone || created_now {
                return Err(format!(
                    "task {} was stopped although it is up to date and runs",
                    new.id
                ));
            }
            return Ok(());
        }
        if is_start_first(service) {
            // It may have ended in the moment in which it was counted on.
            let runs = |t: &Task| {
                t.status.state == TaskState::Running
                    || (t.running_at.is_some() && step.is_fresh(t.meta.changed))
            };
            if !others().any(|t| runs(t)) {
                return Err(format!(
                    "start-first: task {} was stopped before its successor ran",
                    new.id
                ));
            }
            return Ok(());
        }
        let (version, slots) = self.out.entry(new.service.clone()).or_default();
        if *version != service.spec_version {
            *version = service.spec_version;
            slots.clear();
        }
        slots.insert(new.slot);
        Ok(())
    }

    /// Slots whose successor runs, or that nobody fills any more, are out no longer.
    fn settle(&mut self, step: &Step<'_>) {
        for (id, (_, slots)) in &mut self.out {
            slots.retain(|slot| {
                let tasks = step.view.tasks_in_slot(id, *slot);
                let mut wanted = tasks.iter().filter(|t| t.is_wanted()).peekable();
                wanted.peek().is_some() && !wanted.any(|t| t.status.state == TaskState::Running)
            });
        }
        self.out.retain(|id, (version, _)| {
            step.view
                .service(id)
                .is_some_and(|s| s.spec_version == *version)
        });
        self.overlapping.retain(|id| {
            let Some(service) = step.view.service(id) else {
                return false;
            };
            let crowded = |tasks: &[Arc<Task>]| {
                tasks
                    .iter()
                    .filter(|t| !t.status.state.is_terminal())
                    .count()
                    > 1
            };
            is_start_first(service)
                || step
                    .view
                    .slots_of_service(id)
                    .any(|(_, tasks)| crowded(tasks))
        });
    }

    /// Never more than `parallelism` slots are out in an update.
    fn count(&self, step: &Step<'_>) -> Rule {
        for (id, (_, slots)) in &self.out {
            let Some(service) = step.view.service(id) else {
                continue;
            };
            let most = service.spec.update_config().parallelism;
            if most != 0 && slots.len() as u64 > most {
                return Err(format!(
                    "{} slots of {id} are out under parallelism {most}: {slots:?}",
                    slots.len()
                ));
            }
        }
        Ok(())
    }
}

/// Whoever decided knew the present spec: it is old enough, or a task is created for it beside.
fn is_decided_for(step: &Step<'_>, service: &Service) -> bool {
    let creates = |change: &Change| {
        matches!(change, Change::CreateTask(new)
            if new.service == service.id && new.spec_version == service.spec_version)
    };
    !step.is_fresh(service.meta.version) || step.changes.iter().any(creates)
}

fn is_start_first(service: &Service) -> bool {
    service.spec.update_config().order == UpdateOrder::StartFirst
}

/// Whether an update has anything to do with `task`: its container would be made differently today, or it is where
/// it must not be (which only the node tells: so only what is equal is surely up to date).
pub(super) fn is_dirty(service: &Service, task: &Task) -> bool {
    service.spec.task != task.spec || service.spec.endpoint != task.endpoint
}

/// A service is not scaled below what is asked for.
fn enough_are_left(step: &Step<'_>, service: &Service) -> Rule {
    let slots = step.view.slots_of_service(&service.id);
    let left = slots
        .filter(|(_, tasks)| tasks.iter().any(|t| t.is_wanted()))
        .count() as u64;
    let asked = service.spec.replicas();
    if left < asked {
        return Err(format!(
            "{left} slots of {} are left of {asked} after it was scaled down",
            service.id
        ));
    }
    Ok(())
}
