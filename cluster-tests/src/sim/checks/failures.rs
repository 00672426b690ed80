//! What an update does about tasks that fail: it ends when there are more than its configuration allows, and not before.

use super::updates::config_of;
use super::{Rule, Step};
use model::service::{FailureAction, RevisionCause, Service, UpdateState, UpdateStatus};
use model::{ServiceId, Task, TaskState};
use std::collections::BTreeMap;
use store::Event;

/// Tasks that ended too early, per service.
#[derive(Default)]
pub(super) struct Failures {
    services: BTreeMap<ServiceId, Vec<End>>,
}

#[derive(Clone, Copy)]
struct End {
    /// Log index.
    at: u64,
    spec_version: u64,
    /// It was wanted while its update was under way: it has to be counted.
    counts: bool,
}

impl Failures {
    pub(super) fn check(&mut self, step: &Step<'_>) -> Rule {
        for event in step.events {
            match event {
                Event::Service { id, new: None, .. } => {
                    self.services.remove(id);
                }
                Event::Service {
                    id,
                    old: Some(old),
                    new: Some(new),
                    ..
                } => {
                    self.ends_rightly(step, old, new)
                        .map_err(|what| format!("the update of {id} {what}"))?;
                    if is_under_way(new)
                        && (!is_under_way(old) || old.spec_version != new.spec_version)
                    {
                        // What ended before it began is not its failure, unless nobody could know of it.
                        let ends = self.services.entry(id.clone()).or_default();
                        ends.retain(|end| step.is_fresh(end.at));
                        for end in ends {
                            end.counts = false;
                        }
                    }
                }
                Event::Task {
                    old: Some(old),
                    new: Some(new),
                    ..
                } => self.note(step, old, new),
                _ => {}
            }
        }
        Ok(())
    }

    fn note(&mut self, step: &Step<'_>, old: &Task, new: &Task) {
        let Some(service) = step.view.service(&new.service) else {
            return;
        };
        let by_itself = [TaskState::Complete, TaskState::Failed, TaskState::Rejected];
        let ends = !old.status.state.is_terminal() && by_itself.contains(&new.status.state);
        let monitor = config_of(service).monitor();
        let early = new
            .running_at
            .is_none_or(|at| new.status.applied_at.since(at) <= monitor);
        if ends && early && new.spec_version == service.spec_version {
            let all = self.services.entry(service.id.clone()).or_default();
            all.push(End {
                at: step.index,
                spec_version: new.spec_version,
                counts: is_under_way(service) && old.is_wanted(),
            });
        }
    }

    /// Whether the share of slots that failed is too large; `all` also counts what may not have been seen.
    fn are_too_many(
        &self,
        step: &Step<'_>,
        of: &Service,
        status: &UpdateStatus,
        all: bool,
    ) -> bool {
        let ends = self.services.get(&of.id).into_iter().flatten();
        let ends = ends.filter(|end| end.spec_version == of.spec_version);
        let count = ends
            .filter(|end| all || (end.counts && !step.is_fresh(end.at)))
            .count();
        let share = count as f64 / status.total_slots.max(1) as f64;
        share > f64::from(config_of(of).max_failure_ratio)
    }

    fn ends_rightly(&self, step: &Step<'_>, old: &Service, new: &Service) -> Rule {
        let (Some(was), Some(is)) = (&old.update_status, &new.update_status) else {
            return Ok(());
        };
        if !was.state.is_under_way() {
            return Ok(());
        }
        let for_failures = is.message.contains("due to failure");
        let goes_back = old.spec_version != new.spec_version;
        let last = new.history.last().map(|revision| revision.cause);
        let ended = match is.state {
            UpdateState::Paused | UpdateState::RollbackPaused => Some(is),
            _ if goes_back && last == Some(RevisionCause::FailedUpdate) => Some(was),
            _ => None,
        };
        if let Some(status) = ended
            && for_failures
            && !self.are_too_many(step, old, status, true)
        {
            let most = config_of(old).max_failure_ratio;
            return Err(format!("failed with no more failures than {most} allows"));
        }
        let completed = [UpdateState::Completed, UpdateState::RollbackCompleted];
        if completed.contains(&is.state)
            && !goes_back
            && !old.spec.mode.is_job()
            && config_of(old).failure_action != FailureAction::Continue
            && self.are_too_many(step, old, is, false)
        {
            let most = config_of(old).max_failure_ratio;
            return Err(format!("completed with more failures than {most} allows"));
        }
        Ok(())
    }
}

fn is_under_way(service: &Service) -> bool {
    let status = service.update_status.as_ref();
    status.is_some_and(|status| status.state.is_under_way())
}
