//! The loops: orchestrator, allocator, scheduler, one proposal at a time.

use super::{Leader, Limits, Step};
use model::{Change, IdSource, Proposal, ServiceId, Timestamp};
use scheduler::Scheduler;
use std::collections::BTreeMap;
use store::{Dirty, Store};

/// What the loops want changed, and when they want to be called though nothing happens.
pub(crate) struct Decided {
    /// One proposal for each service, one for each other loop: they decide on one view, and where the first takes
    /// back what another builds on, only that one is refused and decided again.
    pub(crate) proposals: Vec<Vec<Change>>,
    /// When something is due, by service.
    pub(crate) wake: BTreeMap<ServiceId, Timestamp>,
    /// Still dirty.
    pub(crate) postponed: Vec<ServiceId>,
}

/// Runs the loops over what is dirty. `scheduler` is kept from one decision to the next: it need not look at every
/// node each time.
pub(crate) fn decide(
    now: Timestamp,
    view: &Store,
    ids: &mut dyn IdSource,
    limits: &Limits,
    scheduler: &mut Scheduler,
    dirty: &Dirty,
) -> Decided {
    let mut context = orchestrator::Context {
        now,
        ids,
        limits: &limits.orchestrator,
    };
    let mut decision = orchestrator::reconcile(&mut context, view, dirty);
    let wake = std::mem::take(&mut decision.wake);
    let mut postponed = std::mem::take(&mut decision.postponed);
    let mut proposals = decision.into_parts();

    let mut context = allocator::Context {
        now,
        limits: &limits.allocator,
    };
    proposals.push(allocator::reconcile(&mut context, view, dirty).changes);

    let mut context = scheduler::Context {
        now,
        limits: &limits.scheduler,
    };
    let placed = scheduler.reconcile(&mut context, view, dirty);
    postponed.extend(placed.postponed);
    proposals.push(placed.changes);
    proposals.retain(|changes| !changes.is_empty());
    Decided {
        proposals,
        wake,
        postponed,
    }
}

/// Marks the services whose time has come, and forgets their times.
pub(crate) fn mark_due(
    due: &mut BTreeMap<ServiceId, Timestamp>,
    now: Timestamp,
    dirty: &mut Dirty,
) {
    due.retain(|service, at| {
        let waits = *at > now;
        if !waits {
            dirty.services.insert(service.clone());
        }
        waits
    });
}

impl Leader {
    /// Runs the loops over what is dirty; what they want is proposed, and they see the result when it is applied.
    pub(super) fn run_loops(&mut self, step: &mut Step<'_>) {
        if !self.deciding.is_empty() {
            return;
        }
        mark_due(&mut self.due, step.now, &mut self.dirty);
        if self.dirty.is_empty() {
            self.rebalance(step);
            return;
        }
        let dirty = self.dirty.take();
        if dirty.everything {
            self.due.clear();
        }
        let decided = decide(
            step.now,
            step.view,
            step.ids,
            &self.limits,
            &mut self.scheduler,
            &dirty,
        );
        self.due.extend(decided.wake);
        self.dirty.services.extend(decided.postponed);
        for changes in decided.proposals {
            self.propose_decision(step, changes);
        }
    }

    /// Proposes what a loop wants; no loop runs before it is decided.
    pub(super) fn propose_decision(&mut self, step: &mut Step<'_>, changes: Vec<Change>) {
        let proposal = Proposal {
            request: None,
            at: step.now,
            changes,
        };
        let token = self.propose(step, proposal);
        self.deciding.insert(token);
    }
}
