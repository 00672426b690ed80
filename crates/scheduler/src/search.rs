//! The best node for each next task of a group, without looking at all nodes.
//!
//! Nodes come in classes that are ordered by load. On most nodes the service has no task, and there the order of
//! the class is the order of preference: these are walked from the least loaded on, and each at most once per
//! group. The others, where it has tasks or keeps failing, are few, and ranked one by one. For a service that is
//! on many nodes all of them are ranked, and stay so for the next decision (see `standing`).

use crate::class::{HostNo, Place};
use crate::filter::Demand;
use crate::index::{Host, Index};
use crate::ranking::{Ranking, rank_of};
use crate::tree::{PoolNo, Rank, Shape};
use model::task::{GenericResource, Resources};
use std::collections::{BTreeMap, BTreeSet, btree_set};
use std::ops::Bound;
use store::{GenericUse, Store};

/// A search for the tasks of one group. The index stays as it is until the search has ended.
pub(crate) struct Search<'a> {
    view: &'a Store,
    index: &'a Index,
    demand: &'a Demand<'a>,
    shape: &'a Shape,
    ranking: &'a mut Ranking,
    /// By number of the pool; none when all hosts are ranked one by one.
    walks: Vec<Walk<'a>>,
    /// Generic resources in use, of hosts where this search gave some.
    generic: BTreeMap<HostNo, GenericUse>,
    /// The last placement: its pool goes on to the next host only when that is asked for.
    last: Option<(PoolNo, Rank)>,
    /// Hosts that got tasks.
    took: Vec<HostNo>,
}

/// The hosts of a class, least loaded first; those that are ranked one by one are among them, and passed over.
struct Walk<'a> {
    /// The next one.
    next: Option<Place>,
    /// Those after it. Most walks end with the first, and need none.
    rest: Option<Box<btree_set::Range<'a, Place>>>,
}

impl<'a> Walk<'a> {
    fn advance(&mut self, open: impl FnOnce() -> Option<&'a BTreeSet<Place>>) {
        let Some(place) = self.next.take() else {
            return;
        };
        if self.rest.is_none() {
            let after = (Bound::Excluded(place), Bound::Unbounded);
            self.rest = open().map(|open| Box::new(open.range(after)));
        }
        let rest = self.rest.as_mut();
        self.next = rest.and_then(|rest| rest.next().copied());
    }
}

/// Hosts that a search looks at besides those that are ranked already.
pub(crate) enum Others {
    /// All of the classes that suit.
    All,
    /// None.
    None,
}

impl<'a> Search<'a> {
    /// `ranking` has its hosts and counts; its tree is settled here.
    pub(crate) fn new(
        view: &'a Store,
        index: &'a Index,
        demand: &'a Demand<'a>,
        shape: &'a Shape,
        ranking: &'a mut Ranking,
        others: Others,
    ) -> Search<'a> {
        let classes = index.classes();
        let walks: Vec<Walk<'_>> = match others {
            Others::None => Vec::new(),
            Others::All => {
                let firsts = shape
                    .pools
                    .iter()
                    .map(|(class, _)| classes.first_of(*class));
                firsts.map(|next| Walk { next, rest: None }).collect()
            }
        };
        // Most pools are never asked for a host: what the first one is worth at best is enough to begin with.
        let walked = |pool: PoolNo| walks.get(pool)?.next.map(plain);
        ranking.settle(shape, walked);
        Search {
            view,
            index,
            demand,
            shape,
            ranking,
            walks,
            generic: BTreeMap::new(),
            last: None,
            took: Vec::new(),
        }
    }

    /// The next host of a pool that is not ranked. They come before the ranked ones.
    fn walked(&self, pool: PoolNo) -> Option<Place> {
        self.walks.get(pool)?.next
    }

    /// What the first host of a pool is worth, whether it can take a task or not.
    fn bound(&self, pool: PoolNo) -> Option<Rank> {
        let walked = self.walked(pool).map(plain);
        walked.or_else(|| self.ranking.bound(pool))
    }

    /// Leaves the first host of a pool behind.
    fn pass(&mut self, pool: PoolNo) {
        if self.walked(pool).is_some() {
            let (index, class) = (self.index, self.shape.pools[pool].0);
            self.walks[pool].advance(|| index.class(class).map(|class| &class.open));
        } else {
            self.ranking.pass(pool);
        }
    }

    /// The best host of a pool that can take a task now. What cannot is passed over for good: within a search
    /// hosts only get fuller, and when they change later they are ranked again.
    fn best_of(&mut self, pool: PoolNo) -> Option<Rank> {
        loop {
            let rank = self.bound(pool)?;
            let host = self.index.host(rank.place.host);
            if host.is_some_and(|host| self.takes(pool, rank, host)) {
                return Some(rank);
            }
            self.pass(pool);
        }
    }

    fn takes(&self, pool: PoolNo, rank: Rank, host: &Host) -> bool {
        let no = rank.place.host;
        let own = self.ranking.own.get(no).copied();
        if self.walked(pool).is_some() {
            // A host that the group has to do with is among the ranked ones as well.
            return own.is_none()
                && self.has_room(no, host, 0)
                && self.demand.suits_itself(&host.node);
        }
        let own = own.unwrap_or_default();
        host.is_open
            && rank == rank_of(host, own)
            && self.demand.leaves_place(u64::from(own.of_service))
            && self.has_room(no, host, own.taken)
    }

    /// Whether one more task fits beside `taken` ones that this search placed there.
    fn has_room(&self, no: HostNo, host: &Host, taken: u32) -> bool {
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
    pub(crate) fn next(&mut self) -> Option<(&'a Host, Vec<GenericResource>)> {
        self.leave_last();
        let (pool, rank) = loop {
            let (pool, bound) = self.ranking.tree.best(self.shape)?;
            let best = self.best_of(pool);
            if best == Some(bound) {
                break (pool, bound);
            }
            self.ranking.tree.set_best(self.shape, pool, best, 0);
        };
        let no = rank.place.host;
        let host = self.index.host(no)?;
        let given = self.give(no, host);
        let own = self.ranking.own.entry(no);
        if own.taken == 0 {
            self.took.push(no);
        }
        own.taken += 1;
        own.of_service += 1;
        self.last = Some((pool, rank));
        Some((host, given))
    }

    /// Ranks the host of the last placement anew.
    fn leave_last(&mut self) {
        let Some((pool, rank)) = self.last.take() else {
            return;
        };
        self.pass(pool);
        let again = Rank {
            of_service: rank.of_service + 1,
            place: Place {
                in_all: rank.place.in_all + 1,
                ..rank.place
            },
            ..rank
        };
        self.ranking.put(pool, again);
        let bound = self.bound(pool);
        self.ranking.tree.set_best(self.shape, pool, bound, 1);
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

    /// How many tasks it has placed on each host.
    pub(crate) fn into_taken(mut self) -> Vec<(HostNo, u32)> {
        self.leave_last();
        let own = &mut self.ranking.own;
        let taken = self.took.iter();
        taken
            .map(|no| (*no, std::mem::take(&mut own.entry(*no).taken)))
            .collect()
    }
}

/// What a host is worth that the group has nothing to do with.
fn plain(place: Place) -> Rank {
    Rank {
        keeps_failing: false,
        of_service: 0,
        place,
    }
}

fn times(asked: Resources, tasks: u32) -> Resources {
    let tasks = i64::from(tasks);
    Resources {
        nano_cpus: asked.nano_cpus * tasks,
        memory_bytes: asked.memory_bytes * tasks,
    }
}
