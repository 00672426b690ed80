//! The loop around the leader: one task that feeds [`Leader::step`] and carries out what it says.
//!
//! Group commit: while one entry is under way, proposals gather for the next one. The replicated state changes in
//! [`crate::machine`]; what an entry did comes from there, in order, and so does the outcome of our own proposals.

mod batch;
mod handle;

use handle::Command;
pub(crate) use handle::{DriverHandle, ProposalError};

use crate::clock::Clock;
use crate::dispatcher::Sessions;
use crate::leader::{Input, Leader, Limits, Output, RequestToken};
use crate::machine::{AppliedEntry, Machine};
use crate::random::OsIds;
use batch::{Batch, InFlight, Origin};
use consensus::{Leadership, ProposeError, Raft};
use model::control::{ControlError, Written};
use model::node::ManagerStatus;
use model::{Change, NodeId, Proposal, Refusal, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Event;
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that may wait for the driver; more make their senders wait.
const COMMAND_QUEUE: usize = 4096;
/// Commands that share a look at the queue of proposals: what arrives together is committed together.
const COMMANDS_AT_ONCE: usize = 256;
/// Pause before this manager believes that it leads again after Raft refused a proposal: the word that it does not
/// lead is on its way.
const BELIEVE_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Driver {
    machine: Arc<Machine>,
    raft: Raft,
    sessions: Arc<Sessions>,
    leader: Leader,
    clock: Clock,
    ids: OsIds,
    /// The term in which this manager leads.
    leading: Option<u64>,
    requests: BTreeMap<RequestToken, oneshot::Sender<Result<Written, ControlError>>>,
    next_request: u64,
    batch: Batch,
    in_flight: Option<InFlight>,
    /// Bytes of the largest entry.
    max_entry: usize,
    wake: Option<Timestamp>,
    finished: mpsc::Sender<(u64, ProposeError)>,
}

impl Driver {
    /// Starts the driver; it ends when all handles are gone.
    pub(crate) fn start(
        machine: Arc<Machine>,
        applied: mpsc::UnboundedReceiver<AppliedEntry>,
        raft: Raft,
        sessions: Arc<Sessions>,
        limits: Limits,
        max_entry: usize,
    ) -> (DriverHandle, tokio::task::JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        let (finished, failures) = mpsc::channel(1);
        let driver = Driver {
            leader: Leader::new(limits),
            clock: Clock::start(),
            ids: OsIds,
            leading: None,
            requests: BTreeMap::new(),
            next_request: 0,
            batch: Batch::default(),
            in_flight: None,
            max_entry,
            wake: None,
            machine,
            raft,
            sessions,
            finished,
        };
        let task = tokio::spawn(driver.run(inbox, applied, failures));
        (DriverHandle::new(commands, limits), task)
    }

    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Command>,
        mut applied: mpsc::UnboundedReceiver<AppliedEntry>,
        mut failures: mpsc::Receiver<(u64, ProposeError)>,
    ) {
        let mut leadership = self.raft.leadership();
        let mut members = self.machine.members();
        // The members that were recovered from disk are no change.
        members.mark_changed();
        let mut commands = Vec::with_capacity(COMMANDS_AT_ONCE);
        self.follow_leadership(&mut leadership);
        loop {
            let sleep = self.wake.map(|at| self.clock.until(at));
            tokio::select! {
                // What was applied comes first: decisions are made on it.
                biased;
                entry = applied.recv() => match entry {
                    Some(entry) => self.applied(entry),
                    None => return,
                },
                Some((batch, error)) = failures.recv() => self.failed(batch, &error).await,
                changed = leadership.changed() => match changed {
                    Ok(()) => {}
                    Err(_) => return,
                },
                changed = members.changed() => match changed {
                    Ok(()) => self.members_changed(),
                    Err(_) => return,
                },
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {
                    self.wake = None;
                    self.step(Input::Tick);
                }
                count = inbox.recv_many(&mut commands, COMMANDS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    // Whoever sent them may have heard before this task that this manager leads.
                    self.follow_leadership(&mut leadership);
                    commands.drain(..).for_each(|command| self.command(command));
                }
            }
            self.follow_leadership(&mut leadership);
            self.flush();
        }
    }

    /// Begins or ends to lead, as Raft says.
    fn follow_leadership(&mut self, leadership: &mut watch::Receiver<Leadership>) {
        let now = {
            let state = leadership.borrow_and_update();
            let serves = state.i_lead && self.machine.broken().is_none();
            serves.then_some(state.term)
        };
        if now == self.leading {
            return;
        }
        if self.leading.is_some() {
            self.lose_leadership();
        }
        if let Some(term) = now {
            tracing::info!(term, "this manager leads the cluster");
            self.leading = Some(term);
            self.clock = Clock::start();
            self.step(Input::BecameLeader);
            self.sync_managers();
        }
    }

    fn lose_leadership(&mut self) {
        tracing::info!("this manager does not lead the cluster any more");
        self.leading = None;
        self.wake = None;
        self.step(Input::LostLeadership);
        for origin in self.batch.clear() {
            origin.abandon();
        }
        for origin in self.in_flight.take().into_iter().flat_map(|f| f.origins) {
            origin.abandon();
        }
        for reply in std::mem::take(&mut self.requests).into_values() {
            let _ = reply.send(Err(ControlError::Unavailable(
                "the manager lost its leadership".into(),
            )));
        }
        self.sessions.close_all();
    }

    fn step(&mut self, input: Input) {
        let now = self.clock.now();
        let outputs = {
            let view = self.machine.view();
            self.leader.step(now, input, &view, &mut self.ids)
        };
        for output in outputs {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Propose { token, proposal } => {
                self.batch.push(Origin::Leader(token), proposal);
            }
            Output::Reply { token, result } => {
                if let Some(reply) = self.requests.remove(&token) {
                    // The client may be gone.
                    let _ = reply.send(result);
                }
            }
            Output::Assign {
                session,
                assignments,
                ..
            } => self.sessions.assign(session, &assignments),
            Output::Reported {
                session, sequence, ..
            } => self.sessions.reported(session, sequence),
            Output::CloseSession { session, .. } => self.sessions.close(session),
            Output::WakeAt(at) => self.wake = Some(at),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Write { request, reply } => {
                self.next_request += 1;
                let token = RequestToken(self.next_request);
                self.requests.insert(token, reply);
                self.step(Input::Request { token, request });
            }
            Command::Propose { changes, reply } => {
                if self.leading.is_some() {
                    self.propose(changes, Some(reply));
                } else {
                    let _ = reply.send(Err(ProposalError::Lost));
                }
            }
            Command::Session(input) if self.leading.is_some() => self.step(input),
            // The agent has to look for the leader.
            Command::Session(Input::SessionOpened { session, .. }) => self.sessions.close(session),
            Command::Session(_) => {}
        }
    }

    fn propose(
        &mut self,
        changes: Vec<Change>,
        reply: Option<oneshot::Sender<Result<(), ProposalError>>>,
    ) {
        let proposal = Proposal {
            request: None,
            at: self.clock.now(),
            changes,
        };
        self.batch.push(Origin::Manager(reply), proposal);
    }

    /// Makes one entry of what has gathered, unless one is under way.
    fn flush(&mut self) {
        if self.in_flight.is_some() || self.leading.is_none() {
            return;
        }
        let Some((in_flight, entry)) = self.batch.take(self.max_entry) else {
            return;
        };
        let batch = in_flight.batch;
        self.in_flight = Some(in_flight);
        let (raft, finished) = (self.raft.clone(), self.finished.clone());
        tokio::spawn(async move {
            if let Err(error) = raft.propose(entry).await {
                // The driver may be gone.
                let _ = finished.send((batch, error)).await;
            }
        });
    }

    fn applied(&mut self, entry: AppliedEntry) {
        if self.leading.is_none() {
            return;
        }
        let AppliedEntry {
            index,
            batch,
            outcomes,
            events,
        } = entry;
        let ours = self.in_flight.take_if(|f| f.batch == batch);
        let origins = ours.map(|f| f.origins).unwrap_or_default();
        let outcomes = origins.into_iter().zip(outcomes);
        let outcomes = outcomes.filter_map(|(origin, outcome)| origin.settle(outcome));
        let outcomes = outcomes.collect();
        self.tell_roles(&events.events);
        self.step(Input::Committed {
            index,
            outcomes,
            events: events.events.clone(),
        });
    }

    /// A node whose role changed has to renew its certificate.
    fn tell_roles(&self, events: &[Event]) {
        for event in events {
            if let Event::Node {
                id,
                old: Some(old),
                new: Some(new),
                ..
            } = event
                && old.role != new.role
                && let Some(session) = self.sessions.of_node(id)
            {
                self.sessions.role_changed(session, new.role);
            }
        }
    }

    /// Raft did not take the batch, or cannot say what became of it.
    async fn failed(&mut self, batch: u64, error: &ProposeError) {
        let Some(failed) = self.in_flight.take_if(|f| f.batch == batch) else {
            return;
        };
        tracing::warn!(%error, "a proposal failed");
        if let ProposeError::TooLarge { .. } = error {
            let refusal = Refusal::Invariant("the change is larger than a log entry may be");
            let origins = failed.origins.into_iter();
            let outcomes = origins.filter_map(|o| o.settle(Err(refusal.clone())));
            let (index, outcomes) = (self.machine.view().index(), outcomes.collect());
            self.step(Input::Committed {
                index,
                outcomes,
                events: Vec::new(),
            });
            return;
        }
        self.in_flight = Some(failed);
        self.lose_leadership();
        tokio::time::sleep(BELIEVE_AGAIN).await;
    }

    fn members_changed(&mut self) {
        let addrs = self.raft.members().into_iter().map(|member| member.addr);
        self.sessions.managers_changed(addrs.collect());
        if self.leading.is_some() {
            self.sync_managers();
        }
    }

    /// Writes into the nodes who is a member of the Raft group: membership itself is Raft's own, and the leader that
    /// changed it may be gone before it wrote it down.
    fn sync_managers(&mut self) {
        let status = |member: consensus::Member| {
            let (raft_id, addr) = (member.raft_id, member.addr);
            (
                NodeId::from(member.node_id),
                ManagerStatus { raft_id, addr },
            )
        };
        let members: BTreeMap<NodeId, ManagerStatus> = self
            .raft
            .members()
            .into_iter()
            .filter(|m| m.voter)
            .map(status)
            .collect();
        let changes: Vec<Change> = {
            let view = self.machine.view();
            let stale = view.nodes().filter_map(|node| {
                let manager = members.get(&node.id);
                (node.manager.as_ref() != manager).then(|| Change::SetNodeManager {
                    id: node.id.clone(),
                    manager: manager.cloned(),
                })
            });
            stale.collect()
        };
        if !changes.is_empty() {
            self.propose(changes, None);
        }
    }
}
