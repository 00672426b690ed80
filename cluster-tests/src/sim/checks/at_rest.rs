//! What has to hold when faults and requests have stopped for a while.

use super::super::world::World;
use super::super::{HOSTS, MANAGERS};
use super::placement::{capacity, reserved};
use super::updates::is_dirty;
use model::constraint;
use model::node::{Availability, NodeState};
use model::service::{Service, UpdateState};
use model::task::RestartCondition;
use model::{Node, Task, TaskState};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Store;

/// How a slot ended up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Its task runs.
    Runs,
    /// Its last task ended, and its policy leaves it so.
    Over,
    /// No node can take its task, and it says so.
    Blocked,
}

impl World {
    pub(crate) fn check_at_rest(&mut self) {
        if self.failed.is_some() {
            return;
        }
        let outcome = self.managers_agree().and_then(|()| {
            self.requests_are_answered()?;
            self.services_are_as_asked()?;
            self.hosts_run_what_they_should()
        });
        if let Err(what) = outcome {
            self.fail(|| format!("at rest: {what}"));
        }
    }

    fn managers_agree(&mut self) -> Result<(), String> {
        let last = self.log.last();
        for manager in 0..MANAGERS {
            let state = &self.managers[manager];
            if !state.up || state.store.index() != last {
                let (up, index) = (state.up, state.store.index());
                return Err(format!(
                    "manager {manager} is at {index} of {last}, up: {up}"
                ));
            }
            self.check_snapshot(manager);
        }
        let leading = self.managers.iter().filter(|m| m.leading.is_some()).count();
        if leading != 1 {
            return Err(format!("{leading} managers lead"));
        }
        let view = &self.checker.reference;
        match view.nodes().find(|n| n.status.state != NodeState::Ready) {
            Some(node) => Err(format!("node {} is {:?}", node.id, node.status)),
            None => Ok(()),
        }
    }

    fn requests_are_answered(&self) -> Result<(), String> {
        match self.clients.open().next() {
            Some((request, write)) => Err(format!("request {request} has no answer: {write:?}")),
            None => Ok(()),
        }
    }

    fn services_are_as_asked(&self) -> Result<(), String> {
        let view = &self.checker.reference;
        for service in view.services() {
            service_is_as_asked(view, service)
                .map_err(|e| format!("service {}: {e}", service.id))?;
        }
        match view
            .services_with_tasks()
            .find(|id| view.service(id).is_none())
        {
            Some(id) => Err(format!("service {id} is gone, and its tasks are not")),
            None => Ok(()),
        }
    }

    /// Exactly the processes that the state shows, each on its host.
    fn hosts_run_what_they_should(&self) -> Result<(), String> {
        let view = &self.checker.reference;
        for host in 0..HOSTS {
            let state = &self.hosts[host];
            let running = state.containers.iter().filter(|(_, c)| c.is_running());
            let running: BTreeSet<_> = running.map(|(id, _)| id).collect();
            let shown = view.tasks_on_node(&state.node);
            let shown = shown.filter(|t| t.status.state == TaskState::Running);
            let shown: BTreeSet<_> = shown.map(|t| &t.id).collect();
            if running != shown {
                return Err(format!(
                    "host {host} runs {running:?}, and should run {shown:?}"
                ));
            }
            let known = |id: &&model::TaskId| view.task(id).is_some();
            if let Some(id) = state.containers.keys().find(|id| !known(id)) {
                return Err(format!(
                    "host {host} keeps the container of {id}, which is forgotten"
                ));
            }
        }
        Ok(())
    }
}

fn service_is_as_asked(view: &Store, service: &Service) -> Result<(), String> {
    let mut rests = Vec::new();
    let limit = view.cluster().map_or(5, |c| c.spec.task_history_limit);
    for (slot, tasks) in view.slots_of_service(&service.id) {
        // The youngest says whether the slot is done, so it stays, whatever the limit is.
        let before = &tasks[..tasks.len() - 1];
        let history = before.iter().filter(|t| !t.is_wanted()).count();
        if history as i64 > limit.max(1) - 1 {
            let kept: Vec<_> = tasks
                .iter()
                .map(|t| (&t.id, t.desired, t.status.state))
                .collect();
            return Err(format!(
                "slot {slot} keeps more tasks than {limit}: {kept:?}"
            ));
        }
        let stopping = tasks
            .iter()
            .find(|t| !t.is_wanted() && !t.status.state.is_terminal());
        if let Some(task) = stopping {
            return Err(format!(
                "task {} should be over and is {}",
                task.id, task.status.state
            ));
        }
        rests.push(rest_of(view, service, slot, tasks)?);
    }
    let asked = service.spec.replicas();
    if rests.len() as u64 != asked {
        return Err(format!("{} slots instead of {asked}", rests.len()));
    }
    let updating = service
        .update_status
        .as_ref()
        .is_some_and(|s| s.state == UpdateState::Updating);
    if updating && !rests.contains(&Rest::Blocked) {
        return Err(format!("its update hangs: {:?}", service.update_status));
    }
    Ok(())
}

fn rest_of(
    view: &Store,
    service: &Service,
    slot: u64,
    tasks: &[Arc<Task>],
) -> Result<Rest, String> {
    let mut wanted = tasks.iter().filter(|t| t.is_wanted());
    let paused = service
        .update_status
        .as_ref()
        .is_some_and(|s| s.state == UpdateState::Paused);
    let Some(task) = wanted.next() else {
        return match tasks.last() {
            Some(last) if stays_over(last) && (paused || is_up_to_date(view, service, last)) => {
                Ok(Rest::Over)
            }
            Some(last) => Err(format!(
                "slot {slot} is empty; its last task {} is {}, policy {:?}, restarts {}, up to date {}",
                last.id,
                last.status.state,
                last.spec.restart,
                last.restarts.len(),
                is_up_to_date(view, service, last)
            )),
            None => Err(format!("slot {slot} has no task")),
        };
    };
    if let Some(other) = wanted.next() {
        let waits = other.status.state == TaskState::Pending && no_node_for(view, service, other);
        return if waits || paused {
            Ok(Rest::Blocked)
        } else {
            Err(format!(
                "slot {slot} has two tasks: {} {:?} and {} {:?}",
                task.id, task.status, other.id, other.status
            ))
        };
    }
    match task.status.state {
        TaskState::Running if is_up_to_date(view, service, task) || paused => Ok(Rest::Runs),
        TaskState::Running => Ok(Rest::Blocked).and_then(|rest| {
            // Another slot has to hold the update up.
            let blocked = view.tasks_of_service(&service.id).any(|t| {
                t.is_wanted()
                    && t.status.state == TaskState::Pending
                    && no_node_for(view, service, t)
            });
            if blocked {
                Ok(rest)
            } else {
                Err(format!("slot {slot} runs an old task: {}", task.id))
            }
        }),
        TaskState::Pending if no_node_for(view, service, task) => {
            if task.status.error.starts_with("no suitable node") {
                Ok(Rest::Blocked)
            } else {
                Err(format!(
                    "task {} waits and does not say why: {:?}",
                    task.id, task.status
                ))
            }
        }
        _ => Err(format!(
            "slot {slot} has task {} {:?} {:?}",
            task.id, task.desired, task.status
        )),
    }
}

/// A placement that the task's node satisfies is no reason to replace it.
fn is_up_to_date(view: &Store, service: &Service, task: &Task) -> bool {
    if !is_dirty(service, task) {
        return true;
    }
    let mut spec = model::TaskSpec::clone(&task.spec);
    spec.placement.clone_from(&service.spec.task.placement);
    let node = task.node.as_ref().and_then(|id| view.node(id));
    spec == *service.spec.task && node.is_some_and(|node| satisfies(service, node))
}

fn satisfies(service: &Service, node: &Node) -> bool {
    let placement = service.spec.task.placement.as_ref();
    let constraints = placement.map_or(&[][..], |p| &p.constraints);
    constraint::parse_all(constraints).is_ok_and(|all| all.iter().all(|c| c.matches(node)))
}

/// The restart policy leaves an ended task as it is.
fn stays_over(task: &Task) -> bool {
    let policy = task.spec.restart_policy();
    let done = match policy.condition {
        RestartCondition::None => true,
        RestartCondition::OnFailure => task.status.state == TaskState::Complete,
        RestartCondition::Any => false,
    };
    task.status.state.is_terminal() && (done || policy.max_attempts > 0)
}

/// No node can take the task, by trying each.
fn no_node_for(view: &Store, service: &Service, task: &Task) -> bool {
    let asked = task.spec.reservations();
    let most = task.spec.placement.as_ref().map_or(0, |p| p.max_replicas);
    !view.nodes().any(|node| {
        let (reserved, has) = (reserved(view, &node.id), capacity(node));
        let here = view
            .tasks_on_node(&node.id)
            .filter(|t| t.service == service.id && t.is_wanted() && !t.status.state.is_terminal());
        let fits = |has: i64, reserved: i64, asked: i64| asked == 0 || reserved + asked <= has;
        node.status.state == NodeState::Ready
            && node.spec.availability == Availability::Active
            && fits(has.0, reserved.0, asked.nano_cpus)
            && fits(has.1, reserved.1, asked.memory_bytes)
            && satisfies(service, node)
            && (most == 0 || (here.count() as u64) < most)
    })
}
