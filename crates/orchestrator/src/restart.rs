//! When a task that ended is replaced: the restart policy of its own spec, as swarmkit's restart supervisor reads it,
//! and a back-off for crash loops, which swarmkit has not.

use crate::words;
use model::task::{RestartCondition, RestartPolicy};
use model::{DesiredState, SlotKey, Task, TaskState, Timestamp};
use std::time::Duration;

/// Restarts that come after the policy's delay as in Docker, before the delay begins to double: what a start-up
/// order that is not right yet costs at most.
const RESTARTS_WITHOUT_BACKOFF: usize = 3;
/// What doubles when the policy's delay is less, since a delay of zero would stay zero; and the least wait after an end
/// without an error, which has no back-off: a service that does nothing shall not do so as fast as it can.
const LEAST_BACKOFF: Duration = Duration::from_secs(1);
/// The delay is not made longer than this: an operator who mended the cause should not wait long.
const MOST_BACKOFF: Duration = Duration::from_secs(5 * 60);
/// A task that ran for this long was no part of a crash loop.
const STABLE_RUN: Duration = Duration::from_secs(10 * 60);
/// Restarts that a task remembers when its policy does not count more of them: the back-off has reached its bound
/// before, whatever the delay was.
const REMEMBERED_RESTARTS: usize = 16;

/// Restarts that a task remembers at most: eight kilobytes of each task. Docker takes any number of attempts. One above
/// this is never used up: with the back-off, this many failures take more than three days.
const MOST_REMEMBERED_RESTARTS: usize = 1_000;

/// What follows from the end of a task.
pub(crate) enum Verdict {
    /// It stays ended, and the slot stays empty.
    Leave,
    /// A replacement may be tried.
    Replace(Retry),
}

/// The next try of a slot whose task ended.
pub(crate) struct Retry {
    /// It may start at this time.
    pub(crate) start_after: Timestamp,
    /// Restarts that it remembers.
    pub(crate) restarts: Vec<Timestamp>,
}

/// Judges the end of `task`, which is over.
pub(crate) fn judge(task: &Task) -> Verdict {
    let policy = task.spec.restart_policy();
    let completed = task.status.state == TaskState::Complete;
    let wanted = match policy.condition {
        RestartCondition::None => false,
        RestartCondition::OnFailure => !completed,
        // A job that has completed is done.
        RestartCondition::Any => !completed || task.job_iteration.is_none(),
    };
    if !wanted || attempts_used_up(&policy, task) {
        return Verdict::Leave;
    }
    Verdict::Replace(retry(task))
}

/// It ended by itself and not because somebody stopped it, and its policy leaves it at that.
pub(crate) fn is_final(task: &Task) -> bool {
    let by_itself = matches!(
        task.status.state,
        TaskState::Complete | TaskState::Failed | TaskState::Rejected
    );
    by_itself && matches!(judge(task), Verdict::Leave)
}

/// The next try after the end of `task`, if there is to be one.
pub(crate) fn retry(task: &Task) -> Retry {
    let policy = task.spec.restart_policy();
    let ended_at = task.status.applied_at;
    // A task that was rejected while it waited for its own turn does not shorten that wait.
    let since = task.start_after.map_or(ended_at, |turn| turn.max(ended_at));
    let mut restarts = carried(task, ended_at);
    // An end without an error is no crash: services that do something every minute end so.
    let delay = if task.status.state == TaskState::Complete {
        if policy.max_attempts == 0 {
            restarts.clear();
        }
        policy.delay().max(LEAST_BACKOFF)
    } else {
        backoff(policy.delay(), failures_in_a_row(task) + 1)
    };
    restarts.push(ended_at);
    let surplus = restarts.len().saturating_sub(remembered(&policy));
    let surplus = surplus.max(outside_the_window(&policy, &restarts, ended_at));
    restarts.drain(..surplus);
    Retry {
        start_after: since + delay,
        restarts,
    }
}

/// Restarts that a successor remembers when `task` made room at `now` for another reason than its end.
pub(crate) fn carried(task: &Task, now: Timestamp) -> Vec<Timestamp> {
    // `max_attempts` counts for ever, whatever ran in between.
    if was_stable(task, now) && task.spec.restart_policy().max_attempts == 0 {
        Vec::new()
    } else {
        task.restarts.clone()
    }
}

fn was_stable(task: &Task, now: Timestamp) -> bool {
    let until = if task.status.state.is_terminal() {
        task.status.applied_at
    } else {
        now
    };
    task.running_at
        .is_some_and(|at| until.since(at) >= STABLE_RUN)
}

fn attempts_used_up(policy: &RestartPolicy, task: &Task) -> bool {
    if policy.max_attempts == 0 {
        return false;
    }
    let ended_at = task.status.applied_at;
    let counted = task
        .restarts
        .iter()
        .filter(|at| policy.window.is_zero() || ended_at.since(**at) <= policy.window);
    counted.count() as u64 >= policy.max_attempts
}

/// Restarts that the policy may have to count, and those of the back-off.
fn remembered(policy: &RestartPolicy) -> usize {
    usize::try_from(policy.max_attempts)
        .unwrap_or(usize::MAX)
        .clamp(REMEMBERED_RESTARTS, MOST_REMEMBERED_RESTARTS)
}

/// The oldest restarts that neither the policy's window nor the back-off asks for any more.
fn outside_the_window(policy: &RestartPolicy, restarts: &[Timestamp], now: Timestamp) -> usize {
    if policy.window.is_zero() {
        return 0;
    }
    let older = restarts
        .iter()
        .take_while(|at| now.since(**at) > policy.window);
    older
        .count()
        .min(restarts.len().saturating_sub(REMEMBERED_RESTARTS))
}

/// Restarts before `task` that follow so closely upon one another that nothing ran stably in between.
fn failures_in_a_row(task: &Task) -> usize {
    let policy = task.spec.restart_policy();
    let mut next = task.status.applied_at;
    if was_stable(task, next) {
        return 0;
    }
    let bound = STABLE_RUN + MOST_BACKOFF.max(policy.delay());
    let newest_first = task.restarts.iter().rev();
    newest_first
        .take_while(|at| {
            let close = policy.max_attempts == 0 || next.since(**at) < bound;
            next = **at;
            close
        })
        .count()
}

/// The wait before the restart of this number, from 1.
fn backoff(delay: Duration, number: usize) -> Duration {
    let doublings = number.saturating_sub(RESTARTS_WITHOUT_BACKOFF);
    if doublings == 0 {
        return delay;
    }
    let factor = u32::try_from(doublings)
        .ok()
        .and_then(|n| 2u32.checked_pow(n))
        .unwrap_or(u32::MAX);
    let longer = delay.max(LEAST_BACKOFF).saturating_mul(factor);
    longer.min(MOST_BACKOFF.max(delay))
}

/// Why a task that should run waits for its turn, for the user; none when it does not wait.
pub fn waiting_reason(task: &Task, now: Timestamp) -> Option<String> {
    if task.desired != DesiredState::Ready || task.status.state.is_terminal() {
        return None;
    }
    let Some(until) = task.start_after.filter(|until| *until > now) else {
        let prepared = task.status.state >= TaskState::Ready;
        return prepared.then(|| "waits until the task that it replaces has stopped".into());
    };
    let policy = task.spec.restart_policy();
    let counted = if policy.window.is_zero() {
        remembered(&policy)
    } else {
        REMEMBERED_RESTARTS
    };
    let known = task.restarts.len() < counted;
    let number = match (task.restarts.len(), known) {
        (0, _) => "the start".to_owned(),
        (number, true) => format!("restart {number}"),
        (number, false) => format!("restart {number}+"),
    };
    let whose = match task.slot_key() {
        SlotKey::Replica(_) => "of this replica",
        SlotKey::Node(_) => "on this node",
    };
    let why = if task.restarts.len() > RESTARTS_WITHOUT_BACKOFF {
        "back-off after repeated failures"
    } else {
        "restart delay"
    };
    let wait = words::duration(until.since(now));
    Some(format!("{number} {whose} waits {wait} ({why})"))
}
