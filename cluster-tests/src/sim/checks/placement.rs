//! Where tasks are put.

use super::{Rule, Step};
use model::node::{Availability, NodeState};
use model::{Node, NodeId, Task};
use std::collections::BTreeSet;
use store::{Event, Store};

pub(super) fn check(step: &Step<'_>) -> Rule {
    let mut nodes = BTreeSet::new();
    for event in step.events {
        let Event::Task {
            old: Some(old),
            new: Some(new),
            ..
        } = event
        else {
            continue;
        };
        let Some(node) = &new.node else { continue };
        if old.node.is_none() {
            may_take(step, new, node)?;
            nodes.insert(node);
        }
    }
    nodes
        .into_iter()
        .try_for_each(|node| is_within_reservations(step.view, node))
}

/// No new assignment to a node that is not ready or not active, or of a task that nobody wants.
fn may_take(step: &Step<'_>, task: &Task, node: &NodeId) -> Rule {
    let id = &task.id;
    let Some(node) = step.view.node(node) else {
        return Err(format!("task {id} was put on {node}, which is not there"));
    };
    if node.status.state != NodeState::Ready || node.spec.availability != Availability::Active {
        let (name, state) = (&node.id, node.status.state);
        return Err(format!(
            "task {id} was put on {name}, which is {state:?} and {:?}",
            node.spec.availability
        ));
    }
    if !task.is_wanted() {
        return Err(format!(
            "task {id} was put on {} although nobody wants it",
            node.id
        ));
    }
    Ok(())
}

/// What is set aside on `node`, by addition.
pub(super) fn reserved(view: &Store, node: &NodeId) -> (i64, i64) {
    let holding = view
        .tasks_on_node(node)
        .filter(|t| !t.status.state.is_terminal());
    holding.fold((0, 0), |(cpus, memory), task| {
        let asked = task.spec.reservations();
        (cpus + asked.nano_cpus, memory + asked.memory_bytes)
    })
}

/// What `node` has.
pub(super) fn capacity(node: &Node) -> (i64, i64) {
    let resources = node
        .description
        .as_ref()
        .map(|d| d.resources)
        .unwrap_or_default();
    (resources.nano_cpus, resources.memory_bytes)
}

/// No node is above its reservations.
fn is_within_reservations(view: &Store, id: &NodeId) -> Rule {
    let Some(node) = view.node(id) else {
        return Ok(());
    };
    let (reserved, has) = (reserved(view, id), capacity(node));
    if reserved.0 > has.0 || reserved.1 > has.1 {
        return Err(format!("node {id} has {has:?} and set aside {reserved:?}"));
    }
    Ok(())
}
