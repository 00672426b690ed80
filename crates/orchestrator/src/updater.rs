//! Rolling updates. What was done and what failed is in the service's update status and in its tasks.

use crate::Context;
use crate::plan::{Member, Plan};
use crate::restart::{self, Verdict};
use model::service::{FailureAction, UpdateConfig, UpdateOrder, UpdateState, UpdateStatus};
use model::{Change, DesiredState, Task, TaskState, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Docker monitors at least this much longer than it waits between slots.
const MONITOR_BEYOND_DELAY: Duration = Duration::from_secs(1);

/// Counts tasks of the running update that ended too early, and pauses it when they are too many.
pub(crate) fn count_failures(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let config = plan.service.spec.update_config();
    let Some(status) = running_update(plan) else {
        return;
    };
    if config.failure_action == FailureAction::Continue {
        return;
    }
    let monitor = config.monitor();
    let mut newly_failed = Vec::new();
    for member in plan.slots.values_mut().flatten() {
        let Some(task) = &member.task else { continue };
        let of_this_update = task.spec_version == plan.service.spec_version;
        if member.counted
            || !of_this_update
            || !ended_early(
                task.status.state,
                task.running_at,
                task.status.applied_at,
                monitor,
            )
        {
            continue;
        }
        member.counted = true;
        newly_failed.push(task.id.clone());
    }
    let Some(last) = newly_failed.last().cloned() else {
        return;
    };
    let mut status = status;
    status.failures += newly_failed.len() as u64;
    let total = status.total_slots.max(1);
    if status.failures as f64 / total as f64 > f64::from(config.max_failure_ratio) {
        status.state = UpdateState::Paused;
        status.message =
            format!("update paused due to failure or early termination of task {last}");
        status.completed_at = Some(ctx.now);
    }
    plan.decision.changes.extend(
        newly_failed
            .into_iter()
            .map(|id| Change::SetFailureCounted { id }),
    );
    write_status(plan, status);
}

/// An end that was not asked for, before the task ran or soon after.
fn ended_early(
    state: TaskState,
    running_at: Option<Timestamp>,
    ended_at: Timestamp,
    monitor: Duration,
) -> bool {
    matches!(
        state,
        TaskState::Complete | TaskState::Failed | TaskState::Rejected
    ) && running_at.is_none_or(|at| ended_at.since(at) <= monitor)
}

/// The status of the service as the decision so far leaves it.
fn current_status(plan: &Plan<'_>) -> Option<UpdateStatus> {
    let decided = plan
        .decision
        .changes
        .iter()
        .rev()
        .find_map(|change| match change {
            Change::SetUpdateStatus { id, status, .. } if *id == plan.service.id => {
                Some(status.clone())
            }
            _ => None,
        });
    decided.unwrap_or_else(|| plan.service.update_status.clone())
}

fn running_update(plan: &Plan<'_>) -> Option<UpdateStatus> {
    current_status(plan).filter(|status| status.state == UpdateState::Updating)
}

fn write_status(plan: &mut Plan<'_>, status: UpdateStatus) {
    let id = plan.service.id.clone();
    plan.decision.changes.retain(
        |change| !matches!(change, Change::SetUpdateStatus { id: other, .. } if *other == id),
    );
    plan.decision.changes.push(Change::SetUpdateStatus {
        id,
        if_spec_version: plan.service.spec_version,
        status: Some(status),
    });
}

/// Starts an update when slots are out of date, replaces as many slots as may be out at once, and completes it.
pub(crate) fn advance(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let status = current_status(plan);
    if status
        .as_ref()
        .is_some_and(|s| s.state == UpdateState::Paused)
    {
        return;
    }
    let config = plan.service.spec.update_config();
    settle_slots(plan, &config);
    let dirty: Vec<u64> = plan
        .slots
        .iter()
        .filter(|(_, members)| is_slot_dirty(members))
        .map(|(slot, _)| *slot)
        .collect();
    let running = status.filter(|s| s.state == UpdateState::Updating);
    let Some(status) = running else {
        if !dirty.is_empty() {
            write_status(plan, begun(ctx.now, dirty.len()));
            replace_slots(ctx, plan, &config, &dirty);
        }
        return;
    };
    let busy = replace_slots(ctx, plan, &config, &dirty);
    if dirty.is_empty() && busy == 0 {
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
    }
}

fn is_slot_dirty(members: &[Member]) -> bool {
    let mut wanted = members.iter().filter(|m| m.is_wanted());
    let first = wanted.next();
    first.is_some_and(|m| m.dirty) || wanted.next().is_some()
}

/// In slots with more than one task, one stays, an up-to-date one if there is one. The others go: at once, or under start-first when the new one runs.
fn settle_slots(plan: &mut Plan<'_>, config: &UpdateConfig) {
    let mut surplus = Vec::new();
    for (slot, members) in &plan.slots {
        let wanted = || members.iter().enumerate().filter(|(_, m)| m.is_wanted());
        if wanted().count() < 2 {
            continue;
        }
        let clean = || wanted().filter(|(_, m)| !m.dirty);
        // Two of older specs are there when one update came into another: one of them is enough to wait with.
        let old_but_running = || wanted().find(|(_, m)| m.is_running());
        let Some((keep, kept)) = clean()
            .find(|(_, m)| m.is_running())
            .or_else(|| clean().next())
            .or_else(old_but_running)
        else {
            continue;
        };
        if config.order == UpdateOrder::StartFirst && !kept.is_running() {
            surplus.extend(
                clean()
                    .filter(|(index, _)| *index != keep)
                    .map(|(index, _)| (*slot, index)),
            );
            continue;
        }
        let out = wanted().any(|(_, m)| m.is_running());
        if !kept.is_running() && out {
            continue; // Stopping the one that runs takes the slot out: that has to be counted.
        }
        surplus.extend(
            wanted()
                .filter(|(index, _)| *index != keep)
                .map(|(index, _)| (*slot, index)),
        );
    }
    for (slot, index) in surplus {
        plan.set_desired(slot, index, DesiredState::Shutdown);
    }
}

/// Replaces tasks in dirty slots while fewer than `parallelism` slots are out. Returns how many are out now.
fn replace_slots(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    dirty: &[u64],
) -> u64 {
    let mut busy = 0;
    let mut wake = None;
    for members in plan.slots.values() {
        match occupation(plan, members, config, ctx.now) {
            Occupation::Idle => {}
            Occupation::Busy => busy += 1,
            Occupation::Pausing(until) => {
                busy += 1;
                wake = Some(wake.map_or(until, |w: Timestamp| w.min(until)));
            }
        }
    }
    if let Some(at) = wake {
        plan.decision.wake_at(at);
    }
    let parallelism = if config.parallelism == 0 {
        u64::MAX
    } else {
        config.parallelism
    };
    for slot in dirty {
        let members = &plan.slots[slot];
        let new = members.iter().position(|m| m.is_wanted() && !m.dirty);
        let is_counted = !matches!(occupation(plan, members, config, ctx.now), Occupation::Idle);
        if !is_counted && busy >= parallelism {
            continue;
        }
        match new {
            None => replace_slot(ctx, plan, config, *slot),
            Some(new) if config.order == UpdateOrder::StopFirst => {
                stop_others(plan, *slot, Some(new));
            }
            Some(_) => {}
        }
        busy += u64::from(!is_counted);
    }
    busy
}

enum Occupation {
    Idle,
    Busy,
    /// Its new task runs; the pause after it lasts until then.
    Pausing(Timestamp),
}

/// Whether the update is at work in a slot: its new task does not run yet, or the pause after it lasts.
fn occupation(
    plan: &Plan<'_>,
    members: &[Member],
    config: &UpdateConfig,
    now: Timestamp,
) -> Occupation {
    let Some(new) = members.iter().find(|m| m.is_wanted() && !m.dirty) else {
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

fn replace_slot(ctx: &mut Context<'_>, plan: &mut Plan<'_>, config: &UpdateConfig, slot: u64) {
    let (start_after, restarts) = history(plan, slot);
    let start_first = config.order == UpdateOrder::StartFirst;
    // Under start-first the one that runs stays until its successor does. Others are there when an update
    // came before the last one's replacement ran: they would only add up.
    let kept = start_first
        .then(|| to_be_kept(&plan.slots[&slot]))
        .flatten();
    stop_others(plan, slot, kept);
    plan.create(ctx, slot, start_after, restarts, start_first);
}

fn stop_others(plan: &mut Plan<'_>, slot: u64, kept: Option<usize>) {
    for index in 0..plan.slots[&slot].len() {
        if plan.slots[&slot][index].is_wanted() && kept != Some(index) {
            plan.set_desired(slot, index, DesiredState::Shutdown);
        }
    }
}

/// The wanted task that runs, else the oldest wanted one.
fn to_be_kept(members: &[Member]) -> Option<usize> {
    let running = members.iter().position(|m| m.is_wanted() && m.is_running());
    running.or_else(|| members.iter().position(Member::is_wanted))
}

/// A slot whose last task of this very spec failed waits for the restart delay before the next try.
fn history(plan: &Plan<'_>, slot: u64) -> (Option<Timestamp>, Vec<Timestamp>) {
    let last = plan.slots[&slot]
        .iter()
        .filter_map(|m| m.task.as_ref())
        .rfind(|t| t.spec_version == plan.service.spec_version && t.status.state.is_terminal());
    match last.map(|task| restart::judge(task)) {
        Some(Verdict::Replace {
            start_after,
            restarts,
        }) => (Some(start_after), restarts),
        Some(Verdict::Leave) | None => (None, Vec::new()),
    }
}

/// All slots are replaced: watch them for the monitoring time, then say so.
fn complete(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    mut status: UpdateStatus,
) {
    let replaced_at = match status.replaced_at {
        Some(at) => at,
        None => {
            status.replaced_at = Some(ctx.now);
            ctx.now
        }
    };
    let monitor = match config.failure_action {
        FailureAction::Continue => Duration::ZERO,
        FailureAction::Pause if config.delay >= config.monitor() => {
            config.delay + MONITOR_BEYOND_DELAY
        }
        FailureAction::Pause => config.monitor(),
    };
    let due = replaced_at + monitor;
    if due <= ctx.now {
        status.state = UpdateState::Completed;
        status.message = "update completed".into();
        status.completed_at = Some(ctx.now);
        write_status(plan, status);
    } else {
        plan.decision.wake_at(due);
        if plan
            .service
            .update_status
            .as_ref()
            .is_none_or(|s| s.replaced_at != status.replaced_at)
        {
            write_status(plan, status);
        }
    }
}
