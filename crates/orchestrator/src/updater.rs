//! Rolling updates, and replacements that somebody asked for. What was done and what failed is in the service's update
//! status and in its tasks.
//!
//! An update runs under the update configuration, a rollback under the rollback configuration. Tasks that are marked to be
//! replaced go through the same steps under the update configuration, but are no update: the status does not
//! show them, and a paused update does not stop them.

mod slots;
mod watch;

pub(crate) use slots::{replace_slot, settle};
pub(crate) use watch::{Watch, watch};

use crate::Context;
use crate::global::{self, Standing};
use crate::plan::{Member, Place, Plan};
use crate::{restart, slot};
use model::service::{FailureAction, UpdateConfig, UpdateState, UpdateStatus};
use model::{SlotKey, Timestamp};
use std::time::Duration;

/// Docker monitors at least this much longer than it waits between slots.
const MONITOR_BEYOND_DELAY: Duration = Duration::from_secs(1);

/// The configuration under which slots are replaced now.
fn config(plan: &Plan<'_>) -> UpdateConfig {
    match plan.status().map(|s| s.state) {
        Some(UpdateState::RollbackStarted) => plan.service.spec.rollback_config(),
        _ => plan.service.spec.update_config(),
    }
}

fn is_paused(plan: &Plan<'_>) -> bool {
    let paused = [UpdateState::Paused, UpdateState::RollbackPaused];
    plan.status().is_some_and(|s| paused.contains(&s.state))
}

/// Starts an update when slots are out of date, replaces as many slots as may be out at once, and completes it.
pub(crate) fn advance(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let config = config(plan);
    let under_way = plan.status().filter(|s| s.state.is_under_way()).cloned();
    let outdated = if is_paused(plan) {
        Vec::new()
    } else {
        outdated_slots(plan)
    };
    if under_way.is_none() && !outdated.is_empty() {
        watch::forgive(plan);
        plan.set_status(begun(ctx.now, outdated.len()));
    }
    let marked = marked_slots(plan);
    if under_way.is_none() && outdated.is_empty() && marked.is_empty() {
        return;
    }
    let nothing_outdated = outdated.is_empty();
    let mut due = outdated;
    due.extend(marked);
    // Slots that are out already go first: replacing them takes nothing out.
    due.sort_by_cached_key(|slot| (slots::has_running(&plan.slots[slot]), slot.clone()));
    due.dedup();
    // Slots that leave a drained node in turns do so with the new specification.
    due.retain(|slot| {
        let mut wanted = plan.slots[slot].iter().filter(|m| m.is_wanted());
        !wanted.any(|m| m.place == Place::Leaving)
    });
    let busy = slots::replace(ctx, plan, &config, &due);
    if let Some(status) = under_way.filter(|_| nothing_outdated && busy == 0) {
        complete(ctx, plan, &config, status);
    }
}

fn begun(now: Timestamp, slots: usize) -> UpdateStatus {
    UpdateStatus {
        state: UpdateState::Updating,
        started_at: Some(now),
        completed_at: None,
        message: "update in progress".into(),
        total_slots: slots as u64,
        failures: 0,
        replaced_at: None,
        progressed_at: Some(now),
    }
}

/// Slots with a task of another template that can be replaced: one that is wanted, or the last one that ended for good.
fn outdated_slots(plan: &Plan<'_>) -> Vec<SlotKey> {
    let is_outdated = |members: &[Member]| {
        let mut wanted = members.iter().filter(|m| m.is_wanted()).peekable();
        if wanted.peek().is_none() {
            return slot::is_done(members) && members.last().is_some_and(|m| m.dirty);
        }
        wanted.any(|m| m.dirty)
    };
    let slots = plan.slots.iter().filter(|(slot, members)| {
        is_outdated(members) && !is_frozen(plan, slot) && !is_given_up(plan, members)
    });
    slots.map(|(slot, _)| slot.clone()).collect()
}

/// Slots with a task that somebody wants to be replaced.
fn marked_slots(plan: &Plan<'_>) -> Vec<SlotKey> {
    let is_marked = |members: &[Member]| {
        let mut wanted = members.iter().filter(|m| m.is_wanted());
        wanted.any(Member::is_marked)
    };
    let slots = plan.slots.iter();
    slots
        .filter(|(slot, members)| is_marked(members) && !is_frozen(plan, slot))
        .map(|(slot, _)| slot.clone())
        .collect()
}

/// A paused node keeps the task of a global service as it is: it would take no other.
fn is_frozen(plan: &Plan<'_>, slot: &SlotKey) -> bool {
    plan.service.spec.mode.is_global() && global::standing_of(plan, slot) != Standing::Takes
}

/// Under start-first: the new task ended, its policy allows no further try, and the old one still runs.
fn is_given_up(plan: &Plan<'_>, members: &[Member]) -> bool {
    let ended = |m: &&Member| m.is_over() && m.is_of(plan.service.spec_version);
    let newest = members.iter().rfind(ended);
    newest
        .and_then(|m| m.task.as_ref())
        .is_some_and(|task| restart::is_final(task))
}

/// All slots are replaced: watch them for the monitoring time, then say so.
fn complete(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    mut status: UpdateStatus,
) {
    let replaced_at = *status.replaced_at.get_or_insert(ctx.now);
    let monitor = match config.failure_action {
        FailureAction::Continue => Duration::ZERO,
        FailureAction::Pause | FailureAction::Rollback if config.delay >= config.monitor() => {
            config.delay + MONITOR_BEYOND_DELAY
        }
        FailureAction::Pause | FailureAction::Rollback => config.monitor(),
    };
    let due = replaced_at + monitor;
    if due > ctx.now {
        plan.wake_at(due);
    } else if status.state == UpdateState::RollbackStarted {
        status.state = UpdateState::RollbackCompleted;
        status.message = "rollback completed".into();
        status.completed_at = Some(ctx.now);
    } else {
        status.state = UpdateState::Completed;
        status.message = "update completed".into();
        status.completed_at = Some(ctx.now);
    }
    plan.set_status(status);
}
