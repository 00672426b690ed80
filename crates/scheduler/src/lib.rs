//! Which node for each pending task, or the reason there is none. Pure.
//!
//! Tasks are taken in groups of one service and spec version: filters run once per group and node, then a heap
//! hands out the best node for each task. The order is Docker's: nodes where this version did not just fail
//! again and again, then those with fewer tasks of the service, then those with fewer tasks at all. Tasks that
//! run are never moved.
#![forbid(unsafe_code)]

mod explain;
mod filter;
mod hosts;
mod place;

use hosts::Hosts;
use model::{Change, ServiceId, Timestamp};
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

/// Places the pending tasks that may have a node now, and tells the others why they have none.
///
/// A task that found no node is looked at again when a node changed or a task somewhere gave up its place.
pub fn reconcile(ctx: &mut Context<'_>, view: &Store, dirty: &Dirty) -> Decision {
    let mut decision = Decision::default();
    let all = dirty.everything || dirty.room || !dirty.nodes.is_empty();
    let mut hosts = None;
    for (service, spec_version, tasks) in view.pending_groups() {
        if !all && !dirty.services.contains(service) {
            continue;
        }
        let room = ctx
            .limits
            .changes_per_decision
            .saturating_sub(decision.changes.len());
        if room < tasks.len() {
            decision.postponed.push(service.clone());
        }
        if room == 0 {
            continue;
        }
        let hosts = hosts.get_or_insert_with(|| Hosts::new(view));
        let group = place::Group {
            view,
            now: ctx.now,
            service,
            spec_version,
        };
        group.place(hosts, tasks.take(room), &mut decision.changes);
    }
    decision
}

#[cfg(test)]
mod tests;
