//! Nodes that are drained in turns: so many of a node's tasks are on the move at once, over all services.
//!
//! A task is on the move from the creation of its replacement until that has run. This is read from the tasks, so that a
//! new leader knows it, too.

use crate::plan::{Member, Place, Plan};
use crate::{Context, updater};
use model::service::UpdateOrder;
use model::{Availability, DesiredState, Node, NodeId, NodeState, SlotKey, Task, TaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;

/// Tasks on the move, per node that is drained in turns: those that were when the decision began, and those that it
/// has begun to move.
#[derive(Default)]
pub(crate) struct Moves(BTreeMap<NodeId, u64>);

impl Moves {
    fn under_way(&mut self, view: &Store, node: &NodeId) -> &mut u64 {
        self.0
            .entry(node.clone())
            .or_insert_with(|| on_the_move(view, node))
    }
}

/// It is being drained, and its tasks leave in turns.
pub(crate) fn is_in_turns(node: &Node) -> bool {
    node.spec.availability == Availability::Drain
        && node.spec.drain.is_some()
        && node.status.state != NodeState::Down
}

/// Moves tasks whose turn it is.
pub(crate) fn advance(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    for slot in plan.keys() {
        let members = &plan.slots[&slot];
        let leaving = |m: &&Member| m.is_wanted() && !m.is_over() && m.place == Place::Leaving;
        let Some(node) = members.iter().find(leaving).and_then(|m| plan.node(m)) else {
            continue;
        };
        let Some(drain) = node.spec.drain else {
            continue;
        };
        if let Some(new) = members.iter().position(|m| m.is_wanted() && !m.is_stale()) {
            // Its move has begun. The order may have been changed since.
            if drain.order == UpdateOrder::StopFirst {
                plan.dismiss(&slot, DesiredState::Shutdown, Some(new));
            }
            continue;
        }
        // A replacement that has become useless leaves its turn to the next one of its slot.
        let tasks = plan.view.tasks_in_slot(&plan.service.id, &slot);
        let has_turn = is_moving(tasks, &node.id);
        let under_way = plan.moves.under_way(plan.view, &node.id);
        if has_turn || drain.parallelism == 0 || *under_way < drain.parallelism {
            *under_way += u64::from(!has_turn);
            updater::replace_slot(ctx, plan, drain.order, &slot);
        }
    }
}

/// The order in which a slot's tasks are replaced, when it is the drained node that says so.
pub(crate) fn order_of(plan: &Plan<'_>, members: &[Member]) -> Option<UpdateOrder> {
    let leaving = members
        .iter()
        .find(|m| m.is_wanted() && m.place == Place::Leaving)?;
    plan.node(leaving)?.spec.drain.map(|drain| drain.order)
}

/// Slots that are nodes do not move.
fn on_the_move(view: &Store, node: &NodeId) -> u64 {
    let slots: BTreeSet<(_, SlotKey)> = view
        .tasks_on_node(node)
        .filter(|task| left_it(task) && task.slot > 0)
        .map(|task| (&task.service, task.slot_key()))
        .collect();
    let moving = slots
        .into_iter()
        .filter(|(service, slot)| is_moving(view.tasks_in_slot(service, slot), node));
    moving.count() as u64
}

/// It runs there, or was stopped there: what ended by itself did not make room for anything, and what is to be
/// forgotten has no successor.
fn left_it(task: &Task) -> bool {
    let stopped = !task.status.state.is_terminal() || task.status.state == TaskState::Shutdown;
    stopped && task.desired != DesiredState::Remove
}

/// After the last task on `node` come others, of which one is wanted and none has run.
fn is_moving(tasks: &[Arc<Task>], node: &NodeId) -> bool {
    let there = |task: &Arc<Task>| task.node.as_ref() == Some(node) && left_it(task);
    let Some(last) = tasks.iter().rposition(there) else {
        return false;
    };
    let after = &tasks[last + 1..];
    after.iter().any(|t| t.is_wanted()) && after.iter().all(|t| t.running_at.is_none())
}
