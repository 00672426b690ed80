//! The safety rules, checked after each commit on a store of their own, and what has to hold at rest.
//!
//! The rules are written from what users are promised, not from the code that keeps them: each says it in its
//! own words over the objects before and after a proposal.

mod at_rest;
mod balance;
mod deadlines;
mod failures;
mod jobs;
mod ladder;
mod pace;
mod payloads;
mod placement;
mod restarts;
mod services;
mod slots;
mod turns;
mod updates;

use super::events::Id;
use super::log::Entry;
use super::world::World;
use model::control::{ControlError, Written};
use model::{Change, NodeId, Proposal, Refusal, TaskState, Timestamp};
use std::rc::Rc;
use store::{Event, Store};

pub(super) use store::Applied;

/// Decisions are made on a view that is up to this many entries old: what changed since then excuses them.
const VIEW_AGE: u64 = 2;

/// The store of the checks, and what they remember.
#[derive(Default)]
pub(super) struct Checker {
    /// All that is committed.
    pub(super) reference: Store,
    /// What each entry did there.
    applied: Vec<Rc<Applied>>,
    memory: Memory,
}

/// What the rules remember.
#[derive(Default)]
struct Memory {
    updates: updates::Updates,
    pace: pace::Pace,
    failures: failures::Failures,
    turns: turns::Turns,
    deadlines: deadlines::Deadlines,
}

/// A broken rule, in words.
type Rule = Result<(), String>;

/// One applied proposal, for the rules.
struct Step<'a> {
    index: u64,
    /// Simulated time.
    now: Timestamp,
    /// Time of the proposal.
    at: Timestamp,
    view: &'a Store,
    changes: &'a [Change],
    events: &'a [Event],
}

impl Step<'_> {
    /// Something that changed so lately that whoever decided may not have seen it.
    fn is_fresh(&self, changed: u64) -> bool {
        changed + VIEW_AGE >= self.index
    }
    /// The node took part in the cluster when the decision was made, and does now.
    fn is_healthy(&self, node: &NodeId) -> bool {
        self.view.node(node).is_some_and(|n| {
            n.status.state == model::NodeState::Ready
                && n.spec.availability == model::Availability::Active
                && !self.is_fresh(n.meta.changed)
        })
    }
}

/// All rules over one step.
fn check_all(step: &Step<'_>, memory: &mut Memory) -> Rule {
    ladder::check(step)?;
    placement::check(step)?;
    memory.updates.note(step);
    slots::check(step, &memory.updates)?;
    memory.updates.check(step)?;
    memory.pace.check(step)?;
    memory.failures.check(step)?;
    services::check(step)?;
    jobs::check(step)?;
    memory.turns.check(step)?;
    restarts::check(step)?;
    balance::check(step)?;
    memory.deadlines.check(step)
}

impl Checker {
    fn commit(&mut self, index: u64, now: Timestamp, proposals: &[Proposal]) -> Rule {
        let mut whole = Applied::default();
        let rule = self.commit_all(index, now, proposals, &mut whole);
        self.applied.push(Rc::new(whole));
        rule
    }

    fn commit_all(
        &mut self,
        index: u64,
        now: Timestamp,
        proposals: &[Proposal],
        whole: &mut Applied,
    ) -> Rule {
        if proposals.is_empty() {
            // Another leader.
            self.memory.deadlines.disturb(now);
            self.reference.apply(index, &[]);
        }
        for proposal in proposals {
            let repeated = proposal
                .request
                .is_some_and(|id| self.reference.applied_request(id).is_some());
            let mut applied = self.reference.apply(index, std::slice::from_ref(proposal));
            let step = Step {
                index,
                now,
                at: proposal.at,
                view: &self.reference,
                changes: &proposal.changes,
                events: &applied.events,
            };
            let rule = match &applied.outcomes[0] {
                Ok(()) if repeated && applied.events.is_empty() => Ok(()),
                Ok(()) if repeated => Err("a request was carried out twice".into()),
                Ok(()) => check_all(&step, &mut self.memory),
                Err(_) => Ok(()),
            };
            whole.outcomes.append(&mut applied.outcomes);
            whole.events.append(&mut applied.events);
            rule?;
        }
        Ok(())
    }
}

impl World {
    /// An entry is committed: the rules hold.
    pub(super) fn check_commit(&mut self, index: u64, entry: &Entry) {
        let rule = self.checker.commit(index, self.now, &entry.proposals);
        let Some(applied) = self.checker.applied.last().cloned() else {
            return;
        };
        self.trace_entry(entry, &applied);
        if let Err(what) = rule {
            self.fail(|| what);
        }
        self.summary.entries += 1;
        for refusal in applied.outcomes.iter().filter_map(|o| o.as_ref().err()) {
            *self.summary.refused.entry(guard(refusal)).or_default() += 1;
        }
        for event in &applied.events {
            self.count(event);
            match event {
                Event::Node { id, new: None, .. } => self.node_was_removed(id),
                Event::Node {
                    id,
                    old: Some(old),
                    new: Some(new),
                    ..
                } if new.role != new.spec.role && old.spec.role != new.spec.role => {
                    let delay = self.rng.millis(300, 3000);
                    if let Some(host) = self.hosts.iter().position(|h| h.node == *id) {
                        self.after(delay, super::events::Event::FollowRole { host });
                    }
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Task { old: None, .. } => self.summary.tasks += 1,
            Event::Node {
                old: Some(old),
                new: Some(new),
                ..
            } => {
                let in_turns = |n: &model::Node| {
                    n.spec.availability == model::Availability::Drain && n.spec.drain.is_some()
                };
                self.summary.turns += u64::from(!in_turns(old) && in_turns(new));
            }
            Event::Task {
                old: Some(old),
                new: Some(new),
                ..
            } => {
                let marked = old.replace.is_none() && new.replace.is_some();
                self.summary.marked += u64::from(marked);
                let leaves = new.status.error.starts_with("assigned node no longer");
                let evicted = leaves && old.status.error != new.status.error;
                self.summary.evicted += u64::from(evicted);
                if old.status.state != new.status.state {
                    let completed = new.status.state == TaskState::Complete;
                    let of_job = new.job_iteration.is_some();
                    self.summary.completions += u64::from(completed && of_job);
                    let unhealthy = new.status.error.contains("unhealthy");
                    self.summary.unhealthy += u64::from(unhealthy);
                }
            }
            Event::Service {
                old: Some(old),
                new: Some(new),
                ..
            } => {
                let state = |s: &model::Service| s.update_status.as_ref().map(|u| u.state);
                if state(old) != state(new)
                    && let Some(status) = &new.update_status
                {
                    let late = status.message.starts_with("no progress");
                    self.summary.overdue += u64::from(late);
                }
                let last = new.history.last().map(|r| r.cause);
                let failed = last == Some(model::service::RevisionCause::FailedUpdate);
                if old.spec_version != new.spec_version && failed {
                    self.summary.taken_back += 1;
                }
                if state(old) != state(new) {
                    use model::service::UpdateState;
                    match state(new) {
                        Some(UpdateState::Completed) => self.summary.completed += 1,
                        Some(UpdateState::Paused) => self.summary.paused += 1,
                        Some(UpdateState::RollbackCompleted) => self.summary.rolled_back += 1,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn node_was_removed(&mut self, id: &NodeId) {
        let host = self.hosts.iter().position(|h| h.node == *id);
        if let Some(host) = host {
            let delay = self.rng.millis(3000, 15_000);
            self.after(delay, super::events::Event::Rejoin { host });
        }
    }

    fn trace_entry(&mut self, entry: &Entry, applied: &Applied) {
        for (proposal, outcome) in entry.proposals.iter().zip(&applied.outcomes) {
            if let Err(refusal) = outcome {
                self.trace(|| format!("    refused: {refusal}"));
            }
            for change in &proposal.changes {
                self.trace(|| format!("    {}", describe(change)));
            }
        }
    }

    /// Managers are equal at equal index.
    pub(super) fn check_equal(&mut self, manager: Id, index: u64, applied: &Applied) {
        let expected = &self.checker.applied[index as usize - 1];
        if **expected != *applied {
            self.fail(|| format!("manager {manager} differs from the others at index {index}"));
        }
    }

    /// As [`World::check_equal`], over the whole state, when it is at the newest index.
    pub(super) fn check_snapshot(&mut self, manager: Id) {
        let store = &self.managers[manager].store;
        if store.index() == self.checker.reference.index()
            && store.snapshot() != self.checker.reference.snapshot()
        {
            self.fail(|| format!("manager {manager} has another state than the others"));
        }
    }

    /// What a client hears is true: nothing is said to be done that is not committed, nothing that is committed
    /// is said to be refused, and what was created is named rightly.
    pub(super) fn check_reply(
        &mut self,
        manager: Id,
        request: usize,
        result: &Result<Written, ControlError>,
    ) {
        let applied = self
            .checker
            .reference
            .applied_request(self.clients.id(request));
        let wrong = match (result, applied) {
            (Ok(_), None) => Some("success was told of what is not committed"),
            (Ok(written), Some(applied)) if applied.written != *written => {
                Some("another answer was told than what was done")
            }
            (Ok(_) | Err(ControlError::Unavailable(_)), _) | (Err(_), None) => None,
            // A leader that was overthrown, and does not know, answers from an old state.
            (Err(_), Some(_)) if self.log.leader != Some(manager) => None,
            (Err(_), Some(_)) => Some("failure was told of what is committed"),
        };
        if let Some(wrong) = wrong {
            self.fail(|| format!("{wrong}: request {request}, {result:?}"));
        }
    }
}

/// The guard that refused, without names.
fn guard(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NameTaken { kind, .. } => format!("{kind} name taken"),
        Refusal::NotFound { kind, .. } => format!("{kind} not found"),
        Refusal::Exists { kind, .. } => format!("{kind} exists"),
        Refusal::OutOfSequence | Refusal::Invariant(_) => refusal.to_string(),
    }
}

fn describe(change: &Change) -> String {
    match change {
        Change::CreateTask(t) => {
            let (id, service, slot) = (&t.id, &t.service, t.slot);
            format!(
                "create task {id} of {service} slot {slot} {:?} version {} {:?} after {:?} restarts {}",
                t.node,
                t.spec_version,
                t.desired,
                t.start_after,
                t.restarts.len()
            )
        }
        Change::SetTaskStatus { id, status } => {
            format!(
                "task {id} is {} {} {}",
                status.state, status.message, status.error
            )
        }
        Change::AssignTask { id, node, .. } => format!("task {id} on {node}"),
        Change::SetDesired { id, desired } => format!("task {id} should be {desired:?}"),
        Change::CreateService { id, spec } => format!("create service {id} {}", spec.name),
        Change::UpdateService {
            id,
            if_version,
            cause,
            status,
            ..
        } => {
            format!("update service {id} from {if_version} {cause:?} {status:?}")
        }
        Change::SetNodeStatus { id, status } => {
            format!("node {id} is {:?}: {}", status.state, status.message)
        }
        Change::SetNodeDescription { id, .. } => format!("node {id} described"),
        Change::CreateNode(node) => format!("create node {}", node.id),
        Change::UpdateNodeSpec { id, spec, .. } => {
            format!(
                "node {id} spec {:?} {:?} {:?} {:?}",
                spec.availability, spec.drain, spec.labels, spec.role
            )
        }
        Change::SetUpdateStatus { id, status, .. } => {
            let text = status
                .as_ref()
                .map(|s| format!("{:?} {}", s.state, s.message));
            format!("update of {id}: {text:?}")
        }
        other => format!("{other:?}"),
    }
}
