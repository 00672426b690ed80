//! The pace of updates: a slot is one of those at once until its new task has run for the configuration's delay.

use super::updates::{configs, is_dirty, is_on_duty};
use super::{Rule, Step, placement::suits};
use model::{ServiceId, SlotKey, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Event;

/// Slots that are being given a new task although the old one ran well, in either order.
#[derive(Default)]
pub(super) struct Pace {
    /// Per service, for its present spec version.
    begun: BTreeMap<ServiceId, (u64, BTreeSet<SlotKey>)>,
}

impl Pace {
    /// No slot is begun with while as many as may be at once are under way, or in the pause after it.
    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        self.settle(step);
        let mut now: BTreeMap<&ServiceId, BTreeSet<SlotKey>> = BTreeMap::new();
        for event in step.events {
            if let Event::Task {
                old: None,
                new: Some(new),
                ..
            } = event
                && takes_the_place(step, new)
            {
                let slots = now.entry(&new.service).or_default();
                slots.insert(new.slot_key());
            }
        }
        for (id, slots) in now {
            let version = step.view.service(id).map_or(0, |s| s.spec_version);
            let (of, begun) = self.begun.entry(id.clone()).or_default();
            if *of != version {
                begun.clear();
                *of = version;
            }
            begun.extend(slots.iter().cloned());
            let lately = |slot: &&SlotKey| {
                let tasks = step.view.tasks_in_slot(id, slot);
                tasks.iter().any(|t| step.is_fresh(t.meta.changed))
            };
            let counted = begun.iter().filter(|s| slots.contains(*s) || !lately(s));
            within_parallelism(step, id, counted.collect())?;
        }
        Ok(())
    }

    fn settle(&mut self, step: &Step<'_>) {
        self.begun.retain(|id, (version, slots)| {
            let service = step.view.service(id);
            let Some(service) = service.filter(|s| s.spec_version == *version) else {
                return false;
            };
            let delays = configs(step, service).into_iter().map(|c| c.delay);
            let delay = delays.min().unwrap_or_default();
            slots.retain(|slot| {
                let tasks = step.view.tasks_in_slot(id, slot);
                let newest = tasks.iter().rfind(|t| t.is_wanted());
                newest.is_some_and(|task| {
                    let runs = task.status.state == TaskState::Running;
                    let pauses = task.running_at.is_some_and(|at| at + delay > step.at);
                    task.spec_version == *version && (!runs || pauses)
                })
            });
            !slots.is_empty()
        });
    }
}

fn within_parallelism(step: &Step<'_>, id: &ServiceId, slots: Vec<&SlotKey>) -> Rule {
    let Some(service) = step.view.service(id) else {
        return Ok(());
    };
    let limits = configs(step, service).into_iter().map(|c| c.parallelism);
    let limits: Vec<u64> = limits.collect();
    let most = limits.iter().copied().max().unwrap_or(0);
    if !limits.contains(&0) && slots.len() as u64 > most {
        return Err(format!(
            "{} slots of {id} are replaced or in the pause after it under parallelism {most}: {slots:?}",
            slots.len()
        ));
    }
    Ok(())
}

/// A new task comes in the place of one that runs well, because that one is of another template or to be replaced.
fn takes_the_place(step: &Step<'_>, new: &Task) -> bool {
    let Some(service) = step.view.service(&new.service) else {
        return false;
    };
    if service.spec.mode.is_job() {
        return false;
    }
    let asked_to_stop_now = |task: &Task| {
        step.events.iter().any(|event| {
            matches!(event, Event::Task { old: Some(old), .. }
                if old.id == task.id && old.is_wanted())
        })
    };
    let tasks = step.view.tasks_in_slot(&new.service, &new.slot_key());
    let delays = configs(step, service).into_iter().map(|c| c.delay);
    let delay = delays.max().unwrap_or_default();
    // Another try of a slot that counts already, also for the pause after its last one.
    let tried = |task: &Arc<Task>| {
        let pauses = task.running_at.is_some_and(|at| at + delay > step.at);
        task.id != new.id
            && task.spec_version == new.spec_version
            && (task.status.state != TaskState::Running || pauses)
            && (task.is_wanted() || asked_to_stop_now(task))
    };
    if tasks.iter().any(tried) {
        return false;
    }
    let goes_for_an_update = |task: &&Arc<Task>| {
        let node = task.placed_on().and_then(|id| step.view.node(id));
        task.id != new.id
            && task.status.state == TaskState::Running
            && (is_on_duty(task.desired) || asked_to_stop_now(task))
            && node.is_some_and(|node| {
                step.is_healthy(&node.id) && suits(step.view, service, task, node)
            })
            && (is_dirty(service, task) || task.replace.is_some())
    };
    tasks.iter().any(|task| goes_for_an_update(&task))
}
