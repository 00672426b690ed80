//! The decision tree of spread preferences: one level per label, a branch per value. A task goes to the branch with
//! the fewest tasks of its service, level by level; equal ones are told apart by the best host that they have.

use crate::class::Place;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

/// How good a host is for the next task; the least is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) keeps_failing: bool,
    pub(crate) of_service: u64,
    pub(crate) place: Place,
}

/// Number of a pool: hosts of one class, of which only the best is known here.
pub(crate) type PoolNo = usize;

/// The tree. All leaves are at the same depth; without preferences the root is the only one.
pub(crate) struct Tree<'a> {
    branches: Vec<Branch>,
    by_value: HashMap<(usize, &'a str), usize>,
}

#[derive(Default)]
struct Branch {
    parent: Option<usize>,
    /// Active tasks of the service, on whatever node of the branch.
    count: u64,
    children: Vec<usize>,
    /// The child to go to next.
    best: Option<usize>,
    /// In a leaf: the best host of each pool that has one.
    pools: BTreeSet<(Rank, PoolNo)>,
}

const ROOT: usize = 0;

impl<'a> Tree<'a> {
    pub(crate) fn new() -> Tree<'a> {
        Tree {
            branches: vec![Branch::default()],
            by_value: HashMap::new(),
        }
    }

    /// The leaf for these values, outer to inner.
    pub(crate) fn leaf(&mut self, values: impl Iterator<Item = &'a str>) -> usize {
        let mut at = ROOT;
        for value in values {
            let next = self.branches.len();
            at = match self.by_value.entry((at, value)) {
                std::collections::hash_map::Entry::Occupied(known) => *known.get(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(next);
                    self.branches[at].children.push(next);
                    self.branches.push(Branch {
                        parent: Some(at),
                        ..Branch::default()
                    });
                    next
                }
            };
        }
        at
    }

    /// Counts tasks in the branches of these values, as far as there are any.
    pub(crate) fn count(&mut self, values: impl Iterator<Item = &'a str>, tasks: u64) {
        let mut at = ROOT;
        for value in values {
            let Some(next) = self.by_value.get(&(at, value)) else {
                return;
            };
            at = *next;
            self.branches[at].count += tasks;
        }
    }

    /// Puts the best host of a pool into its leaf. The way to it is not settled yet.
    pub(crate) fn offer(&mut self, leaf: usize, pool: PoolNo, best: Option<Rank>) {
        if let Some(rank) = best {
            self.branches[leaf].pools.insert((rank, pool));
        }
    }

    /// Settles all ways, once counts and offers are there.
    pub(crate) fn settle(&mut self) {
        for at in (0..self.branches.len()).rev() {
            self.choose_child(at);
        }
    }

    /// Takes the best host of all: its leaf, rank and pool.
    pub(crate) fn take(&mut self) -> Option<(usize, Rank, PoolNo)> {
        let mut at = ROOT;
        while let Some(best) = self.branches[at].best {
            at = best;
        }
        let (rank, pool) = self.branches[at].pools.pop_first()?;
        Some((at, rank, pool))
    }

    /// Counts a task in `leaf`, offers the pool's next best host, and settles the way to it.
    pub(crate) fn placed(&mut self, leaf: usize, pool: PoolNo, next: Option<Rank>) {
        self.offer(leaf, pool, next);
        let mut at = leaf;
        while let Some(parent) = self.branches[at].parent {
            self.branches[at].count += 1;
            self.choose_child(parent);
            at = parent;
        }
    }

    fn choose_child(&mut self, at: usize) {
        let children = self.branches[at].children.iter().copied();
        let usable = children.filter(|child| self.has_host(*child));
        self.branches[at].best = usable.min_by(|a, b| self.compare(*a, *b));
    }

    fn has_host(&self, at: usize) -> bool {
        let branch = &self.branches[at];
        branch.best.is_some() || !branch.pools.is_empty()
    }

    /// Both have hosts, and are at the same depth.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (one, other) = (&self.branches[a], &self.branches[b]);
        one.count
            .cmp(&other.count)
            .then_with(|| match (one.best, other.best) {
                (Some(a), Some(b)) => self.compare(a, b),
                _ => one.pools.first().cmp(&other.pools.first()),
            })
    }
}
