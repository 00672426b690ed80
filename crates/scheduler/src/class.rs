//! Classes of nodes: nodes that no filter tells apart but by what is placed there, in the order of their load.

use crate::labels::LabelKey;
use model::task::Platform;
use model::{Node, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of an id that decide which of two equally loaded nodes is taken: all of any real id.
const ID_BYTES: usize = 28;

/// Number of a host in the index. It says nothing about any order.
pub(crate) type HostNo = u32;
/// Number of a class in the index.
pub(crate) type ClassNo = u32;

/// Where a node stands among those of its class: least loaded first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Active tasks.
    pub(crate) in_all: u64,
    pub(crate) id: [u8; ID_BYTES],
    pub(crate) host: HostNo,
}

impl Place {
    pub(crate) fn new(node: &Node, in_all: u64, host: HostNo) -> Place {
        let text = node.id.as_str().as_bytes();
        let len = text.len().min(ID_BYTES);
        let mut id = [0; ID_BYTES];
        id[..len].copy_from_slice(&text[..len]);
        Place { in_all, id, host }
    }
}

/// What the nodes of a class share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Traits {
    role: Role,
    platform: (String, String),
    allows_privileged: bool,
    /// Kinds of generic resources.
    pub(crate) kinds: Vec<String>,
    /// Values of the labels that services ask about, in the order of the index's keys.
    pub(crate) labels: Vec<String>,
}

impl Traits {
    pub(crate) fn of(node: &Node, keys: &[LabelKey]) -> Traits {
        let description = node.description.as_ref();
        let platform = |part: fn(&Platform) -> &String| {
            description.map_or_else(String::new, |d| part(&d.platform).clone())
        };
        let mut kinds: Vec<String> = description
            .iter()
            .flat_map(|d| &d.generic)
            .map(|g| g.kind.clone())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        Traits {
            role: node.role,
            platform: (platform(|p| &p.os), platform(|p| &p.architecture)),
            allows_privileged: description.is_some_and(|d| d.allows_privileged),
            kinds,
            labels: keys.iter().map(|key| key.value(node).into()).collect(),
        }
    }
}

/// One class. It has members.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) traits: Traits,
    /// Nodes that take tasks.
    pub(crate) open: BTreeSet<Place>,
    /// Nodes that take none now.
    closed: BTreeSet<HostNo>,
}

impl Class {
    /// Any of its nodes.
    pub(crate) fn sample(&self) -> Option<HostNo> {
        let open = self.open.first().map(|place| place.host);
        open.or_else(|| self.closed.first().copied())
    }
}

/// All classes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classes {
    all: Vec<Option<Class>>,
    by_traits: BTreeMap<Traits, ClassNo>,
    /// By position among the keys, and value in lower case.
    by_value: BTreeMap<(usize, String), BTreeSet<ClassNo>>,
    free: Vec<ClassNo>,
    /// Counts how often a class began or ended.
    generation: u64,
}

impl Classes {
    pub(crate) fn get(&self, no: ClassNo) -> Option<&Class> {
        self.all.get(no as usize)?.as_ref()
    }

    /// In order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = ClassNo> {
        let numbered = (0..).zip(&self.all);
        numbered.filter_map(|(no, class)| class.as_ref().map(|_| no))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Classes in which the label at this position has this value, without case.
    pub(crate) fn with_value(&self, label: usize, value: String) -> Option<&BTreeSet<ClassNo>> {
        self.by_value.get(&(label, value))
    }

    /// Adds a node, to a class of its own if need be.
    pub(crate) fn add(&mut self, traits: Traits, place: Place, is_open: bool) -> ClassNo {
        let no = match self.by_traits.get(&traits) {
            Some(no) => *no,
            None => self.begin(traits),
        };
        self.add_to(no, place, is_open);
        no
    }

    pub(crate) fn add_to(&mut self, no: ClassNo, place: Place, is_open: bool) {
        let Some(class) = &mut self.all[no as usize] else {
            return;
        };
        if is_open {
            class.open.insert(place);
        } else {
            class.closed.insert(place.host);
        }
    }

    /// Takes a node out of its class; the class stays, also without members.
    pub(crate) fn take_from(&mut self, no: ClassNo, place: Place) {
        if let Some(class) = &mut self.all[no as usize] {
            class.open.remove(&place);
            class.closed.remove(&place.host);
        }
    }

    /// Forgets a class that has no members any more.
    pub(crate) fn end_if_empty(&mut self, no: ClassNo) {
        let slot = &mut self.all[no as usize];
        let Some(class) = slot.take_if(|c| c.open.is_empty() && c.closed.is_empty()) else {
            return;
        };
        for (label, value) in class.traits.labels.iter().enumerate() {
            let key = (label, value.to_ascii_lowercase());
            if let Some(classes) = self.by_value.get_mut(&key) {
                classes.remove(&no);
                if classes.is_empty() {
                    self.by_value.remove(&key);
                }
            }
        }
        self.by_traits.remove(&class.traits);
        self.free.push(no);
        self.generation += 1;
    }

    fn begin(&mut self, traits: Traits) -> ClassNo {
        let class = Class {
            traits: traits.clone(),
            open: BTreeSet::new(),
            closed: BTreeSet::new(),
        };
        let no = match self.free.pop() {
            Some(no) => {
                self.all[no as usize] = Some(class);
                no
            }
            None => {
                self.all.push(Some(class));
                ClassNo::try_from(self.all.len() - 1).expect("fewer classes than nodes")
            }
        };
        for (label, value) in traits.labels.iter().enumerate() {
            let key = (label, value.to_ascii_lowercase());
            self.by_value.entry(key).or_default().insert(no);
        }
        self.by_traits.insert(traits, no);
        self.generation += 1;
        no
    }
}
