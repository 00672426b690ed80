//! Forgets tasks: of removed services, of removed slots, and what exceeds the history limit.

use crate::Decision;
use crate::drain;
use crate::plan::{Member, Place, Plan};
use model::{Change, ClusterSpec, DesiredState, NodeState, ServiceId, Task, TaskState};
use store::Store;

/// Failed tasks that are kept per slot where the history limit does not say how many. A job's history is its result and is
/// not trimmed otherwise, and of a bounded number of attempts all are kept, as in Docker; what fails every five
/// minutes for ever must end somewhere. The attempts are counted without their tasks.
const FAILURES_PER_SLOT: usize = 100;

/// The service is gone: its tasks are stopped and forgotten.
pub(crate) fn bury(view: &Store, service: &ServiceId, decision: &mut Decision) {
    for task in view.tasks_of_service(service) {
        if may_be_forgotten(view, task) {
            decision.changes.push(Change::RemoveTask {
                id: task.id.clone(),
            });
        } else if task.desired != DesiredState::Remove {
            decision.changes.push(Change::SetDesired {
                id: task.id.clone(),
                desired: DesiredState::Remove,
            });
        }
    }
}

/// No process of it is there to be stopped. A node that is down learns of it when it comes back: a task that
/// its assignments do not name is stopped and removed there.
fn may_be_forgotten(view: &Store, task: &Task) -> bool {
    let Some(node) = task.placed_on() else {
        return true;
    };
    task.status.state.is_terminal()
        || view
            .node(node)
            .is_none_or(|n| n.status.state == NodeState::Down)
}

/// How many tasks a slot keeps, the live one included; none when all are kept.
fn limit(plan: &Plan<'_>) -> Option<usize> {
    let cluster = plan.view.cluster();
    let limit = cluster.map_or(ClusterSpec::default().task_history_limit, |c| {
        c.spec.task_history_limit
    });
    let limit = usize::try_from(limit).ok()?;
    let attempts = plan.service.spec.task.restart_policy().max_attempts;
    let limit = match usize::try_from(attempts) {
        Ok(0) => limit,
        attempts => attempts.map_or(FAILURES_PER_SLOT, |n| n.min(FAILURES_PER_SLOT)) + 1,
    };
    // The youngest stays whatever the limit is: it says whether the slot is done.
    Some(limit.max(1))
}

/// Forgets tasks of removed slots and the oldest of each slot beyond the history limit.
pub(crate) fn trim(plan: &mut Plan<'_>) {
    let limit = limit(plan);
    let is_job = plan.service.spec.mode.is_job();
    let under_way = plan.status().is_some_and(|s| s.state.is_under_way());
    let mut forget = Vec::new();
    for members in plan.slots.values() {
        let (removed, kept): (Vec<&Member>, Vec<&Member>) = members
            .iter()
            .partition(|m| m.desired == DesiredState::Remove);
        forget.extend(removed.into_iter().filter(|m| is_trace(m)));
        let Some(limit) = limit else { continue };
        if is_job {
            let failures: Vec<&Member> = kept.into_iter().filter(|m| is_failure(m)).collect();
            let surplus = failures.len().saturating_sub(FAILURES_PER_SLOT);
            forget.extend(failures.into_iter().take(surplus));
            continue;
        }
        let surplus = kept.len().saturating_sub(limit);
        let youngest = kept.last().map(|m| m.id.clone());
        let newest_run = kept.iter().rposition(|m| has_run(m));
        // An update's progress is when its slots ran for the first time.
        let of_this_update = |m: &&Member| m.is_of(plan.service.spec_version) && has_run(m);
        let first_run = kept.iter().position(of_this_update).filter(|_| under_way);
        let history = kept.into_iter().enumerate().filter(|(index, m)| {
            let is_turn = is_turn(plan, m) && newest_run.is_none_or(|run| run <= *index);
            let is_read = is_turn || first_run == Some(*index);
            !m.is_wanted() && Some(&m.id) != youngest.as_ref() && is_trace(m) && !is_read
        });
        forget.extend(history.take(surplus).map(|(_, m)| m));
    }
    let forget: Vec<Change> = forget
        .into_iter()
        .map(|m| Change::RemoveTask { id: m.id.clone() })
        .collect();
    plan.decision.changes.extend(forget);
}

/// Nothing but the memory of it is left.
fn is_trace(member: &Member) -> bool {
    let over = member.is_over() || matches!(member.place, Place::None | Place::Lost);
    member.task.is_some() && over
}

fn is_failure(member: &Member) -> bool {
    !member.is_wanted() && member.is_over() && member.state() != TaskState::Complete
}

fn has_run(member: &Member) -> bool {
    let task = member.task.as_ref();
    task.is_some_and(|t| t.running_at.is_some())
}

/// It left a node that is drained in turns: its turn lasts until its replacement has run, and is read from it.
fn is_turn(plan: &Plan<'_>, member: &Member) -> bool {
    let is_in_turns = plan
        .node(member)
        .is_some_and(|node| drain::is_in_turns(node));
    is_in_turns && member.state() == TaskState::Shutdown
}
