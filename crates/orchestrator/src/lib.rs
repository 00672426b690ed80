//! Which tasks should exist: services of all modes, updates, restarts, reaping, drained and lost nodes. Pure.
//!
//! [`reconcile`] looks at what is dirty and says what has to change. It may be called at any time and
//! any number of times: when nothing has to change, it says nothing. All progress lies in the objects
//! themselves, so a new leader goes on where the old one stopped.
//!
//! There is one owner per slot: one pass over a service decides about restart, move, update and removal of each of its slots
//! together, so that they cannot race. [`replicated`], [`global`] and [`jobs`] say which slots there should be;
//! what becomes of a slot's task ([`slot`], [`restart`], [`updater`], [`drain`], [`enforcer`], [`reaper`]) is common to them.
//!
//! Who calls it keeps what is due in a map from service to time: [`Decision::wake`] has the next time for each service
//! that was looked at and has one, and replaces what the map has for it. When a time has come, its service is to be
//! marked in [`Dirty`]; an entry that is out of date costs a look and does no harm. A new leader marks everything.
#![forbid(unsafe_code)]

pub mod dirty;
mod drain;
mod enforcer;
mod fallback;
mod global;
mod jobs;
mod plan;
mod reaper;
mod replicated;
mod restart;
mod slot;
mod suits;
mod updater;
mod words;

pub use restart::waiting_reason;

use drain::Moves;
use enforcer::Rooms;
use model::{Change, IdSource, Mode, ServiceId, Timestamp};
use plan::Plan;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Dirty, Store};

/// Bounds of the orchestrator.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Changes in one decision, so that one entry of the log stays well below the largest message between
    /// managers (4 MiB at about 200 bytes a change). What is left over is decided next.
    pub changes_per_decision: usize,
    /// How long a node may be down before its tasks count as lost for good: Docker's 24 hours.
    pub orphan_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            changes_per_decision: 10_000,
            orphan_after: Duration::from_secs(24 * 3600),
        }
    }
}

/// What a decision is made with, besides the state.
pub struct Context<'a> {
    /// The leader's clock.
    pub now: Timestamp,
    /// For the ids of new tasks.
    pub ids: &'a mut dyn IdSource,
    /// Bounds.
    pub limits: &'a Limits,
}

/// What has to change, and when to look again though nothing happened.
#[derive(Debug, Default)]
pub struct Decision {
    /// In the order of application.
    pub changes: Vec<Change>,
    /// Where the changes of each service begin. Those of one service belong together; what is refused for one
    /// service must not hold up the others.
    begins: Vec<usize>,
    /// The next point in time at which something is due, of all services: the least in `wake`.
    pub wake_at: Option<Timestamp>,
    /// The next point in time at which something is due, for each service that was looked at and has one.
    pub wake: BTreeMap<ServiceId, Timestamp>,
    /// Services that were not looked at because the decision was full: still dirty.
    pub postponed: Vec<ServiceId>,
}

impl Decision {
    /// The changes of each service.
    pub fn into_parts(mut self) -> Vec<Vec<Change>> {
        let mut parts = Vec::with_capacity(self.begins.len());
        for begin in self.begins.into_iter().rev() {
            parts.push(self.changes.split_off(begin));
        }
        parts.reverse();
        parts
    }

    fn wake_at(&mut self, service: &ServiceId, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at)));
        let due = self.wake.entry(service.clone()).or_insert(at);
        *due = at.min(*due);
    }
}

/// Decides about everything that is dirty.
pub fn reconcile(ctx: &mut Context<'_>, view: &Store, dirty: &Dirty) -> Decision {
    let mut decision = Decision::default();
    let mut moves = Moves::default();
    let mut rooms = Rooms::default();
    for id in dirty::services(view, dirty) {
        if decision.changes.len() >= ctx.limits.changes_per_decision {
            decision.postponed.push(id);
            continue;
        }
        let begin = decision.changes.len();
        match view.service(&id) {
            Some(service) => {
                let mut plan = Plan::new(view, service, &mut decision, &mut moves, &mut rooms);
                match service.spec.mode {
                    Mode::Replicated { .. } => replicated::reconcile(ctx, &mut plan),
                    Mode::Global => global::reconcile(ctx, &mut plan),
                    Mode::ReplicatedJob { .. } | Mode::GlobalJob => jobs::reconcile(ctx, &mut plan),
                }
            }
            None => reaper::bury(view, &id, &mut decision),
        }
        if decision.changes.len() > begin {
            decision.begins.push(begin);
        }
    }
    decision
}

#[cfg(test)]
mod tests;
