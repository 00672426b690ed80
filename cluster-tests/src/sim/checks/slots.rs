//! Slots: one task each, and its successor.

use super::updates::{Updates, is_on_duty};
use super::{Rule, Step};
use model::node::NodeState;
use model::{ServiceId, SlotKey, Task};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Event;

pub(super) fn check(step: &Step<'_>, updates: &Updates) -> Rule {
    let mut slots: BTreeSet<(&ServiceId, SlotKey)> = BTreeSet::new();
    for event in step.events {
        let Event::Task {
            old,
            new: Some(new),
            ..
        } = event
        else {
            continue;
        };
        slots.insert((&new.service, new.slot_key()));
        let was = old.as_ref().map(|t| t.desired);
        if is_on_duty(new.desired) && !was.is_some_and(is_on_duty) {
            predecessors_have_ended(step, updates, new)?;
        }
    }
    slots
        .into_iter()
        .try_for_each(|(service, slot)| is_not_crowded(step, updates, service, &slot))
}

/// At most one task of a slot is wanted to run; two under start-first.
fn is_not_crowded(step: &Step<'_>, updates: &Updates, service: &ServiceId, slot: &SlotKey) -> Rule {
    if step.view.service(service).is_none() {
        return Ok(()); // They are being taken down.
    }
    let tasks = step.view.tasks_in_slot(service, slot);
    let running = tasks
        .iter()
        .filter(|t| is_on_duty(t.desired) && !t.status.state.is_terminal())
        .count();
    let most = if updates.may_overlap(step.view, service) {
        2
    } else {
        1
    };
    if running > most {
        let ids: Vec<_> = tasks
            .iter()
            .map(|t| (&t.id, t.desired, t.status.state))
            .collect();
        return Err(format!(
            "slot {slot} of {service} should have {most} task running: {ids:?}"
        ));
    }
    Ok(())
}

/// Under stop-first a task may run when nothing of its slot runs any more, on any node that is there.
fn predecessors_have_ended(step: &Step<'_>, updates: &Updates, task: &Task) -> Rule {
    if step.view.service(&task.service).is_none() || updates.may_overlap(step.view, &task.service) {
        return Ok(());
    }
    let runs = |other: &&Arc<Task>| {
        let node = other.placed_on().and_then(|node| step.view.node(node));
        let counts = node
            .is_some_and(|n| n.status.state != NodeState::Down && !step.is_fresh(n.meta.changed));
        other.id != task.id && counts && !other.status.state.is_terminal()
    };
    match step
        .view
        .tasks_in_slot(&task.service, &task.slot_key())
        .iter()
        .find(runs)
    {
        None => Ok(()),
        Some(other) => Err(format!(
            "task {} may run while {} of its slot is {} on {:?}",
            task.id, other.id, other.status.state, other.node
        )),
    }
}
