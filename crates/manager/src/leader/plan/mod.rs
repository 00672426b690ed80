//! What a write would lead to: the real loops on a copy of the state, with agents that do at once what they are told.
//! Pure. Of nodes that are equally good, another one may be taken in the end: that depends on which agent is faster.

mod agents;
pub(super) mod compare;

use super::Limits;
use super::loops::{self, Decided};
use super::requests::{self, Desk, Rejected};
use model::control::{ControlError, Write};
use model::id::ID_BYTES;
use model::plan::Plan;
use model::{Change, IdSource, NodeId, Proposal, ServiceId, TaskId, Timestamp};
use scheduler::Scheduler;
use std::collections::{BTreeMap, BTreeSet};
use store::{Dirty, Event, Store};

/// Decisions that a plan looks ahead at most. An update of a service takes about four for each step of its
/// parallelism; the bound is for what never comes to rest.
pub const MAX_ROUNDS: usize = 20_000;

/// Times in a row at which something was due and nothing changed, after which nothing is expected any more: windows
/// and monitoring times end without a change, too.
const MAX_IDLE: usize = 32;

/// What `write` would lead to, if nothing else happens. `state` is a copy.
///
/// # Errors
/// As the write itself, and for kinds of write that cannot be planned.
pub fn plan(
    mut state: Store,
    now: Timestamp,
    limits: &Limits,
    write: Write,
) -> Result<Plan, ControlError> {
    let subject = Subject::of(&write)?;
    let before = state.clone();
    let mut ids = Imagined::default();
    let mut desk = Desk {
        now,
        view: &state,
        ids: &mut ids,
    };
    let (changes, _) = requests::decide(&mut desk, write).map_err(|Rejected(e)| e)?;
    let version = subject.version(&before);
    let mut world = World {
        now,
        limits,
        ids,
        due: BTreeMap::new(),
        dirty: Dirty::everything(),
        scheduler: Scheduler::default(),
        stirred: before.tasks().map(|task| task.id.clone()).collect(),
        state: &mut state,
    };
    world
        .apply(changes)
        .map_err(|refusal| ControlError::FailedPrecondition(refusal.to_string()))?;
    let came_to_rest = world.run();
    let after = state;
    let mut plan = compare::compare(&before, &after);
    plan.version = version;
    if !came_to_rest {
        plan.notes.push(format!(
            "only the first {MAX_ROUNDS} steps are shown: there would be more"
        ));
    }
    Ok(plan)
}

/// What a write is about.
enum Subject {
    NewService,
    Service(ServiceId),
    Node(NodeId),
    Cluster,
}

impl Subject {
    fn of(write: &Write) -> Result<Subject, ControlError> {
        match write {
            Write::CreateService(_) => Ok(Subject::NewService),
            Write::UpdateService { id, .. } | Write::RollbackService { id, .. } => {
                Ok(Subject::Service(id.clone()))
            }
            Write::UpdateNode { id, .. } => Ok(Subject::Node(id.clone())),
            Write::Rebalance(_) => Ok(Subject::Cluster),
            Write::RemoveService(_)
            | Write::RestartTasks(_)
            | Write::CreatePayload { .. }
            | Write::UpdatePayload { .. }
            | Write::RemovePayload { .. }
            | Write::RemoveNode { .. }
            | Write::UpdateCluster { .. }
            | Write::CreateToken { .. }
            | Write::RemoveToken { .. } => Err(ControlError::InvalidArgument(
                "a dry run is there for creating, updating and rolling back services, for updating nodes and for rebalancing".into(),
            )),
        }
    }

    fn version(&self, before: &Store) -> u64 {
        let version = match self {
            Subject::Service(id) => before.service(id).map(|s| s.meta.version),
            Subject::Node(id) => before.node(id).map(|n| n.meta.version),
            Subject::NewService | Subject::Cluster => None,
        };
        version.unwrap_or(0)
    }
}

/// Ids of what does not exist: counted, so that a plan of the same state is the same.
#[derive(Default)]
struct Imagined(u64);

impl IdSource for Imagined {
    fn next_id(&mut self) -> [u8; ID_BYTES] {
        self.0 += 1;
        let mut bytes = [0; ID_BYTES];
        bytes[ID_BYTES - 8..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// The copy with its own time.
struct World<'a> {
    now: Timestamp,
    limits: &'a Limits,
    ids: Imagined,
    due: BTreeMap<ServiceId, Timestamp>,
    dirty: Dirty,
    scheduler: Scheduler,
    /// Tasks that changed since the agents last looked.
    stirred: BTreeSet<TaskId>,
    state: &'a mut Store,
}

impl World<'_> {
    /// Runs until nothing changes any more; false when that takes too long.
    fn run(&mut self) -> bool {
        let mut idle = 0;
        for _ in 0..MAX_ROUNDS {
            let decided = self.decide();
            let stirred = std::mem::take(&mut self.stirred);
            let reports = agents::reports(self.state, self.now, &stirred);
            let moved = !reports.is_empty() || decided;
            if !reports.is_empty() {
                // An agent says only what the state allows; were it refused, the loops would see no change.
                let _ = self.apply(reports);
            }
            if moved {
                idle = 0;
                continue;
            }
            let Some(next) = self.due.values().min().copied() else {
                return true;
            };
            idle += 1;
            if idle > MAX_IDLE {
                return true;
            }
            self.now = self.now.max(next);
        }
        false
    }

    /// One pass of the loops; whether it changed anything.
    fn decide(&mut self) -> bool {
        loops::mark_due(&mut self.due, self.now, &mut self.dirty);
        if self.dirty.is_empty() {
            return false;
        }
        let dirty = self.dirty.take();
        let Decided {
            proposals,
            wake,
            postponed,
        } = loops::decide(
            self.now,
            self.state,
            &mut self.ids,
            self.limits,
            &mut self.scheduler,
            &dirty,
        );
        self.due.extend(wake);
        self.dirty.services.extend(postponed);
        let mut changed = false;
        for changes in proposals {
            match self.apply(changes) {
                Ok(()) => changed = true,
                Err(_) => self.dirty.everything = true,
            }
        }
        changed
    }

    /// Commits changes as one entry.
    fn apply(&mut self, changes: Vec<Change>) -> Result<(), model::Refusal> {
        let index = self.state.index() + 1;
        let proposal = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        let applied = self.state.apply(index, &[proposal]);
        for event in &applied.events {
            self.dirty.note(event);
            if let Event::Task { id, .. } = event {
                self.stirred.insert(id.clone());
            }
        }
        applied.outcomes.into_iter().collect()
    }
}
