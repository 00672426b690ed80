//! All nodes as the next decision needs them: by class and load. It follows the store, and can be made from it at
//! any time; what is decided is counted here until the decision ends.

use crate::addresses::{Addresses, address};
use crate::class::{Class, ClassNo, Classes, HostNo, Place, write_traits};
use crate::filter::{Demand, Named, Wishes, takes_tasks};
use crate::journal::Journal;
use crate::labels::LabelKey;
use crate::order;
use crate::tree::Shape;
use model::task::{GenericResource, Resources};
use model::{Node, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{GenericUse, Store, Usage};

/// One node with what is placed there, in the view and by this decision.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) node: Arc<Node>,
    /// What it has, kept beside the usage so that most checks need not look at the node.
    pub(crate) has: Resources,
    pub(crate) usage: Usage,
    /// The usage before the last decision changed it. That is expected to be applied: then the store says the same
    /// as is counted here already.
    before: Option<Usage>,
    /// Where it stands in its class.
    pub(crate) place: Place,
    pub(crate) class: ClassNo,
    pub(crate) is_open: bool,
}

impl Host {
    /// `in_all` of the place is set here.
    fn new(view: &Store, node: &Arc<Node>, class: ClassNo, place: Place) -> Host {
        let description = node.description.as_ref();
        let usage = view.node_usage(&node.id);
        Host {
            has: description.map(|d| d.resources).unwrap_or_default(),
            node: node.clone(),
            usage,
            before: None,
            place: Place {
                in_all: count(usage.active),
                ..place
            },
            class,
            is_open: takes_tasks(node),
        }
    }

    fn has_generic(&self) -> bool {
        let description = self.node.description.as_ref();
        description.is_some_and(|d| !d.generic.is_empty())
    }
}

/// Trees that are kept: one for each set of constraints and preferences in use, each about a hundred bytes per class.
const MAX_SHAPES: usize = 4_096;

/// Labels from which on only those that are asked about just now tell classes apart: each may make more of them.
const MAX_KEYS: usize = 64;

/// All nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Index of the log that it shows; absent before it was made.
    seen: Option<u64>,
    /// Labels that tell classes apart, in order.
    keys: Vec<LabelKey>,
    /// Numbers of wishes whose labels are all among them.
    known: BTreeSet<u64>,
    hosts: Vec<Option<Host>>,
    free: Vec<HostNo>,
    by_id: BTreeMap<NodeId, HostNo>,
    by_address: Addresses,
    /// By host name in lower case; absent until a constraint names one.
    by_name: Option<BTreeMap<String, BTreeSet<HostNo>>>,
    classes: Classes,
    /// Trees by the number of the wishes that they are for, as long as the classes stay.
    shapes: BTreeMap<u64, Arc<Shape>>,
    /// The generation of the classes that they are of.
    shapes_of: u64,
    /// Hosts that the last decision has changed.
    changed: Vec<HostNo>,
    /// Generic resources in use, of hosts where this decision gave some.
    generic: BTreeMap<HostNo, GenericUse>,
    journal: Journal,
    /// The traits of one node, kept for its memory.
    text: String,
}

impl Index {
    /// Makes it show `view`, with classes that differ in all labels of `wishes`.
    pub(crate) fn follow<'w>(
        &mut self,
        view: &Store,
        wishes: impl Iterator<Item = &'w Arc<Wishes>> + Clone,
    ) {
        let knows_all = wishes.clone().all(|wishes| self.knows(wishes));
        let seen = self.seen.filter(|_| knows_all);
        if seen.is_none_or(|seen| self.follow_from(view, seen).is_none()) {
            let labels = wishes.flat_map(|wishes| wishes.labels());
            self.rebuild(view, labels.cloned().collect());
        }
        self.seen = Some(view.index());
    }

    /// Absent when all has to be made anew.
    fn follow_from(&mut self, view: &Store, seen: u64) -> Option<()> {
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (id, itself) in view.nodes_touched_since(seen)? {
            match self.find(id) {
                // What it takes is read again in any case.
                Some(no) => known.push((no, !itself)),
                None => new.push(id),
            }
        }
        known.sort_unstable();
        known.dedup_by_key(|(no, _)| *no);
        for (no, is_same) in known {
            self.refresh(view, no, is_same);
        }
        self.forget_decision();
        for id in new {
            // It may be a node by now, or have been noted twice.
            if let Some(node) = view.node(id).filter(|_| self.find(id).is_none()) {
                self.insert(view, node)?;
            }
        }
        Some(())
    }

    fn rebuild(&mut self, view: &Store, mut keys: BTreeSet<LabelKey>) {
        if self.keys.len() < MAX_KEYS {
            keys.extend(std::mem::take(&mut self.keys));
        }
        let mut journal = std::mem::take(&mut self.journal);
        journal.begin_anew();
        *self = Index {
            keys: keys.into_iter().collect(),
            journal,
            ..Index::default()
        };
        let mut last = None;
        for node in view.nodes() {
            last = order::between(last, None);
            let order = last.expect("millions of nodes are numbered upwards");
            self.put(view, node, order);
        }
        // They got numbers in the same order.
        let ids = view.nodes().map(|node| node.id.clone());
        self.by_id = ids.zip(0..).collect();
    }

    /// `is_same` when only what is placed on it has changed.
    fn refresh(&mut self, view: &Store, no: HostNo, is_same: bool) {
        let Some(host) = &mut self.hosts[no as usize] else {
            return;
        };
        host.before = None;
        let has_generic = host.has_generic();
        let id = &host.node.id;
        if is_same {
            let usage = view.node_usage(id);
            // Who has tasks there may have changed, whatever they take together.
            self.journal.note(no);
            if has_generic {
                self.journal.note_room();
            }
            return self.set_usage(no, usage);
        }
        match view.node(id) {
            Some(node) => self.update(view, no, node),
            None => self.remove(no),
        }
    }

    /// Absent when there is no number left between those of its neighbours.
    fn insert(&mut self, view: &Store, node: &Arc<Node>) -> Option<()> {
        let before = self.by_id.range::<NodeId, _>(..&node.id).next_back();
        let after = self.by_id.range::<NodeId, _>(&node.id..).next();
        let [before, after] = [before, after].map(|neighbour| {
            let host = neighbour.and_then(|(_, no)| self.host(*no));
            host.map(|host| host.place.order)
        });
        let order = order::between(before, after)?;
        let no = self.put(view, node, order);
        self.by_id.insert(node.id.clone(), no);
        Some(())
    }

    /// Makes a host, but for its id.
    fn put(&mut self, view: &Store, node: &Arc<Node>, order: u64) -> HostNo {
        let no = self.free.pop().unwrap_or_else(|| {
            self.hosts.push(None);
            HostNo::try_from(self.hosts.len() - 1).expect("fewer nodes than 2^32")
        });
        let class = self.class_for(node);
        let place = Place {
            in_all: 0,
            order,
            host: no,
        };
        let host = Host::new(view, node, class, place);
        self.classes.add_to(class, host.place, host.is_open);
        self.hosts[no as usize] = Some(host);
        self.by_address.insert(address(&node.id), no);
        self.add_name(node, no);
        self.journal.note(no);
        self.journal.note_room();
        no
    }

    fn class_for(&mut self, node: &Node) -> ClassNo {
        self.text.clear();
        write_traits(node, &self.keys, &mut self.text);
        let generation = self.classes.generation();
        let class = self.classes.class_for(node, &self.keys, &self.text);
        if self.classes.generation() != generation {
            self.journal.begin_anew();
        }
        class
    }

    /// The node of a host is another one now.
    fn update(&mut self, view: &Store, no: HostNo, node: &Arc<Node>) {
        let Some(old) = self.hosts[no as usize].take() else {
            return;
        };
        let class = self.class_for(node);
        let host = Host::new(view, node, class, old.place);
        self.classes.take_from(old.class, old.place, old.is_open);
        self.classes.add_to(class, host.place, host.is_open);
        if class != old.class {
            self.classes.end_if_empty(old.class);
            self.journal.begin_anew();
        }
        self.by_address.remove(address(&old.node.id));
        self.by_address.insert(address(&node.id), no);
        if host_name(&old.node) != host_name(node) {
            self.remove_name(&old.node, no);
            self.add_name(node, no);
        }
        self.hosts[no as usize] = Some(host);
        self.journal.note(no);
        self.journal.note_room();
    }

    fn remove(&mut self, no: HostNo) {
        let Some(host) = self.hosts[no as usize].take() else {
            return;
        };
        self.classes.take_from(host.class, host.place, host.is_open);
        self.classes.end_if_empty(host.class);
        self.by_id.remove(&host.node.id);
        self.by_address.remove(address(&host.node.id));
        self.remove_name(&host.node, no);
        self.free.push(no);
        self.journal.begin_anew();
    }

    fn add_name(&mut self, node: &Node, no: HostNo) {
        let Some(by_name) = &mut self.by_name else {
            return;
        };
        if let Some(name) = host_name(node) {
            let name = name.to_ascii_lowercase();
            by_name.entry(name).or_default().insert(no);
        }
    }

    fn remove_name(&mut self, node: &Node, no: HostNo) {
        let Some(by_name) = &mut self.by_name else {
            return;
        };
        let Some(name) = host_name(node).map(str::to_ascii_lowercase) else {
            return;
        };
        if let Some(with_name) = by_name.get_mut(&name) {
            with_name.remove(&no);
            if with_name.is_empty() {
                by_name.remove(&name);
            }
        }
    }

    /// Reads the names of all hosts, unless it has been done.
    fn know_names(&mut self) {
        if self.by_name.is_some() {
            return;
        }
        self.by_name = Some(BTreeMap::new());
        let hosts = self.hosts().map(|(no, host)| (no, host.node.clone()));
        for (no, node) in hosts.collect::<Vec<_>>() {
            self.add_name(&node, no);
        }
    }

    fn set_usage(&mut self, no: HostNo, usage: Usage) {
        let Some(host) = &mut self.hosts[no as usize] else {
            return;
        };
        if usage == host.usage {
            return;
        }
        host.usage = usage;
        self.journal.note(no);
        self.journal.note_room();
        let in_all = count(usage.active);
        if in_all != host.place.in_all {
            let (class, is_open) = (host.class, host.is_open);
            self.classes.take_from(class, host.place, is_open);
            host.place.in_all = in_all;
            self.classes.add_to(class, host.place, is_open);
        }
    }

    /// Counts `tasks` more tasks that ask for `asked` on a host.
    pub(crate) fn take(&mut self, no: HostNo, asked: Resources, tasks: u64) {
        let Some(host) = &mut self.hosts[no as usize] else {
            return;
        };
        let times = i64::try_from(tasks).unwrap_or(i64::MAX);
        let mut usage = host.usage;
        usage.reserved.nano_cpus += asked.nano_cpus * times;
        usage.reserved.memory_bytes += asked.memory_bytes * times;
        usage.active += tasks;
        if host.before.is_none() {
            host.before = Some(host.usage);
            self.changed.push(no);
        }
        self.set_usage(no, usage);
    }

    /// Counts generic resources as in use on a host.
    pub(crate) fn give(&mut self, view: &Store, no: HostNo, given: &[GenericResource]) {
        if given.is_empty() {
            return;
        }
        let Some(host) = &self.hosts[no as usize] else {
            return;
        };
        let in_use = self.generic.entry(no).or_insert_with(|| {
            let in_use = view.generic_use(&host.node.id);
            in_use.cloned().unwrap_or_default()
        });
        in_use.add(given);
        self.journal.note_room();
    }

    /// Takes back what the last decision has counted and the store does not know of.
    fn forget_decision(&mut self) {
        if !self.generic.is_empty() {
            self.generic.clear();
            self.journal.note_room();
        }
        for no in std::mem::take(&mut self.changed) {
            let host = self.hosts[no as usize].as_mut();
            if let Some(before) = host.and_then(|host| host.before.take()) {
                self.set_usage(no, before);
            }
        }
    }

    pub(crate) fn host(&self, no: HostNo) -> Option<&Host> {
        self.hosts.get(no as usize)?.as_ref()
    }
    /// How many hosts there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (HostNo, &Host)> {
        let numbered = (0..).zip(&self.hosts);
        numbered.filter_map(|(no, host)| Some((no, host.as_ref()?)))
    }
    pub(crate) fn find(&self, id: &NodeId) -> Option<HostNo> {
        let found = self.by_address.get(address(id));
        found.or_else(|| self.by_id.get(id).copied())
    }
    pub(crate) fn classes(&self) -> &Classes {
        &self.classes
    }
    pub(crate) fn class(&self, no: ClassNo) -> Option<&Class> {
        self.classes.get(no)
    }
    /// What changed.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Generic resources of a host that are in use, as of this decision.
    pub(crate) fn generic_use<'a>(&'a self, view: &'a Store, no: HostNo) -> Option<&'a GenericUse> {
        self.generic
            .get(&no)
            .or_else(|| view.generic_use(&self.host(no)?.node.id))
    }

    /// The hosts that a constraint names, compared without case.
    pub(crate) fn named(&self, name: Named<'_>) -> Vec<HostNo> {
        match name {
            // Ids are made in lower case; one that is not is found by looking at all.
            Named::Id(id) => match self.by_id.get(id.to_ascii_lowercase().as_str()) {
                Some(no) => vec![*no],
                None => {
                    let same = |h: &Host| h.node.id.as_str().eq_ignore_ascii_case(id);
                    let all = self.hosts().filter(|(_, host)| same(host));
                    all.map(|(no, _)| no).collect()
                }
            },
            Named::Host(name) => {
                let by_name = self.by_name.as_ref();
                let with_name = by_name.and_then(|all| all.get(&name.to_ascii_lowercase()));
                with_name.into_iter().flatten().copied().collect()
            }
        }
    }

    /// The tree for `demand`, as long as no class begins or ends. What else it takes to find hosts for it is made
    /// ready.
    pub(crate) fn shape(&mut self, demand: &Demand<'_>) -> Arc<Shape> {
        if let Some(Named::Host(_)) = demand.names_node() {
            self.know_names();
        }
        if self.shapes_of != self.classes.generation() || self.shapes.len() >= MAX_SHAPES {
            self.shapes.clear();
            self.shapes_of = self.classes.generation();
        }
        let number = demand.number();
        if let Some(shape) = self.shapes.get(&number) {
            return shape.clone();
        }
        let shape = Arc::new(self.make_shape(demand));
        self.shapes.insert(number, shape.clone());
        shape
    }

    fn make_shape(&self, demand: &Demand<'_>) -> Shape {
        let labels = self.positions(demand.preferred());
        let classes = self.classes_for(demand).into_iter();
        let classes = classes.filter_map(|no| {
            let class = self.classes.get(no)?;
            let sample = self.host(class.sample()?)?;
            let suits = demand.suits_class_of(&sample.node, &class.traits.kinds);
            let values = labels.iter().map(|l| class.traits.labels[*l].as_str());
            suits.then_some((no, values))
        });
        Shape::new(labels.clone(), classes)
    }

    /// Classes that may satisfy the labels that `demand` asks for: all, or the fewest that one label leaves. In
    /// the order of their numbers.
    fn classes_for(&self, demand: &Demand<'_>) -> Vec<ClassNo> {
        let mut fewest: Option<Option<&BTreeSet<ClassNo>>> = None;
        for (key, value) in demand.label_values() {
            let Ok(label) = self.keys.binary_search(&key) else {
                continue;
            };
            let classes = self.classes.with_value(label, value);
            let count = classes.map_or(0, BTreeSet::len);
            if fewest.is_none_or(|f| count < f.map_or(0, BTreeSet::len)) {
                fewest = Some(classes);
            }
        }
        match fewest {
            Some(classes) => classes.into_iter().flatten().copied().collect(),
            None => self.classes.numbers().collect(),
        }
    }

    /// Positions of labels among those that tell classes apart.
    fn positions(&self, labels: &[LabelKey]) -> Vec<usize> {
        let positions = labels.iter().map(|l| self.keys.binary_search(l).ok());
        positions.flatten().collect()
    }

    /// Whether classes differ in all labels of `wishes`.
    fn knows(&mut self, wishes: &Wishes) -> bool {
        if self.known.contains(&wishes.number()) {
            return true;
        }
        let has = |label: &LabelKey| self.keys.binary_search(label).is_ok();
        let knows = wishes.labels().all(has);
        if knows {
            if self.known.len() >= MAX_SHAPES {
                self.known.clear();
            }
            self.known.insert(wishes.number());
        }
        knows
    }
}

/// Tasks as a place counts them.
pub(crate) fn count(tasks: u64) -> u32 {
    u32::try_from(tasks).unwrap_or(u32::MAX)
}

fn host_name(node: &Node) -> Option<&str> {
    Some(node.description.as_ref()?.hostname.as_str())
}
