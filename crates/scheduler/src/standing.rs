//! Services that are on many nodes: their ranking is kept from one decision to the next, and follows the index
//! host by host. A decision for one of their tasks costs what has changed, not what they have.

use crate::class::HostNo;
use crate::filter::Demand;
use crate::index::{Index, count};
use crate::journal::Bookmark;
use crate::marks::Marks;
use crate::ranking::Ranking;
use crate::tree::Shape;
use model::ServiceId;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// Hosts of a service from which on its ranking is kept. For fewer it is made in microseconds.
const MIN_HOSTS: usize = 64;
/// The part of all hosts that it has to be on, as a divisor: keeping a ranking takes memory for each host there is.
const SHARE: usize = 8;
/// Hosts in kept rankings together, at about 50 bytes each. One ranking is kept in any case.
const MAX_RANKED: usize = 1 << 19;
/// Changed hosts per host of the service, as a divisor, from which on a ranking is made anew: looking up one host
/// takes as long as reading some in order.
const WORTH_FOLLOWING: usize = 8;

/// What a group brings along, besides its demand.
pub(crate) struct Past<'a> {
    pub(crate) view: &'a Store,
    pub(crate) service: &'a ServiceId,
    /// Hosts where this decision has placed tasks of the service already, and how many.
    pub(crate) placed: &'a BTreeMap<HostNo, u32>,
    /// Hosts where it keeps failing, in order.
    pub(crate) failing: Vec<HostNo>,
}

impl Past<'_> {
    /// Marks all hosts that the group has to do with.
    pub(crate) fn mark(&self, index: &Index, own: &mut Marks) {
        own.clear();
        for (id, of_service) in self.view.active_nodes(self.service) {
            if let Some(no) = index.find(id) {
                own.entry(no).of_service = count(of_service);
            }
        }
        for (no, tasks) in self.placed {
            own.entry(*no).of_service += tasks;
        }
        for no in &self.failing {
            own.entry(*no).keeps_failing = true;
        }
    }

    fn of_service(&self, index: &Index, no: HostNo) -> u32 {
        let active = index.host(no).map_or(0, |host| {
            count(self.view.active_on(self.service, &host.node.id))
        });
        active + self.placed.get(&no).copied().unwrap_or(0)
    }
}

/// A ranking of all hosts that suit a group.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) ranking: Ranking,
    shape: Arc<Shape>,
    /// What of the index it shows.
    seen: Bookmark,
    failing: Vec<HostNo>,
    /// Hosts in the ranking when it was made.
    made_with: usize,
    /// The last use, on the clock of [`Standings`].
    used: u64,
}

impl Standing {
    /// Ranks all hosts; `own` are those that the group has to do with.
    fn renew(
        &mut self,
        index: &Index,
        shape: &Arc<Shape>,
        demand: &Demand<'_>,
        own: Marks,
        failing: Vec<HostNo>,
    ) {
        self.ranking.own = own;
        self.ranking.begin(shape);
        self.ranking.add_all(index, shape, demand);
        self.ranking.count_all(index, shape);
        self.made_with = self.ranking.len();
        self.shape = shape.clone();
        self.seen = index.journal().end();
        self.failing = failing;
    }

    /// Looks at the hosts that changed. False when it has to be made anew.
    fn follow(
        &mut self,
        index: &Index,
        shape: &Arc<Shape>,
        demand: &Demand<'_>,
        past: &Past<'_>,
    ) -> bool {
        let Some(changed) = index.journal().since(self.seen) else {
            return false;
        };
        let too_many = MIN_HOSTS + self.ranking.own.len() / WORTH_FOLLOWING;
        // What is not true any more stays in the ranking until it comes first.
        let too_long = 2 * self.made_with + too_many;
        if !Arc::ptr_eq(&self.shape, shape)
            || changed.len() > too_many
            || self.ranking.len() > too_long
        {
            return false;
        }
        let mut hosts = [changed, &self.failing, &past.failing].concat();
        hosts.sort_unstable();
        hosts.dedup();
        for no in hosts {
            self.look_at(index, demand, past, no);
        }
        self.seen = index.journal().end();
        self.failing.clone_from(&past.failing);
        true
    }

    fn look_at(&mut self, index: &Index, demand: &Demand<'_>, past: &Past<'_>, no: HostNo) {
        let Some(host) = index.host(no) else {
            return;
        };
        let own = self.ranking.own.entry(no);
        let (before, after) = (own.of_service, past.of_service(index, no));
        own.of_service = after;
        own.keeps_failing = past.failing.binary_search(&no).is_ok();
        let (before, after) = (u64::from(before), u64::from(after));
        self.ranking
            .count(index, &self.shape, host.class, before, after);
        self.ranking.add(index, &self.shape, demand, no);
    }
}

/// Rankings that are kept, by service and spec version.
#[derive(Clone, Debug)]
pub(crate) struct Standings {
    all: BTreeMap<(ServiceId, u64), Standing>,
    clock: u64,
    min_hosts: usize,
}

impl Default for Standings {
    fn default() -> Self {
        Standings {
            all: BTreeMap::new(),
            clock: 0,
            min_hosts: MIN_HOSTS,
        }
    }
}

impl Standings {
    /// Keeps the ranking of each service that is on a few nodes.
    #[cfg(test)]
    pub(crate) fn of_all() -> Standings {
        Standings {
            min_hosts: 1,
            ..Standings::default()
        }
    }

    /// Makes the ranking of a group show what is true now. False when it is not kept, or not worth it any more.
    pub(crate) fn follow(
        &mut self,
        index: &Index,
        shape: &Arc<Shape>,
        demand: &Demand<'_>,
        (past, spec_version): (&Past<'_>, u64),
    ) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let key = (past.service.clone(), spec_version);
        let Some(standing) = self.all.get_mut(&key) else {
            return false;
        };
        self.clock += 1;
        standing.used = self.clock;
        if standing.follow(index, shape, demand, past) {
            return true;
        }
        let mut own = std::mem::take(&mut standing.ranking.own);
        past.mark(index, &mut own);
        let is_kept = is_worth_it(self.min_hosts, index, &own);
        if is_kept {
            standing.renew(index, shape, demand, own, past.failing.clone());
        } else {
            self.all.remove(&key);
        }
        is_kept
    }

    /// Begins to keep the ranking of a group if it has to do with many hosts, those of `own`, and then takes them.
    pub(crate) fn begin(
        &mut self,
        index: &Index,
        shape: &Arc<Shape>,
        demand: &Demand<'_>,
        (past, spec_version): (&Past<'_>, u64),
        own: &mut Marks,
    ) -> bool {
        if !is_worth_it(self.min_hosts, index, own) {
            return false;
        }
        self.make_room(MAX_RANKED / index.len().max(1));
        self.clock += 1;
        let mut standing = Standing {
            ranking: Ranking::default(),
            shape: shape.clone(),
            seen: index.journal().end(),
            failing: Vec::new(),
            made_with: 0,
            used: self.clock,
        };
        let own = std::mem::take(own);
        standing.renew(index, shape, demand, own, past.failing.clone());
        self.all
            .insert((past.service.clone(), spec_version), standing);
        true
    }

    /// The ranking of a group, which has to be there.
    pub(crate) fn ranking(&mut self, (past, spec_version): (&Past<'_>, u64)) -> &mut Ranking {
        let key = (past.service.clone(), spec_version);
        let standing = self.all.get_mut(&key);
        &mut standing.expect("a ranking that is kept").ranking
    }

    /// Forgets those that were not used for the longest time, so that with one more there are at most `limit`.
    fn make_room(&mut self, limit: usize) {
        while self.all.len() >= limit.max(1) {
            let oldest = self.all.iter().min_by_key(|(_, standing)| standing.used);
            let Some(key) = oldest.map(|(key, _)| key.clone()) else {
                return;
            };
            self.all.remove(&key);
        }
    }
}

fn is_worth_it(min_hosts: usize, index: &Index, own: &Marks) -> bool {
    own.len() >= min_hosts && own.len() * SHARE >= index.len()
}

#[cfg(test)]
impl Standings {
    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;

    #[test]
    fn those_that_were_not_used_for_the_longest_time_make_room() {
        let mut standings = Standings::default();
        for (used, service) in [(3, "a"), (1, "b"), (4, "c"), (2, "d")] {
            let standing = Standing {
                ranking: Ranking::default(),
                shape: Arc::new(Shape::new::<std::iter::Empty<&str>>(
                    vec![],
                    std::iter::empty(),
                )),
                seen: Journal::default().end(),
                failing: vec![],
                made_with: 0,
                used,
            };
            standings.all.insert((service.into(), 1), standing);
        }
        standings.make_room(3);
        let left: Vec<_> = standings.all.keys().map(|(id, _)| id.as_str()).collect();
        assert_eq!(left, ["a", "c"]);
        standings.make_room(0);
        assert_eq!(standings.len(), 0, "the next one always has a place");
    }
}
