//! Classes of nodes: nodes that no filter tells apart but by what is placed there, in the order of their load.

use crate::labels::{LabelKey, push_part};
use model::task::Platform;
use model::{Node, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Number of a host in the index. It says nothing about any order.
pub(crate) type HostNo = u32;
/// Number of a class in the index.
pub(crate) type ClassNo = u32;

/// Where a node stands among those of its class: least loaded first, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Active tasks.
    pub(crate) in_all: u32,
    /// In the order of ids.
    pub(crate) order: u64,
    pub(crate) host: HostNo,
}

/// What the nodes of a class share, besides role, platform and policy.
#[derive(Clone, Debug)]
pub(crate) struct Traits {
    /// Kinds of generic resources.
    pub(crate) kinds: Vec<String>,
    /// Values of the labels that services ask about, in the order of the index's keys.
    pub(crate) labels: Vec<String>,
}

impl Traits {
    fn of(node: &Node, keys: &[LabelKey]) -> Traits {
        Traits {
            kinds: kinds(node).into_iter().map(str::to_owned).collect(),
            labels: keys.iter().map(|key| key.value(node).into()).collect(),
        }
    }
}

/// Kinds of generic resources that it has, in order.
fn kinds(node: &Node) -> Vec<&str> {
    let generic = node.description.iter().flat_map(|d| &d.generic);
    let mut kinds: Vec<&str> = generic.map(|g| g.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Writes all that nodes of a class share.
pub(crate) fn write_traits(node: &Node, keys: &[LabelKey], text: &mut String) {
    let description = node.description.as_ref();
    let platform = |part: fn(&Platform) -> &String| description.map_or("", |d| part(&d.platform));
    let mut add = |part: &str| push_part(text, part);
    add(match node.role {
        Role::Manager => "m",
        Role::Worker => "w",
    });
    add(platform(|p| &p.os));
    add(platform(|p| &p.architecture));
    add(match description.is_some_and(|d| d.allows_privileged) {
        true => "p",
        false => "",
    });
    for key in keys {
        add(key.value(node));
    }
    kinds(node).into_iter().for_each(add);
}

/// One class. It has members.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub(crate) traits: Traits,
    /// As [`write_traits`] writes them.
    text: String,
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
    /// The least loaded open node of each, kept close together.
    firsts: Vec<Option<Place>>,
    by_traits: BTreeMap<String, ClassNo>,
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

    /// The least loaded node that takes tasks.
    pub(crate) fn first_of(&self, no: ClassNo) -> Option<Place> {
        *self.firsts.get(no as usize)?
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

    /// The class for a node, made if need be; `text` are its traits.
    pub(crate) fn class_for(&mut self, node: &Node, keys: &[LabelKey], text: &str) -> ClassNo {
        match self.by_traits.get(text) {
            Some(no) => *no,
            None => self.begin(Traits::of(node, keys), text),
        }
    }

    pub(crate) fn add_to(&mut self, no: ClassNo, place: Place, is_open: bool) {
        let Some(class) = &mut self.all[no as usize] else {
            return;
        };
        if !is_open {
            class.closed.insert(place.host);
            return;
        }
        class.open.insert(place);
        let first = &mut self.firsts[no as usize];
        if first.is_none_or(|first| place < first) {
            *first = Some(place);
        }
    }

    /// Takes a node out of its class; the class stays, also without members.
    pub(crate) fn take_from(&mut self, no: ClassNo, place: Place, is_open: bool) {
        let Some(class) = &mut self.all[no as usize] else {
            return;
        };
        if !is_open {
            class.closed.remove(&place.host);
            return;
        }
        class.open.remove(&place);
        let first = &mut self.firsts[no as usize];
        if *first == Some(place) {
            *first = class.open.first().copied();
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
        self.by_traits.remove(&class.text);
        self.free.push(no);
        self.generation += 1;
    }

    fn begin(&mut self, traits: Traits, text: &str) -> ClassNo {
        let no = self.free.pop().unwrap_or_else(|| {
            self.all.push(None);
            self.firsts.push(None);
            ClassNo::try_from(self.all.len() - 1).expect("fewer classes than nodes")
        });
        for (label, value) in traits.labels.iter().enumerate() {
            let key = (label, value.to_ascii_lowercase());
            self.by_value.entry(key).or_default().insert(no);
        }
        self.by_traits.insert(text.into(), no);
        self.all[no as usize] = Some(Class {
            traits,
            text: text.into(),
            open: BTreeSet::new(),
            closed: BTreeSet::new(),
        });
        self.generation += 1;
        no
    }
}
