//! Versions of services: what was before can be had again, and who may go back.

use super::updates::config_of;
use super::{Rule, Step};
use model::service::{FailureAction, MAX_REVISIONS, RevisionCause, Service, UpdateState};
use model::{Change, ServiceId};
use store::Event;

pub(super) fn check(step: &Step<'_>) -> Rule {
    for event in step.events {
        let Event::Service {
            id,
            old,
            new: Some(new),
            ..
        } = event
        else {
            continue;
        };
        history(new)?;
        let Some(old) = old else { continue };
        if old.spec_version != new.spec_version {
            goes_over(step, id, old, new)?;
        } else {
            status(old, new)?;
        }
    }
    Ok(())
}

/// The history is bounded, counts up, and ends with what is.
fn history(service: &Service) -> Rule {
    let id = &service.id;
    let history = &service.history;
    if history.len() > MAX_REVISIONS {
        return Err(format!("service {id} keeps {} revisions", history.len()));
    }
    if history.last().is_none_or(|last| last.spec != service.spec) {
        return Err(format!("service {id}: its last revision is not what it is"));
    }
    let ascends = history
        .windows(2)
        .all(|pair| pair[0].number < pair[1].number);
    match ascends {
        true => Ok(()),
        false => Err(format!("service {id}: its revisions do not ascend")),
    }
}

/// Another spec: the one before is kept, and a rollback goes where it says.
fn goes_over(step: &Step<'_>, id: &ServiceId, old: &Service, new: &Service) -> Rule {
    let same = |spec: &Option<_>| spec.as_ref() == Some(&old.spec);
    if !same(&new.previous_spec) {
        return Err(format!("service {id}: the spec before was not kept"));
    }
    let cause = step.changes.iter().find_map(|change| match change {
        Change::UpdateService {
            id: other, cause, ..
        } if other == id => Some(*cause),
        _ => None,
    });
    let state = new.update_status.as_ref().map(|s| s.state);
    let is_back = state == Some(UpdateState::RollbackStarted);
    match cause {
        Some(RevisionCause::Rollback(0)) => {
            let right = old.previous_spec.as_ref() == Some(&new.spec);
            ensure(right && is_back, id, "a rollback went somewhere else")
        }
        Some(RevisionCause::Rollback(number)) => {
            let wanted = old.history.iter().find(|r| r.number == number);
            let right = wanted.is_some_and(|r| {
                r.spec.task == new.spec.task
                    && r.spec.update == new.spec.update
                    && old.spec.mode == new.spec.mode
            });
            ensure(right && is_back, id, "a rollback went to another revision")
        }
        Some(RevisionCause::FailedUpdate) => {
            let was = old.update_status.as_ref().map(|s| s.state);
            let action = old.spec.update_config().failure_action;
            ensure(
                was == Some(UpdateState::Updating) && action == FailureAction::Rollback,
                id,
                "it went back though nobody asked for it",
            )?;
            ensure(
                is_back && old.spec.task != new.spec.task,
                id,
                "a failed update went back to itself",
            )
        }
        Some(RevisionCause::Update) => ensure(
            new.update_status.is_none(),
            id,
            "an update began with the progress of another one",
        ),
        Some(RevisionCause::Create) | None => ensure(false, id, "nobody updated it"),
    }
}

/// An update only fails where it may, and ends once.
fn status(old: &Service, new: &Service) -> Rule {
    let state = |s: &Service| s.update_status.as_ref().map(|u| u.state);
    let (was, is) = (state(old), state(new));
    if was == is {
        return Ok(());
    }
    let action = config_of(old).failure_action;
    let pauses = matches!(is, Some(UpdateState::Paused | UpdateState::RollbackPaused));
    let text = new.update_status.as_ref().map_or("", |s| &s.message);
    let late = text.starts_with("no progress");
    ensure(
        !pauses || late || action != FailureAction::Continue,
        &new.id,
        "an update that was to go on was paused",
    )?;
    // A way back has the deadline of what it goes back from.
    let mut specs = [Some(&old.spec), old.previous_spec.as_ref()].into_iter();
    ensure(
        !late || specs.any(|spec| spec.is_some_and(|s| s.progress_deadline.is_some())),
        &new.id,
        "an update without a deadline was late",
    )?;
    let fits = match is {
        Some(UpdateState::Updating) => {
            !matches!(was, Some(UpdateState::Paused | UpdateState::RollbackPaused))
        }
        Some(UpdateState::Paused | UpdateState::Completed) => was == Some(UpdateState::Updating),
        Some(UpdateState::RollbackPaused | UpdateState::RollbackCompleted) => {
            was == Some(UpdateState::RollbackStarted)
        }
        Some(UpdateState::RollbackStarted) | None => false,
    };
    let id = &new.id;
    match fits {
        true => Ok(()),
        false => Err(format!("the update of {id} went from {was:?} to {is:?}")),
    }
}

fn ensure(holds: bool, id: &ServiceId, what: &str) -> Rule {
    match holds {
        true => Ok(()),
        false => Err(format!("service {id}: {what}")),
    }
}
