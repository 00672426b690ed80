//! How far a service is, for each of its modes.

use super::{COMPLETE, Look, RUNNING, Watch, ended, step};
use crate::board::bar;
use crate::error::Result;
use crate::session::Session;
use crate::table::{ellipsis, short_id};
use api_types::service::ReplicatedJob;
use api_types::task::Task;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// More tasks than this are only counted, not shown.
const MAX_BARS: u64 = 20;
const BAR_WIDTH: usize = 50;
/// The longest name of a state that is shown, so that the bars stand in a line.
const STATE_WIDTH: usize = 9;
/// Longer reasons are cut, so that they stay on a line.
const ERROR_WIDTH: usize = 75;

impl Watch {
    /// Shows what a look saw; whether all is as it should be.
    pub(super) fn update(&mut self, session: &mut Session, look: &Look) -> Result<bool> {
        let mode = &look.service.spec.mode;
        if let Some(job) = &mode.replicated_job {
            return self.update_replicated_job(session, look, job);
        }
        if mode.global_job.is_some() {
            return self.update_global_job(session, look);
        }
        if mode.global.is_some() {
            return self.update_global(session, look);
        }
        let replicas = mode
            .replicated
            .as_ref()
            .and_then(|replicated| replicated.replicas)
            .unwrap_or(1);
        self.update_replicated(session, look, replicas)
    }

    /// The tasks that count: those that are to be replaced do not.
    fn counted<'a>(&self, look: &'a Look) -> Vec<&'a Task> {
        let leaving = &self.wait.leaving;
        let staying = |task: &&Task| !leaving.contains(&task.id);
        look.tasks.iter().filter(staying).collect()
    }

    fn update_replicated(
        &mut self,
        session: &mut Session,
        look: &Look,
        replicas: u64,
    ) -> Result<bool> {
        if !self.started {
            self.started = true;
            self.overall(session, 0, replicas)?;
            self.empty_bars(session, replicas)?;
        }
        let on_living_node =
            |task: &Task| task.node_id.is_empty() || look.active.contains(&task.node_id);
        let tasks = favourites(&self.counted(look), |task| task.slot, on_living_node);
        let running = tasks.values().filter(|task| is_up(task)).count() as u64;
        for (slot, task) in &tasks {
            let next = self.slots.len() as u64 + 1;
            let number = *self.slots.entry(*slot).or_insert(next);
            if number <= replicas && replicas <= MAX_BARS {
                self.task(session, &format!("{number}/{replicas}"), task, RUNNING)?;
            }
        }
        self.overall(session, running, replicas)?;
        Ok(running == replicas)
    }

    /// Places for the tasks, so that they stand in their order.
    fn empty_bars(&mut self, session: &mut Session, count: u64) -> Result<()> {
        for slot in 1..=if count <= MAX_BARS { count } else { 0 } {
            self.show(session, &format!("{slot}/{count}"), " ")?;
        }
        Ok(())
    }

    fn update_global(&mut self, session: &mut Session, look: &Look) -> Result<bool> {
        let tasks = favourites(&self.counted(look), |task| task.node_id.clone(), |_| true);
        if tasks.is_empty() && !self.started {
            self.no_task_since.get_or_insert_with(Instant::now);
            self.show(session, "overall progress", "waiting for new tasks")?;
            return Ok(false);
        }
        self.no_task_since = None;
        let count = tasks.len() as u64;
        if !self.started {
            self.started = true;
            self.overall(session, 0, count)?;
        }
        let running = tasks
            .values()
            .filter(|task| is_up(task) && look.active.contains(&task.node_id))
            .count() as u64;
        for (node, task) in tasks.iter().filter(|_| count <= MAX_BARS) {
            if look.active.contains(node) {
                self.task(session, &short_id(node), task, RUNNING)?;
            }
        }
        self.overall(session, running, count)?;
        Ok(running == count)
    }

    fn update_replicated_job(
        &mut self,
        session: &mut Session,
        look: &Look,
        job: &ReplicatedJob,
    ) -> Result<bool> {
        let total = job.total_completions.or(job.max_concurrent).unwrap_or(1);
        let concurrent = job.max_concurrent.unwrap_or(total);
        let tasks = favourites_of_job(look, |task| task.slot);
        // Docker's daemon counts the slots of jobs from 0.
        let first = tasks.keys().next().copied().unwrap_or(1).min(1);
        let complete = tasks.values().filter(|task| is_complete(task)).count() as u64;
        let active = tasks
            .values()
            .filter(|task| !ended(&task.status.state))
            .count();
        if !self.started {
            self.started = true;
            self.job(session, 0, total)?;
            self.active(session, 0, concurrent.min(total))?;
            self.empty_bars(session, total)?;
        }
        for (slot, task) in tasks.iter().filter(|_| total <= MAX_BARS) {
            let id = format!("{}/{total}", slot - first + 1);
            self.task(session, &id, task, COMPLETE)?;
        }
        self.job(session, complete, total)?;
        let wanted = total.saturating_sub(complete).min(concurrent);
        self.active(session, active as u64, wanted)?;
        Ok(complete >= total)
    }

    fn update_global_job(&mut self, session: &mut Session, look: &Look) -> Result<bool> {
        let mut tasks = favourites_of_job(look, |task| task.node_id.clone());
        if self.job_nodes.is_none() && tasks.is_empty() && !look.active.is_empty() {
            self.no_task_since.get_or_insert_with(Instant::now);
            self.show(session, "job progress", "waiting for tasks")?;
            return Ok(false);
        }
        self.no_task_since = None;
        let nodes: &BTreeSet<String> = self
            .job_nodes
            .get_or_insert_with(|| tasks.keys().cloned().collect());
        tasks.retain(|node, _| nodes.contains(node));
        let total = nodes.len() as u64;
        let complete = tasks.values().filter(|task| is_complete(task)).count() as u64;
        if !self.started {
            self.started = true;
            self.job(session, 0, total)?;
        }
        for (node, task) in tasks.iter().filter(|_| total <= MAX_BARS) {
            self.task(session, &short_id(node), task, COMPLETE)?;
        }
        self.job(session, complete, total)?;
        Ok(complete >= total)
    }

    fn job(&mut self, session: &mut Session, complete: u64, total: u64) -> Result<()> {
        let width = total.to_string().len();
        let text = format!("{complete:>width$} out of {total} complete");
        let text = if session.console.redraws {
            format!("{text} {}", bar(complete, total, BAR_WIDTH))
        } else {
            text
        };
        self.show(session, "job progress", &text)
    }

    fn active(&mut self, session: &mut Session, active: u64, wanted: u64) -> Result<()> {
        let text = format!("{active} out of {wanted} tasks");
        self.show(session, "active tasks", &text)
    }

    fn overall(&mut self, session: &mut Session, running: u64, wanted: u64) -> Result<()> {
        let what = if self.rollback {
            "rolling back update: "
        } else {
            ""
        };
        let text = format!("{what}{running} out of {wanted} tasks");
        self.show(session, "overall progress", &text)
    }

    /// A task's line: what is wrong with it, or how far it is on the way to its last step.
    fn task(&mut self, session: &mut Session, id: &str, task: &Task, last: usize) -> Result<()> {
        if !task.status.err.is_empty() {
            let text = ellipsis(&task.status.err, ERROR_WIDTH);
            return self.show(session, id, &text);
        }
        let reached = step(&task.status.state).unwrap_or(0);
        if step(&task.desired_state).is_some_and(|step| step > last) || reached > last {
            return Ok(());
        }
        let state = format!("{:<STATE_WIDTH$}", task.status.state);
        let text = if session.console.redraws {
            format!("{state} {}", bar(reached as u64, last as u64, BAR_WIDTH))
        } else {
            state
        };
        self.show(session, id, &text)
    }
}

fn is_up(task: &Task) -> bool {
    !ended(&task.desired_state) && task.status.state == "running"
}

fn is_complete(task: &Task) -> bool {
    step(&task.status.state) == Some(COMPLETE)
}

/// One task for each key: the one that shall live longest, and of those the one that is least far, as a start-first update has two.
pub(super) fn favourites<'a, K: Ord>(
    tasks: &[&'a Task],
    key: impl Fn(&Task) -> K,
    counts: impl Fn(&Task) -> bool,
) -> BTreeMap<K, &'a Task> {
    let mut chosen: BTreeMap<K, (usize, usize, &Task)> = BTreeMap::new();
    for task in tasks.iter().copied().filter(|task| counts(task)) {
        let (Some(desired), Some(state)) = (step(&task.desired_state), step(&task.status.state))
        else {
            continue;
        };
        let better = |(other_desired, other_state, _): &(usize, usize, &Task)| {
            (desired, state) < (*other_desired, *other_state)
        };
        if chosen.get(&key(task)).is_none_or(better) {
            chosen.insert(key(task), (desired, state, task));
        }
    }
    chosen
        .into_iter()
        .map(|(key, (_, _, task))| (key, task))
        .collect()
}

/// One task of the job's present run for each key: the one that is least far, for a failed one has a successor.
fn favourites_of_job<K: Ord>(look: &Look, key: impl Fn(&Task) -> K) -> BTreeMap<K, &Task> {
    let iteration = |version: &api_types::Version| version.index;
    let present = look
        .service
        .job_status
        .as_ref()
        .map(|status| iteration(&status.job_iteration));
    let mut chosen: BTreeMap<K, &Task> = BTreeMap::new();
    for task in look
        .tasks
        .iter()
        .filter(|task| task.job_iteration.as_ref().map(iteration) == present)
    {
        let Some(state) = step(&task.status.state) else {
            continue;
        };
        let better = |other: &&Task| Some(state) < step(&other.status.state);
        if chosen.get(&key(task)).is_none_or(better) {
            chosen.insert(key(task), task);
        }
    }
    chosen
}
