//! Which node for each pending task, or the reason there is none. Pure.
//!
//! Tasks are taken in groups of one service and spec version. The order of nodes is Docker's: along the tree of
//! spread preferences the branch with the fewest tasks of the service, then nodes where this version did not just
//! fail again and again, then those with fewer tasks of the service, then those with fewer tasks at all, then by id.
//! Tasks that run are never moved; [`rebalance`] only says which ones would have to be.
//!
//! [`reconcile`] looks at all nodes once per decision. A [`Scheduler`] keeps them in order from one decision to the
//! next and decides the same.
#![forbid(unsafe_code)]

mod addresses;
mod class;
mod explain;
mod filter;
mod index;
mod journal;
mod labels;
mod marks;
mod order;
mod place;
mod ranking;
mod rebalance;
mod search;
mod standing;
mod tree;

pub use rebalance::rebalance;

use filter::Wishes;
use index::Index;
use labels::push_part;
use model::task::{GenericValue, TaskSpec};
use model::{Change, ServiceId, Task, Timestamp};
use place::{Group, Memory, Placer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use store::{Dirty, Store};

/// What the user reads of a task that has just got a node. Docker's text.
pub const ASSIGNED_MESSAGE: &str = "scheduler assigned task to node";

/// Failures of a service version on one node within [`FAILURE_WINDOW`] from which on other nodes are preferred, as in Docker.
pub const MAX_FAILURES: usize = 5;
const _: () = assert!(
    MAX_FAILURES <= store::MAX_FAILURES_PER_NODE,
    "the store must remember as many"
);

/// How long a failure counts against a node, as in Docker.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Bounds of the scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes in one decision, so that one entry of the log stays well below the largest message between
    /// managers (4 MiB at about 250 bytes a change). What is left over is decided next.
    pub changes_per_decision: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            changes_per_decision: 10_000,
        }
    }
}

/// What a decision is made with, besides the state.
pub struct Context<'a> {
    /// The leader's clock.
    pub now: Timestamp,
    /// Bounds.
    pub limits: &'a Limits,
}

/// What has to change.
#[derive(Debug, Default)]
pub struct Decision {
    /// In the order of application; they belong together.
    pub changes: Vec<Change>,
    /// Services that were not looked at, or not to the end, because the decision was full: still dirty.
    pub postponed: Vec<ServiceId>,
}

/// The scheduler with what it remembers of the nodes. It may be made anew at any time: what it remembers is only
/// faster to have. One of them sees one store, or what that one became.
#[derive(Clone, Debug, Default)]
pub struct Scheduler {
    index: Index,
    memory: Memory,
    wishes: KnownWishes,
}

/// Constraints and preferences that were read.
#[derive(Clone, Debug, Default)]
struct KnownWishes {
    /// By what [`write_key`] writes.
    all: BTreeMap<String, Arc<Wishes>>,
    /// How many there ever were.
    numbers: u64,
    /// The key of one spec, kept for its memory.
    key: String,
}

/// Sets of constraints and preferences that are remembered: those in use, and some that were.
const MAX_WISHES: usize = 4_096;

/// Places the pending tasks that may have a node now, and tells the others why they have none.
///
/// A task that found no node is looked at again when a node changed or a task somewhere gave up its place.
pub fn reconcile(ctx: &mut Context<'_>, view: &Store, dirty: &Dirty) -> Decision {
    Scheduler::default().reconcile(ctx, view, dirty)
}

impl Scheduler {
    /// As the function [`reconcile`], which it always agrees with.
    pub fn reconcile(&mut self, ctx: &mut Context<'_>, view: &Store, dirty: &Dirty) -> Decision {
        let mut decision = Decision::default();
        let mut tasks = Vec::new();
        let groups = self.groups(ctx, view, dirty, &mut tasks, &mut decision.postponed);
        if groups.is_empty() {
            return decision;
        }
        let wishes = groups.iter().map(|(_, _, wishes, _)| wishes);
        self.index.follow(view, wishes);
        let mut placer = Placer::new(view, &mut self.index, &mut self.memory, ctx.now);
        placer.changes.reserve(tasks.len());
        for (service, spec_version, wishes, of_group) in groups {
            placer.place(&Group {
                service,
                spec_version,
                wishes,
                tasks: &tasks[of_group],
            });
        }
        decision.changes = placer.changes;
        decision
    }

    /// One that keeps rankings which others make anew each time.
    #[cfg(test)]
    fn that_keeps_all_rankings() -> Scheduler {
        let mut scheduler = Scheduler::default();
        scheduler.memory.standings = standing::Standings::of_all();
        scheduler
    }

    /// The groups to look at, as many as one decision takes, each with the place of its tasks among `all_tasks`. A
    /// task makes one change at most.
    fn groups<'a>(
        &mut self,
        ctx: &Context<'_>,
        view: &'a Store,
        dirty: &Dirty,
        all_tasks: &mut Vec<&'a Arc<Task>>,
        postponed: &mut Vec<ServiceId>,
    ) -> Vec<(&'a ServiceId, u64, Arc<Wishes>, Range<usize>)> {
        let all = dirty.everything || dirty.room || !dirty.nodes.is_empty();
        let limit = ctx.limits.changes_per_decision;
        let mut groups = Vec::new();
        for (service, spec_version, tasks) in view.pending_groups() {
            if !all && !dirty.services.contains(service) {
                continue;
            }
            let begin = all_tasks.len();
            let room = limit - begin;
            if room < tasks.len() {
                postponed.push(service.clone());
            }
            all_tasks.extend(tasks.take(room));
            if let Some(first) = all_tasks.get(begin) {
                let wishes = self.wishes.of(&first.spec);
                groups.push((service, spec_version, wishes, begin..all_tasks.len()));
            }
        }
        groups
    }
}

impl KnownWishes {
    fn of(&mut self, spec: &TaskSpec) -> Arc<Wishes> {
        self.key.clear();
        write_key(spec, &mut self.key);
        if let Some(wishes) = self.all.get(&self.key) {
            return wishes.clone();
        }
        if self.all.len() >= MAX_WISHES {
            self.all.clear();
        }
        self.numbers += 1;
        let wishes = Arc::new(Wishes::new(spec, self.numbers));
        self.all.insert(self.key.clone(), wishes.clone());
        wishes
    }
}

/// Writes what stands for all that decides which classes of nodes suit, and how they are spread over.
fn write_key(spec: &TaskSpec, key: &mut String) {
    let mut add = |mark: char, parts: &[&str]| {
        key.push(mark);
        parts.iter().for_each(|part| push_part(key, part));
    };
    if let Some(placement) = &spec.placement {
        for constraint in &placement.constraints {
            add('c', &[constraint]);
        }
        for preference in &placement.preferences {
            add('p', &[preference]);
        }
        for platform in &placement.platforms {
            add('o', &[&platform.os, &platform.architecture]);
        }
    }
    for resource in spec.generic_reservations() {
        let is_asked = !matches!(resource.value, GenericValue::Discrete(n) if n <= 0);
        add(if is_asked { 'g' } else { 'n' }, &[&resource.kind]);
    }
    if filter::needs_privileges(spec) {
        add('a', &[]);
    }
}

#[cfg(test)]
mod tests;
