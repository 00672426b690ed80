//! What holds after every commit, whatever a scenario does.

use model::service::{UpdateOrder, UpdateState};
use model::{
    Availability, Change, DesiredState, NodeState, ServiceId, SlotKey, Task, TaskId, TaskState,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Event, Store};

/// The longest wait before a restart that back-off alone leads to.
const MOST_BACKOFF: Duration = Duration::from_secs(300);

/// A slot of a run of a job.
type RunSlot = (ServiceId, u64, SlotKey);

#[derive(Default)]
pub(super) struct Invariants {
    /// Slots of a job's run that have completed.
    completed: BTreeSet<RunSlot>,
    /// Services that ever had two tasks in a slot for a reason.
    start_first: BTreeSet<ServiceId>,
    drained_start_first: bool,
}

impl Invariants {
    /// States only climb.
    pub(super) fn note(&mut self, event: &Event) {
        if let Event::Task {
            old: Some(old),
            new: Some(new),
            ..
        } = event
        {
            assert!(new.status.state >= old.status.state, "{old:?} {new:?}");
            assert!(new.desired >= old.desired, "{old:?} {new:?}");
        }
        if let Event::Service { new: Some(new), .. } = event {
            let configs = [new.spec.update_config(), new.spec.rollback_config()];
            if configs.iter().any(|c| c.order == UpdateOrder::StartFirst) {
                self.start_first.insert(new.id.clone());
            }
        }
        if let Event::Node { new: Some(new), .. } = event {
            let drain = new.spec.drain;
            self.drained_start_first |= drain.is_some_and(|d| d.order == UpdateOrder::StartFirst);
        }
        if let Event::Task {
            old: None,
            new: Some(new),
            ..
        } = event
        {
            Invariants::restarted(new);
        }
    }

    /// The wait before a restart does not get shorter from one to the next, and is bounded.
    fn restarted(task: &Task) {
        let (Some(at), Some(ended)) = (task.start_after, task.restarts.last()) else {
            return;
        };
        let policy = task.spec.restart_policy();
        if policy.max_attempts > 0 {
            return; // Ends without an error count among the attempts, and have no back-off.
        }
        let delay = policy.delay();
        let doubled = delay.max(Duration::from_secs(1));
        let least = match task.restarts.len() {
            0..=3 => delay,
            number => doubled * 2_u32.pow(number as u32 - 3),
        };
        let most = MOST_BACKOFF.max(delay);
        let wait = at.since(*ended);
        assert!(wait >= least.min(most), "{task:?}");
        // What was rejected ahead of its turn waits for that turn, too.
        assert!(wait <= most * 2, "{task:?}");
    }

    /// Of a decision, before it is applied: an update takes a running task away only while fewer than `parallelism`
    /// slots are out.
    pub(super) fn decided(store: &Store, changes: &[Change]) {
        for service in store.services() {
            // A rollback that ends in this decision leaves marked tasks to the update configuration.
            let rollback = service.update_status.as_ref().map(|s| s.state)
                == Some(UpdateState::RollbackStarted);
            let ends = changes.iter().any(
                |change| matches!(change, Change::SetUpdateStatus { id, .. } if *id == service.id),
            );
            let of_update = service.spec.update_config().parallelism;
            let of_rollback = service.spec.rollback_config().parallelism;
            let parallelism = match (rollback, ends) {
                (false, _) => of_update,
                (true, false) => of_rollback,
                (true, true) if of_update == 0 || of_rollback == 0 => 0,
                (true, true) => of_update.max(of_rollback),
            };
            if service.spec.mode.is_job() || parallelism == 0 {
                continue;
            }
            let after = After::of(store, &service.id, changes);
            if after.taken_out > 0 {
                assert!(
                    after.out <= parallelism as usize,
                    "{} are out of {}: {changes:#?}",
                    after.out,
                    service.id
                );
            }
        }
    }

    pub(super) fn check(&mut self, store: &Store) {
        for service in store.services() {
            let id = &service.id;
            let most = if self.start_first.contains(id) || self.drained_start_first {
                2
            } else {
                1
            };
            let mut live_slots = 0;
            for (slot, tasks) in store.slots_of_service(id) {
                let live = tasks.iter().filter(|t| is_live(t));
                let live = live.count();
                assert!(live <= most, "{live} wanted in {id}.{slot}: {tasks:#?}");
                live_slots += u64::from(live > 0);
                self.completions_stay(store, id, &slot, tasks);
            }
            if let Some((concurrent, total)) = service.spec.completions() {
                assert!(live_slots <= concurrent, "{live_slots} at a time of {id}");
                let run = service.job.expect("a run").iteration;
                let of_run =
                    |(service, iteration, _): &&RunSlot| service == id && *iteration == run;
                let completed = self.completed.iter().filter(of_run).count() as u64;
                assert!(completed <= total, "{completed} of {total} completed");
            }
        }
    }

    /// A slot that has completed stays so until the next run, and is not tried again.
    fn completions_stay(
        &mut self,
        store: &Store,
        id: &ServiceId,
        slot: &SlotKey,
        tasks: &[Arc<Task>],
    ) {
        let Some(run) = store.service(id).and_then(|s| s.job).map(|j| j.iteration) else {
            return;
        };
        let completed = tasks
            .iter()
            .find(|t| t.status.state == TaskState::Complete && t.job_iteration == Some(run));
        let key = (id.clone(), run, slot.clone());
        match completed {
            Some(task) => {
                let later = |t: &&Arc<Task>| t.meta.version > task.meta.changed;
                assert!(!tasks.iter().any(|t| later(&t)), "again: {tasks:#?}");
                self.completed.insert(key);
            }
            None => assert!(!self.completed.contains(&key), "lost: {tasks:#?}"),
        }
    }
}

fn is_live(task: &Task) -> bool {
    task.is_wanted() && !task.status.state.is_terminal()
}

/// Its node keeps it.
fn is_held(store: &Store, task: &Task) -> bool {
    let node = task.placed_on().and_then(|id| store.node(id));
    node.is_some_and(|node| {
        node.status.state != NodeState::Down && node.spec.availability != Availability::Drain
    })
}

/// Slots of a service as a decision leaves them.
struct After {
    /// Slots whose running task it takes away while the slot stays.
    taken_out: usize,
    /// Slots in which something is wanted and nothing runs.
    out: usize,
}

impl After {
    fn of(store: &Store, service: &ServiceId, changes: &[Change]) -> After {
        let desired: BTreeMap<&TaskId, DesiredState> = changes
            .iter()
            .filter_map(|change| match change {
                Change::SetDesired { id, desired } => Some((id, *desired)),
                _ => None,
            })
            .collect();
        let evicted: BTreeSet<&TaskId> = changes
            .iter()
            .filter_map(|change| match change {
                Change::SetTaskStatus { id, status } if !status.state.is_terminal() => Some(id),
                _ => None,
            })
            .collect();
        let mut after = After {
            taken_out: 0,
            out: 0,
        };
        for (slot, tasks) in store.slots_of_service(service) {
            let created = changes.iter().any(|change| match change {
                Change::CreateTask(new) => {
                    new.service == *service
                        && match &slot {
                            SlotKey::Replica(number) => new.slot == *number,
                            SlotKey::Node(node) => new.node.as_ref() == Some(node),
                        }
                }
                _ => false,
            });
            let wanted_after = |t: &&Arc<Task>| {
                is_live(t)
                    && desired
                        .get(&t.id)
                        .is_none_or(|d| *d <= DesiredState::Complete)
            };
            let runs = |t: &&Arc<Task>| is_live(t) && t.status.state == TaskState::Running;
            let ran = tasks
                .iter()
                .any(|t| runs(&t) && is_held(store, t) && !evicted.contains(&t.id));
            let runs_after = tasks.iter().any(|t| runs(&t) && wanted_after(&t));
            let stays = created || tasks.iter().any(|t| wanted_after(&t));
            if !stays || runs_after {
                continue;
            }
            let version = store.service(service).map(|s| s.spec_version);
            let outdated = tasks
                .iter()
                .filter(wanted_after)
                .all(|t| Some(t.spec_version) != version);
            if created || !outdated {
                after.out += 1;
            }
            after.taken_out += usize::from(ran);
        }
        after
    }
}
