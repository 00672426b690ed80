//! The ideal log in the place of Raft: one order, terms, at most one entry under way.

use super::events::{Event, Id};
use super::world::World;
use model::Proposal;
use std::rc::Rc;
use std::time::Duration;

/// A committed entry.
pub(super) struct Entry {
    pub(super) term: u64,
    pub(super) proposals: Vec<Proposal>,
    /// Whose proposals they are.
    pub(super) from: Author,
}

/// A manager in one leadership, and its names for its proposals (none for what is not the leader's).
#[derive(Clone)]
pub(super) struct Author {
    pub(super) manager: Id,
    pub(super) life: u64,
    pub(super) tokens: Vec<Option<manager::leader::ProposalToken>>,
}

struct UnderWay {
    number: u64,
    entry: Entry,
}

/// The log and the office of its leader.
#[derive(Default)]
pub(super) struct Log {
    /// Entry `i` has the index `i + 1`.
    pub(super) entries: Vec<Rc<Entry>>,
    pub(super) term: u64,
    /// The only one whose proposals are committed.
    pub(super) leader: Option<Id>,
    under_way: Option<UnderWay>,
    numbers: u64,
    epoch: u64,
}

impl Log {
    pub(super) fn last(&self) -> u64 {
        self.entries.len() as u64
    }
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }
}

/// A follower hears of a commit after this long at most, when it is connected.
const FOLLOW_MS: (u64, u64) = (1, 40);
/// From the loss of a leader to an election.
const ELECTION_MS: (u64, u64) = (300, 1500);
/// The same while the leadership changes after each entry.
const HOP_MS: (u64, u64) = (5, 100);
/// A leader without a majority finds out: sometimes after another one was elected.
const STEP_DOWN_MS: (u64, u64) = (100, 3000);
/// Some find out much later (a machine that was suspended), in percent.
const LATE_STEP_DOWNS: u64 = 25;
const LATE_STEP_DOWN_MS: (u64, u64) = (4000, 15_000);
/// How soon something that could not be done is tried again.
const AGAIN: Duration = Duration::from_millis(100);

impl World {
    /// Takes an entry under way, if the manager holds the office and nothing else is under way.
    pub(super) fn submit(&mut self, manager: Id) {
        let holds_office = self.log.leader == Some(manager)
            && self.managers[manager].leading == Some(self.log.term);
        if !holds_office || self.log.is_busy() || self.managers[manager].queue.is_empty() {
            return;
        }
        let (tokens, proposals) = self.managers[manager].queue.drain(..).unzip();
        self.log.numbers += 1;
        let number = self.log.numbers;
        let from = Author {
            manager,
            life: self.managers[manager].life,
            tokens,
        };
        let entry = Entry {
            term: self.log.term,
            proposals,
            from,
        };
        self.log.under_way = Some(UnderWay { number, entry });
        let delay = self.net.commit_time(&mut self.rng);
        self.after(delay, Event::Commit { number });
    }

    pub(super) fn commit_under_way(&mut self, number: u64) {
        if self
            .log
            .under_way
            .as_ref()
            .is_none_or(|u| u.number != number)
        {
            return;
        }
        let Some(leader) = self.log.leader else {
            return;
        };
        if !self.has_majority(leader) {
            self.after(AGAIN, Event::Commit { number });
            return;
        }
        if let Some(under_way) = self.log.under_way.take() {
            self.commit(under_way.entry);
            self.apply_up_to(leader, self.log.last());
            if self.hops() {
                self.summary.hops += 1;
                self.resign();
            } else {
                self.submit(leader);
            }
        }
    }

    /// The first entry of a cluster, and its first election.
    pub(super) fn bootstrap(&mut self, first: Proposal) {
        let from = Author {
            manager: 0,
            life: 0,
            tokens: vec![None],
        };
        self.commit(Entry {
            term: 0,
            proposals: vec![first],
            from,
        });
        self.plan_election();
    }

    fn commit(&mut self, entry: Entry) {
        let index = self.log.last() + 1;
        self.trace(|| format!("commit {index} term {}", entry.term));
        let entry = Rc::new(entry);
        self.log.entries.push(entry.clone());
        self.check_commit(index, &entry);
        for manager in 0..super::MANAGERS {
            self.plan_follow(manager);
        }
    }

    fn plan_follow(&mut self, manager: Id) {
        if self.managers[manager].up && self.log.leader != Some(manager) {
            let life = self.managers[manager].life;
            let delay = self.rng.millis(FOLLOW_MS.0, FOLLOW_MS.1);
            self.after(delay, Event::Follow { manager, life });
        }
    }

    /// A follower that reaches a majority catches up; one that is far behind may get a snapshot.
    pub(super) fn follow(&mut self, manager: Id, life: u64) {
        let state = &self.managers[manager];
        if state.life != life || !state.up || self.log.leader == Some(manager) {
            return;
        }
        if state.store.index() == self.log.last() {
            return;
        }
        if !self.has_majority(manager) {
            self.after(AGAIN * 2, Event::Follow { manager, life });
            return;
        }
        if self.managers[manager].leading.is_some() {
            self.step_down(manager);
        }
        let behind = self.log.last() - self.managers[manager].store.index();
        if behind > super::manager::FAR_BEHIND && self.rng.chance(50) {
            self.install_snapshot(manager);
        }
        self.apply_up_to(manager, self.log.last());
    }

    pub(super) fn has_majority(&self, manager: Id) -> bool {
        self.net.has_majority(manager, |m| self.managers[m].up)
    }

    fn step_down_delay(&mut self) -> Duration {
        let range = if self.rng.chance(LATE_STEP_DOWNS) {
            LATE_STEP_DOWN_MS
        } else {
            STEP_DOWN_MS
        };
        self.rng.millis(range.0, range.1)
    }

    /// After anything that may have cost the leader its majority.
    pub(super) fn review_leadership(&mut self) {
        let holds = self
            .log
            .leader
            .is_some_and(|leader| self.has_majority(leader));
        if holds {
            return;
        }
        if let Some(leader) = self.log.leader
            && let Some(term) = self.managers[leader].leading
        {
            let life = self.managers[leader].life;
            let delay = self.step_down_delay();
            self.after(
                delay,
                Event::StepDown {
                    manager: leader,
                    life,
                    term,
                },
            );
        }
        self.plan_election();
    }

    pub(super) fn plan_election(&mut self) {
        self.log.epoch += 1;
        let epoch = self.log.epoch;
        let range = if self.hops() { HOP_MS } else { ELECTION_MS };
        let delay = self.rng.millis(range.0, range.1);
        self.after(delay, Event::Elect { epoch });
    }

    /// The leader gives its office up; it may win the next election as well.
    pub(super) fn resign(&mut self) {
        if let Some(leader) = self.log.leader.take() {
            if let Some(term) = self.managers[leader].leading {
                let life = self.managers[leader].life;
                let delay = self.rng.millis(0, 800);
                self.after(
                    delay,
                    Event::StepDown {
                        manager: leader,
                        life,
                        term,
                    },
                );
            }
            self.plan_election();
        }
    }

    pub(super) fn elect(&mut self, epoch: u64) {
        if epoch != self.log.epoch || self.log.leader.is_some_and(|l| self.has_majority(l)) {
            return;
        }
        let able: Vec<Id> = (0..super::MANAGERS)
            .filter(|m| self.has_majority(*m))
            .collect();
        if able.is_empty() {
            self.log.leader = None;
            self.plan_election();
            return;
        }
        let winner = *self.rng.pick(&able);
        self.take_office(winner);
    }

    fn take_office(&mut self, winner: Id) {
        if let Some(old) = self.log.leader
            && old != winner
            && let Some(term) = self.managers[old].leading
        {
            let life = self.managers[old].life;
            let delay = self.step_down_delay();
            self.after(
                delay,
                Event::StepDown {
                    manager: old,
                    life,
                    term,
                },
            );
        }
        if self.managers[winner].leading.is_some() {
            self.step_down(winner);
        }
        self.log.leader = None;
        if let Some(under_way) = self.log.under_way.take() {
            if self.rng.chance(50) {
                self.trace(|| "the entry under way survives its leader".into());
                self.summary.unknown_committed += 1;
                self.commit(under_way.entry);
            } else {
                self.trace(|| "the entry under way is lost with its leader".into());
                self.summary.unknown_lost += 1;
            }
        }
        self.log.term += 1;
        self.log.leader = Some(winner);
        self.summary.elections += 1;
        let term = self.log.term;
        self.trace(|| format!("manager {winner} leads in term {term}"));
        let from = Author {
            manager: winner,
            life: self.managers[winner].life,
            tokens: Vec::new(),
        };
        // A new leader's first entry is empty: what was before it is committed with it.
        self.commit(Entry {
            term,
            proposals: Vec::new(),
            from,
        });
        self.apply_up_to(winner, self.log.last());
        self.become_leader(winner, term);
    }
}
