//! Global services: one task on each node that suits them. The node is the slot.

use crate::plan::Plan;
use crate::slot::{self, Refill};
use crate::suits::Needs;
use crate::{Context, enforcer, updater};
use model::{Availability, DesiredState, Node, NodeState, SlotKey};

/// How a node stands to a service whose slots are nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is to have a task.
    Takes,
    /// It keeps the task that it has as it is: it is paused.
    Keeps,
    /// It is to have none: it is drained or down, or does not suit.
    Leaves,
    /// There is no such node any more.
    Gone,
}

/// A node that is disconnected or not heard of keeps its task: only DOWN is a reason to give it up.
fn standing(needs: &Needs<'_>, node: &Node) -> Standing {
    let out = node.status.state == NodeState::Down || !needs.suit(node);
    match node.spec.availability {
        _ if out => Standing::Leaves,
        Availability::Active => Standing::Takes,
        Availability::Pause => Standing::Keeps,
        Availability::Drain => Standing::Leaves,
    }
}

/// How the node of a slot stands to the service.
pub(crate) fn standing_of(plan: &Plan<'_>, slot: &SlotKey) -> Standing {
    let SlotKey::Node(id) = slot else {
        return Standing::Gone;
    };
    match plan.view.node(id) {
        Some(node) => standing(&plan.needs, node),
        None => Standing::Gone,
    }
}

/// Slots of nodes that are to have a task.
pub(crate) fn wanted_slots(plan: &Plan<'_>) -> Vec<SlotKey> {
    let takes = |node: &&std::sync::Arc<Node>| standing(&plan.needs, node) == Standing::Takes;
    let nodes = plan.view.nodes().filter(takes);
    nodes.map(|node| SlotKey::Node(node.id.clone())).collect()
}

/// Brings the tasks of a service nearer to its spec, in the same steps as a replicated one.
pub(crate) fn reconcile(ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    if updater::watch(ctx, plan) == updater::Watch::GoesBack {
        return;
    }
    let stopped = plan.service.spec.stopped.is_some();
    for key in plan.keys() {
        match standing_of(plan, &key) {
            _ if stopped => plan.bury(&key),
            Standing::Gone => plan.bury(&key),
            Standing::Leaves => leave(plan, &key),
            Standing::Keeps => slot::renew(ctx, plan, &key, Refill::No),
            Standing::Takes => slot::renew(ctx, plan, &key, Refill::Yes),
        }
    }
    if !stopped {
        for key in wanted_slots(plan) {
            if !slot::is_occupied(plan, &key) {
                let start = slot::refill(ctx, plan, &key);
                plan.create(ctx, &key, start);
            }
        }
    }
    slot::finish(ctx, plan, updater::advance);
}

/// The tasks of a slot whose node is to have none are stopped, and kept as history.
pub(crate) fn leave(plan: &mut Plan<'_>, slot: &SlotKey) {
    let members = plan.slots.get(slot).into_iter().flatten();
    let notices: Vec<_> = members
        .filter(|m| m.is_evicted())
        .filter_map(|m| m.task.as_deref().map(enforcer::notice))
        .collect();
    plan.decision.changes.extend(notices);
    plan.dismiss(slot, DesiredState::Shutdown, None);
}
