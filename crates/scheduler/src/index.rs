//! All nodes as the next decision needs them: by class and load. It follows the store, and can be made from it at
//! any time; what is decided is counted here until the decision ends.

use crate::class::{Class, ClassNo, Classes, HostNo, Place, Traits};
use crate::filter::{Demand, Named, Wishes, takes_tasks};
use crate::labels::LabelKey;
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
    /// Where it stands in its class.
    pub(crate) place: Place,
    pub(crate) class: ClassNo,
    pub(crate) is_open: bool,
}

/// Trees that are kept: one for each set of constraints and preferences in use, each about a hundred bytes per class.
const MAX_SHAPES: usize = 4_096;

/// Labels from which on only those that are asked about just now tell classes apart: each may make more of them.
const MAX_KEYS: usize = 64;

/// All nodes. Nothing depends on the order of hash maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Index of the log that it shows; absent before it was made.
    seen: Option<u64>,
    /// Labels that tell classes apart, in order.
    keys: Vec<LabelKey>,
    hosts: Vec<Option<Host>>,
    free: Vec<HostNo>,
    by_id: BTreeMap<NodeId, HostNo>,
    /// By where the text of the node's own id is: ids that are copied share it, and need not be read.
    by_text: BTreeMap<usize, HostNo>,
    /// By host name in lower case.
    by_name: BTreeMap<String, BTreeSet<HostNo>>,
    classes: Classes,
    /// Trees by what they are for, as long as the classes stay.
    shapes: BTreeMap<String, Arc<Shape>>,
    /// The generation of the classes that they are of.
    shapes_of: u64,
    /// Hosts that the last decision has changed, as they were before. It is expected to be applied: then the store
    /// says the same of them as is counted here already.
    changed: BTreeMap<HostNo, Usage>,
    /// Generic resources in use, of hosts where this decision gave some.
    generic: BTreeMap<HostNo, GenericUse>,
}

impl Index {
    /// Makes it show `view`, with classes that differ in all labels of `wishes`.
    pub(crate) fn follow<'w>(
        &mut self,
        view: &Store,
        wishes: impl Iterator<Item = &'w Arc<Wishes>> + Clone,
    ) {
        let labels = wishes.flat_map(|wishes| wishes.labels());
        let knows_all = labels.clone().all(|label| self.knows(label));
        let touched = self.seen.filter(|_| knows_all);
        match touched.and_then(|seen| view.nodes_touched_since(seen)) {
            Some(touched) => {
                let (mut known, mut new) = (Vec::new(), Vec::new());
                for (id, itself) in touched {
                    match self.find(id) {
                        // What it takes is read again in any case.
                        Some(no) => known.push((no, !itself)),
                        None => new.push(id),
                    }
                }
                known.sort_unstable();
                known.dedup_by_key(|(no, _)| *no);
                for (no, is_same) in known {
                    self.changed.remove(&no);
                    self.refresh(view, no, is_same);
                }
                self.forget_decision();
                new.into_iter().for_each(|id| self.look_for(view, id));
            }
            None => self.rebuild(view, labels.cloned().collect()),
        }
        self.seen = Some(view.index());
    }

    fn rebuild(&mut self, view: &Store, mut keys: BTreeSet<LabelKey>) {
        if self.keys.len() < MAX_KEYS {
            keys.extend(std::mem::take(&mut self.keys));
        }
        *self = Index {
            keys: keys.into_iter().collect(),
            ..Index::default()
        };
        for node in view.nodes() {
            self.insert(view, node);
        }
    }

    /// Something was touched that may be a node by now.
    fn look_for(&mut self, view: &Store, id: &NodeId) {
        if let Some(node) = view.node(id).filter(|_| self.find(id).is_none()) {
            self.insert(view, node);
        }
    }

    /// `is_same` when only what is placed on it has changed.
    fn refresh(&mut self, view: &Store, no: HostNo, is_same: bool) {
        let Some(host) = self.host(no) else { return };
        let id = &host.node.id;
        if is_same {
            let usage = view.node_usage(id);
            return self.set_usage(no, usage);
        }
        match view.node(id) {
            Some(node) => {
                self.remove(no);
                self.insert(view, node);
            }
            None => self.remove(no),
        }
    }

    fn insert(&mut self, view: &Store, node: &Arc<Node>) {
        let no = self.free.pop().unwrap_or_else(|| {
            self.hosts.push(None);
            HostNo::try_from(self.hosts.len() - 1).expect("fewer nodes than 2^32")
        });
        let usage = view.node_usage(&node.id);
        let is_open = takes_tasks(node);
        let traits = Traits::of(node, &self.keys);
        let place = Place::new(node, usage.active, no);
        let class = self.classes.add(traits, place, is_open);
        let description = node.description.as_ref();
        self.hosts[no as usize] = Some(Host {
            has: description.map(|d| d.resources).unwrap_or_default(),
            node: node.clone(),
            usage,
            place,
            class,
            is_open,
        });
        self.by_id.insert(node.id.clone(), no);
        self.by_text.insert(text_of(&node.id), no);
        if let Some(name) = host_name(node) {
            self.by_name.entry(name).or_default().insert(no);
        }
    }

    fn remove(&mut self, no: HostNo) {
        let Some(host) = self.hosts[no as usize].take() else {
            return;
        };
        self.classes.take_from(host.class, host.place);
        self.classes.end_if_empty(host.class);
        self.by_id.remove(&host.node.id);
        self.by_text.remove(&text_of(&host.node.id));
        if let Some(name) = host_name(&host.node)
            && let Some(with_name) = self.by_name.get_mut(&name)
        {
            with_name.remove(&no);
            if with_name.is_empty() {
                self.by_name.remove(&name);
            }
        }
        self.free.push(no);
    }

    fn set_usage(&mut self, no: HostNo, usage: Usage) {
        let Some(host) = &mut self.hosts[no as usize] else {
            return;
        };
        host.usage = usage;
        if usage.active != host.place.in_all {
            self.classes.take_from(host.class, host.place);
            host.place.in_all = usage.active;
            self.classes.add_to(host.class, host.place, host.is_open);
        }
    }

    /// Counts `tasks` more tasks that ask for `asked` on a host.
    pub(crate) fn take(&mut self, no: HostNo, asked: Resources, tasks: u64) {
        let Some(host) = &self.hosts[no as usize] else {
            return;
        };
        let times = i64::try_from(tasks).unwrap_or(i64::MAX);
        let mut usage = host.usage;
        usage.reserved.nano_cpus += asked.nano_cpus * times;
        usage.reserved.memory_bytes += asked.memory_bytes * times;
        usage.active += tasks;
        self.changed.entry(no).or_insert(host.usage);
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
    }

    /// Takes back what the last decision has counted and the store does not know of.
    fn forget_decision(&mut self) {
        self.generic.clear();
        for (no, before) in std::mem::take(&mut self.changed) {
            self.set_usage(no, before);
        }
    }

    pub(crate) fn host(&self, no: HostNo) -> Option<&Host> {
        self.hosts.get(no as usize)?.as_ref()
    }
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (HostNo, &Host)> {
        let numbered = (0..).zip(&self.hosts);
        numbered.filter_map(|(no, host)| Some((no, host.as_ref()?)))
    }
    pub(crate) fn find(&self, id: &NodeId) -> Option<HostNo> {
        let by_text = self.by_text.get(&text_of(id));
        by_text.or_else(|| self.by_id.get(id)).copied()
    }
    pub(crate) fn class(&self, no: ClassNo) -> Option<&Class> {
        self.classes.get(no)
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
                let with_name = self.by_name.get(&name.to_ascii_lowercase());
                with_name.into_iter().flatten().copied().collect()
            }
        }
    }

    /// The tree for `demand`, which `key` stands for as far as amounts and bounds do not matter.
    pub(crate) fn shape(&mut self, key: &str, demand: &Demand<'_>) -> Arc<Shape> {
        if self.shapes_of != self.classes.generation() || self.shapes.len() >= MAX_SHAPES {
            self.shapes.clear();
            self.shapes_of = self.classes.generation();
        }
        if let Some(shape) = self.shapes.get(key) {
            return shape.clone();
        }
        let shape = Arc::new(self.make_shape(demand));
        self.shapes.insert(key.into(), shape.clone());
        shape
    }

    fn make_shape(&self, demand: &Demand<'_>) -> Shape {
        let labels: Vec<usize> = self.positions(demand.preferred());
        let classes = self.classes_for(demand).into_iter();
        Shape::new(classes.filter_map(|no| {
            let class = self.classes.get(no)?;
            let sample = self.host(class.sample()?)?;
            let suits = demand.suits_class_of(&sample.node, &class.traits.kinds);
            let values = labels.iter().map(|l| class.traits.labels[*l].as_str());
            suits.then_some((no, values))
        }))
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
    pub(crate) fn positions(&self, labels: &[LabelKey]) -> Vec<usize> {
        let positions = labels.iter().map(|l| self.keys.binary_search(l).ok());
        positions.flatten().collect()
    }

    /// Whether classes differ in this label.
    pub(crate) fn knows(&self, label: &LabelKey) -> bool {
        self.keys.binary_search(label).is_ok()
    }
}

/// Where its text is. As long as the index holds a node, nothing else can be there.
fn text_of(id: &NodeId) -> usize {
    id.as_str().as_ptr().addr()
}

fn host_name(node: &Node) -> Option<String> {
    let description = node.description.as_ref()?;
    Some(description.hostname.to_ascii_lowercase())
}
