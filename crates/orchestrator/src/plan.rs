//! A service as it will be once the changes decided so far are applied: what the rules read and write.

use crate::{Context, Decision};
use model::{
    Change, DesiredState, NewTask, Node, NodeState, Service, Task, TaskId, TaskState, TaskStatus,
    Timestamp, node::Availability,
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
    pub(crate) dirty: bool,
    pub(crate) counted: bool,
}

impl Member {
    pub(crate) fn state(&self) -> TaskState {
        self.task
            .as_ref()
            .map_or(TaskState::New, |t| t.status.state)
    }
    pub(crate) fn is_wanted(&self) -> bool {
        self.desired <= DesiredState::Running
    }
    pub(crate) fn is_over(&self) -> bool {
        self.state().is_terminal()
    }
    pub(crate) fn is_running(&self) -> bool {
        self.state() == TaskState::Running
    }
}

/// Where a task stands with its node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not placed yet.
    None,
    /// On a node that keeps it.
    Held,
    /// On a node that is being drained.
    Draining,
    /// On a node that is down or gone: no process of it counts any more.
    Lost,
}

/// All slots of one service, and the changes to come.
pub(crate) struct Plan<'a> {
    pub(crate) view: &'a Store,
    pub(crate) service: &'a Service,
    /// Members of each slot, oldest first: by log index, as the store gives them. Clocks of leaders differ.
    pub(crate) slots: BTreeMap<u64, Vec<Member>>,
    pub(crate) decision: &'a mut Decision,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        view: &'a Store,
        service: &'a Service,
        decision: &'a mut Decision,
    ) -> Plan<'a> {
        let mut slots: BTreeMap<u64, Vec<Member>> = BTreeMap::new();
        for task in view.tasks_of_service(&service.id) {
            let node = task.node.as_ref().and_then(|id| view.node(id));
            slots.entry(task.slot).or_default().push(Member {
                id: task.id.clone(),
                desired: task.desired,
                start_after: task.start_after,
                dirty: crate::dirty::is_dirty(service, task, node.map(AsRef::as_ref)),
                counted: task.failure_counted,
                task: Some(task.clone()),
            });
        }
        Plan {
            view,
            service,
            slots,
            decision,
        }
    }

    /// The node of a task.
    pub(crate) fn node(&self, member: &Member) -> Option<&'a Arc<Node>> {
        member
            .task
            .as_ref()
            .and_then(|t| t.node.as_ref())
            .and_then(|id| self.view.node(id))
    }

    /// Where a task stands with its node.
    pub(crate) fn place(&self, member: &Member) -> Place {
        if member.task.as_ref().is_none_or(|t| t.node.is_none()) {
            return Place::None;
        }
        match self.node(member) {
            None => Place::Lost,
            Some(node) if node.status.state == NodeState::Down => Place::Lost,
            Some(node) if node.spec.availability == Availability::Drain => Place::Draining,
            Some(_) => Place::Held,
        }
    }

    /// A process of it may exist, or come to exist, on a node that counts.
    pub(crate) fn may_run(&self, member: &Member) -> bool {
        !member.is_over() && matches!(self.place(member), Place::Held | Place::Draining)
    }

    /// Raises the desired state of one task of a slot.
    pub(crate) fn set_desired(&mut self, slot: u64, index: usize, desired: DesiredState) {
        let Some(member) = self
            .slots
            .get_mut(&slot)
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

    /// Creates a task of the service's current spec in `slot`. It is to run at once, unless an older one may
    /// still run there or its time has not come: then it is only prepared.
    pub(crate) fn create(
        &mut self,
        ctx: &mut Context<'_>,
        slot: u64,
        start_after: Option<Timestamp>,
        restarts: Vec<Timestamp>,
        beside_the_old: bool,
    ) {
        let start_after = start_after.filter(|at| *at > ctx.now);
        let blocked = !beside_the_old
            && self
                .slots
                .get(&slot)
                .is_some_and(|members| members.iter().any(|m| self.may_run(m)));
        let desired = if start_after.is_some() || blocked {
            DesiredState::Ready
        } else {
            DesiredState::Running
        };
        let id = TaskId::generate(ctx.ids);
        self.decision.changes.push(Change::CreateTask(NewTask {
            id: id.clone(),
            service: self.service.id.clone(),
            spec_version: self.service.spec_version,
            slot,
            desired,
            start_after,
            restarts,
        }));
        if let Some(at) = start_after {
            self.decision.wake_at(at);
        }
        self.slots.entry(slot).or_default().push(Member {
            id,
            task: None,
            desired,
            start_after,
            dirty: false,
            counted: false,
        });
    }
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
