//! Replicated services: N slots, each with one task that should run.

use crate::plan::{Plan, Start};
use crate::slot::{self, Refill};
use crate::{Context, updater};
use model::{NodeId, SlotKey};
use std::collections::BTreeMap;

/// Brings the tasks of a service nearer to its spec. The steps read like a table of contents; each works
/// on what the ones before it have decided.
pub(crate) fn reconcile(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    if updater::watch(ctx, plan) == updater::Watch::GoesBack {
        return;
    }
    let replicas = match plan.service.spec.stopped {
        Some(_) => 0,
        None => plan.service.spec.replicas(),
    };
    shrink(plan, replicas);
    for key in plan.keys() {
        slot::renew(ctx, plan, &key, Refill::Yes);
    }
    grow(ctx, plan, replicas);
    slot::finish(ctx, plan, updater::advance);
}

/// Removes the slots that leave the rest best spread: before anything is done for them.
fn shrink(plan: &mut Plan<'_>, replicas: u64) {
    let occupied = occupied(plan);
    let surplus = (occupied.len() as u64).saturating_sub(replicas);
    let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
    if surplus > 0 {
        for key in least_needed(plan, occupied, surplus) {
            plan.bury(&key);
        }
    }
}

/// Adds tasks in the lowest free slots. The history of slots that nobody fills any more is forgotten.
fn grow(ctx: &mut Context<'_>, plan: &mut Plan<'_>, replicas: u64) {
    let occupied = occupied(plan);
    let mut missing = replicas.saturating_sub(occupied.len() as u64);
    let mut number = 1;
    while missing > 0 {
        let key = SlotKey::Replica(number);
        if occupied.binary_search(&key).is_err() {
            plan.create(ctx, &key, Start::default());
            missing -= 1;
        }
        number += 1;
    }
    for key in plan.keys() {
        if !slot::is_occupied(plan, &key) {
            plan.bury(&key);
        }
    }
}

fn occupied(plan: &Plan<'_>) -> Vec<SlotKey> {
    let keys = plan.slots.keys();
    let occupied = keys.filter(|key| slot::is_occupied(plan, key));
    occupied.cloned().collect()
}

/// Slots that do not run go first, then the highest copies on each node, then high slot numbers: swarmkit's order.
fn least_needed(plan: &Plan<'_>, mut slots: Vec<SlotKey>, surplus: usize) -> Vec<SlotKey> {
    let running = |slot: &SlotKey| {
        plan.slots[slot]
            .iter()
            .find(|m| m.is_wanted() && m.is_running())
    };
    slots.sort_by_cached_key(|slot| (running(slot).is_none(), slot.clone()));
    let mut copies: BTreeMap<Option<NodeId>, u64> = BTreeMap::new();
    let mut ranked: Vec<(bool, u64, SlotKey)> = slots
        .into_iter()
        .map(|slot| {
            let member = running(&slot);
            let node = member
                .and_then(|m| m.task.as_ref())
                .and_then(|t| t.node.clone());
            let copy = copies.entry(node).or_default();
            *copy += 1;
            (member.is_none(), *copy, slot)
        })
        .collect();
    ranked.sort_unstable();
    ranked
        .into_iter()
        .rev()
        .take(surplus)
        .map(|(_, _, slot)| slot)
        .collect()
}
