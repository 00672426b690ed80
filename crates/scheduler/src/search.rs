//! The best node for each next task of a group, without looking at all nodes.
//!
//! Nodes come in classes that are ordered by load. On most nodes the service has no task, and there the order of
//! the class is the order of preference: these are walked from the least loaded on, and each at most once per
//! group. The others, where it has tasks or keeps failing, are few, and ranked one by one.

use crate::class::{ClassNo, HostNo, Place};
use crate::filter::Demand;
use crate::index::{Host, Index};
use crate::labels::LabelKey;
use crate::tree::{PoolNo, Rank, Tree};
use model::NodeId;
use model::task::{GenericResource, Resources};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, btree_set};
use std::iter::Peekable;
use store::{GenericUse, Store};

/// A search for the tasks of one group. The index stays as it is until the search has ended.
pub(crate) struct Search<'a> {
    view: &'a Store,
    index: &'a Index,
    demand: &'a Demand<'a>,
    own: HashMap<HostNo, Own>,
    /// Generic resources in use, of hosts where this search gave some.
    generic: HashMap<HostNo, GenericUse>,
    pools: Vec<Pool<'a>>,
    tree: Tree<'a>,
}

/// What the group has to do with a host.
#[derive(Clone, Copy, Default)]
struct Own {
    of_service: u64,
    keeps_failing: bool,
    /// Tasks that this search placed there.
    taken: u64,
}

/// Hosts of one class that may take tasks of the group.
struct Pool<'a> {
    /// Least loaded first; those that are ranked one by one are among them, and passed over.
    plain: Option<Peekable<btree_set::Iter<'a, Place>>>,
    ranked: BinaryHeap<Reverse<Rank>>,
}

/// What the group brings along, besides its demand.
pub(crate) struct Past<'a, A, F> {
    /// Nodes with active tasks of the service, and how many.
    pub(crate) active: A,
    /// Hosts where this decision has placed tasks of the service already, and how many.
    pub(crate) placed: &'a HashMap<HostNo, u64>,
    /// Nodes where it keeps failing.
    pub(crate) failing: F,
    /// Labels to spread over.
    pub(crate) preferred: &'a [LabelKey],
}

impl<'a> Search<'a> {
    pub(crate) fn new<'n>(
        view: &'a Store,
        index: &'a Index,
        demand: &'a Demand<'a>,
        past: Past<'_, impl Iterator<Item = (&'n NodeId, u64)>, impl Iterator<Item = &'n NodeId>>,
    ) -> Search<'a> {
        let mut search = Search {
            view,
            index,
            demand,
            own: HashMap::new(),
            generic: HashMap::new(),
            pools: Vec::new(),
            tree: Tree::new(),
        };
        for (id, of_service) in past.active {
            if let Some(no) = index.find(id) {
                search.own.entry(no).or_default().of_service = of_service;
            }
        }
        for (no, tasks) in past.placed {
            search.own.entry(*no).or_default().of_service += tasks;
        }
        for id in past.failing {
            if let Some(no) = index.find(id) {
                search.own.entry(no).or_default().keeps_failing = true;
            }
        }
        let labels = past.preferred.iter();
        let labels: Vec<usize> = labels.filter_map(|l| index.position(l)).collect();
        search.open_pools(&labels);
        search
    }

    fn open_pools(&mut self, labels: &[usize]) {
        let mut of_class: BTreeMap<ClassNo, (usize, PoolNo)> = BTreeMap::new();
        let named = self.demand.names_node().map(|name| self.index.named(name));
        let classes = match &named {
            None => self.index.classes_for(self.demand),
            Some(hosts) => {
                let classes = hosts.iter().filter_map(|no| self.index.host(*no));
                classes.map(|host| host.class).collect()
            }
        };
        for class in classes {
            if !of_class.contains_key(&class)
                && let Some(leaf) = self.open_pool(class, labels, named.is_none())
            {
                of_class.insert(class, (leaf, self.pools.len() - 1));
            }
        }
        self.rank_own(&of_class, named.as_deref());
        if !labels.is_empty() {
            for (no, own) in &self.own {
                let host = self.index.host(*no);
                let class = host.and_then(|host| self.index.class(host.class));
                if let Some(class) = class {
                    let values = labels.iter().map(|l| class.traits.labels[*l].as_str());
                    self.tree.count(values, own.of_service);
                }
            }
        }
        for (leaf, pool) in of_class.into_values() {
            let best = self.best_of(pool);
            self.tree.offer(leaf, pool, best);
        }
        self.tree.settle();
    }

    /// A pool for a class that passes; its leaf.
    fn open_pool(&mut self, no: ClassNo, labels: &[usize], is_plain: bool) -> Option<usize> {
        let class = self.index.class(no)?;
        let sample = self.index.host(class.sample()?)?;
        let kinds = &class.traits.kinds;
        if class.open.is_empty() || !self.demand.suits_class_of(&sample.node, kinds) {
            return None;
        }
        self.pools.push(Pool {
            plain: is_plain.then(|| class.open.iter().peekable()),
            ranked: BinaryHeap::new(),
        });
        let values = labels.iter().map(|l| class.traits.labels[*l].as_str());
        Some(self.tree.leaf(values))
    }

    /// Puts hosts that are ranked one by one into their pools: those that the group has to do with, or the only
    /// ones that its constraints name.
    fn rank_own(
        &mut self,
        of_class: &BTreeMap<ClassNo, (usize, PoolNo)>,
        named: Option<&[HostNo]>,
    ) {
        let mut rank = |no: HostNo, own: Own| {
            let Some(host) = self.index.host(no).filter(|host| host.is_open) else {
                return;
            };
            if let Some((_, pool)) = of_class.get(&host.class)
                && self.demand.suits_itself(&host.node)
            {
                let rank = Rank {
                    keeps_failing: own.keeps_failing,
                    of_service: own.of_service,
                    place: Place::new(&host.node, host.usage.active, no),
                };
                self.pools[*pool].ranked.push(Reverse(rank));
            }
        };
        match named {
            None => {
                for (no, own) in &self.own {
                    rank(*no, *own);
                }
            }
            Some(hosts) => {
                for no in hosts {
                    rank(*no, self.own.get(no).copied().unwrap_or_default());
                }
            }
        }
    }

    /// The best host of a pool that can take a task now. What cannot is passed over for good: within a search
    /// hosts only get fuller.
    fn best_of(&mut self, pool: PoolNo) -> Option<Rank> {
        let mut plain = self.pools[pool].plain.take();
        let best = plain.as_mut().and_then(|hosts| self.best_plain(hosts));
        self.pools[pool].plain = plain;
        if best.is_some() {
            return best;
        }
        while let Some(Reverse(rank)) = self.pools[pool].ranked.peek() {
            let no = rank.place.host;
            let taken = self.own.get(&no).map_or(0, |own| own.taken);
            let fits = |host: &Host| {
                self.demand.leaves_place(rank.of_service) && self.has_room(no, host, taken)
            };
            if self.index.host(no).is_some_and(fits) {
                return Some(*rank);
            }
            self.pools[pool].ranked.pop();
        }
        None
    }

    fn best_plain(&self, hosts: &mut Peekable<btree_set::Iter<'_, Place>>) -> Option<Rank> {
        while let Some(place) = hosts.peek() {
            let no = place.host;
            let fits =
                |host: &Host| self.has_room(no, host, 0) && self.demand.suits_itself(&host.node);
            if !self.own.contains_key(&no) && self.index.host(no).is_some_and(fits) {
                return Some(Rank {
                    keeps_failing: false,
                    of_service: 0,
                    place: **place,
                });
            }
            hosts.next();
        }
        None
    }

    /// Whether one more task fits beside `taken` ones that this search placed there.
    fn has_room(&self, no: HostNo, host: &Host, taken: u64) -> bool {
        let taken = times(self.demand.asked, taken);
        let reserved = Resources {
            nano_cpus: host.usage.reserved.nano_cpus + taken.nano_cpus,
            memory_bytes: host.usage.reserved.memory_bytes + taken.memory_bytes,
        };
        store::leaves_room(host.has, reserved, self.demand.asked)
            && (self.demand.generic.is_empty() || self.claim(no, host).is_some())
    }

    fn claim(&self, no: HostNo, host: &Host) -> Option<Vec<GenericResource>> {
        let in_use = self.generic.get(&no);
        let in_use = in_use.or_else(|| self.index.generic_use(self.view, no));
        self.demand.claim(&host.node, in_use)
    }

    /// Places one more task.
    pub(crate) fn next(&mut self) -> Option<(&'a Host, HostNo, Vec<GenericResource>)> {
        let (leaf, rank, pool_no) = self.tree.take()?;
        let no = rank.place.host;
        let host = self.index.host(no)?;
        let given = self.give(no, host);
        let own = self.own.entry(no).or_default();
        own.taken += 1;
        own.of_service += 1;
        let pool = &mut self.pools[pool_no];
        let is_first_ranked = pool.ranked.peek().is_some_and(|top| top.0 == rank);
        if is_first_ranked {
            pool.ranked.pop();
        } else if let Some(plain) = &mut pool.plain {
            plain.next();
        }
        pool.ranked.push(Reverse(Rank {
            of_service: own.of_service,
            place: Place {
                in_all: rank.place.in_all + 1,
                ..rank.place
            },
            ..rank
        }));
        let next = self.best_of(pool_no);
        self.tree.placed(leaf, pool_no, next);
        Some((host, no, given))
    }

    fn give(&mut self, no: HostNo, host: &Host) -> Vec<GenericResource> {
        if self.demand.generic.is_empty() {
            return Vec::new();
        }
        let given = self.claim(no, host).unwrap_or_default();
        let in_use = self.generic.entry(no).or_insert_with(|| {
            let in_use = self.index.generic_use(self.view, no);
            in_use.cloned().unwrap_or_default()
        });
        in_use.add(&given);
        given
    }

    /// How many tasks it has placed on each host, in no order.
    pub(crate) fn into_taken(self) -> Vec<(HostNo, u64)> {
        let taken = self.own.into_iter().filter(|(_, own)| own.taken > 0);
        taken.map(|(host, own)| (host, own.taken)).collect()
    }
}

fn times(asked: Resources, tasks: u64) -> Resources {
    let tasks = i64::try_from(tasks).unwrap_or(i64::MAX);
    Resources {
        nano_cpus: asked.nano_cpus * tasks,
        memory_bytes: asked.memory_bytes * tasks,
    }
}
