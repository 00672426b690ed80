//! The driver of a leader, as a manager's edge does it: a store, batches of proposals, messages to sessions.

use super::checks::Applied;
use super::events::{DownMessage, Event, Id};
use super::log::Entry;
use super::world::World;
use manager::leader::{Input, Leader, Limits, Output, ProposalToken, RequestToken};
use model::snapshot::Snapshot;
use model::{Proposal, Timestamp};
use std::collections::BTreeMap;
use store::Store;

/// Entries that a follower has to be behind to be sent a snapshot.
pub(super) const FAR_BEHIND: u64 = 30;
/// Entries between two snapshots that a manager restarts from.
const CHECKPOINT_EVERY: u64 = 200;

/// A manager.
pub(super) struct Manager {
    pub(super) up: bool,
    /// Grows with each start.
    pub(super) life: u64,
    pub(super) store: Store,
    leader: Leader,
    /// The term in which it believes to lead.
    pub(super) leading: Option<u64>,
    /// Proposals that wait for the next entry.
    pub(super) queue: Vec<(Option<ProposalToken>, Proposal)>,
    /// What it restarts from.
    checkpoint: Snapshot,
    alarms: u64,
    requests: BTreeMap<RequestToken, usize>,
    next_request: u64,
    /// Its clock is off by this many nanoseconds.
    skew: i64,
}

impl Manager {
    pub(super) fn new(skew: i64) -> Manager {
        Manager {
            up: true,
            life: 0,
            store: Store::new(),
            leader: Leader::new(Limits::default()),
            leading: None,
            queue: Vec::new(),
            checkpoint: Snapshot::default(),
            alarms: 0,
            requests: BTreeMap::new(),
            next_request: 0,
            skew,
        }
    }
}

impl World {
    fn clock_of(&self, manager: Id) -> Timestamp {
        Timestamp(self.now.0 + self.managers[manager].skew)
    }

    /// Gives a manager an input and does what it says.
    pub(super) fn step_leader(&mut self, manager: Id, input: Input) {
        let now = self.clock_of(manager);
        let state = &mut self.managers[manager];
        if !state.up {
            return;
        }
        let outputs = state.leader.step(now, input, &state.store, &mut self.ids);
        for output in outputs {
            self.do_for_leader(manager, output);
        }
        self.submit(manager);
    }

    fn do_for_leader(&mut self, manager: Id, output: Output) {
        match output {
            Output::Propose { token, proposal } => {
                self.managers[manager].queue.push((Some(token), proposal));
            }
            Output::Reply { token, result } => {
                if let Some(request) = self.managers[manager].requests.remove(&token) {
                    self.check_reply(manager, request, &result);
                    let delay = self.net.latency(&mut self.rng);
                    self.after(delay, Event::Answer { request, result });
                }
            }
            Output::Assign {
                node,
                session,
                assignments,
            } => {
                let index = session.0 as usize - 1;
                self.check_assignments(manager, &node, index, &assignments);
                let message = DownMessage::Assignments(assignments);
                self.send_down(manager, &node, session, message);
            }
            Output::Reported {
                node,
                session,
                sequence,
            } => {
                self.send_down(manager, &node, session, DownMessage::Reported { sequence });
            }
            Output::CloseSession { session, .. } => self.close_from_leader(manager, session),
            Output::WakeAt(at) => {
                let state = &mut self.managers[manager];
                state.alarms += 1;
                let (life, number) = (state.life, state.alarms);
                let at = Timestamp(at.0 - state.skew);
                self.at(
                    at,
                    Event::LeaderTick {
                        manager,
                        life,
                        number,
                    },
                );
            }
        }
    }

    pub(super) fn leader_tick(&mut self, manager: Id, life: u64, number: u64) {
        let state = &self.managers[manager];
        if state.up && state.life == life && state.alarms == number {
            self.step_leader(manager, Input::Tick);
        }
    }

    /// A client's request comes in.
    pub(super) fn arrive(&mut self, manager: Id, life: u64, request: usize) {
        let state = &mut self.managers[manager];
        if !state.up || state.life != life {
            return;
        }
        state.next_request += 1;
        let token = RequestToken(state.next_request);
        state.requests.insert(token, request);
        let request = self.clients.write(request);
        self.step_leader(manager, Input::Request { token, request });
    }

    /// Applies committed entries up to `index`.
    pub(super) fn apply_up_to(&mut self, manager: Id, index: u64) {
        while self.failed.is_none() && self.managers[manager].store.index() < index {
            let next = self.managers[manager].store.index() + 1;
            let entry = self.log.entries[next as usize - 1].clone();
            let applied = self.managers[manager].store.apply(next, &entry.proposals);
            self.check_equal(manager, next, &applied);
            self.tell_committed(manager, next, &entry, applied);
            if next.is_multiple_of(CHECKPOINT_EVERY) {
                self.managers[manager].checkpoint = self.managers[manager].store.snapshot();
                self.check_snapshot(manager);
            }
        }
    }

    fn tell_committed(&mut self, manager: Id, index: u64, entry: &Entry, applied: Applied) {
        let state = &self.managers[manager];
        let own = entry.from.manager == manager
            && entry.from.life == state.life
            && state.leading == Some(entry.term);
        let outcomes = if own {
            let outcomes = entry.from.tokens.iter().zip(applied.outcomes);
            outcomes
                .filter_map(|(token, outcome)| Some(((*token)?, outcome)))
                .collect()
        } else {
            Vec::new()
        };
        let events = applied.events;
        self.step_leader(
            manager,
            Input::Committed {
                index,
                outcomes,
                events,
            },
        );
    }

    pub(super) fn become_leader(&mut self, manager: Id, term: u64) {
        self.managers[manager].leading = Some(term);
        self.step_leader(manager, Input::BecameLeader);
    }

    /// What waits for the next entry is gone; what is under way is unknown.
    pub(super) fn step_down(&mut self, manager: Id) {
        if self.managers[manager].leading.take().is_none() {
            return;
        }
        self.trace(|| format!("manager {manager} leads no more"));
        self.managers[manager].queue.clear();
        self.step_leader(manager, Input::LostLeadership);
    }

    /// A message that is only sent while the leader holds the office of `term`.
    pub(super) fn step_down_from(&mut self, manager: Id, life: u64, term: u64) {
        let state = &self.managers[manager];
        let holds = self.log.leader == Some(manager) && self.log.term == term;
        let mended = holds && self.has_majority(manager);
        if state.life == life && state.leading == Some(term) && !mended {
            self.step_down(manager);
            if holds {
                self.log.leader = None;
                self.plan_election();
            }
        }
    }

    pub(super) fn crash_manager(&mut self, manager: Id) {
        let state = &mut self.managers[manager];
        state.up = false;
        state.life += 1;
        state.leading = None;
        state.queue.clear();
        state.requests.clear();
        if self.log.leader == Some(manager) {
            self.log.leader = None;
            self.plan_election();
        } else {
            self.review_leadership();
        }
    }

    /// The log on its disk is complete up to where it was; it is applied again from an old snapshot.
    pub(super) fn restart_manager(&mut self, manager: Id) {
        let reached = self.managers[manager].store.index();
        let state = &mut self.managers[manager];
        state.store = Store::restore(state.checkpoint.clone());
        state.leader = Leader::new(Limits::default());
        while state.store.index() < reached {
            let next = state.store.index() + 1;
            state
                .store
                .apply(next, &self.log.entries[next as usize - 1].proposals);
        }
        state.up = true;
        self.check_snapshot(manager);
        let life = self.managers[manager].life;
        let delay = self.rng.millis(10, 300);
        self.after(delay, Event::Follow { manager, life });
        if self.log.leader.is_none() {
            self.plan_election();
        }
    }

    pub(super) fn install_snapshot(&mut self, manager: Id) {
        let Some(leader) = self.log.leader else {
            return;
        };
        let snapshot = self.managers[leader].store.snapshot();
        if snapshot.index > self.managers[manager].store.index() {
            self.summary.snapshots += 1;
            self.managers[manager].store = Store::restore(snapshot.clone());
            self.managers[manager].checkpoint = snapshot;
        }
    }
}
