//! What a leader decides: the composition of the loops, requests, sessions and reports. Pure.
//!
//! [`Leader::step`] is the same code in production and in the simulator: it gets the time, one input and
//! the state as it is applied, and says what has to be done. It keeps nothing that a new leader would
//! miss: what it remembers are hints (what is dirty, who was heard when) and answers that are owed.
//!
//! Proposals are refused or applied as a whole. Each loop has at most one under way, and none of them runs
//! while another's is, so that they never decide twice; clients' requests and reports go beside them.

mod assign;
mod io;
mod liveness;
pub(crate) mod loops;
mod plan;
mod rebalance;
mod reports;
pub(crate) mod requests;
#[cfg(test)]
mod tests;

pub use io::{Input, Limits, Output, ProposalToken, RequestToken, SessionId};
pub use plan::{MAX_ROUNDS, plan};
pub use rebalance::{LOOK_AGAIN, MOVES_AT_ONCE};

use model::{IdSource, NodeId, Proposal, ServiceId, Timestamp};
use scheduler::Scheduler;
use std::collections::{BTreeMap, BTreeSet};
use store::{Dirty, Store};

/// The state of a leader beside the replicated one. A manager that follows keeps one, too; it does nothing.
pub struct Leader {
    limits: Limits,
    leading: bool,
    next_token: u64,
    /// What the loops have to look at.
    dirty: Dirty,
    /// What it remembers is of the state that this leader saw: each leadership begins with a new one.
    scheduler: Scheduler,
    /// The loops' proposals under way.
    deciding: BTreeSet<ProposalToken>,
    /// When something is due for a service though nothing happens.
    due: BTreeMap<ServiceId, Timestamp>,
    rebalance: rebalance::Rebalance,
    requests: requests::Pending,
    reports: reports::Reports,
    sessions: BTreeMap<NodeId, assign::Session>,
    liveness: liveness::Liveness,
}

/// What a step works with.
struct Step<'a> {
    now: Timestamp,
    view: &'a Store,
    ids: &'a mut dyn IdSource,
    out: Vec<Output>,
}

impl Leader {
    /// A manager that does not lead yet.
    pub fn new(limits: Limits) -> Leader {
        Leader {
            limits,
            leading: false,
            next_token: 0,
            dirty: Dirty::default(),
            scheduler: Scheduler::default(),
            deciding: BTreeSet::new(),
            due: BTreeMap::new(),
            rebalance: rebalance::Rebalance::default(),
            requests: requests::Pending::default(),
            reports: reports::Reports::default(),
            sessions: BTreeMap::new(),
            liveness: liveness::Liveness::default(),
        }
    }

    /// Takes one input in. `view` is the state up to the last applied entry, the one of a
    /// [`Input::Committed`] included. `now` never goes back within one leadership as far as the loops are
    /// concerned: a clock that is set back only makes them wait.
    pub fn step(
        &mut self,
        now: Timestamp,
        input: Input,
        view: &Store,
        ids: &mut dyn IdSource,
    ) -> Vec<Output> {
        let mut step = Step {
            now,
            view,
            ids,
            out: Vec::new(),
        };
        self.take(&mut step, input);
        if self.leading {
            self.check_liveness(&mut step);
            self.propose_reports(&mut step);
            self.run_loops(&mut step);
            self.ask_to_be_woken(&mut step);
        }
        step.out
    }

    fn take(&mut self, step: &mut Step<'_>, input: Input) {
        match input {
            Input::BecameLeader => self.become_leader(step),
            Input::LostLeadership => self.lose_leadership(step),
            Input::Request { token, request } => self.request(step, token, request),
            Input::Committed {
                index,
                outcomes,
                events,
            } => {
                for event in &events {
                    self.dirty.note(event);
                }
                self.rebalance
                    .note(step.now, self.limits.rebalance_quiet, &events);
                for (token, outcome) in outcomes {
                    self.settle(step, token, outcome);
                }
                self.correct_states(step, &events);
                self.send_assignments(step, index, &events);
            }
            _ if !self.leading => {}
            Input::SessionOpened {
                node,
                session,
                description,
                addr,
            } => {
                self.open_session(step, node, session, description, addr);
            }
            Input::SessionClosed { node, session } => self.close_session(step, &node, session),
            Input::Heartbeat { node, session } => self.heard(step, &node, session),
            Input::Report {
                node,
                session,
                sequence,
                updates,
            } => {
                self.heard(step, &node, session);
                self.report(step, node, session, sequence, updates);
            }
            Input::NeedComplete { node, session } => {
                self.heard(step, &node, session);
                self.send_complete(step, &node, session);
            }
            Input::Tick => {}
        }
    }

    fn become_leader(&mut self, step: &mut Step<'_>) {
        self.leading = true;
        self.dirty = Dirty::everything();
        self.scheduler = Scheduler::default();
        self.deciding.clear();
        self.due.clear();
        self.rebalance.wait(step.now, self.limits.rebalance_quiet);
        self.sessions.clear();
        self.reports = reports::Reports::default();
        self.liveness.start(step.now, step.view, &self.limits);
    }

    /// Whatever is under way may have been committed or not: say so to whoever waits, and forget it.
    fn lose_leadership(&mut self, step: &mut Step<'_>) {
        self.leading = false;
        self.scheduler = Scheduler::default();
        self.deciding.clear();
        self.requests.abandon(&mut step.out);
        for (node, session) in std::mem::take(&mut self.sessions) {
            step.out.push(Output::CloseSession {
                node,
                session: session.id,
            });
        }
    }

    fn propose(&mut self, step: &mut Step<'_>, proposal: Proposal) -> ProposalToken {
        self.next_token += 1;
        let token = ProposalToken(self.next_token);
        step.out.push(Output::Propose { token, proposal });
        token
    }

    fn settle(
        &mut self,
        step: &mut Step<'_>,
        token: ProposalToken,
        outcome: Result<(), model::Refusal>,
    ) {
        if self.deciding.remove(&token) {
            if outcome.is_err() {
                // It was decided on a view that has changed since: decide again, with the new one.
                self.dirty.everything = true;
            }
        } else if self.reports.is_under_way(token) {
            self.reports.settle(outcome.is_ok(), &mut step.out);
        } else {
            self.settle_request(step, token, outcome);
        }
    }

    fn ask_to_be_woken(&mut self, step: &mut Step<'_>) {
        // While a decision is under way, its outcome is the next call.
        let loops = [self.due.values().min().copied(), self.rebalance.due()];
        let loops = loops.into_iter().flatten().min();
        let loops = loops.filter(|_| self.deciding.is_empty());
        let due = [loops, self.liveness.due()].into_iter().flatten().min();
        if let Some(at) = due {
            step.out.push(Output::WakeAt(at));
        }
    }
}
