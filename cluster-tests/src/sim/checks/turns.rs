//! Nodes that are drained in turns: no more tasks on the move at once than the operator allows.

use super::{Rule, Step};
use model::node::{Availability, NodeState};
use model::{DesiredState, Node, NodeId, ServiceId, SlotKey, Task, TaskId, TaskState};
use std::collections::{BTreeMap, BTreeSet};

/// Slots that are on their way from a node that is drained in turns.
#[derive(Default)]
pub(super) struct Turns {
    moving: BTreeMap<NodeId, BTreeSet<(ServiceId, u64)>>,
    /// Tasks there whose successor has run, also when that is forgotten.
    moved: BTreeSet<TaskId>,
}

impl Turns {
    /// A task only begins to leave while fewer are on the move than may be.
    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        let view = step.view;
        self.moved.retain(|id| view.task(id).is_some());
        self.moving
            .retain(|id, _| view.node(id).is_some_and(|node| is_left_in_turns(node)));
        for node in view.nodes().filter(|node| is_left_in_turns(node)) {
            let tasks = view.tasks_on_node(&node.id);
            let moved = &mut self.moved;
            let moving: BTreeSet<_> = tasks
                .filter(|task| match leaving(step, node, task) {
                    Leaving::Done => {
                        moved.insert(task.id.clone());
                        false
                    }
                    Leaving::Moves => !moved.contains(&task.id),
                    Leaving::No => false,
                })
                .map(|task| (task.service.clone(), task.slot))
                .collect();
            let most = node.spec.drain.map_or(0, |drain| drain.parallelism);
            let before = self.moving.insert(node.id.clone(), moving);
            let moving = &self.moving[&node.id];
            // What an update had begun to replace when the drain began is on the move, too.
            let begins = before.is_some_and(|before| {
                let mut new = moving.difference(&before);
                new.any(|(service, slot)| {
                    let tasks = view.tasks_in_slot(service, &SlotKey::Replica(*slot));
                    tasks.iter().any(|t| t.meta.version == step.index)
                })
            });
            let fresh = step.is_fresh(node.meta.changed);
            if begins && !fresh && most > 0 && moving.len() as u64 > most {
                return Err(format!(
                    "{} tasks leave {} at once, and {most} may: {moving:?}",
                    moving.len(),
                    node.id
                ));
            }
        }
        Ok(())
    }
}

fn is_left_in_turns(node: &Node) -> bool {
    node.spec.drain.is_some()
        && node.spec.availability == Availability::Drain
        && node.status.state != NodeState::Down
}

/// Whether a task leaves a node.
enum Leaving {
    No,
    /// What comes in its place has not run yet.
    Moves,
    /// It has.
    Done,
}

fn leaving(step: &Step<'_>, node: &Node, task: &Task) -> Leaving {
    let stopped = task.status.state == TaskState::Shutdown
        && task.status.applied_at >= node.meta.updated_at
        && task.running_at.is_some();
    let runs = task.status.state == TaskState::Running;
    // A task of a job that an operator wants to run again does so at once, wherever it is.
    if task.job_iteration.is_some() && task.replace.is_some() {
        return Leaving::No;
    }
    let SlotKey::Replica(_) = task.slot_key() else {
        return Leaving::No;
    };
    if !(stopped || runs)
        || task.desired == DesiredState::Remove
        || step.view.service(&task.service).is_none()
    {
        return Leaving::No;
    }
    let slot = step.view.tasks_in_slot(&task.service, &task.slot_key());
    let mut after = slot.iter().skip_while(|t| t.id != task.id).skip(1);
    let elsewhere = after.clone().all(|t| t.placed_on() != Some(&node.id));
    // Another one may have run beside it all the time, or have run on when it was asked to stop.
    let mut others = slot.iter().filter(|t| t.id != task.id);
    let goes = stopped || !task.is_wanted();
    let beside = goes && others.any(|t| t.status.state == TaskState::Running);
    let unproven = !beside && after.clone().all(|t| t.running_at.is_none());
    match (unproven, elsewhere && after.any(|t| t.is_wanted())) {
        (false, _) => Leaving::Done,
        (true, true) => Leaving::Moves,
        // Nothing came in its place.
        (true, false) if stopped => Leaving::Done,
        (true, false) => Leaving::No,
    }
}
