//! A cluster in one thread, from a seed: the real leader and the real worker on fake hosts, with an ideal log in
//! the place of Raft, through ten simulated minutes of requests and faults.
//!
//! What is real: `store`, `orchestrator`, `allocator`, `scheduler`, `manager::leader`, `agent::worker`.
//! What is ideal: the log keeps one order and never forgets what was committed; but proposals are lost or
//! *unknown* when a leader goes, two managers believe in their leadership at once for a while, followers lag,
//! managers restart from old snapshots. What is fake: hosts, containers, the network, clocks.
//!
//! After each commit the safety rules of [`checks`] hold. After [`CALM`] faults and requests stop, and at
//! [`END`] the cluster must have come to rest where the services want it.

mod checks;
mod clients;
mod daemon;
mod events;
mod executor;
mod faults;
mod host;
mod log;
mod manager;
mod network;
mod plans;
mod rng;
mod script;
mod session;
mod wishes;
mod world;

pub use script::run_script;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use world::World;

/// Managers; the first hosts.
pub const MANAGERS: usize = 3;
/// Hosts, each with a worker.
pub const HOSTS: usize = 6;
/// Hosts that are there from the beginning; the others join later.
pub const FIRST_HOSTS: usize = 5;
/// Faults and requests stop here.
pub const CALM: Duration = Duration::from_secs(480);
/// Here all has to be at rest.
pub const END: Duration = Duration::from_secs(600);
/// Clients' requests of one run at least.
pub const REQUESTS: usize = 210;
/// Faults of one run at least.
pub const FAULTS: usize = 24;
/// Lines of the trace that a failure prints.
const TRACE_LINES: usize = 250;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Log entries that were committed.
    pub entries: u64,
    /// Clients' requests.
    pub requests: u64,
    /// Requests that were carried out.
    pub accepted: u64,
    /// Requests that were sent again under the same id.
    pub retries: u64,
    /// Faults.
    pub faults: u64,
    /// Changes of leader.
    pub elections: u64,
    /// Entries whose leader was lost and that were committed all the same.
    pub unknown_committed: u64,
    /// Entries that were lost with their leader.
    pub unknown_lost: u64,
    /// Proposals that a guard of the store refused, by its text.
    pub refused: BTreeMap<String, u64>,
    /// Assignments that came after newer ones.
    pub stale_assignments: u64,
    /// Followers that caught up with a snapshot.
    pub snapshots: u64,
    /// Daemons and hosts that were restarted.
    pub restarts: u64,
    /// Tasks that were created.
    pub tasks: u64,
    /// Updates that completed.
    pub completed: u64,
    /// Updates that were paused.
    pub paused: u64,
    /// Updates that failed and were taken back.
    pub taken_back: u64,
    /// Rollbacks that completed.
    pub rolled_back: u64,
    /// Updates that were stopped for want of progress.
    pub overdue: u64,
    /// Tasks of jobs that completed.
    pub completions: u64,
    /// Tasks whose container got unhealthy.
    pub unhealthy: u64,
    /// Tasks that left a node that no longer suited them.
    pub evicted: u64,
    /// Tasks that somebody wanted replaced.
    pub marked: u64,
    /// Turns of nodes that are drained in turns.
    pub turns: u64,
    /// Changes of leader right after an entry.
    pub hops: u64,
}

impl std::ops::AddAssign<&Summary> for Summary {
    fn add_assign(&mut self, other: &Summary) {
        self.entries += other.entries;
        self.requests += other.requests;
        self.accepted += other.accepted;
        self.retries += other.retries;
        self.faults += other.faults;
        self.elections += other.elections;
        self.unknown_committed += other.unknown_committed;
        self.unknown_lost += other.unknown_lost;
        for (text, count) in &other.refused {
            *self.refused.entry(text.clone()).or_default() += count;
        }
        self.stale_assignments += other.stale_assignments;
        self.snapshots += other.snapshots;
        self.restarts += other.restarts;
        self.tasks += other.tasks;
        self.completed += other.completed;
        self.paused += other.paused;
        self.taken_back += other.taken_back;
        self.rolled_back += other.rolled_back;
        self.overdue += other.overdue;
        self.completions += other.completions;
        self.unhealthy += other.unhealthy;
        self.evicted += other.evicted;
        self.marked += other.marked;
        self.turns += other.turns;
        self.hops += other.hops;
    }
}

/// A rule was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Runs the same again.
    pub seed: u64,
    /// Simulated time.
    pub at: Duration,
    /// Log index of the last commit.
    pub index: u64,
    /// The rule and what broke it.
    pub what: String,
    /// The last things that happened.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "seed {} failed at {:.3} s, commit {}: {}",
            self.seed,
            self.at.as_secs_f64(),
            self.index,
            self.what
        )
    }
}

/// Runs `seed`. A failure is run a second time for its trace.
pub fn run(seed: u64) -> Result<Summary, Box<Failure>> {
    match World::new(seed, 0).run() {
        Ok(summary) => Ok(summary),
        Err(_) => run_traced(seed, TRACE_LINES),
    }
}

/// Runs `seed` and keeps the last `lines` of the trace.
pub fn run_traced(seed: u64, lines: usize) -> Result<Summary, Box<Failure>> {
    World::new(seed, lines).run()
}
