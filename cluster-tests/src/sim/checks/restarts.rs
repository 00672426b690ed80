//! Pauses before restarts: the policy's at first, then longer and longer.

use super::{Rule, Step};
use model::{SlotKey, Task, TaskState};
use std::time::Duration;
use store::Event;

/// Restarts after the policy's delay alone.
const PLAIN: usize = 3;
/// No pause is longer, unless the policy's is.
const LONGEST: Duration = Duration::from_secs(300);

pub(super) fn check(step: &Step<'_>) -> Rule {
    for event in step.events {
        if let Event::Task {
            old: None,
            new: Some(new),
            ..
        } = event
        {
            waits(step, new)?;
        }
    }
    Ok(())
}

/// A task that comes after one that failed waits as long as it should.
fn waits(step: &Step<'_>, task: &Task) -> Rule {
    let slot = task.slot_key();
    let tasks = step.view.tasks_in_slot(&task.service, &slot);
    let Some(last) = tasks.iter().rfind(|t| t.id != task.id) else {
        return Ok(());
    };
    let failed = matches!(last.status.state, TaskState::Failed | TaskState::Rejected);
    // A node that left a global service and came back begins anew.
    let anew = matches!(slot, SlotKey::Node(_)) && task.start_after.is_none();
    // One of an older template has ended since, or has to go now.
    let is_other = |t: &Task| {
        t.service == task.service && t.slot_key() == slot && t.id != last.id && t.id != task.id
    };
    let mut events = step.events.iter();
    let goes = events.any(|e| matches!(e, Event::Task { old: Some(old), .. } if is_other(old)));
    let ended_since = |t: &Task| is_other(t) && t.status.applied_at > last.status.applied_at;
    let other = goes || tasks.iter().any(|t| ended_since(t));
    // It had to leave its node, and failed while that was decided.
    let left = task.restarts == last.restarts && step.is_fresh(last.meta.changed);
    if !failed
        || anew
        || other
        || left
        || last.replace.is_some()
        || last.spec_version != task.spec_version
        || step.is_fresh(last.meta.version)
    {
        return Ok(());
    }
    let ended_at = last.status.applied_at;
    let since = last.start_after.map_or(ended_at, |turn| turn.max(ended_at));
    if since > step.at {
        // It could not be prepared ahead of its turn, and had to go elsewhere: the turn stays.
        return match task.start_after {
            Some(turn) if turn >= since => Ok(()),
            turn => Err(format!(
                "task {} starts at {turn:?} before {since:?}",
                task.id
            )),
        };
    }
    let delay = task.spec.restart_policy().delay();
    let doublings = (last.restarts.len() + 1).saturating_sub(PLAIN);
    let least = match doublings {
        0 => delay,
        doublings => {
            let factor = 1 << doublings.min(20);
            (delay.max(Duration::from_secs(1)) * factor).min(LONGEST.max(delay))
        }
    };
    let starts = task.start_after.unwrap_or(step.at);
    let id = &task.id;
    if starts < since + least {
        let waits = starts.since(since);
        let restarts = last.restarts.len();
        return Err(format!(
            "task {id} waits {waits:?} instead of {least:?} after {restarts} restarts"
        ));
    }
    if starts > step.at.max(since) + LONGEST.max(delay) {
        return Err(format!(
            "task {id} waits too long: {:?}",
            starts.since(since)
        ));
    }
    Ok(())
}
