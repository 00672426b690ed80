//! Which services to look at, and when a task is out of date.

use model::{Node, Service, ServiceId, Task, TaskSpec, constraint};
use std::collections::BTreeSet;
use store::{Dirty, Store};

/// Services that something happened to: themselves, one of their tasks, or a node of one of their tasks.
pub(crate) fn services(view: &Store, dirty: &Dirty) -> BTreeSet<ServiceId> {
    if dirty.everything || dirty.cluster {
        let living = view.services().map(|s| s.id.clone());
        return living.chain(view.services_with_tasks().cloned()).collect();
    }
    let mut services = dirty.services.clone();
    for node in &dirty.nodes {
        services.extend(view.tasks_on_node(node).map(|t| t.service.clone()));
    }
    services
}

/// Whether `task` must be replaced for `service`'s spec: swarmkit's `IsTaskDirty`.
///
/// Equal spec versions are equal specs. A change of nothing but the placement keeps a task whose node
/// satisfies the new constraints. Everything else in the template counts, and so does the endpoint.
pub fn is_dirty(service: &Service, task: &Task, node: Option<&Node>) -> bool {
    if task.spec_version == service.spec_version {
        return false;
    }
    let wanted = &service.spec.task;
    if only_placement_differs(wanted, &task.spec)
        && node.is_some_and(|node| satisfies_constraints(wanted, node))
    {
        return endpoint_differs(service, task);
    }
    **wanted != *task.spec || endpoint_differs(service, task)
}

fn endpoint_differs(service: &Service, task: &Task) -> bool {
    task.endpoint.is_some() && task.endpoint != service.spec.endpoint
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
