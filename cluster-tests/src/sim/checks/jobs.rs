//! Jobs: no more at the same time than asked for, no completion lost or done twice.

use super::{Rule, Step};
use model::service::Service;
use model::{DesiredState, SlotKey, Task, TaskState};
use std::sync::Arc;
use store::Event;

pub(super) fn check(step: &Step<'_>) -> Rule {
    for event in step.events {
        match event {
            Event::Task {
                old: None,
                new: Some(new),
                ..
            } => begins(step, new)?,
            Event::Task {
                old: Some(old),
                new: None,
                ..
            } => is_not_lost(step, old)?,
            _ => {}
        }
    }
    Ok(())
}

fn run_of<'a>(step: &Step<'a>, task: &Task) -> Option<(&'a Arc<Service>, u64)> {
    let service = step.view.service(&task.service)?;
    service.job.map(|job| (service, job.iteration))
}

/// A task of a job is created: there is room for it, and its slot is not done.
fn begins(step: &Step<'_>, task: &Task) -> Rule {
    let Some((service, iteration)) = run_of(step, task) else {
        return match task.job_iteration {
            Some(_) => Err(format!("task {} is of no job and has a run", task.id)),
            None => Ok(()),
        };
    };
    if task.job_iteration != Some(iteration) {
        return Err(format!(
            "task {} is of run {:?} and not of {iteration}",
            task.id, task.job_iteration
        ));
    }
    let slot = task.slot_key();
    let others = step.view.tasks_in_slot(&task.service, &slot);
    let done = others.iter().find(|t| {
        t.job_iteration == Some(iteration)
            && t.status.state == TaskState::Complete
            && !step.is_fresh(t.meta.changed)
    });
    if let Some(done) = done {
        return Err(format!(
            "task {} was created although {} had completed slot {slot}",
            task.id, done.id
        ));
    }
    let Some((concurrent, total)) = service.spec.completions() else {
        return Ok(());
    };
    if task.slot > total {
        return Err(format!("task {} is beyond {total} completions", task.id));
    }
    // The next try of a slot comes in the place of the last one, also when fewer may run by now.
    let is_other = |t: &Task| t.service == task.service && t.slot_key() == slot && t.id != task.id;
    let mut events = step.events.iter();
    let goes = events.any(|e| matches!(e, Event::Task { old: Some(old), .. } if is_other(old)));
    if goes || others.iter().any(|t| t.id != task.id && t.may_run()) {
        return Ok(());
    }
    let live = live_slots(step, service);
    if live.len() as u64 > concurrent {
        return Err(format!(
            "task {} was created while {live:?} run, and {concurrent} may at once",
            task.id
        ));
    }
    Ok(())
}

/// Slots in which something runs or is to run.
fn live_slots(step: &Step<'_>, service: &Service) -> Vec<SlotKey> {
    let is_live = |task: &Arc<Task>| {
        let state = task.status.state;
        let healthy = || task.placed_on().is_some_and(|node| step.is_healthy(node));
        (task.is_wanted() && !state.is_terminal())
            || (!state.is_terminal() && healthy() && !step.is_fresh(task.meta.changed))
    };
    let slots = step.view.slots_of_service(&service.id);
    let live = slots.filter(|(_, tasks)| tasks.iter().any(is_live));
    live.map(|(slot, _)| slot).collect()
}

/// What has completed stays until the job is run again.
fn is_not_lost(step: &Step<'_>, task: &Task) -> Rule {
    let Some((_, iteration)) = run_of(step, task) else {
        return Ok(());
    };
    if task.job_iteration == Some(iteration) && task.status.state == TaskState::Complete {
        return Err(format!("task {} had completed, and was forgotten", task.id));
    }
    Ok(())
}

/// A task of a job that ran well was asked to stop: for a reason.
pub(super) fn stops(step: &Step<'_>, service: &Service, task: &Task) -> Rule {
    let iteration = service.job.map(|job| job.iteration);
    let others = step.view.tasks_in_slot(&service.id, &task.slot_key());
    let is_done = others
        .iter()
        .any(|t| t.status.state == TaskState::Complete && t.job_iteration == iteration);
    let stopped = service.spec.stopped.is_some();
    if task.job_iteration != iteration || stopped || task.replace.is_some() || is_done {
        return Ok(());
    }
    // One of two in a slot has to go.
    let another = others.iter().any(|t| t.id != task.id && t.is_wanted());
    if another && task.desired == DesiredState::Shutdown {
        return Ok(());
    }
    Err(format!(
        "task {} of a job was stopped while it ran well",
        task.id
    ))
}
