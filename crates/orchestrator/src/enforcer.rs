//! Tasks whose node has changed so that it no longer suits them: swarmkit's constraint enforcer.

use crate::plan::{Member, Place, Plan};
use crate::suits::Needs;
use model::task::{GenericResource, GenericValue, Resources};
use model::{Availability, Change, Node, Task, TaskId, TaskStatus};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// What the task says that has to go.
const MESSAGE: &str = "assigned node no longer meets constraints";

/// A task has to leave its node, which keeps its tasks otherwise.
///
/// Only for what the node has become: a change of the service is the updater's business. So the node has to break the
/// task's own constraints, under which it was placed, as well as the service's present ones.
pub(crate) fn evicts(plan: &Plan<'_>, member: &Member) -> bool {
    if member.place != Place::Held || member.is_over() || !member.is_wanted() {
        return false;
    }
    let (Some(task), Some(node)) = (&member.task, plan.node(member)) else {
        return false;
    };
    if node.spec.availability != Availability::Active {
        return false;
    }
    breaks_constraints(plan, task, node) || !has_room(plan.view, task, node)
}

fn breaks_constraints(plan: &Plan<'_>, task: &Task, node: &Node) -> bool {
    plan.needs.forbid(node)
        && (task.spec_version == plan.service.spec_version || Needs::of(&task.spec).forbid(node))
}

/// What a task says that leaves. Its agent's next report writes over it.
pub(crate) fn notice(task: &Task) -> Change {
    Change::SetTaskStatus {
        id: task.id.clone(),
        status: TaskStatus {
            message: MESSAGE.into(),
            ..task.status.clone()
        },
    }
}

/// The node can still set aside what `task` reserves. When it cannot do so for all, the newest tasks leave.
fn has_room(view: &Store, task: &Task, node: &Node) -> bool {
    let asked = task.spec.reservations();
    let asks = asked.nano_cpus > 0 || asked.memory_bytes > 0 || !task.generic.is_empty();
    let Some(description) = &node.description else {
        return true;
    };
    if !asks {
        return true;
    }
    let reserved = view.node_usage(&node.id).reserved;
    let total = description.resources;
    let is_full =
        reserved.nano_cpus > total.nano_cpus || reserved.memory_bytes > total.memory_bytes;
    if !is_full && task.generic.is_empty() {
        return true;
    }
    !without_room(view, node, total, &description.generic).contains(&&task.id)
}

/// The tasks for which there is no room, when room is given to the oldest first.
fn without_room<'a>(
    view: &'a Store,
    node: &Node,
    total: Resources,
    generic: &[GenericResource],
) -> Vec<&'a TaskId> {
    let mut holders: Vec<&Arc<Task>> = view
        .tasks_on_node(&node.id)
        .filter(|t| t.is_wanted() && t.holds_resources())
        .collect();
    holders.sort_by_key(|t| (t.meta.version, &t.id));
    let mut left = total;
    let mut generic = Shelf::of(generic);
    let mut without = Vec::new();
    for task in holders {
        let asked = task.spec.reservations();
        let fits = |asked: i64, left: i64| asked <= 0 || asked <= left;
        let has = fits(asked.nano_cpus, left.nano_cpus)
            && fits(asked.memory_bytes, left.memory_bytes)
            && generic.take(&task.generic);
        if has {
            left.nano_cpus -= asked.nano_cpus;
            left.memory_bytes -= asked.memory_bytes;
        } else {
            without.push(&task.id);
        }
    }
    without
}

/// Generic resources of a node that no older task has.
struct Shelf<'a> {
    discrete: BTreeMap<&'a str, i64>,
    named: Vec<&'a GenericResource>,
}

impl<'a> Shelf<'a> {
    fn of(generic: &'a [GenericResource]) -> Shelf<'a> {
        let mut shelf = Shelf {
            discrete: BTreeMap::new(),
            named: Vec::new(),
        };
        for resource in generic {
            match resource.value {
                GenericValue::Discrete(count) => {
                    *shelf.discrete.entry(&resource.kind).or_default() += count;
                }
                GenericValue::Named(_) => shelf.named.push(resource),
            }
        }
        shelf
    }

    /// Takes all of `given`, or nothing.
    fn take(&mut self, given: &[GenericResource]) -> bool {
        let has = given.iter().all(|resource| match resource.value {
            GenericValue::Discrete(count) => {
                let left = self.discrete.get(resource.kind.as_str());
                count <= left.copied().unwrap_or(0)
            }
            GenericValue::Named(_) => self.named.contains(&resource),
        });
        if has {
            for resource in given {
                match resource.value {
                    GenericValue::Discrete(count) => {
                        if let Some(left) = self.discrete.get_mut(resource.kind.as_str()) {
                            *left -= count;
                        }
                    }
                    GenericValue::Named(_) => self.named.retain(|named| *named != resource),
                }
            }
        }
        has
    }
}
