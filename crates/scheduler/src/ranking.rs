//! Hosts in the order in which a group prefers them.

use crate::class::{ClassNo, HostNo, Place};
use crate::filter::Demand;
use crate::index::{Host, Index};
use crate::marks::{Marks, Own};
use crate::tree::{PoolNo, Rank, Shape, Tree};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Hosts of a group that are ranked one by one, in pools of one class each. Of what is in a pool only that counts
/// which is still true: a host that changed is put in again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranking {
    pub(crate) own: Marks,
    pub(crate) tree: Tree,
    pools: Vec<BinaryHeap<Reverse<Rank>>>,
}

/// What a host is worth to the group now.
pub(crate) fn rank_of(host: &Host, own: Own) -> Rank {
    Rank {
        keeps_failing: own.keeps_failing,
        of_service: own.of_service,
        place: Place {
            in_all: host.place.in_all + own.taken,
            ..host.place
        },
    }
}

/// The pool of a host that may take tasks of the group, and what it is worth.
fn pool_for(
    index: &Index,
    shape: &Shape,
    demand: &Demand<'_>,
    no: HostNo,
    own: Own,
) -> Option<(PoolNo, Rank)> {
    let host = index.host(no).filter(|host| host.is_open)?;
    let pool = shape.pool_of(host.class)?;
    let suits = demand.suits_itself(&host.node);
    suits.then(|| (pool, rank_of(host, own)))
}

impl Ranking {
    /// Begins with empty pools.
    pub(crate) fn begin(&mut self, shape: &Shape) {
        self.pools.iter_mut().for_each(BinaryHeap::clear);
        self.pools.resize_with(shape.pools.len(), BinaryHeap::new);
        self.tree.begin(shape);
    }

    /// Puts a host into its pool, if it may take tasks at all.
    pub(crate) fn add(&mut self, index: &Index, shape: &Shape, demand: &Demand<'_>, no: HostNo) {
        let own = self.own.get(no).copied().unwrap_or_default();
        if let Some((pool, rank)) = pool_for(index, shape, demand, no, own) {
            self.put(pool, rank);
        }
    }

    /// Puts the hosts that the group has to do with into their pools.
    pub(crate) fn add_own(&mut self, index: &Index, shape: &Shape, demand: &Demand<'_>) {
        let Ranking { own, pools, .. } = self;
        for (no, own) in own.iter() {
            if let Some((pool, rank)) = pool_for(index, shape, demand, no, *own) {
                pools[pool].push(Reverse(rank));
            }
        }
    }

    /// Puts all hosts into their pools.
    pub(crate) fn add_all(&mut self, index: &Index, shape: &Shape, demand: &Demand<'_>) {
        for (pool, (class, _)) in shape.pools.iter().enumerate() {
            let open = index.class(*class).into_iter().flat_map(|c| &c.open);
            let suits = |no| {
                let host = index.host(no);
                host.is_some_and(|host| demand.suits_itself(&host.node))
            };
            let all_suit = !demand.asks_for_own();
            let open = open.filter(|place| all_suit || suits(place.host));
            let ranks = open.map(|place| {
                let own = self.own.get(place.host).copied().unwrap_or_default();
                Reverse(Rank {
                    keeps_failing: own.keeps_failing,
                    of_service: own.of_service,
                    place: *place,
                })
            });
            self.pools[pool] = ranks.collect::<Vec<_>>().into();
        }
    }

    /// Counts the tasks of the service in the branches of the tree.
    pub(crate) fn count_all(&mut self, index: &Index, shape: &Shape) {
        if shape.labels.is_empty() {
            return;
        }
        let mut of_class: BTreeMap<ClassNo, u64> = BTreeMap::new();
        for (no, own) in self.own.iter() {
            if let Some(host) = index.host(no) {
                *of_class.entry(host.class).or_default() += u64::from(own.of_service);
            }
        }
        for (class, tasks) in of_class {
            self.count(index, shape, class, 0, tasks);
        }
    }

    /// Counts tasks on hosts of a class: `after` where there were `before`.
    pub(crate) fn count(
        &mut self,
        index: &Index,
        shape: &Shape,
        class: ClassNo,
        before: u64,
        after: u64,
    ) {
        if let Some(class) = index.class(class).filter(|_| !shape.labels.is_empty()) {
            let values = shape.labels.iter();
            let values = values.map(|label| class.traits.labels[*label].as_str());
            self.tree.count(shape, values, before, after);
        }
    }

    /// What the best host of a pool is worth at best.
    pub(crate) fn bound(&self, pool: PoolNo) -> Option<Rank> {
        self.pools[pool].peek().map(|rank| rank.0)
    }

    pub(crate) fn put(&mut self, pool: PoolNo, rank: Rank) {
        self.pools[pool].push(Reverse(rank));
    }

    /// Leaves the best host of a pool behind.
    pub(crate) fn pass(&mut self, pool: PoolNo) {
        self.pools[pool].pop();
    }

    /// Makes the tree know what the best host of each pool is worth at best; `better` is one that is not ranked.
    pub(crate) fn settle(&mut self, shape: &Shape, better: impl Fn(PoolNo) -> Option<Rank>) {
        let Ranking { pools, tree, .. } = self;
        let bounds = pools.iter().enumerate().map(|(no, pool)| {
            let ranked = || pool.peek().map(|rank| rank.0);
            better(no).or_else(ranked)
        });
        tree.settle(shape, bounds);
    }

    /// How many hosts are in the pools, counted as often as they were put there.
    pub(crate) fn len(&self) -> usize {
        self.pools.iter().map(BinaryHeap::len).sum()
    }
}
