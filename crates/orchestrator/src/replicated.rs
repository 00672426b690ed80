//! Replicated services: N slots, each with one task that should run.

use crate::plan::{Place, Plan, closing_status};
use crate::restart::{self, Verdict};
use crate::{Context, Decision, reaper, updater};
use model::{DesiredState, NodeId, NodeState, Service, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// Brings the tasks of `service` nearer to its spec. The steps read like a table of contents; each works
/// on what the ones before it have decided.
pub(crate) fn reconcile(
    ctx: &mut Context<'_>,
    view: &Store,
    service: &Arc<Service>,
    decision: &mut Decision,
) {
    let mut plan = Plan::new(view, service, decision);
    updater::count_failures(ctx, &mut plan);
    close_what_nobody_reports(ctx, &mut plan);
    let slots: Vec<u64> = plan.slots.keys().copied().collect();
    for slot in slots {
        replace_ended_and_displaced(ctx, &mut plan, slot);
    }
    scale(ctx, &mut plan);
    updater::advance(ctx, &mut plan);
    promote(ctx, &mut plan);
    reaper::trim(ctx, &mut plan);
}

/// Tasks that are not wanted and never got a node, and tasks of nodes that are gone for long, end here:
/// no agent will ever report them.
fn close_what_nobody_reports(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let mut closed = Vec::new();
    for member in plan.slots.values().flatten() {
        let Some(task) = &member.task else { continue };
        if task.status.state.is_terminal() || member.is_wanted() {
            continue;
        }
        if task.node.is_none() {
            let error = &task.status.error;
            closed.push(closing_status(
                task,
                TaskState::Shutdown,
                ctx.now,
                "stopped before it was placed",
                error,
            ));
            continue;
        }
        match plan.node(member) {
            None => closed.push(closing_status(
                task,
                TaskState::Orphaned,
                ctx.now,
                "node was removed",
                "",
            )),
            Some(node) if node.status.state == NodeState::Down => {
                let due = node.status.since + ctx.limits.orphan_after;
                if due <= ctx.now {
                    closed.push(closing_status(
                        task,
                        TaskState::Orphaned,
                        ctx.now,
                        "node is down for too long",
                        "",
                    ));
                } else {
                    plan.decision.wake_at(due);
                }
            }
            Some(_) => {}
        }
    }
    plan.decision.changes.extend(closed);
}

/// Tasks that ended follow their restart policy; tasks of lost and drained nodes are replaced at once, since
/// a restart's delay is for what fails by itself.
fn replace_ended_and_displaced(ctx: &mut Context<'_>, plan: &mut Plan<'_>, slot: u64) {
    let mut index = 0;
    while let Some(member) = plan.slots.get(&slot).and_then(|members| members.get(index)) {
        let place = plan.place(member);
        let displaced = matches!(place, Place::Lost | Place::Draining);
        if !member.is_wanted() || !(member.is_over() || displaced) {
            index += 1;
            continue;
        }
        if let Some(at) = member.start_after.filter(|at| *at > ctx.now && !displaced) {
            // It was prepared ahead of its turn and could not be: its successor would fail as fast, so the
            // turn is what it waits for.
            plan.decision.wake_at(at);
            index += 1;
            continue;
        }
        let over = member.is_over();
        let task = member.task.clone();
        let verdict = task
            .as_ref()
            .filter(|_| over)
            .map(|task| restart::judge(task));
        plan.set_desired(slot, index, DesiredState::Shutdown);
        let others = plan.slots[&slot].iter().any(|m| m.is_wanted());
        match verdict {
            _ if others => {}
            Some(Verdict::Leave) => {}
            Some(Verdict::Replace {
                start_after,
                restarts,
            }) => {
                plan.create(ctx, slot, Some(start_after), restarts, false);
            }
            None => {
                let restarts = task.map(|t| t.restarts.clone()).unwrap_or_default();
                plan.create(ctx, slot, None, restarts, false);
            }
        }
        index += 1;
    }
}

/// A slot counts when something in it should run, or when its last task ended for good.
fn is_occupied(plan: &Plan<'_>, slot: u64) -> bool {
    let members = &plan.slots[&slot];
    if members.iter().any(|m| m.is_wanted()) {
        return true;
    }
    let Some(last) = members.last() else {
        return false;
    };
    let kept_as_history = last.desired == DesiredState::Shutdown && last.is_over();
    kept_as_history
        && last
            .task
            .as_ref()
            .is_some_and(|task| matches!(restart::judge(task), Verdict::Leave) && !last.dirty)
}

/// Adds tasks in the lowest free slots, or removes the slots that leave the rest best spread.
fn scale(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let replicas = plan.service.spec.replicas();
    let occupied: Vec<u64> = plan
        .slots
        .keys()
        .copied()
        .filter(|slot| is_occupied(plan, *slot))
        .collect();
    let have = occupied.len() as u64;
    if have < replicas {
        let mut missing = replicas - have;
        let mut slot = 1;
        while missing > 0 {
            if occupied.binary_search(&slot).is_err() {
                plan.create(ctx, slot, None, Vec::new(), false);
                missing -= 1;
            }
            slot += 1;
        }
    }
    bury_empty_slots(plan, &occupied);
    if have > replicas {
        let surplus = usize::try_from(have - replicas).unwrap_or(usize::MAX);
        for slot in least_needed(plan, occupied, surplus) {
            for index in 0..plan.slots[&slot].len() {
                plan.set_desired(slot, index, DesiredState::Remove);
            }
        }
    }
}

/// The history of slots that nobody fills any more is forgotten.
fn bury_empty_slots(plan: &mut Plan<'_>, occupied: &[u64]) {
    let empty = |slot: &u64| {
        occupied.binary_search(slot).is_err() && !plan.slots[slot].iter().any(|m| m.is_wanted())
    };
    let slots: Vec<u64> = plan.slots.keys().copied().filter(empty).collect();
    for slot in slots {
        for index in 0..plan.slots[&slot].len() {
            plan.set_desired(slot, index, DesiredState::Remove);
        }
    }
}

/// Slots that do not run go first, then the highest copies on each node, then high slot numbers: swarmkit's order.
fn least_needed(plan: &Plan<'_>, mut slots: Vec<u64>, surplus: usize) -> Vec<u64> {
    let running = |slot: u64| {
        plan.slots[&slot]
            .iter()
            .find(|m| m.is_wanted() && m.is_running())
    };
    slots.sort_by_key(|slot| (running(*slot).is_none(), *slot));
    let mut copies: BTreeMap<Option<NodeId>, u64> = BTreeMap::new();
    let mut ranked: Vec<(bool, u64, u64)> = slots
        .into_iter()
        .map(|slot| {
            let member = running(slot);
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

/// Lets replacements run whose time has come and whose predecessor has ended. A predecessor is waited for as
/// long as it takes: its stop is bounded on its node, and a lost node is a bound of its own.
fn promote(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let mut ready = Vec::new();
    for (slot, members) in &plan.slots {
        for (index, member) in members.iter().enumerate() {
            if member.desired != DesiredState::Ready || member.is_over() {
                continue;
            }
            if let Some(at) = member.start_after.filter(|at| *at > ctx.now) {
                plan.decision.wake_at(at);
                continue;
            }
            let predecessor_runs = members
                .iter()
                .any(|other| !other.is_wanted() && plan.may_run(other));
            if !predecessor_runs {
                ready.push((*slot, index));
            }
        }
    }
    for (slot, index) in ready {
        plan.set_desired(slot, index, DesiredState::Running);
    }
}
