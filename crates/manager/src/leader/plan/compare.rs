//! What is different between two states, slot by slot.

use model::plan::{Plan, PlannedReplacement, PlannedTask, Unplaced};
use model::service::UpdateState;
use model::{ServiceId, SlotKey, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;

/// By name, so that a plan is in the order that its reader expects; ids tell services with the same name apart.
type Slots = BTreeMap<(Arc<str>, ServiceId, SlotKey), Arc<Task>>;

/// What becomes of the slots of `before` in `after`, where everything has come to rest.
pub(crate) fn compare(before: &Store, after: &Store) -> Plan {
    let (was, is) = (slots(before, Task::may_run), slots(after, |_| true));
    let mut plan = Plan::default();
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    for key in keys {
        match (was.get(key), is.get(key)) {
            (Some(old), Some(new)) if old.id == new.id => {
                if new.placed_on().is_none() {
                    plan.unplaced.push(unplaced(new));
                } else if old.placed_on().is_none() {
                    plan.start.push(planned(new, true));
                } else {
                    plan.unchanged += 1;
                }
            }
            (Some(old), Some(new)) => {
                plan.replace.push(PlannedReplacement {
                    old: planned(old, true),
                    new_node: new.placed_on().cloned(),
                });
                if new.placed_on().is_none() {
                    plan.unplaced.push(unplaced(new));
                }
            }
            (None, Some(new)) if before.task(&new.id).is_some() => {
                // It is over, and stays: a job that is done, or what its restart policy does not start again.
                plan.unchanged += 1;
            }
            (None, Some(new)) if new.placed_on().is_none() => plan.unplaced.push(unplaced(new)),
            (None, Some(new)) => plan.start.push(planned(new, false)),
            (Some(old), None) => plan.stop.push(planned(old, true)),
            (None, None) => {}
        }
    }
    plan.notes = notes(before, after);
    plan
}

/// The newest task of each slot that is wanted, of those that `counts`.
fn slots(state: &Store, counts: impl Fn(&Task) -> bool) -> Slots {
    let mut slots = Slots::new();
    for service in state.services_with_tasks() {
        for (slot, tasks) in state.slots_of_service(service) {
            let mut newest_first = tasks.iter().rev();
            if let Some(task) = newest_first.find(|task| task.is_wanted() && counts(task)) {
                let name = Arc::clone(&task.service_name);
                slots.insert((name, service.clone(), slot), Arc::clone(task));
            }
        }
    }
    slots
}

fn planned(task: &Task, exists: bool) -> PlannedTask {
    PlannedTask {
        service: task.service.clone(),
        service_name: task.service_name.to_string(),
        slot: task.slot_key(),
        task: exists.then(|| task.id.clone()),
        node: task.placed_on().cloned(),
    }
}

fn unplaced(task: &Task) -> Unplaced {
    let status = &task.status;
    let reason = if status.error.is_empty() {
        &status.message
    } else {
        &status.error
    };
    Unplaced {
        service_name: task.service_name.to_string(),
        slot: task.slot_key(),
        reason: reason.clone(),
    }
}

/// Updates that would not come to a good end.
fn notes(before: &Store, after: &Store) -> Vec<String> {
    let mut notes = Vec::new();
    for service in after.services() {
        let Some(status) = &service.update_status else {
            continue;
        };
        let known = before.service(&service.id);
        if known.is_some_and(|known| known.update_status == service.update_status) {
            continue;
        }
        let name = &service.spec.name;
        let says = if status.message.is_empty() {
            String::new()
        } else {
            format!(": {}", status.message)
        };
        match status.state {
            UpdateState::Completed => {}
            UpdateState::RollbackCompleted if !rolled_back_by_itself(before, after, &service.id) => {}
            UpdateState::Updating | UpdateState::RollbackStarted => notes.push(format!(
                "the update of {name} would not end: it waits for tasks that do not come to run{says}"
            )),
            UpdateState::Paused | UpdateState::RollbackPaused => {
                notes.push(format!("the update of {name} would pause{says}"));
            }
            UpdateState::RollbackCompleted => {
                notes.push(format!("the update of {name} would fail and be rolled back{says}"));
            }
        }
    }
    notes
}

/// The last revision, or the last update of the spec, came from a failed update.
fn rolled_back_by_itself(before: &Store, after: &Store, id: &ServiceId) -> bool {
    use model::service::RevisionCause;
    let last = |state: &Store| {
        let service = state.service(id)?;
        let revision = service.history.last()?;
        Some((revision.number, revision.cause))
    };
    let (was, is) = (last(before), last(after));
    was != is && is.is_some_and(|(_, cause)| cause == RevisionCause::FailedUpdate)
}
