//! Where tasks are put.

use super::{Rule, Step};
use model::constraint;
use model::node::{Availability, NodeState};
use model::service::Service;
use model::task::{GenericResource, GenericValue};
use model::{Node, NodeId, Task, TaskSpec, TaskState};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Event, Store};

pub(super) fn check(step: &Step<'_>) -> Rule {
    for event in step.events {
        if let Event::Task {
            old: Some(old),
            new: Some(new),
            ..
        } = event
            && old.status.state < TaskState::Assigned
            && new.status.state == TaskState::Assigned
            && let Some(node) = &new.node
        {
            may_take(step, new, node)?;
        }
    }
    Ok(())
}

/// No new assignment to a node that is not ready or not active or does not suit, or of a task that nobody wants.
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
    if !step.is_fresh(node.meta.changed) && !satisfies(&task.spec, node) {
        return Err(format!(
            "task {id} was put on {}, which does not satisfy {:?}",
            node.id, task.spec.placement
        ));
    }
    let most = most_per_node(&task.spec);
    // Others of an older template without the bound may be put there beside.
    let is_same = |other: &Task| other.spec_version == task.spec_version;
    if most != 0 && copies(step.view, task, &node.id, is_same) > most {
        return Err(format!(
            "more than {most} tasks of {} were put on {}",
            task.service, node.id
        ));
    }
    is_within_reservations(step.view, task, node)?;
    has_its_own(step.view, task, node)
}

/// The node satisfies the constraints of a template.
pub(super) fn satisfies(spec: &TaskSpec, node: &Node) -> bool {
    let placement = spec.placement.as_ref();
    let constraints = placement.map_or(&[][..], |p| &p.constraints);
    constraint::parse_all(constraints).is_ok_and(|all| all.iter().all(|c| c.matches(node)))
}

pub(super) fn most_per_node(spec: &TaskSpec) -> u64 {
    spec.placement.as_ref().map_or(0, |p| p.max_replicas)
}

/// Wanted tasks of the same service on a node.
pub(super) fn copies(
    view: &Store,
    task: &Task,
    node: &NodeId,
    counts: impl Fn(&Task) -> bool,
) -> u64 {
    let on_node = view.tasks_on_node(node).filter(|t| {
        t.placed_on().is_some()
            && t.service == task.service
            && t.is_wanted()
            && !t.status.state.is_terminal()
            && counts(t)
    });
    on_node.count() as u64
}

/// What is set aside on `node`, by addition.
pub(super) fn reserved(view: &Store, node: &NodeId) -> (i64, i64) {
    let holding = view.tasks_on_node(node).filter(|t| t.holds_resources());
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

/// No node is above its reservations for the sake of a task that reserves.
fn is_within_reservations(view: &Store, task: &Task, node: &Node) -> Rule {
    let (reserved, has) = (reserved(view, &node.id), capacity(node));
    let asked = task.spec.reservations();
    let over = (asked.nano_cpus > 0 && reserved.0 > has.0)
        || (asked.memory_bytes > 0 && reserved.1 > has.1);
    if over {
        let id = &node.id;
        return Err(format!("node {id} has {has:?} and set aside {reserved:?}"));
    }
    Ok(())
}

/// What a node has of generic resources: names, and numbers, by kind.
fn generic(resources: &[GenericResource]) -> (Vec<(&str, &str)>, BTreeMap<&str, i64>) {
    let mut names = Vec::new();
    let mut numbers: BTreeMap<&str, i64> = BTreeMap::new();
    for resource in resources {
        match &resource.value {
            GenericValue::Named(name) => names.push((resource.kind.as_str(), name.as_str())),
            GenericValue::Discrete(count) => *numbers.entry(&resource.kind).or_default() += count,
        }
    }
    (names, numbers)
}

/// A task has as many generic resources as it asks for, the node has them, and nobody else does.
fn has_its_own(view: &Store, task: &Task, node: &Node) -> Rule {
    let id = &task.id;
    let (own, own_numbers) = generic(&task.generic);
    let (_, asked) = generic(task.spec.generic_reservations());
    for (kind, count) in &asked {
        let named = own.iter().filter(|(of, _)| of == kind).count() as i64;
        let given = named + own_numbers.get(kind).copied().unwrap_or(0);
        if given != *count {
            return Err(format!("task {id} asks for {count} {kind} and has {given}"));
        }
    }
    if task.generic.is_empty() {
        return Ok(());
    }
    let description = node.description.as_ref();
    let (names, mut numbers) = generic(description.map_or(&[], |d| &d.generic));
    if let Some(name) = own.iter().find(|name| !names.contains(name)) {
        return Err(format!("task {id} has {name:?}, which {} has not", node.id));
    }
    for other in view.tasks_on_node(&node.id).filter(|t| t.holds_resources()) {
        let (taken, counts) = generic(&other.generic);
        if other.id != task.id
            && let Some(twice) = own.iter().find(|name| taken.contains(name))
        {
            return Err(format!("tasks {id} and {} both have {twice:?}", other.id));
        }
        for (kind, count) in counts {
            *numbers.entry(kind).or_default() -= count;
        }
    }
    match own_numbers.keys().find(|kind| numbers[**kind] < 0) {
        Some(kind) => Err(format!("node {} has given away too many {kind}", node.id)),
        None => Ok(()),
    }
}

/// The node has as many generic resources left as the task asks for.
fn spare(view: &Store, spec: &TaskSpec, node: &Node) -> bool {
    let (_, asked) = generic(spec.generic_reservations());
    let description = node.description.as_ref();
    let (names, mut left) = generic(description.map_or(&[], |d| &d.generic));
    let (mut taken, mut counts) = (Vec::new(), BTreeMap::new());
    for other in view.tasks_on_node(&node.id).filter(|t| t.holds_resources()) {
        let (own, numbers) = generic(&other.generic);
        taken.extend(own);
        for (kind, count) in numbers {
            *counts.entry(kind).or_insert(0) += count;
        }
    }
    for (kind, count) in counts {
        *left.entry(kind).or_default() -= count;
    }
    asked.into_iter().all(|(kind, count)| {
        let free = names
            .iter()
            .filter(|name| name.0 == kind && !taken.contains(name));
        // A claim is of names or of a number, never of both.
        free.count() as i64 >= count || left.get(kind).copied().unwrap_or(0) >= count
    })
}

/// The node can take a task of this template in: all but the bound of copies.
pub(super) fn takes(view: &Store, spec: &TaskSpec, node: &Node) -> bool {
    let asked = spec.reservations();
    let (reserved, has) = (reserved(view, &node.id), capacity(node));
    let fits = |has: i64, reserved: i64, asked: i64| asked == 0 || reserved + asked <= has;
    node.status.state == NodeState::Ready
        && node.spec.availability == Availability::Active
        && fits(has.0, reserved.0, asked.nano_cpus)
        && fits(has.1, reserved.1, asked.memory_bytes)
        && spare(view, spec, node)
        && satisfies(spec, node)
}

/// The node may keep a task that is there: what it is and has is still what the task and its service ask for.
pub(super) fn suits(view: &Store, service: &Service, task: &Task, node: &Arc<Node>) -> bool {
    let (reserved, has) = (reserved(view, &node.id), capacity(node));
    satisfies(&service.spec.task, node)
        && satisfies(&task.spec, node)
        && reserved.0 <= has.0
        && reserved.1 <= has.1
        && has_its_own(view, task, node).is_ok()
}
