//! When a task that ended is replaced: the restart policy of its own spec, as swarmkit's restart supervisor reads it.

use model::task::{RestartCondition, RestartPolicy};
use model::{Task, TaskState, Timestamp};

/// Restarts that a task remembers when its policy does not count them: enough to show a crash loop.
const REMEMBERED_RESTARTS: usize = 16;

/// What follows from the end of a task.
pub(crate) enum Verdict {
    /// It stays ended, and the slot stays empty.
    Leave,
    /// A replacement may start at this time; it remembers these restarts.
    Replace {
        start_after: Timestamp,
        restarts: Vec<Timestamp>,
    },
}

/// Judges the end of `task`, which is over.
pub(crate) fn judge(task: &Task) -> Verdict {
    let policy = task.spec.restart_policy();
    let ended_at = task.status.applied_at;
    let wanted = match policy.condition {
        RestartCondition::None => false,
        RestartCondition::OnFailure => task.status.state != TaskState::Complete,
        RestartCondition::Any => true,
    };
    if !wanted || attempts_used_up(&policy, task, ended_at) {
        return Verdict::Leave;
    }
    // A task that was rejected while it waited for its own turn does not shorten that wait.
    let since = task.start_after.map_or(ended_at, |turn| turn.max(ended_at));
    Verdict::Replace {
        start_after: since + policy.delay(),
        restarts: remember(&policy, &task.restarts, ended_at),
    }
}

fn attempts_used_up(policy: &RestartPolicy, task: &Task, ended_at: Timestamp) -> bool {
    if policy.max_attempts == 0 {
        return false;
    }
    let counted = task
        .restarts
        .iter()
        .filter(|at| policy.window.is_zero() || ended_at.since(**at) <= policy.window);
    counted.count() as u64 >= policy.max_attempts
}

/// Keeps what the policy has to count, and no more.
fn remember(policy: &RestartPolicy, earlier: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    let keep = usize::try_from(policy.max_attempts)
        .unwrap_or(usize::MAX)
        .max(REMEMBERED_RESTARTS);
    let mut restarts = earlier.to_vec();
    restarts.push(now);
    let surplus = restarts.len().saturating_sub(keep);
    restarts.drain(..surplus);
    restarts
}
