//! An update with a progress deadline does not wait for ever.

use super::updates::config_of;
use super::{Rule, Step};
use model::service::Service;
use model::{ServiceId, SlotKey, Task, TaskState, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Event, Store};

/// From the moment in which a deadline has passed to its effect, at most: clocks differ, networks are slow.
const SLACK: Duration = Duration::from_secs(20);

/// When updates got on.
#[derive(Default)]
pub(super) struct Deadlines {
    services: BTreeMap<ServiceId, Progress>,
    /// Something beside the service changed: nodes, the leader.
    disturbed: Timestamp,
}

#[derive(Default)]
struct Progress {
    spec_version: u64,
    at: Timestamp,
    /// Since when each slot has a task that does not run.
    waiting: BTreeMap<SlotKey, Timestamp>,
}

impl Deadlines {
    pub(super) fn disturb(&mut self, now: Timestamp) {
        self.disturbed = now;
    }

    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        for event in step.events {
            match event {
                Event::Node { .. } => self.disturbed = step.now,
                Event::Service { id, new: None, .. } => {
                    self.services.remove(id);
                }
                Event::Service {
                    id, new: Some(new), ..
                } => self.service(step, id, new),
                Event::Task { new: Some(new), .. } => self.task(step, new),
                _ => {}
            }
        }
        self.overdue(step.view, step.now)
    }

    fn service(&mut self, step: &Step<'_>, id: &ServiceId, service: &Service) {
        if service.spec.progress_deadline.is_none() {
            self.services.remove(id);
            return;
        }
        let progress = self.services.entry(id.clone()).or_default();
        if progress.spec_version != service.spec_version {
            *progress = Progress {
                spec_version: service.spec_version,
                at: step.now,
                waiting: BTreeMap::new(),
            };
        }
    }

    fn task(&mut self, step: &Step<'_>, task: &Task) {
        let Some(progress) = self.services.get_mut(&task.service) else {
            return;
        };
        if task.spec_version == progress.spec_version && task.status.state == TaskState::Running {
            progress.at = step.now;
        }
        let slot = task.slot_key();
        let waits = |t: &Arc<Task>| {
            t.is_wanted()
                && t.spec_version == progress.spec_version
                && t.status.state != TaskState::Running
                && t.replace.is_none()
        };
        let tasks = step.view.tasks_in_slot(&task.service, &slot);
        if tasks.iter().any(waits) {
            progress.waiting.entry(slot).or_insert(step.now);
        } else {
            progress.waiting.remove(&slot);
        }
    }

    pub(super) fn overdue(&self, view: &Store, now: Timestamp) -> Rule {
        for (id, progress) in &self.services {
            let Some(service) = view.service(id) else {
                continue;
            };
            let status = service.update_status.as_ref();
            let config = config_of(service);
            let counts =
                status.is_some_and(|s| s.state.is_under_way()) && !service.spec.mode.is_job();
            let first = progress.waiting.values().min();
            let (Some(deadline), Some(first), true) =
                (service.spec.progress_deadline, first, counts)
            else {
                continue;
            };
            let since = progress.at.max(*first).max(self.disturbed);
            let restart = service.spec.task.restart_policy().delay();
            let due = since + deadline + config.delay + restart + SLACK;
            if now > due {
                return Err(format!(
                    "the update of {id} has not got on since {:?}, and goes on: {:?}",
                    now.since(since),
                    service.update_status
                ));
            }
        }
        Ok(())
    }
}
