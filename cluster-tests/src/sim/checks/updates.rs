//! Rolling updates and rollbacks: who is stopped, and how many slots are out.

use super::placement::suits;
use super::{Rule, Step, jobs};
use model::node::{Availability, NodeState};
use model::service::{Mode, Service, UpdateConfig, UpdateOrder, UpdateState};
use model::{Change, DesiredState, Node, ServiceId, SlotKey, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Event, Store};

/// What the rules remember of services.
#[derive(Default)]
pub(super) struct Updates {
    /// Services that had a start-first update, or a node drained so, and may still have two tasks in a slot.
    overlapping: BTreeSet<ServiceId>,
    /// Slots whose running task the present update has taken away and not yet replaced.
    out: BTreeMap<ServiceId, (u64, BTreeSet<SlotKey>)>,
}

impl Updates {
    /// Whether two tasks of a slot may run at once.
    pub(super) fn may_overlap(&self, view: &Store, service: &ServiceId) -> bool {
        self.overlapping.contains(service)
            || view.service(service).is_some_and(|s| is_start_first(s))
    }

    /// Notes what may overlap from now on: before the slots are looked at.
    pub(super) fn note(&mut self, step: &Step<'_>) {
        for event in step.events {
            match event {
                Event::Service { id, old, new, .. } => {
                    let mut services = old.iter().chain(new);
                    if services.any(|s| is_start_first(s)) {
                        self.overlapping.insert(id.clone());
                    }
                }
                Event::Node { id, old, new, .. }
                    if old.iter().chain(new).any(|n| is_left_gently(n)) =>
                {
                    let tasks = step.view.tasks_on_node(id);
                    self.overlapping.extend(tasks.map(|t| t.service.clone()));
                }
                Event::Task { new: Some(new), .. } => {
                    let node = new.node.as_ref().and_then(|id| step.view.node(id));
                    if node.is_some_and(|node| is_left_gently(node)) {
                        self.overlapping.insert(new.service.clone());
                    }
                }
                _ => {}
            }
        }
    }

    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        let mut taken_out = BTreeSet::new();
        for event in step.events {
            if let Event::Task {
                old: Some(old),
                new: Some(new),
                ..
            } = event
                && self.task(step, old, new)?
            {
                taken_out.insert(&new.service);
            }
        }
        self.settle(step);
        taken_out
            .into_iter()
            .try_for_each(|id| self.count(step, id))
    }

    /// A task that ran well, on a node that is well, is asked to stop. True when its slot is out for an update.
    fn task(&mut self, step: &Step<'_>, old: &Task, new: &Task) -> Result<bool, String> {
        let stopped = is_on_duty(old.desired) && new.desired > DesiredState::Complete;
        let well = old.status.state == TaskState::Running
            && new.status.state == TaskState::Running
            && !step.is_fresh(old.meta.changed)
            && old.node.as_ref().is_some_and(|node| step.is_healthy(node));
        let Some(service) = step.view.service(&old.service) else {
            return Ok(false);
        };
        if !stopped || !well || !is_decided_for(step, service) {
            return Ok(false);
        }
        let node = new.node.as_ref().and_then(|id| step.view.node(id));
        if node.is_none_or(|node| !suits(step.view, service, new, node)) {
            return Ok(false);
        }
        if service.spec.mode.is_job() {
            return jobs::stops(step, service, new).map(|()| false);
        }
        let others = step.view.tasks_in_slot(&new.service, &new.slot_key());
        let others = || others.iter().filter(|t| t.id != new.id && t.is_wanted());
        if new.desired == DesiredState::Remove {
            return enough_are_left(step, service).map(|()| false);
        }
        if !is_dirty(service, new) && old.replace.is_none() {
            // One of two in a slot has to go.
            let alone = others().next().is_none();
            let created_now = others().all(|t| t.meta.version == step.index);
            if alone || created_now {
                return Err(format!(
                    "task {} was stopped although it is up to date and runs",
                    new.id
                ));
            }
            return Ok(false);
        }
        let configs = configs(step, service);
        if configs.iter().all(|c| c.order == UpdateOrder::StartFirst) {
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
            return Ok(false);
        }
        let (version, slots) = self.out.entry(new.service.clone()).or_default();
        if *version != service.spec_version {
            *version = service.spec_version;
            slots.clear();
        }
        slots.insert(new.slot_key());
        Ok(true)
    }

    /// Slots whose successor runs, or that nobody fills any more, are out no longer.
    fn settle(&mut self, step: &Step<'_>) {
        for (id, (_, slots)) in &mut self.out {
            slots.retain(|slot| {
                let tasks = step.view.tasks_in_slot(id, slot);
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
            let leaves_gently = |task: &Arc<Task>| {
                let node = task.node.as_ref().and_then(|id| step.view.node(id));
                node.is_some_and(|node| is_left_gently(node))
            };
            let crowded = |tasks: &[Arc<Task>]| {
                let alive = tasks.iter().filter(|t| !t.status.state.is_terminal());
                alive.clone().count() > 1 || alive.clone().any(leaves_gently)
            };
            is_start_first(service)
                || step
                    .view
                    .slots_of_service(id)
                    .any(|(_, tasks)| crowded(tasks))
        });
    }

    /// Never more than `parallelism` slots are out in an update, a rollback or a restart of some tasks.
    fn count(&self, step: &Step<'_>, id: &ServiceId) -> Rule {
        let (Some((_, slots)), Some(service)) = (self.out.get(id), step.view.service(id)) else {
            return Ok(());
        };
        let limits = configs(step, service).into_iter().map(|c| c.parallelism);
        let limits: Vec<u64> = limits.collect();
        let most = limits.iter().copied().max().unwrap_or(0);
        if !limits.contains(&0) && slots.len() as u64 > most {
            return Err(format!(
                "{} slots of {id} are out under parallelism {most}: {slots:?}",
                slots.len()
            ));
        }
        Ok(())
    }
}

/// It is to run now.
pub(super) fn is_on_duty(desired: DesiredState) -> bool {
    matches!(desired, DesiredState::Running | DesiredState::Complete)
}

/// Whoever decided knew the present spec: it is old enough, or a task is created for it beside.
fn is_decided_for(step: &Step<'_>, service: &Service) -> bool {
    let creates = |change: &Change| {
        matches!(change, Change::CreateTask(new)
            if new.service == service.id && new.spec_version == service.spec_version)
    };
    !step.is_fresh(service.meta.version) || step.changes.iter().any(creates)
}

/// The configuration that counts: the rollback's on the way back.
pub(super) fn config_of(service: &Service) -> UpdateConfig {
    match service.update_status.as_ref().map(|s| s.state) {
        Some(UpdateState::RollbackStarted) => service.spec.rollback_config(),
        _ => service.spec.update_config(),
    }
}

/// The configurations before and after the step: an update may end in it.
pub(super) fn configs(step: &Step<'_>, service: &Service) -> Vec<UpdateConfig> {
    let before = step.events.iter().find_map(|event| match event {
        Event::Service {
            id, old: Some(old), ..
        } if *id == service.id => Some(old),
        _ => None,
    });
    let before = before.filter(|old| old.spec_version == service.spec_version);
    let both = before.map(|old| config_of(old)).into_iter();
    both.chain([config_of(service)]).collect()
}

fn is_start_first(service: &Service) -> bool {
    config_of(service).order == UpdateOrder::StartFirst
}

/// Its tasks leave it in the order start-first.
fn is_left_gently(node: &Node) -> bool {
    let drain = node.spec.drain;
    node.spec.availability == Availability::Drain
        && node.status.state != NodeState::Down
        && drain.is_some_and(|drain| drain.order == UpdateOrder::StartFirst)
}

/// Whether an update has anything to do with `task`: its container would be made differently today, or it is where
/// it must not be (which only the node tells: so only what is equal is surely up to date).
pub(super) fn is_dirty(service: &Service, task: &Task) -> bool {
    service.spec.task != task.spec || service.spec.endpoint != task.endpoint
}

/// A service is not scaled below what is asked for.
fn enough_are_left(step: &Step<'_>, service: &Service) -> Rule {
    let Mode::Replicated { .. } = service.spec.mode else {
        // A node that is there keeps its task's history, unless all is stopped.
        return match service.spec.stopped {
            Some(_) => Ok(()),
            None => Err(format!("a task of {} was taken from its node", service.id)),
        };
    };
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
