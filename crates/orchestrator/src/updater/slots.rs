//! Replacing the tasks of slots, so many at once.

use super::is_paused;
use crate::plan::{Member, Place, Plan, Start};
use crate::{Context, drain, slot};
use model::service::{UpdateConfig, UpdateOrder};
use model::task::ReplaceReason;
use model::{DesiredState, SlotKey, Task, TaskState, Timestamp};
use std::sync::Arc;

/// In slots with more than one task, one stays, an up-to-date one if there is one. The others go: at once, or under
/// start-first when the new one runs.
pub(crate) fn settle(plan: &mut Plan<'_>) {
    let paused = is_paused(plan);
    let update_order = super::config(plan).order;
    let mut surplus = Vec::new();
    for (slot, members) in &plan.slots {
        let wanted = || members.iter().enumerate().filter(|(_, m)| m.is_wanted());
        if wanted().count() < 2 || (paused && is_of_paused_update(members)) {
            continue;
        }
        let order = drain::order_of(plan, members).unwrap_or(update_order);
        let fresh = || wanted().filter(|(_, m)| !m.is_stale());
        // Two of older specs are there when one update came into another: one of them is enough to wait with, and not
        // the one that has to leave its node.
        let running = || wanted().filter(|(_, m)| m.is_running());
        let stays = |(_, m): &(usize, &Member)| m.place != Place::Leaving;
        let old_but_running = || running().find(stays).or_else(|| running().next());
        let Some((keep, kept)) = fresh()
            .find(|(_, m)| m.is_running())
            .or_else(|| fresh().next())
            .or_else(old_but_running)
        else {
            continue;
        };
        let others = |(index, _): &(usize, &Member)| *index != keep;
        if order == UpdateOrder::StartFirst && !kept.is_running() {
            surplus.extend(fresh().filter(others).map(|(i, _)| (slot.clone(), i)));
            continue;
        }
        let out = wanted().any(|(_, m)| m.is_running());
        if !kept.is_running() && out {
            continue; // Stopping the one that runs takes the slot out: that has to be counted.
        }
        surplus.extend(wanted().filter(others).map(|(i, _)| (slot.clone(), i)));
    }
    for (slot, index) in surplus {
        plan.set_desired(&slot, index, DesiredState::Shutdown);
    }
}

/// The old task and the new one of a paused update stay as they are.
fn is_of_paused_update(members: &[Member]) -> bool {
    let wanted = || members.iter().filter(|m| m.is_wanted());
    let moves = |m: &Member| m.is_marked() || m.place == Place::Leaving;
    wanted().any(|m| m.dirty) && !wanted().any(moves)
}

/// Replaces tasks in slots that are due while fewer than `parallelism` slots are out. Returns how many are out now.
pub(super) fn replace(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    due: &[SlotKey],
) -> u64 {
    let mut busy = 0;
    // Those among them in which nothing of before runs any more.
    let mut out = 0;
    let mut wake = None;
    for members in plan.slots.values() {
        match occupation(plan, members, config, ctx.now) {
            Occupation::Idle => continue,
            Occupation::Busy => out += u64::from(!has_running(members)),
            Occupation::Pausing(until) => {
                out += 1;
                wake = Some(wake.map_or(until, |w: Timestamp| w.min(until)));
            }
        }
        busy += 1;
    }
    if let Some(at) = wake {
        plan.wake_at(at);
    }
    let parallelism = if config.parallelism == 0 {
        u64::MAX
    } else {
        config.parallelism
    };
    for slot in due {
        let members = &plan.slots[slot];
        let runs = has_running(members);
        let occupation = occupation(plan, members, config, ctx.now);
        let is_counted = !matches!(occupation, Occupation::Idle);
        let is_out = is_counted && (!runs || matches!(occupation, Occupation::Pausing(_)));
        let takes_out = config.order == UpdateOrder::StopFirst && runs;
        let others_out = out - u64::from(is_out);
        if (takes_out && others_out >= parallelism) || (!is_counted && busy >= parallelism) {
            continue;
        }
        match members.iter().position(|m| m.is_wanted() && !m.is_stale()) {
            None => replace_slot(ctx, plan, config.order, slot),
            // An update in the other order has begun with it.
            Some(new) if config.order == UpdateOrder::StopFirst => {
                plan.dismiss(slot, DesiredState::Shutdown, Some(new));
            }
            Some(_) => continue,
        }
        busy += u64::from(!is_counted);
        out = others_out + u64::from(takes_out || !runs || is_out);
    }
    busy
}

pub(super) fn has_running(members: &[Member]) -> bool {
    members.iter().any(|m| m.is_wanted() && m.is_running())
}

enum Occupation {
    Idle,
    Busy,
    /// Its new task runs; the pause after it lasts until then.
    Pausing(Timestamp),
}

/// Whether a slot is being replaced: its new task does not run yet, or the pause after it lasts.
fn occupation(
    plan: &Plan<'_>,
    members: &[Member],
    config: &UpdateConfig,
    now: Timestamp,
) -> Occupation {
    let Some(new) = members.iter().rfind(|m| m.is_wanted() && !m.dirty) else {
        return Occupation::Idle;
    };
    // It may be older than this update and what the update wants all the same: the slot is out until it runs.
    if !new.is_running() {
        return Occupation::Busy;
    }
    let of_this_update = |t: &&Arc<Task>| t.spec_version == plan.service.spec_version;
    let task = new.task.as_ref().filter(of_this_update);
    match task.and_then(|t| t.running_at) {
        Some(at) if at + config.delay > now => Occupation::Pausing(at + config.delay),
        _ => Occupation::Idle,
    }
}

/// Gives a slot a new task. Under start-first the one that runs stays until its successor does. Others are there when
/// an update came before the last one's replacement ran: they would only add up.
pub(crate) fn replace_slot(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    order: UpdateOrder,
    slot: &SlotKey,
) {
    let start_first = order == UpdateOrder::StartFirst;
    let start = Start {
        beside_the_old: start_first,
        ..start(ctx, plan, slot)
    };
    let kept = start_first.then(|| to_be_kept(&plan.slots[slot])).flatten();
    plan.dismiss(slot, DesiredState::Shutdown, kept);
    plan.create(ctx, slot, start);
}

/// The wanted task that runs, else the oldest wanted one.
fn to_be_kept(members: &[Member]) -> Option<usize> {
    let running = members.iter().position(|m| m.is_wanted() && m.is_running());
    running.or_else(|| members.iter().position(Member::is_wanted))
}

/// A slot whose last task of this very spec failed waits for the restart delay before the next try, however often
/// it may be tried: what is to be replaced still runs or has to. What did not end hands its restarts on, unless an
/// operator asked for a restart.
fn start(ctx: &Context<'_>, plan: &Plan<'_>, slot: &SlotKey) -> Start {
    let last = plan.slots[slot]
        .iter()
        .filter_map(|m| m.task.as_ref())
        .rfind(|t| t.spec_version == plan.service.spec_version);
    let restarts_by_hand = last.is_some_and(|t| {
        let ended = matches!(
            t.status.state,
            TaskState::Complete | TaskState::Failed | TaskState::Rejected
        );
        !ended && t.replace == Some(ReplaceReason::Restart)
    });
    if restarts_by_hand {
        Start::default()
    } else {
        slot::refill(ctx, plan, slot)
    }
}
