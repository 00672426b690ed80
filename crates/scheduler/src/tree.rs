//! The decision tree of spread preferences: one level per label, a branch per value. A task goes to the branch with
//! the fewest tasks of its service, level by level; equal ones are told apart by the best host that they have.

use crate::class::{ClassNo, Place};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How good a host is for the next task; the least is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub(crate) keeps_failing: bool,
    pub(crate) of_service: u32,
    pub(crate) place: Place,
}

/// Number of a pool: hosts of one class, of which only the best is known here.
pub(crate) type PoolNo = usize;

const ROOT: usize = 0;

/// What the trees of all services with the same placement share. All leaves are at the same depth; without
/// preferences the root is the only one.
#[derive(Debug)]
pub(crate) struct Shape {
    parents: Vec<Option<usize>>,
    children: Vec<Vec<usize>>,
    /// Pools of each leaf.
    pools_of: Vec<Vec<PoolNo>>,
    by_value: BTreeMap<(usize, String), usize>,
    /// Positions of the preferred labels among those that tell classes apart, outer to inner.
    pub(crate) labels: Vec<usize>,
    /// The class and the leaf of each pool.
    pub(crate) pools: Vec<(ClassNo, usize)>,
}

impl Shape {
    /// The shape for these classes, each with its values of the preferred labels, outer to inner; `labels` are the
    /// positions of these.
    pub(crate) fn new<'a, V: Iterator<Item = &'a str>>(
        labels: Vec<usize>,
        classes: impl Iterator<Item = (ClassNo, V)>,
    ) -> Shape {
        let mut shape = Shape {
            parents: vec![None],
            children: vec![Vec::new()],
            pools_of: vec![Vec::new()],
            by_value: BTreeMap::new(),
            labels,
            pools: Vec::new(),
        };
        for (class, values) in classes {
            let leaf = values.fold(ROOT, |at, value| shape.child(at, value));
            shape.pools_of[leaf].push(shape.pools.len());
            shape.pools.push((class, leaf));
        }
        shape
    }

    fn child(&mut self, at: usize, value: &str) -> usize {
        let next = self.parents.len();
        let child = *self.by_value.entry((at, value.into())).or_insert(next);
        if child == next {
            self.parents.push(Some(at));
            self.children.push(Vec::new());
            self.pools_of.push(Vec::new());
            self.children[at].push(child);
        }
        child
    }

    /// The pool of a class.
    pub(crate) fn pool_of(&self, class: ClassNo) -> Option<PoolNo> {
        let found = self.pools.binary_search_by_key(&class, |(class, _)| *class);
        found.ok()
    }
}

/// The tree of one group. Its functions all take the same shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    /// Active tasks of the service per branch, on whatever node of the branch.
    counts: Vec<u64>,
    /// Per branch the child to go to next, or in a leaf the pool.
    best: Vec<Option<usize>>,
    /// Per pool the best host that it may have: none is better.
    bounds: Vec<Option<Rank>>,
}

impl Tree {
    /// Begins with nothing counted and no hosts.
    pub(crate) fn begin(&mut self, shape: &Shape) {
        self.counts.clear();
        self.counts.resize(shape.parents.len(), 0);
        self.best.clear();
        self.best.resize(shape.parents.len(), None);
        self.bounds.clear();
    }

    /// Counts tasks in the branches of these values, as far as there are any: `after` where there were `before`.
    pub(crate) fn count<'v>(
        &mut self,
        shape: &Shape,
        values: impl Iterator<Item = &'v str>,
        before: u64,
        after: u64,
    ) {
        let mut at = ROOT;
        for value in values {
            let Some(next) = shape.by_value.get(&(at, value.into())) else {
                return;
            };
            at = *next;
            self.counts[at] = self.counts[at] + after - before;
        }
    }

    /// Settles all ways, once counts are there; `bounds` are the best hosts of the pools.
    pub(crate) fn settle(&mut self, shape: &Shape, bounds: impl Iterator<Item = Option<Rank>>) {
        self.bounds.clear();
        self.bounds.extend(bounds);
        for at in (0..self.best.len()).rev() {
            self.choose(shape, at);
        }
    }

    /// The pool that may have the best host of all, and how good that is.
    pub(crate) fn best(&self, shape: &Shape) -> Option<(PoolNo, Rank)> {
        let mut at = ROOT;
        while !shape.children[at].is_empty() {
            at = self.best[at]?;
        }
        let pool = self.best[at]?;
        Some((pool, self.bounds[pool]?))
    }

    /// The best host of a pool is another one now, or none. `placed` tasks more are in its branches.
    pub(crate) fn set_best(
        &mut self,
        shape: &Shape,
        pool: PoolNo,
        best: Option<Rank>,
        placed: u64,
    ) {
        self.bounds[pool] = best;
        let mut at = Some(shape.pools[pool].1);
        while let Some(branch) = at {
            // The root counts nothing: there is only one.
            self.counts[branch] += if branch == ROOT { 0 } else { placed };
            self.choose(shape, branch);
            at = shape.parents[branch];
        }
    }

    fn choose(&mut self, shape: &Shape, at: usize) {
        let children = &shape.children[at];
        self.best[at] = if children.is_empty() {
            let pools = shape.pools_of[at].iter().copied();
            let pools = pools.filter_map(|pool| Some((self.bounds[pool]?, pool)));
            pools.min().map(|(_, pool)| pool)
        } else {
            let usable = children.iter().filter(|child| self.best[**child].is_some());
            usable.min_by(|a, b| self.compare(shape, **a, **b)).copied()
        };
    }

    /// Both have hosts, and are at the same depth.
    fn compare(&self, shape: &Shape, a: usize, b: usize) -> Ordering {
        self.counts[a].cmp(&self.counts[b]).then_with(|| {
            let (Some(one), Some(other)) = (self.best[a], self.best[b]) else {
                return Ordering::Equal;
            };
            if shape.children[a].is_empty() {
                self.bounds[one].cmp(&self.bounds[other])
            } else {
                self.compare(shape, one, other)
            }
        })
    }
}
