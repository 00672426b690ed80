//! Jobs: tasks that run to their end. Each update of the service begins another run, and what is left of older
//! runs is removed.
//!
//! A slot of a run is done when a task of it has completed, and spent when its restart policy allows no further try. A
//! replicated job has a slot for each completion that is asked for, a global job one for each node. Jobs are not
//! updated in steps, and what is left of an update under way is said to be completed.

use crate::Context;
use crate::global::{self, Standing};
use crate::plan::{Member, Place, Plan, Start};
use crate::slot::{self, Refill};
use model::service::UpdateState;
use model::{DesiredState, SlotKey, TaskState};

/// Brings the tasks of a job nearer to its spec.
pub(crate) fn reconcile(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    close_update(ctx, plan);
    remove_older_runs(plan);
    let stopped = plan.service.spec.stopped.is_some();
    for key in plan.keys() {
        let standing = match key {
            SlotKey::Replica(_) => Standing::Takes,
            SlotKey::Node(_) => global::standing_of(plan, &key),
        };
        if let Some(done) = completed(plan, &key) {
            // One that was given up with its node may have ended well all the same: its successor is not needed.
            plan.dismiss(&key, DesiredState::Shutdown, Some(done));
            continue;
        }
        match standing {
            _ if stopped => plan.bury(&key),
            Standing::Gone => plan.bury(&key),
            Standing::Leaves => global::leave(plan, &key),
            Standing::Keeps => slot::renew(ctx, plan, &key, Refill::No),
            Standing::Takes => {
                slot::renew(ctx, plan, &key, Refill::Yes);
                replace_marked(ctx, plan, &key);
            }
        }
    }
    if !stopped {
        start(ctx, plan);
    }
    slot::finish(ctx, plan, |_, _| {});
}

/// A client may have asked to go back; a job has nothing to replace step by step.
fn close_update(ctx: &Context<'_>, plan: &mut Plan<'_>) {
    let Some(mut status) = plan.status().cloned().filter(|s| s.state.is_under_way()) else {
        return;
    };
    (status.state, status.message) = if status.state.is_rollback() {
        (UpdateState::RollbackCompleted, "rollback completed".into())
    } else {
        (UpdateState::Completed, "update completed".into())
    };
    status.completed_at = Some(ctx.now);
    plan.set_status(status);
}

fn is_of_this_run(plan: &Plan<'_>, member: &Member) -> bool {
    let run = plan.service.job.map(|job| job.iteration);
    let task = member.task.as_ref();
    task.is_none_or(|task| task.job_iteration == run)
}

fn remove_older_runs(plan: &mut Plan<'_>) {
    for key in plan.keys() {
        for index in 0..plan.slots[&key].len() {
            if !is_of_this_run(plan, &plan.slots[&key][index]) {
                plan.set_desired(&key, index, DesiredState::Remove);
            }
        }
    }
}

/// The task of this run that has completed in a slot.
fn completed(plan: &Plan<'_>, slot: &SlotKey) -> Option<usize> {
    let members = plan.slots.get(slot)?;
    members
        .iter()
        .position(|m| m.state() == TaskState::Complete && is_of_this_run(plan, m))
}

/// Nothing of this run was tried in a slot yet, or what was tried was stopped by us.
fn is_free(plan: &Plan<'_>, slot: &SlotKey) -> bool {
    let Some(members) = plan.slots.get(slot) else {
        return true;
    };
    let of_this_run = members.iter().any(|m| is_of_this_run(plan, m));
    !(of_this_run && (slot::is_occupied(plan, slot) || completed(plan, slot).is_some()))
}

/// Starts what is missing: in a replicated job as much as may run at the same time. What is still being stopped
/// counts as running.
fn start(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let Some((concurrent, total)) = plan.service.spec.completions() else {
        for key in global::wanted_slots(plan) {
            if is_free(plan, &key) {
                let start = slot::refill(ctx, plan, &key);
                plan.create(ctx, &key, start);
            }
        }
        return;
    };
    // A task that could not be prepared ahead of its turn is over, and its slot waits for that turn all the same.
    let is_live = |m: &Member| (m.is_wanted() && m.state() != TaskState::Complete) || m.may_run();
    let live = |members: &Vec<Member>| members.iter().any(is_live);
    let mut running = plan.slots.values().filter(|members| live(members)).count() as u64;
    for number in 1..=total {
        let key = SlotKey::Replica(number);
        if !is_free(plan, &key) {
            continue;
        }
        let is_counted = plan.slots.get(&key).is_some_and(live);
        if !is_counted && running >= concurrent {
            continue;
        }
        running += u64::from(!is_counted);
        let start = slot::refill(ctx, plan, &key);
        plan.create(ctx, &key, start);
    }
}

/// A task that somebody wants to run again is stopped, and its slot starts anew. One that leaves a drained node in
/// turns does so when its turn comes.
fn replace_marked(ctx: &mut Context<'_>, plan: &mut Plan<'_>, slot: &SlotKey) {
    let marked =
        |m: &Member| m.is_wanted() && !m.is_over() && m.is_marked() && m.place != Place::Leaving;
    if plan.slots[slot].iter().any(marked) {
        plan.dismiss(slot, DesiredState::Shutdown, None);
        plan.create(ctx, slot, Start::default());
    }
}
