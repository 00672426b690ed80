//! What becomes of the tasks of one slot, whatever kind of service it is of.

use crate::plan::{Member, Place, Plan, Start, closing_status};
use crate::restart::{self, Retry, Verdict};
use crate::{Context, drain, enforcer, reaper, updater};
use model::{DesiredState, NodeState, SlotKey, TaskState};

/// Tasks that are not wanted and never got a node, and tasks of nodes that are gone for long, end here:
/// no agent will ever report them. Those that are to be forgotten need no end.
pub(crate) fn close_what_nobody_reports(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let mut closed = Vec::new();
    let mut due_at = None;
    for member in plan.slots.values().flatten() {
        let Some(task) = &member.task else { continue };
        if task.status.state.is_terminal() || member.desired != DesiredState::Shutdown {
            continue;
        }
        let (state, message, error) = if member.place == Place::None {
            let message = "stopped before it was placed";
            (TaskState::Shutdown, message, task.status.error.as_str())
        } else {
            match plan.node(member) {
                None => {
                    let why = "node was removed";
                    (TaskState::Orphaned, why, why)
                }
                Some(node) if node.status.state == NodeState::Down => {
                    let due = node.status.since + ctx.limits.orphan_after;
                    if due > ctx.now {
                        due_at = Some(due_at.map_or(due, |at| due.min(at)));
                        continue;
                    }
                    let why = "node is down for too long";
                    (TaskState::Orphaned, why, why)
                }
                Some(_) => continue,
            }
        };
        closed.push(closing_status(task, state, ctx.now, message, error));
    }
    plan.decision.changes.extend(closed);
    if let Some(at) = due_at {
        plan.wake_at(at);
    }
}

/// Whether a slot may get another task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refill {
    Yes,
    /// Its node takes none, or the service is stopped.
    No,
}

/// Tasks that ended follow their restart policy; tasks of lost and drained nodes, and of nodes that have changed, are
/// replaced at once, since a restart's delay is for what fails by itself.
pub(crate) fn renew(ctx: &mut Context<'_>, plan: &mut Plan<'_>, slot: &SlotKey, refill: Refill) {
    let mut index = 0;
    while let Some(member) = plan.slots.get(slot).and_then(|members| members.get(index)) {
        let at = index;
        index += 1;
        if !member.is_wanted() {
            continue;
        }
        let over = member.is_over();
        let dirty = member.dirty;
        let evicted = member.is_evicted();
        let displaced = evicted || (!over && matches!(member.place, Place::Lost | Place::Draining));
        if !(over || displaced) {
            continue;
        }
        if let Some(turn) = member.start_after.filter(|at| *at > ctx.now && !displaced) {
            // It was prepared ahead of its turn and could not be: its successor would fail as fast, so the
            // turn is what it waits for.
            plan.wake_at(turn);
            continue;
        }
        let task = member.task.clone();
        if let Some(task) = task.as_ref().filter(|_| evicted) {
            plan.decision.changes.push(enforcer::notice(task));
        }
        plan.set_desired(slot, at, DesiredState::Shutdown);
        let others = plan.slots[slot].iter().any(|m| m.is_wanted());
        if others || refill == Refill::No {
            continue;
        }
        let start = match task.as_deref() {
            Some(task) if over => match restart::judge(task) {
                Verdict::Leave => continue,
                // The end of another template says nothing of how this one will do.
                Verdict::Replace(_) if dirty => Start::default(),
                Verdict::Replace(retry) => retry.into(),
            },
            Some(task) => Start {
                restarts: restart::carried(task, ctx.now),
                ..Start::default()
            },
            None => Start::default(),
        };
        plan.create(ctx, slot, start);
    }
}

/// How a slot starts in which nothing is wanted: what was tried under this very specification counts on, such as the
/// failures before its node was paused.
pub(crate) fn refill(ctx: &Context<'_>, plan: &Plan<'_>, slot: &SlotKey) -> Start {
    let members = plan.slots.get(slot).into_iter().flatten();
    let last = members
        .filter_map(|m| m.task.as_ref())
        .rfind(|t| t.spec_version == plan.service.spec_version);
    let Some(task) = last else {
        return Start::default();
    };
    // One that could not be prepared ahead of its turn keeps that turn.
    let waits = task.start_after.is_some_and(|turn| turn > ctx.now);
    match task.status.state {
        TaskState::Complete | TaskState::Failed | TaskState::Rejected if !waits => {
            restart::retry(task).into()
        }
        _ => Start {
            after: task.start_after,
            restarts: restart::carried(task, ctx.now),
            beside_the_old: false,
        },
    }
}

/// The steps with which the pass over any service ends, between which only `replace` is its own.
pub(crate) fn finish(
    ctx: &mut Context<'_>,
    plan: &mut Plan<'_>,
    replace: impl FnOnce(&mut Context<'_>, &mut Plan<'_>),
) {
    updater::settle(plan);
    drain::advance(ctx, plan);
    replace(ctx, plan);
    promote(ctx, plan);
    close_what_nobody_reports(ctx, plan);
    reaper::trim(plan);
}

impl From<Retry> for Start {
    fn from(retry: Retry) -> Start {
        Start {
            after: Some(retry.start_after),
            restarts: retry.restarts,
            beside_the_old: false,
        }
    }
}

/// A slot counts when something in it should run, or when its last task ended for good. One that ended under an older
/// template is replaced by the updater, as what runs is.
pub(crate) fn is_occupied(plan: &Plan<'_>, slot: &SlotKey) -> bool {
    let Some(members) = plan.slots.get(slot) else {
        return false;
    };
    members.iter().any(Member::is_wanted) || is_done(members)
}

/// Its last task ended, and its restart policy leaves it at that.
pub(crate) fn is_done(members: &[Member]) -> bool {
    let last = members.last().filter(|m| m.is_over());
    last.is_some_and(|last| {
        let task = last.task.as_ref();
        last.desired <= DesiredState::Shutdown && task.is_some_and(|t| restart::is_final(t))
    })
}

/// Lets replacements run whose time has come and whose predecessor has ended. A predecessor is waited for as
/// long as it takes: its stop is bounded on its node, and a lost node is a bound of its own.
pub(crate) fn promote(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let mut ready = Vec::new();
    let mut turns = Vec::new();
    for (slot, members) in &plan.slots {
        for (index, member) in members.iter().enumerate() {
            if member.desired != DesiredState::Ready || member.is_over() {
                continue;
            }
            if let Some(at) = member.start_after.filter(|at| *at > ctx.now) {
                turns.push(at);
                continue;
            }
            let predecessor_runs = members
                .iter()
                .any(|other| !other.is_wanted() && other.may_run());
            if !predecessor_runs {
                ready.push((slot.clone(), index));
            }
        }
    }
    if let Some(at) = turns.into_iter().min() {
        plan.wake_at(at);
    }
    let on_duty = plan.on_duty();
    for (slot, index) in ready {
        plan.set_desired(&slot, index, on_duty);
    }
}
