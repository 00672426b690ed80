//! Tasks whose node has changed so that it no longer suits them: swarmkit's constraint enforcer.

use crate::suits::Needs;
use model::task::{GenericResource, GenericValue, Resources};
use model::{Availability, Change, Node, NodeId, NodeState, Service, Task, TaskId, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;

/// What the task says that has to go.
const MESSAGE: &str = "assigned node no longer meets constraints";

/// Whether a task has to leave its node, which keeps its tasks otherwise.
///
/// Only for what the node has become: a change of the service is the updater's business, which goes in steps.
pub(crate) fn is_unfit(
    view: &Store,
    rooms: &mut Rooms,
    service: &Service,
    needs: &Needs<'_>,
    task: &Task,
) -> bool {
    if task.status.state.is_terminal() || !task.is_wanted() {
        return false;
    }
    let Some(node) = task.placed_on().and_then(|id| view.node(id)) else {
        return false;
    };
    if node.status.state == NodeState::Down || node.spec.availability != Availability::Active {
        return false;
    }
    breaks_constraints(service, needs, task, node) || rooms.lack(view, task, node)
}

/// The node breaks the service's present constraints, and it is the node that has changed: it satisfied them when the
/// task was placed by them or kept under them, or it breaks the task's own ones, too.
///
/// What the operator says of a node, such as its labels, has a version. Of what the node says of itself and has changed
/// since a task was kept, nothing tells when: then the updater moves that task.
fn breaks_constraints(service: &Service, needs: &Needs<'_>, task: &Task, node: &Node) -> bool {
    let placed_by_them = task.spec_version == service.spec_version;
    let changed_since = node.meta.version > service.spec_version;
    needs.forbid(node) && (placed_by_them || changed_since || Needs::of(&task.spec).forbid(node))
}

/// Why a task leaves. Its agent does not know it, and what it reports from now on leaves it.
pub(crate) fn notice(task: &Task) -> Change {
    Change::SetTaskStatus {
        id: task.id.clone(),
        status: TaskStatus {
            error: MESSAGE.into(),
            ..task.status.clone()
        },
    }
}

/// Tasks for which their nodes have no room any more, by node; found once in a decision, however many services ask.
#[derive(Default)]
pub(crate) struct Rooms(BTreeMap<NodeId, BTreeSet<TaskId>>);

impl Rooms {
    /// The node cannot set aside what `task` reserves any more. When it cannot do so for all, the newest tasks leave.
    fn lack(&mut self, view: &Store, task: &Task, node: &Node) -> bool {
        let asked = task.spec.reservations();
        let asks = asked.nano_cpus > 0 || asked.memory_bytes > 0 || !task.generic.is_empty();
        let Some(description) = node.description.as_ref().filter(|_| asks) else {
            return false;
        };
        let reserved = view.node_usage(&node.id).reserved;
        let total = description.resources;
        let is_full =
            reserved.nano_cpus > total.nano_cpus || reserved.memory_bytes > total.memory_bytes;
        if !is_full && task.generic.is_empty() {
            return false;
        }
        self.0
            .entry(node.id.clone())
            .or_insert_with(|| without_room(view, node, total, &description.generic))
            .contains(&task.id)
    }
}

/// The tasks for which there is no room, when room is given to the oldest first.
fn without_room(
    view: &Store,
    node: &Node,
    total: Resources,
    generic: &[GenericResource],
) -> BTreeSet<TaskId> {
    let mut holders: Vec<&Arc<Task>> = view
        .tasks_on_node(&node.id)
        .filter(|t| t.is_wanted() && t.holds_resources())
        .collect();
    holders.sort_by_key(|t| (t.meta.version, &t.id));
    let mut left = total;
    let mut generic = Shelf::of(generic);
    let mut without = BTreeSet::new();
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
            without.insert(task.id.clone());
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
