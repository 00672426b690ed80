//! The loops: orchestrator, allocator, scheduler, one proposal at a time.

use super::{Leader, Step};
use model::Proposal;
use store::Dirty;

impl Leader {
    /// Runs the loops over what is dirty. The first that has something to change proposes it; the rest
    /// sees the result when it is applied.
    pub(super) fn run_loops(&mut self, step: &mut Step<'_>) {
        if !self.deciding.is_empty() {
            return;
        }
        if self.loops_due.is_some_and(|at| at <= step.now) {
            // Something was due: which service it was for is not kept, since looking costs little and
            // remembering could go wrong.
            self.dirty.everything = true;
        }
        if self.dirty.is_empty() {
            return;
        }
        let dirty = std::mem::take(&mut self.dirty);
        self.loops_due = if dirty.everything {
            None
        } else {
            self.loops_due
        };
        // One proposal for each service, one for each other loop: they decide on one view, and where the first
        // takes back what another builds on, only that one is refused and decided again.
        let mut decided = self.orchestrate(step, &dirty);
        decided.push(self.allocate(step, &dirty));
        decided.push(self.schedule(step, &dirty));
        for changes in decided.into_iter().filter(|changes| !changes.is_empty()) {
            let token = self.propose(
                step,
                Proposal {
                    request: None,
                    at: step.now,
                    changes,
                },
            );
            self.deciding.insert(token);
        }
    }

    /// The changes of each service.
    fn orchestrate(&mut self, step: &mut Step<'_>, dirty: &Dirty) -> Vec<Vec<model::Change>> {
        let mut context = orchestrator::Context {
            now: step.now,
            ids: step.ids,
            limits: &self.limits.orchestrator,
        };
        let decision = orchestrator::reconcile(&mut context, step.view, dirty);
        if let Some(at) = decision.wake_at {
            self.loops_due = Some(self.loops_due.map_or(at, |due| due.min(at)));
        }
        self.dirty
            .services
            .extend(decision.postponed.iter().cloned());
        decision.into_parts()
    }

    fn allocate(&self, step: &Step<'_>, dirty: &Dirty) -> Vec<model::Change> {
        let mut context = allocator::Context {
            now: step.now,
            limits: &self.limits.allocator,
        };
        allocator::reconcile(&mut context, step.view, dirty).changes
    }

    fn schedule(&mut self, step: &Step<'_>, dirty: &Dirty) -> Vec<model::Change> {
        let mut context = scheduler::Context {
            now: step.now,
            limits: &self.limits.scheduler,
        };
        let decision = scheduler::reconcile(&mut context, step.view, dirty);
        self.dirty.services.extend(decision.postponed);
        decision.changes
    }
}
