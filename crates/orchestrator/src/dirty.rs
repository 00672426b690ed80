//! Which services to look at, and when a task is out of date.

use crate::drain;
use model::{Node, Service, ServiceId, Task, TaskSpec, constraint};
use std::collections::BTreeSet;
use store::{Dirty, Store};

/// Services that something happened to: themselves, one of their tasks, or a node that is a slot of theirs, has a
/// task of theirs, or gives them a turn to leave.
pub(crate) fn services(view: &Store, dirty: &Dirty) -> BTreeSet<ServiceId> {
    if dirty.everything || dirty.cluster {
        let living = view.services().map(|s| s.id.clone());
        return living.chain(view.services_with_tasks().cloned()).collect();
    }
    let mut services = dirty.services.clone();
    if !dirty.nodes.is_empty() {
        services.extend(view.global_services().map(|s| s.id.clone()));
    }
    for node in &dirty.nodes {
        services.extend(view.tasks_on_node(node).map(|t| t.service.clone()));
    }
    if !services.is_empty() {
        // One service's move that has ended is another one's turn.
        for node in view.nodes().filter(|node| drain::is_in_turns(node)) {
            let waiting = view.tasks_on_node(&node.id).filter(|t| t.is_wanted());
            services.extend(waiting.map(|t| t.service.clone()));
        }
    }
    services
}

/// Whether `task` must be replaced for `service`'s spec: swarmkit's `IsTaskDirty`.
///
/// Equal spec versions are equal specs. A change of nothing but the placement keeps a task that is on a node which
/// satisfies the new constraints; one that only has to go there would be placed by the old ones. Everything else in the template counts, and so does the endpoint.
pub fn is_dirty(service: &Service, task: &Task, node: Option<&Node>) -> bool {
    match difference(service, task) {
        Difference::None => false,
        Difference::Placement => {
            let node = node.filter(|_| task.placed_on().is_some());
            !node.is_some_and(|node| satisfies_constraints(&service.spec.task, node))
        }
        Difference::Whole => true,
    }
}

/// How far the template of a task is from its service's. Tasks of one spec version have the same answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    None,
    /// In nothing but the placement: it depends on the node.
    Placement,
    Whole,
}

pub(crate) fn difference(service: &Service, task: &Task) -> Difference {
    if task.spec_version == service.spec_version {
        return Difference::None;
    }
    if task.endpoint.is_some() && task.endpoint != service.spec.endpoint {
        return Difference::Whole;
    }
    let wanted = &*service.spec.task;
    if *wanted == *task.spec {
        return Difference::None;
    }
    if only_placement_differs(wanted, &task.spec) {
        Difference::Placement
    } else {
        Difference::Whole
    }
}

fn only_placement_differs(a: &TaskSpec, b: &TaskSpec) -> bool {
    if a.placement == b.placement {
        return false;
    }
    let mut with_other_placement = b.clone();
    with_other_placement.placement.clone_from(&a.placement);
    *a == with_other_placement
}

fn satisfies_constraints(spec: &TaskSpec, node: &Node) -> bool {
    let expressions = spec.placement.as_ref().map_or(&[][..], |p| &p.constraints);
    constraint::parse_all(expressions).is_ok_and(|all| all.iter().all(|c| c.matches(node)))
}
