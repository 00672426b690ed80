//! The best node for each next task of a group, without looking at all nodes.
//!
//! Nodes come in classes that are ordered by load. On most nodes the service has no task, and there the order of
//! the class is the order of preference: these are walked from the least loaded on, and each at most once per
//! group. The others, where it has tasks or keeps failing, are few, and ranked one by one.

use crate::class::{ClassNo, HostNo, Place};
use crate::filter::Demand;
use crate::index::{Host, Index};
use crate::marks::{Marks, Own};
use crate::tree::{PoolNo, Rank, Shape, Tree};
use model::NodeId;
use model::task::{GenericResource, Resources};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, btree_set};
use store::{GenericUse, Store};

/// A search for the tasks of one group. The index stays as it is until the search has ended.
pub(crate) struct Search<'a> {
    view: &'a Store,
    index: &'a Index,
    demand: &'a Demand<'a>,
    shape: &'a Shape,
    own: &'a mut Marks,
    /// Generic resources in use, of hosts where this search gave some.
    generic: BTreeMap<HostNo, GenericUse>,
    pools: Vec<Pool<'a>>,
    tree: Tree<'a>,
}

/// Hosts of one class that may take tasks of the group.
struct Pool<'a> {
    /// Least loaded first; those that are ranked one by one are among them, and passed over.
    plain: Option<btree_set::Iter<'a, Place>>,
    /// The next of the plain ones. They come before the ranked ones.
    peeked: Option<Place>,
    ranked: BinaryHeap<Reverse<Rank>>,
}

impl Pool<'_> {
    fn advance(&mut self) {
        self.peeked = self.plain.as_mut().and_then(|plain| plain.next().copied());
    }

    /// What the first host is worth, whether it can take a task or not.
    fn bound(&self) -> Option<Rank> {
        let plain = self.peeked.map(|place| Rank {
            keeps_failing: false,
            of_service: 0,
            place,
        });
        plain.or_else(|| self.ranked.peek().map(|rank| rank.0))
    }

    /// Leaves the first host behind.
    fn pass(&mut self) {
        if self.peeked.is_some() {
            self.advance();
        } else {
            self.ranked.pop();
        }
    }
}

/// What the group brings along, besides its demand.
pub(crate) struct Past<'a, A, F> {
    /// Nodes with active tasks of the service, and how many.
    pub(crate) active: A,
    /// Hosts where this decision has placed tasks of the service already, and how many.
    pub(crate) placed: &'a BTreeMap<HostNo, u64>,
    /// Nodes where it keeps failing.
    pub(crate) failing: F,
}

impl<'a> Search<'a> {
    pub(crate) fn new<'n>(
        view: &'a Store,
        index: &'a Index,
        demand: &'a Demand<'a>,
        shape: &'a Shape,
        marks: &'a mut Marks,
        past: Past<'_, impl Iterator<Item = (&'n NodeId, u64)>, impl Iterator<Item = &'n NodeId>>,
    ) -> Search<'a> {
        let mut search = Search {
            view,
            index,
            demand,
            shape,
            own: marks,
            generic: BTreeMap::new(),
            pools: Vec::new(),
            tree: Tree::new(shape, Vec::new()),
        };
        for (id, of_service) in past.active {
            if let Some(no) = index.find(id) {
                search.own.entry(no).of_service = of_service;
            }
        }
        for (no, tasks) in past.placed {
            search.own.entry(*no).of_service += tasks;
        }
        for id in past.failing {
            if let Some(no) = index.find(id) {
                search.own.entry(no).keeps_failing = true;
            }
        }
        search.open_pools(&index.positions(demand.preferred()));
        search
    }

    /// Gives each pool its hosts, and the tree what it may expect of them.
    fn open_pools(&mut self, labels: &[usize]) {
        let named = self.demand.names_node().map(|name| self.index.named(name));
        let is_plain = named.is_none();
        for (class, _) in &self.shape.pools {
            let open = self.index.class(*class).map(|class| class.open.iter());
            self.pools.push(Pool {
                plain: open.filter(|_| is_plain),
                peeked: None,
                ranked: BinaryHeap::new(),
            });
        }
        self.rank_own(named.as_deref());
        // Most pools are never asked for a host: what the first one is worth at best is enough to begin with.
        let bounds = self.pools.iter_mut().map(|pool| {
            pool.advance();
            pool.bound()
        });
        self.tree = Tree::new(self.shape, bounds.collect());
        if !labels.is_empty() {
            let mut of_class: BTreeMap<ClassNo, u64> = BTreeMap::new();
            for (no, own) in self.own.iter() {
                if let Some(host) = self.index.host(no) {
                    *of_class.entry(host.class).or_default() += own.of_service;
                }
            }
            for (no, tasks) in of_class {
                if let Some(class) = self.index.class(no) {
                    let values = labels.iter().map(|l| class.traits.labels[*l].as_str());
                    self.tree.count(values, tasks);
                }
            }
        }
        self.tree.settle();
    }

    /// Puts hosts that are ranked one by one into their pools: those that the group has to do with, or the only
    /// ones that its constraints name.
    fn rank_own(&mut self, named: Option<&[HostNo]>) {
        let mut rank = |no: HostNo, own: Own| {
            let Some(host) = self.index.host(no).filter(|host| host.is_open) else {
                return;
            };
            if let Some(pool) = self.shape.pool_of(host.class)
                && self.demand.suits_itself(&host.node)
            {
                let rank = Rank {
                    keeps_failing: own.keeps_failing,
                    of_service: own.of_service,
                    place: host.place,
                };
                self.pools[pool].ranked.push(Reverse(rank));
            }
        };
        match named {
            None => {
                for (no, own) in self.own.iter() {
                    rank(no, *own);
                }
            }
            Some(hosts) => {
                for no in hosts {
                    rank(*no, self.own.get(*no).copied().unwrap_or_default());
                }
            }
        }
    }

    /// The best host of a pool that can take a task now. What cannot is passed over for good: within a search
    /// hosts only get fuller.
    fn best_of(&mut self, no: PoolNo) -> Option<Rank> {
        loop {
            let pool = &self.pools[no];
            let rank = pool.bound()?;
            let host = rank.place.host;
            let own = self.own.get(host);
            let fits = |found: &Host| match pool.peeked {
                // A host that the group has to do with is among the ranked ones as well.
                Some(_) => {
                    own.is_none()
                        && self.has_room(host, found, 0)
                        && self.demand.suits_itself(&found.node)
                }
                None => {
                    self.demand.leaves_place(rank.of_service)
                        && self.has_room(host, found, own.map_or(0, |own| own.taken))
                }
            };
            if self.index.host(host).is_some_and(fits) {
                return Some(rank);
            }
            self.pools[no].pass();
        }
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
        let (pool_no, rank) = loop {
            let (pool, bound) = self.tree.best()?;
            let best = self.best_of(pool);
            if best == Some(bound) {
                break (pool, bound);
            }
            self.tree.set_best(pool, best, 0);
        };
        let no = rank.place.host;
        let host = self.index.host(no)?;
        let given = self.give(no, host);
        let own = self.own.entry(no);
        own.taken += 1;
        own.of_service += 1;
        let pool = &mut self.pools[pool_no];
        pool.pass();
        pool.ranked.push(Reverse(Rank {
            of_service: own.of_service,
            place: Place {
                in_all: rank.place.in_all + 1,
                ..rank.place
            },
            ..rank
        }));
        let bound = pool.bound();
        self.tree.set_best(pool_no, bound, 1);
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
        let taken = self.own.drain().filter(|(_, own)| own.taken > 0);
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
