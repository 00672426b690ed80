//! What has to hold when faults and requests have stopped for a while.

use super::super::world::World;
use super::super::{HOSTS, MANAGERS};
use super::balance;
use super::payloads::needed;
use super::placement::{copies, most_per_node, satisfies, takes};
use super::updates::{config_of, is_dirty};
use model::node::NodeState;
use model::service::{Mode, Service, UpdateOrder, UpdateState};
use model::task::RestartCondition;
use model::{DesiredState, Node, SlotKey, Task, TaskState, Timestamp, payload};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// Clocks of leaders are off by this much at most.
const SKEW: Duration = Duration::from_secs(4);

/// From one task that moves for an even spread to the next, at most.
const BETWEEN_MOVES: Duration = Duration::from_secs(45);

/// How a slot ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Its task runs.
    Runs,
    /// Its last task ended, and its policy leaves it so; or a job's task is complete.
    Over,
    /// No node can take its task, or something that it needs is not there, and it says so.
    Blocked,
    /// It waits for its time after repeated failures.
    Waits,
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
            let rest = AtRest {
                view,
                service,
                now: self.now,
            };
            rest.check()
                .map_err(|e| format!("service {}: {e}", service.id))?;
        }
        self.checker.memory.deadlines.overdue(view, self.now)?;
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
            let uses = needed(view, &state.node);
            let uses: BTreeSet<_> = uses
                .into_iter()
                .filter(|id| view.payload(id).is_some())
                .collect();
            if let Some(id) = state
                .payloads
                .iter()
                .find(|id| !needed(view, &state.node).contains(*id))
            {
                return Err(format!("host {host} keeps {id}, which no task of it uses"));
            }
            if !uses.is_subset(&state.payloads) {
                let has = &state.payloads;
                return Err(format!("host {host} has {has:?} of {uses:?}"));
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

/// A service when nothing happens any more.
struct AtRest<'a> {
    view: &'a Store,
    service: &'a Service,
    now: Timestamp,
}

impl AtRest<'_> {
    fn state(&self) -> Option<UpdateState> {
        self.service.update_status.as_ref().map(|s| s.state)
    }
    fn is_paused(&self) -> bool {
        let paused = [UpdateState::Paused, UpdateState::RollbackPaused];
        self.state().is_some_and(|state| paused.contains(&state))
    }

    fn check(&self) -> Result<(), String> {
        let view = self.view;
        let limit = view.cluster().map_or(5, |c| c.spec.task_history_limit);
        let mut rests = Vec::new();
        for (slot, tasks) in view.slots_of_service(&self.service.id) {
            self.history_is_bounded(&slot, tasks, limit)?;
            let stopping = tasks
                .iter()
                .find(|t| !t.is_wanted() && !t.status.state.is_terminal());
            if let Some(task) = stopping {
                return Err(format!(
                    "task {} should be over and is {}",
                    task.id, task.status.state
                ));
            }
            if self.should_have(&slot) {
                rests.push((slot.clone(), self.rest_of(&slot, tasks)?));
            } else if let Some(task) = tasks.iter().find(|t| t.is_wanted() && !is_complete(t)) {
                return Err(format!(
                    "task {} {:?} is where none should be",
                    task.id, task.status
                ));
            }
        }
        self.are_enough(&rests)?;
        self.nothing_hangs(&rests)?;
        self.is_even(&rests)
    }

    fn history_is_bounded(
        &self,
        slot: &SlotKey,
        tasks: &[Arc<Task>],
        limit: i64,
    ) -> Result<(), String> {
        if self.service.spec.mode.is_job() {
            return Ok(()); // Its history is its result.
        }
        // The youngest says whether the slot is done, so it stays, whatever the limit is.
        let before = &tasks[..tasks.len() - 1];
        let history = before.iter().filter(|t| !t.is_wanted()).count();
        // What the restart policy counts is kept, too.
        let attempts = self.service.spec.task.restart_policy().max_attempts as i64;
        let limit = if attempts > 0 { attempts + 1 } else { limit };
        // An update under way reads its progress from the first task that ran.
        let under_way = self.state().is_some_and(|state| state.is_under_way());
        let limit = limit.max(1) + i64::from(under_way);
        if history as i64 > limit - 1 {
            let kept: Vec<_> = tasks
                .iter()
                .map(|t| (&t.id, t.desired, t.status.state))
                .collect();
            return Err(format!(
                "slot {slot} keeps more tasks than {limit}: {kept:?}"
            ));
        }
        Ok(())
    }

    /// Whether a slot is one that is to be filled.
    fn should_have(&self, slot: &SlotKey) -> bool {
        let stopped = self.service.spec.stopped.is_some();
        match slot {
            _ if stopped => false,
            SlotKey::Replica(_) => true,
            SlotKey::Node(id) => {
                let node = self.view.node(id);
                node.is_some_and(|node| satisfies(&self.service.spec.task, node))
            }
        }
    }

    fn are_enough(&self, rests: &[(SlotKey, Rest)]) -> Result<(), String> {
        if self.service.spec.stopped.is_some() {
            return Ok(());
        }
        match self.service.spec.mode {
            Mode::Replicated { .. } => {
                let asked = self.service.spec.replicas();
                if rests.len() as u64 != asked {
                    return Err(format!("{} slots instead of {asked}", rests.len()));
                }
            }
            Mode::Global | Mode::GlobalJob => {
                let has = |node: &Node| {
                    rests
                        .iter()
                        .any(|(slot, _)| *slot == SlotKey::Node(node.id.clone()))
                };
                let lacking = self
                    .view
                    .nodes()
                    .find(|n| satisfies(&self.service.spec.task, n) && !has(n));
                if let Some(node) = lacking {
                    return Err(format!("node {} has no task", node.id));
                }
            }
            Mode::ReplicatedJob { .. } => {
                let (concurrent, total) = self.service.spec.completions().unwrap_or((1, 1));
                let live = rests.iter().filter(|(_, r)| *r != Rest::Over).count() as u64;
                if live < concurrent && (rests.len() as u64) < total {
                    return Err(format!(
                        "{rests:?} of {total} completions, {concurrent} at once"
                    ));
                }
            }
        }
        Ok(())
    }

    fn nothing_hangs(&self, rests: &[(SlotKey, Rest)]) -> Result<(), String> {
        let held_up = |(_, rest): &(SlotKey, Rest)| matches!(rest, Rest::Blocked | Rest::Waits);
        let under_way = self.state().is_some_and(|state| state.is_under_way());
        if under_way && !rests.iter().any(held_up) {
            let status = &self.service.update_status;
            return Err(format!("its update hangs: {status:?}"));
        }
        let marked = self.view.tasks_of_service(&self.service.id);
        let marked = marked
            .into_iter()
            .find(|t| t.is_wanted() && t.may_run() && t.replace.is_some());
        match marked {
            Some(task) if !rests.iter().any(held_up) && !self.service.spec.auto_rebalance => {
                Err(format!("task {} was to be replaced, and is not", task.id))
            }
            _ => Ok(()),
        }
    }

    /// Nothing is on the move any more.
    fn is_even(&self, rests: &[(SlotKey, Rest)]) -> Result<(), String> {
        let view = self.view;
        let settled = rests.iter().all(|(_, rest)| *rest == Rest::Runs) && !self.is_paused();
        let mut tasks = view.tasks_of_service(&self.service.id);
        let quiet = tasks.all(|t| t.meta.created_at + BETWEEN_MOVES < self.now);
        match settled && quiet {
            true => balance::is_even(view, self.service),
            false => Ok(()),
        }
    }

    fn rest_of(&self, slot: &SlotKey, tasks: &[Arc<Task>]) -> Result<Rest, String> {
        let iteration = self.service.job.map(|job| job.iteration);
        if tasks
            .iter()
            .any(|t| iteration.is_some() && t.job_iteration == iteration && is_complete(t))
        {
            return Ok(Rest::Over);
        }
        let mut wanted = tasks.iter().filter(|t| t.is_wanted());
        let Some(task) = wanted.next() else {
            return match tasks.last() {
                Some(last)
                    if stays_over(last) && (self.is_paused() || self.is_up_to_date(last)) =>
                {
                    Ok(Rest::Over)
                }
                // The updater replaces it when its turn comes.
                Some(last) if stays_over(last) && self.another_is_held_up(slot) => {
                    Ok(Rest::Blocked)
                }
                Some(last) => Err(format!(
                    "slot {slot} is empty; its last task {} is {}, policy {:?}, restarts {}, up to date {}",
                    last.id,
                    last.status.state,
                    last.spec.restart,
                    last.restarts.len(),
                    self.is_up_to_date(last)
                )),
                None => Err(format!("slot {slot} has no task")),
            };
        };
        let Some(other) = wanted.next() else {
            return self.rest_of_one(slot, task, tasks);
        };
        let moves = self.service.spec.auto_rebalance && task.replace.is_some();
        match self.rest_of_one(slot, other, tasks) {
            Ok(rest @ (Rest::Blocked | Rest::Waits)) => Ok(rest),
            _ if self.is_paused() || moves => Ok(Rest::Blocked),
            _ => Err(format!(
                "slot {slot} has two tasks: {} {:?} {:?} and {} {:?} {:?}",
                task.id, task.desired, task.status, other.id, other.desired, other.status
            )),
        }
    }

    fn rest_of_one(
        &self,
        slot: &SlotKey,
        task: &Arc<Task>,
        tasks: &[Arc<Task>],
    ) -> Result<Rest, String> {
        let view = self.view;
        let waits = task.start_after.is_some_and(|at| at + SKEW > self.now);
        let lacks = payload::used_by(&task.spec.container)
            .iter()
            .any(|id| view.payload(id).is_none());
        match task.status.state {
            TaskState::Running if self.is_up_to_date(task) || self.is_paused() => Ok(Rest::Runs),
            // Its successor has ended for good.
            TaskState::Running
                if config_of(self.service).order == UpdateOrder::StartFirst
                    && tasks.iter().any(|t| stays_over(t) && self.is_of_present(t)) =>
            {
                Ok(Rest::Runs)
            }
            TaskState::Running if self.another_is_held_up(slot) => Ok(Rest::Blocked),
            TaskState::Running => Err(format!("slot {slot} runs an old task: {}", task.id)),
            TaskState::Pending if self.has_no_node(task) => {
                if task.status.error.contains("node") {
                    Ok(Rest::Blocked)
                } else {
                    Err(format!(
                        "task {} waits and does not say why: {:?}",
                        task.id, task.status
                    ))
                }
            }
            _ if task.desired == DesiredState::Ready && waits => Ok(Rest::Waits),
            TaskState::Accepted if lacks && task.status.message.starts_with("waiting for") => {
                Ok(Rest::Blocked)
            }
            _ => Err(format!(
                "slot {slot} has task {} {:?} {:?} {:?}",
                task.id, task.desired, task.status, task.start_after
            )),
        }
    }

    /// Another slot has to hold the update up.
    fn another_is_held_up(&self, slot: &SlotKey) -> bool {
        let slots = self.view.slots_of_service(&self.service.id);
        let others = slots.filter(|(other, _)| other != slot);
        others.into_iter().any(|(_, tasks)| {
            let wanted = tasks.iter().filter(|t| t.is_wanted() && !is_complete(t));
            wanted.clone().any(|t| t.status.state != TaskState::Running)
        })
    }

    fn is_of_present(&self, task: &Task) -> bool {
        task.spec_version == self.service.spec_version
    }

    /// A placement that the task's node satisfies is no reason to replace it.
    fn is_up_to_date(&self, task: &Task) -> bool {
        if !is_dirty(self.service, task) {
            return true;
        }
        let mut spec = model::TaskSpec::clone(&task.spec);
        spec.placement.clone_from(&self.service.spec.task.placement);
        let node = task.node.as_ref().and_then(|id| self.view.node(id));
        let suits = node.is_some_and(|node| satisfies(&self.service.spec.task, node));
        spec == *self.service.spec.task && suits
    }

    /// No node can take the task, by trying each.
    fn has_no_node(&self, task: &Task) -> bool {
        let view = self.view;
        let most = most_per_node(&task.spec);
        !view.nodes().any(|node| {
            takes(view, &task.spec, node)
                && task.node.as_ref().is_none_or(|own| *own == node.id)
                && (most == 0 || copies(view, task, &node.id, |_| true) < most)
        })
    }
}

fn is_complete(task: &Task) -> bool {
    task.status.state == TaskState::Complete && task.job_iteration.is_some()
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
