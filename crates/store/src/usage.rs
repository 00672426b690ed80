//! What tasks take on a node.

use model::task::{GenericResource, GenericValue, Resources};
use model::{Node, Task};
use std::collections::BTreeMap;

/// What the tasks on a node take together; generic resources are in [`GenericUse`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the reservations of all tasks that are placed there and not over.
    pub reserved: Resources,
    /// Tasks that are placed there, not over, and still wanted: what the scheduler spreads.
    pub active: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, task: &Task) {
        let asked = task.spec.reservations();
        self.reserved.nano_cpus += asked.nano_cpus;
        self.reserved.memory_bytes += asked.memory_bytes;
        self.active += u64::from(task.is_wanted());
    }

    pub(crate) fn subtract(&mut self, task: &Task) {
        let asked = task.spec.reservations();
        self.reserved.nano_cpus -= asked.nano_cpus;
        self.reserved.memory_bytes -= asked.memory_bytes;
        self.active -= u64::from(task.is_wanted());
    }
}

/// Whether `node` can set aside `asked` beside what is `reserved` there. What is not asked for always fits,
/// also on a node that has come back smaller than what was set aside on it.
pub fn fits(node: &Node, reserved: Resources, asked: Resources) -> bool {
    let description = node.description.as_ref();
    let has = description.map(|d| d.resources).unwrap_or_default();
    leaves_room(has, reserved, asked)
}

/// As [`fits`], for a node that has `has`.
pub fn leaves_room(has: Resources, reserved: Resources, asked: Resources) -> bool {
    let one = |has: i64, reserved: i64, asked: i64| asked <= 0 || asked <= has - reserved;
    one(has.nano_cpus, reserved.nano_cpus, asked.nano_cpus)
        && one(has.memory_bytes, reserved.memory_bytes, asked.memory_bytes)
}

/// Generic resources of a node that tasks have: of each kind the number taken, and the names taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenericUse(BTreeMap<String, OfKind>);

/// A name maps to the tasks that have it: two only for a moment, while a proposal is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct OfKind {
    discrete: i64,
    named: BTreeMap<String, u64>,
}

impl GenericUse {
    /// Nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts what a task was given.
    pub fn add(&mut self, given: &[GenericResource]) {
        for resource in given {
            let of_kind = self.0.entry(resource.kind.clone()).or_default();
            match &resource.value {
                GenericValue::Discrete(count) => of_kind.discrete += count,
                GenericValue::Named(name) => *of_kind.named.entry(name.clone()).or_default() += 1,
            }
        }
    }

    /// Takes back [`GenericUse::add`].
    pub fn subtract(&mut self, given: &[GenericResource]) {
        for resource in given {
            let Some(of_kind) = self.0.get_mut(&resource.kind) else {
                continue;
            };
            match &resource.value {
                GenericValue::Discrete(count) => of_kind.discrete -= count,
                GenericValue::Named(name) => {
                    if let Some(count) = of_kind.named.get_mut(name) {
                        *count -= 1;
                    }
                    of_kind.named.retain(|_, count| *count > 0);
                }
            }
            if of_kind.discrete == 0 && of_kind.named.is_empty() {
                self.0.remove(&resource.kind);
            }
        }
    }

    /// What `node` can give to a task that asks for `asked`: of each kind the first names that are free, or a
    /// number where the node has no names of that kind. Absent when it has not enough.
    pub fn claim(&self, node: &Node, asked: &[GenericResource]) -> Option<Vec<GenericResource>> {
        let mut taken = None;
        let mut given = Vec::new();
        for (kind, count) in counts(asked) {
            let taken = taken.get_or_insert_with(|| self.clone());
            let claimed = taken.claim_kind(node, kind, count)?;
            taken.add(&claimed);
            given.extend(claimed);
        }
        Some(given)
    }

    fn claim_kind(&self, node: &Node, kind: &str, count: i64) -> Option<Vec<GenericResource>> {
        let used = self.0.get(kind);
        let mut names = Vec::new();
        let mut has_names = false;
        let mut number = 0;
        for resource in of_kind(node, kind) {
            match &resource.value {
                GenericValue::Named(name) => {
                    has_names = true;
                    if used.is_none_or(|u| !u.named.contains_key(name)) {
                        names.push(resource.clone());
                    }
                }
                GenericValue::Discrete(n) => number += n,
            }
        }
        if has_names {
            let count = usize::try_from(count).ok()?;
            names.truncate(count);
            return (names.len() == count).then_some(names);
        }
        let free = number - used.map_or(0, |u| u.discrete);
        (count <= free).then(|| {
            vec![GenericResource {
                kind: kind.into(),
                value: GenericValue::Discrete(count),
            }]
        })
    }

    /// Whether `node` has what `given` names, and nobody else has it.
    pub(crate) fn is_free(&self, node: &Node, given: &[GenericResource]) -> bool {
        let mut after = self.clone();
        after.add(given);
        given.iter().all(|resource| {
            let Some(used) = after.0.get(&resource.kind) else {
                return false;
            };
            match &resource.value {
                GenericValue::Named(name) => {
                    used.named.get(name) == Some(&1)
                        && of_kind(node, &resource.kind).any(|has| has.value == resource.value)
                }
                GenericValue::Discrete(count) => {
                    let has = of_kind(node, &resource.kind).map(|has| match has.value {
                        GenericValue::Discrete(n) => n,
                        GenericValue::Named(_) => 0,
                    });
                    *count > 0 && used.discrete <= has.sum()
                }
            }
        })
    }
}

fn of_kind<'a>(node: &'a Node, kind: &'a str) -> impl Iterator<Item = &'a GenericResource> {
    let has = node.description.as_ref().map_or(&[][..], |d| &d.generic);
    has.iter().filter(move |resource| resource.kind == kind)
}

/// How many of each kind; asking for nothing of a kind is not asking.
fn counts(resources: &[GenericResource]) -> BTreeMap<&str, i64> {
    let mut counts = BTreeMap::new();
    for resource in resources {
        let count = match resource.value {
            GenericValue::Discrete(count) => count,
            GenericValue::Named(_) => 1,
        };
        if count > 0 {
            *counts.entry(resource.kind.as_str()).or_default() += count;
        }
    }
    counts
}

/// Whether `given` is as much of each kind as `asked` says, and nothing else.
pub(crate) fn covers(given: &[GenericResource], asked: &[GenericResource]) -> bool {
    counts(given) == counts(asked)
}
