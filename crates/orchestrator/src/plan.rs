//! A service as it will be once the changes decided so far are applied: what the rules read and write.

use crate::dirty::{Difference, difference};
use crate::drain::Moves;
use crate::enforcer::{self, Rooms};
use crate::suits::Needs;
use crate::{Context, Decision};
use model::service::UpdateStatus;
use model::{
    Availability, Change, DesiredState, NewTask, Node, NodeState, Service, SlotKey, Task, TaskId,
    TaskState, TaskStatus, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// One task of a slot, as it will be.
pub(crate) struct Member {
    pub(crate) id: TaskId,
    /// Absent for a task that this decision creates.
    pub(crate) task: Option<Arc<Task>>,
    pub(crate) desired: DesiredState,
    pub(crate) start_after: Option<Timestamp>,
    /// Its template is not the service's.
    pub(crate) dirty: bool,
    pub(crate) counted: bool,
    pub(crate) place: Place,
    /// Its node has changed so that it has to leave it.
    unfit: bool,
}

impl Member {
    pub(crate) fn state(&self) -> TaskState {
        self.task
            .as_ref()
            .map_or(TaskState::New, |t| t.status.state)
    }
    /// As [`Task::is_wanted`]. A job's task that is complete is wanted, too.
    pub(crate) fn is_wanted(&self) -> bool {
        self.desired <= DesiredState::Complete
    }
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_terminal()
    }
    pub(crate) fn is_running(&self) -> bool {
        self.state() == TaskState::Running
    }
    /// Somebody wants it replaced though its template is right.
    pub(crate) fn is_marked(&self) -> bool {
        self.task.as_ref().is_some_and(|t| t.replace.is_some())
    }
    /// It has to make room for another one, for whatever reason.
    pub(crate) fn is_stale(&self) -> bool {
        self.dirty || self.is_marked() || self.place == Place::Leaving
    }
    /// It has to leave its node at once, for what that node has become.
    pub(crate) fn is_evicted(&self) -> bool {
        self.unfit && self.is_wanted()
    }
    /// A process of it may exist, or come to exist, on a node that counts.
    pub(crate) fn may_run(&self) -> bool {
        !self.is_over() && matches!(self.place, Place::Held | Place::Draining | Place::Leaving)
    }
    /// It is of this spec version.
    pub(crate) fn is_of(&self, spec_version: u64) -> bool {
        self.task
            .as_ref()
            .is_none_or(|t| t.spec_version == spec_version)
    }
}

/// Where a task stands with its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not placed yet.
    None,
    /// On a node that keeps it.
    Held,
    /// On a node that is being drained: it has to go at once.
    Draining,
    /// On a node that is being drained in turns: it goes when its turn comes.
    Leaving,
    /// On a node that is down or gone: no process of it counts any more.
    Lost,
}

fn place_of(view: &Store, task: &Task) -> Place {
    let Some(node) = task.placed_on() else {
        return Place::None;
    };
    match view.node(node) {
        None => Place::Lost,
        Some(node) if node.status.state == NodeState::Down => Place::Lost,
        Some(node) if node.spec.availability == Availability::Drain => match node.spec.drain {
            Some(_) => Place::Leaving,
            None => Place::Draining,
        },
        Some(_) => Place::Held,
    }
}

/// All slots of one service, and the changes to come.
pub(crate) struct Plan<'a> {
    pub(crate) view: &'a Store,
    pub(crate) service: &'a Service,
    /// What its template asks of a node.
    pub(crate) needs: Needs<'a>,
    /// Members of each slot, oldest first: by log index, as the store gives them. Clocks of leaders differ.
    pub(crate) slots: BTreeMap<SlotKey, Vec<Member>>,
    pub(crate) decision: &'a mut Decision,
    pub(crate) moves: &'a mut Moves,
    status: Option<UpdateStatus>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        view: &'a Store,
        service: &'a Service,
        decision: &'a mut Decision,
        moves: &'a mut Moves,
        rooms: &mut Rooms,
    ) -> Plan<'a> {
        let needs = Needs::of(&service.spec.task);
        let mut differences: BTreeMap<u64, Difference> = BTreeMap::new();
        let mut slots: BTreeMap<SlotKey, Vec<Member>> = BTreeMap::new();
        for (key, tasks) in view.slots_of_service(&service.id) {
            let members = tasks.iter().map(|task| {
                let difference = differences
                    .entry(task.spec_version)
                    .or_insert_with(|| difference(service, task));
                let node = task.placed_on().and_then(|id| view.node(id));
                Member {
                    id: task.id.clone(),
                    desired: task.desired,
                    start_after: task.start_after,
                    dirty: match difference {
                        Difference::None => false,
                        Difference::Placement => !node.is_some_and(|node| needs.allow(node)),
                        Difference::Whole => true,
                    },
                    counted: task.failure_counted,
                    place: place_of(view, task),
                    unfit: enforcer::is_unfit(view, rooms, service, &needs, task),
                    task: Some(task.clone()),
                }
            });
            slots.insert(key, members.collect());
        }
        Plan {
            view,
            service,
            needs,
            slots,
            decision,
            moves,
            status: service.update_status.clone(),
        }
    }

    /// The node of a task that is placed.
    pub(crate) fn node(&self, member: &Member) -> Option<&'a Arc<Node>> {
        let placed_on = member.task.as_ref().and_then(|t| t.placed_on());
        placed_on.and_then(|id| self.view.node(id))
    }

    /// Keys of all slots, for passes that change them.
    pub(crate) fn keys(&self) -> Vec<SlotKey> {
        self.slots.keys().cloned().collect()
    }

    /// Asks to look at the service again at this time.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.decision.wake_at(&self.service.id, at);
    }

    /// What is wanted of a task whose turn has come.
    pub(crate) fn on_duty(&self) -> DesiredState {
        if self.service.spec.mode.is_job() {
            DesiredState::Complete
        } else {
            DesiredState::Running
        }
    }

    /// Progress of the update, as decided so far.
    pub(crate) fn status(&self) -> Option<&UpdateStatus> {
        self.status.as_ref()
    }

    /// Writes the progress of the update; once in a decision, with what came last.
    pub(crate) fn set_status(&mut self, status: UpdateStatus) {
        if self.status.as_ref() == Some(&status) {
            return;
        }
        let id = self.service.id.clone();
        self.decision.changes.retain(
            |change| !matches!(change, Change::SetUpdateStatus { id: other, .. } if *other == id),
        );
        if self.service.update_status.as_ref() != Some(&status) {
            self.decision.changes.push(Change::SetUpdateStatus {
                id,
                if_spec_version: self.service.spec_version,
                status: Some(status.clone()),
            });
        }
        self.status = Some(status);
    }

    /// Raises the desired state of one task of a slot.
    pub(crate) fn set_desired(&mut self, slot: &SlotKey, index: usize, desired: DesiredState) {
        let Some(member) = self
            .slots
            .get_mut(slot)
            .and_then(|members| members.get_mut(index))
        else {
            return;
        };
        if member.desired >= desired {
            return;
        }
        member.desired = desired;
        self.decision.changes.push(Change::SetDesired {
            id: member.id.clone(),
            desired,
        });
    }

    /// Raises the desired state of all wanted tasks of a slot but one.
    pub(crate) fn dismiss(&mut self, slot: &SlotKey, desired: DesiredState, kept: Option<usize>) {
        let Some(members) = self.slots.get(slot) else {
            return;
        };
        let wanted = members.iter().enumerate().filter(|(_, m)| m.is_wanted());
        let others: Vec<usize> = wanted
            .map(|(i, _)| i)
            .filter(|i| kept != Some(*i))
            .collect();
        for index in others {
            self.set_desired(slot, index, desired);
        }
    }

    /// Everything in a slot is stopped and forgotten.
    pub(crate) fn bury(&mut self, slot: &SlotKey) {
        for index in 0..self.slots.get(slot).map_or(0, Vec::len) {
            self.set_desired(slot, index, DesiredState::Remove);
        }
    }

    /// Creates a task of the service's current spec in `slot`. It is to run at once, unless an older one may
    /// still run there or its time has not come: then it is only prepared.
    pub(crate) fn create(&mut self, ctx: &mut Context<'_>, slot: &SlotKey, start: Start) {
        let start_after = start.after.filter(|at| *at > ctx.now);
        let blocked = !start.beside_the_old
            && self
                .slots
                .get(slot)
                .is_some_and(|members| members.iter().any(Member::may_run));
        let desired = if start_after.is_some() || blocked {
            DesiredState::Ready
        } else {
            self.on_duty()
        };
        let (number, node) = match slot {
            SlotKey::Replica(number) => (*number, None),
            SlotKey::Node(node) => (0, Some(node.clone())),
        };
        let id = TaskId::generate(ctx.ids);
        self.decision.changes.push(Change::CreateTask(NewTask {
            id: id.clone(),
            service: self.service.id.clone(),
            spec_version: self.service.spec_version,
            slot: number,
            node,
            desired,
            start_after,
            restarts: start.restarts,
        }));
        if let Some(at) = start_after {
            self.wake_at(at);
        }
        self.slots.entry(slot.clone()).or_default().push(Member {
            id,
            task: None,
            desired,
            start_after,
            dirty: false,
            counted: false,
            place: Place::None,
            unfit: false,
        });
    }
}

/// How a new task starts.
#[derive(Default)]
pub(crate) struct Start {
    /// Not before this time.
    pub(crate) after: Option<Timestamp>,
    /// Restarts of the slot that it remembers.
    pub(crate) restarts: Vec<Timestamp>,
    /// It does not wait for the task that it replaces.
    pub(crate) beside_the_old: bool,
}

/// A status that the orchestrator writes for a task that no agent speaks for.
pub(crate) fn closing_status(
    task: &Task,
    state: TaskState,
    now: Timestamp,
    message: &str,
    error: &str,
) -> Change {
    let status = TaskStatus {
        state,
        timestamp: now,
        applied_at: now,
        message: message.into(),
        error: error.into(),
        container: task.status.container.clone(),
    };
    Change::SetTaskStatus {
        id: task.id.clone(),
        status,
    }
}
