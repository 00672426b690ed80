//! Tasks that somebody wants replaced. The updater replaces them under their services' update configuration.

use super::{Desk, Planned, Rejected, invalid, not_found, precondition};
use model::control::Written;
use model::task::ReplaceReason;
use model::{Change, Mode, ServiceId, TaskId};
use std::collections::BTreeSet;

/// Moves of one request: what an entry of the log takes many times over, and more than anybody wants at once.
const MAX_MOVES: usize = 10_000;

pub(super) fn restart(desk: &Desk<'_>, tasks: Vec<TaskId>) -> Planned {
    if tasks.is_empty() {
        return invalid("no task to restart: name at least one");
    }
    let mut changes = Vec::new();
    for id in tasks.into_iter().collect::<BTreeSet<_>>() {
        let Some(task) = desk.view.task(&id) else {
            return not_found("task", id.as_str());
        };
        if desk.view.service(&task.service).is_none() {
            return precondition(format!("task {id} is of a service that was removed"));
        }
        if !task.is_wanted() || task.status.state.is_terminal() {
            let (state, desired) = (task.status.state, task.desired.name());
            return precondition(format!(
                "task {id} cannot be restarted: it is {state} and its desired state is {desired}; only a task that is to run can be"
            ));
        }
        changes.push(Change::SetReplace {
            id,
            reason: Some(ReplaceReason::Restart),
        });
    }
    Ok((changes, Written::Done))
}

pub(super) fn rebalance(desk: &Desk<'_>, services: Vec<ServiceId>) -> Planned {
    let services = replicated(desk, services)?;
    let moves = scheduler::rebalance(desk.view, &services, MAX_MOVES);
    let changes = moves.into_iter().map(|(id, _, _)| Change::SetReplace {
        id,
        reason: Some(ReplaceReason::Rebalance),
    });
    Ok((changes.collect(), Written::Done))
}

/// The services that are named, or all whose tasks can be moved.
fn replicated(desk: &Desk<'_>, named: Vec<ServiceId>) -> Result<Vec<ServiceId>, Rejected> {
    if named.is_empty() {
        let all = desk.view.services();
        let replicated = all.filter(|s| matches!(s.spec.mode, Mode::Replicated { .. }));
        return Ok(replicated.map(|s| s.id.clone()).collect());
    }
    for id in &named {
        let Some(service) = desk.view.service(id) else {
            return not_found("service", id.as_str());
        };
        if !matches!(service.spec.mode, Mode::Replicated { .. }) {
            return precondition(format!(
                "service {} is {}: only tasks of replicated services can be moved",
                service.spec.name,
                service.spec.mode.name()
            ));
        }
    }
    Ok(named)
}
