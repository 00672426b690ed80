//! Slots that stay empty: their last task ended, and its restart policy allows no other.
//!
//! The orchestrator replaces a task in the same entry of the log in which it gives up the old one. So a slot without a
//! task that is wanted gets none any more, unless something else changes.

use super::super::running::stopped;
use crate::table::short_id;
use api_types::service::Service;
use api_types::swarm::Node;
use api_types::task::Task;
use std::collections::{BTreeMap, BTreeSet};

/// A replica's slot, or the node of a global service's task.
type Slot<'a> = (i64, &'a str);

/// The last task of a slot that was given up. `tasks` are those to judge by, of which only the `current` ones follow the
/// present spec.
pub(super) fn find<'a>(
    service: &Service,
    nodes: &[Node],
    tasks: &'a [Task],
    current: &[Task],
) -> Option<&'a Task> {
    if stopped(service).is_some() || has_its_own_end(service) {
        return None;
    }
    let of_this_run: Vec<&Task> = tasks
        .iter()
        .filter(|task| is_of_this_run(service, task))
        .collect();
    let mut newest: BTreeMap<Slot<'_>, &Task> = BTreeMap::new();
    for task in &of_this_run {
        let last = newest.entry(slot(service, task)).or_insert(task);
        if task.created_at > last.created_at {
            *last = task;
        }
    }
    let wanted: BTreeSet<Slot<'_>> = of_this_run
        .iter()
        .filter(|task| is_wanted(task))
        .map(|task| slot(service, task))
        .collect();
    let current: BTreeSet<&str> = current.iter().map(|task| task.id.as_str()).collect();
    newest.retain(|slot, task| {
        !wanted.contains(slot) && current.contains(task.id.as_str()) && is_final(service, task)
    });
    if is_about_to_shrink(service, wanted.len() + newest.len()) {
        return None;
    }
    newest
        .into_values()
        .find(|task| !is_global(service) || takes_tasks(nodes, &task.node_id))
}

/// Why the wait ends.
pub(super) fn reason(service: &Service, task: &Task) -> String {
    let what = match task.status.state.as_str() {
        "rejected" => "was rejected",
        "complete" => "is complete",
        state => state,
    };
    let err = match task.status.err.as_str() {
        "" => String::new(),
        err => format!(": {err}"),
    };
    format!(
        "task {} {what} and will not be started again (restart policy){err}",
        name(service, task)
    )
}

fn name(service: &Service, task: &Task) -> String {
    let slot = if is_global(service) {
        short_id(&task.node_id)
    } else {
        (task.slot + first_slot_of_job(service)).to_string()
    };
    format!("{}.{slot}.{}", service.spec.name, short_id(&task.id))
}

/// Docker's API counts the slots of jobs from 0, names of tasks count from 1.
fn first_slot_of_job(service: &Service) -> i64 {
    i64::from(service.spec.mode.replicated_job.is_some())
}

fn is_global(service: &Service) -> bool {
    service.spec.mode.global.is_some() || service.spec.mode.global_job.is_some()
}

fn is_job(service: &Service) -> bool {
    service.spec.mode.replicated_job.is_some() || service.spec.mode.global_job.is_some()
}

fn slot<'a>(service: &Service, task: &'a Task) -> Slot<'a> {
    if is_global(service) {
        (0, &task.node_id)
    } else {
        (task.slot, "")
    }
}

/// An update tells by itself how it ends: what it lost may be more than it tolerates, or not.
fn has_its_own_end(service: &Service) -> bool {
    let status = service.update_status.as_ref();
    let over = ["", "completed", "rollback_completed"];
    status.is_some_and(|status| !over.contains(&status.state.as_str()))
}

/// Tasks of a job's older runs say nothing of the present one.
fn is_of_this_run(service: &Service, task: &Task) -> bool {
    let Some(job) = service.job_status.as_ref().filter(|_| is_job(service)) else {
        return true;
    };
    let run = task.job_iteration.as_ref().map(|run| run.index);
    run == Some(job.job_iteration.index)
}

fn is_wanted(task: &Task) -> bool {
    matches!(
        task.desired_state.as_str(),
        "ready" | "running" | "complete"
    )
}

/// It ended by itself, is given up, and its restart policy is one that may leave it at that. Others are given up for
/// another reason, such as a drained node, and get a successor when that is gone.
fn is_final(service: &Service, task: &Task) -> bool {
    let policy = task.spec.restart_policy.as_ref();
    let condition = policy.map_or("", |policy| policy.condition.as_str());
    let limited = policy
        .and_then(|policy| policy.max_attempts)
        .is_some_and(|most| most > 0);
    let left = match task.status.state.as_str() {
        "failed" | "rejected" => condition == "none" || limited,
        "complete" => !is_job(service) && (matches!(condition, "none" | "on-failure") || limited),
        _ => false,
    };
    left && task.desired_state == "shutdown"
}

/// There are more slots than replicas: those that do not run are the first to be removed.
fn is_about_to_shrink(service: &Service, slots: usize) -> bool {
    let replicated = service.spec.mode.replicated.as_ref();
    let replicas = replicated.map(|replicated| replicated.replicas.unwrap_or(1));
    replicas.is_some_and(|replicas| slots as u64 > replicas)
}

/// A paused, drained or lost node gets no task, whatever the restart policy says.
fn takes_tasks(nodes: &[Node], id: &str) -> bool {
    nodes.iter().any(|node| {
        node.id == id
            && node.status.state != "down"
            && !matches!(node.spec.availability.as_str(), "pause" | "drain")
    })
}

#[cfg(test)]
mod tests;
