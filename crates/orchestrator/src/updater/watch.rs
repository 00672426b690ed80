//! Whether an update fails: tasks that end too early, or nothing that gets on.

use super::{config, outdated_slots};
use crate::plan::{Member, Plan};
use crate::{Context, fallback, words};
use model::service::{FailureAction, RevisionCause, UpdateConfig, UpdateState, UpdateStatus};
use model::{Change, Service, Task, TaskId, TaskState, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// What follows for this decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    /// The service keeps its spec.
    GoesOn,
    /// The service gets another spec: what would be decided for this one is void.
    GoesBack,
}

/// Counts tasks of the running update that ended too early, notes how far it has got, and has it fail when there are too
/// many failures or no progress.
pub(crate) fn watch(ctx: &mut Context<'_>, plan: &mut Plan<'_>) -> Watch {
    let Some(mut status) = plan.status().filter(|s| s.state.is_under_way()).cloned() else {
        return Watch::GoesOn;
    };
    let config = config(plan);
    if status.progressed_at.is_none() {
        // A rollback that somebody has just asked for: it is looked at for the first time.
        status.total_slots = outdated_slots(plan).len() as u64;
        status.started_at.get_or_insert(ctx.now);
    }
    status.progressed_at = progressed_at(plan).max(status.progressed_at.or(Some(ctx.now)));
    // To go on in spite of failures is not to wait for ever: a deadline counts whatever the failure action.
    let failed = match config.failure_action {
        FailureAction::Continue => None,
        _ => count_failures(plan, &config, &mut status),
    };
    let cause = failed
        .map(Cause::Failure)
        .or_else(|| overdue(ctx, plan, &config, &status).map(Cause::Overdue));
    if let Some(cause) = cause {
        return fail(ctx, plan, &config, status, cause);
    }
    plan.set_status(status);
    Watch::GoesOn
}

/// Tasks that were created for the present spec.
fn of_this_update<'p>(
    plan: &Plan<'_>,
    members: &'p [Member],
) -> impl Iterator<Item = &'p Arc<Task>> {
    let version = plan.service.spec_version;
    let tasks = members.iter().filter_map(|m| m.task.as_ref());
    tasks.filter(move |t| t.spec_version == version)
}

/// When the last slot ran the present spec for the first time.
fn progressed_at(plan: &Plan<'_>) -> Option<Timestamp> {
    let first = |members: &Vec<Member>| {
        of_this_update(plan, members)
            .filter_map(|t| t.running_at)
            .min()
    };
    plan.slots.values().filter_map(first).max()
}

/// Counts what has failed since. Returns the last one when it was one too many.
fn count_failures(
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    status: &mut UpdateStatus,
) -> Option<TaskId> {
    let version = plan.service.spec_version;
    let monitor = config.monitor();
    let mut failed = Vec::new();
    for member in plan.slots.values_mut().flatten() {
        let Some(task) = &member.task else { continue };
        if !member.counted && task.spec_version == version && ended_early(task, monitor) {
            member.counted = true;
            failed.push(task.id.clone());
        }
    }
    let last = failed.last().cloned()?;
    status.failures += failed.len() as u64;
    let counted = failed.into_iter();
    plan.decision
        .changes
        .extend(counted.map(|id| Change::SetFailureCounted { id }));
    let ratio = status.failures as f64 / status.total_slots.max(1) as f64;
    (ratio > f64::from(config.max_failure_ratio)).then_some(last)
}

/// What ended before an update begins is not its failure, though it may be of the same specification: a node that has
/// changed can make an update of one that was done long ago.
pub(super) fn forgive(plan: &mut Plan<'_>) {
    let version = plan.service.spec_version;
    let mut forgiven = Vec::new();
    for member in plan.slots.values_mut().flatten() {
        if member.is_over() && member.is_of(version) && !member.counted {
            member.counted = true;
            forgiven.push(Change::SetFailureCounted {
                id: member.id.clone(),
            });
        }
    }
    plan.decision.changes.extend(forgiven);
}

/// An end that was not asked for, before the task ran or soon after.
fn ended_early(task: &Task, monitor: Duration) -> bool {
    let ended_at = task.status.applied_at;
    matches!(
        task.status.state,
        TaskState::Complete | TaskState::Failed | TaskState::Rejected
    ) && task
        .running_at
        .is_none_or(|at| ended_at.since(at) <= monitor)
}

/// How long the update may go without progress. A way back from an update that had a deadline has it, too, though the
/// older specification knew of none.
fn deadline(service: &Service, status: &UpdateStatus) -> Option<Duration> {
    let given_up = service.previous_spec.as_ref();
    let given_up = given_up.filter(|_| status.state == UpdateState::RollbackStarted);
    let own = service.spec.progress_deadline;
    own.or_else(|| given_up?.progress_deadline)
}

/// What the update waits for, when it has waited for longer than the service allows. The pauses that its own
/// configuration prescribes are allowed for.
fn overdue(
    ctx: &Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    status: &UpdateStatus,
) -> Option<String> {
    let deadline = deadline(plan.service, status)?;
    let waiting: Vec<(Timestamp, Arc<Task>)> = plan
        .slots
        .values()
        .filter_map(|members| waits_since(plan, members))
        .map(|(since, task)| (since, task.clone()))
        .collect();
    let outdated = outdated_slots(plan).len();
    if waiting.is_empty() && outdated == 0 {
        return None;
    }
    let mut pauses = config.delay;
    if waiting.iter().any(|(_, t)| t.start_after.is_some()) {
        pauses += plan.service.spec.task.restart_policy().delay();
    }
    // What moves, joins or ended after it had run has its own time.
    let first = waiting.iter().map(|(since, _)| *since).min();
    let due = status.progressed_at.max(first)? + deadline + pauses;
    if due > ctx.now {
        plan.wake_at(due);
        return None;
    }
    let waited = words::duration(deadline);
    let with_reason = |(_, t): &&(Timestamp, Arc<Task>)| !t.status.error.is_empty();
    let told = waiting.iter().find(with_reason).or(waiting.first());
    let Some((_, task)) = told else {
        let text = format!("no progress for {waited}: {outdated} tasks are still to be replaced");
        return Some(text);
    };
    let state = task.status.state.name().to_uppercase();
    let reason = match (task.status.error.as_str(), task.status.message.as_str()) {
        ("", "") => String::new(),
        ("", message) => {
            // The agent says the state, too, before it tells of the health check.
            let prefix = format!("{}: ", task.status.state);
            format!(" ({})", message.strip_prefix(&prefix).unwrap_or(message))
        }
        (error, _) => format!(" ({error})"),
    };
    let id = &task.id;
    Some(format!(
        "no progress for {waited}: task {id} is {state}{reason}"
    ))
}

/// The up-to-date task of a slot that does not run, and since when the slot has tried to run one: since the last
/// one that ran, if there was one.
fn waits_since<'p>(plan: &Plan<'_>, members: &'p [Member]) -> Option<(Timestamp, &'p Arc<Task>)> {
    let is_out = |m: &&Member| m.is_wanted() && !m.is_stale() && !m.is_running();
    let task = members.iter().find(is_out)?.task.as_ref()?;
    let tried: Vec<&Arc<Task>> = of_this_update(plan, members).collect();
    let ran = tried.iter().rposition(|t| t.running_at.is_some());
    let first = tried.get(ran.map_or(0, |ran| ran + 1)).copied();
    Some((first.unwrap_or(task).meta.created_at, task))
}

/// Why an update fails.
enum Cause {
    Failure(TaskId),
    Overdue(String),
}

impl Cause {
    /// `what` is Docker's: `update paused`, `update rolled back`, `rollback paused`.
    fn message(self, what: &str) -> String {
        match self {
            Cause::Failure(task) => {
                format!("{what} due to failure or early termination of task {task}")
            }
            Cause::Overdue(text) => text,
        }
    }
}

fn fail(
    ctx: &Context<'_>,
    plan: &mut Plan<'_>,
    config: &UpdateConfig,
    mut status: UpdateStatus,
    cause: Cause,
) -> Watch {
    let is_rollback = status.state == UpdateState::RollbackStarted;
    let goes_back = config.failure_action == FailureAction::Rollback && !is_rollback;
    let target = fallback::of(plan.service).filter(|_| goes_back);
    if let Some(spec) = target {
        let status = UpdateStatus {
            state: UpdateState::RollbackStarted,
            started_at: Some(ctx.now),
            completed_at: None,
            message: cause.message("update rolled back"),
            total_slots: 0,
            failures: 0,
            replaced_at: None,
            progressed_at: None,
        };
        plan.decision.changes.push(Change::UpdateService {
            id: plan.service.id.clone(),
            if_version: plan.service.meta.version,
            spec,
            cause: RevisionCause::FailedUpdate,
            status: Some(status),
        });
        return Watch::GoesBack;
    }
    (status.state, status.message) = if is_rollback {
        let message = cause.message("rollback paused");
        (UpdateState::RollbackPaused, message)
    } else {
        (UpdateState::Paused, cause.message("update paused"))
    };
    if goes_back {
        status.message += " (there is no older specification to go back to)";
    }
    status.completed_at = Some(ctx.now);
    plan.set_status(status);
    Watch::GoesOn
}
