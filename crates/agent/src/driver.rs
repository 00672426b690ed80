//! The loop around the worker: feeds it, writes the journal, carries out what it asks.

mod blocked;
mod plan;

use crate::actions::{Actions, STARTS_PER_CORE, now};
use crate::executor::Executor;
use crate::journal::Journal;
use crate::link::Link;
use crate::session::{Connector, message};
use crate::status::AgentStatus;
use crate::worker::{Action, Existing, Input, Outcome, Output, Worker};
use blocked::Blocked;
use model::assignment::Assignments;
use model::{NodeId, TaskId, TaskStatus, Timestamp};
use plan::Plan;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::pb::dispatcher as pb;
use wire::pb::dispatcher::to_manager::Message as ToManager;

/// Events that may wait for the driver while it writes the journal; more make their senders wait.
const EVENT_QUEUE: usize = 4096;
/// Events that share one journal write.
const EVENTS_AT_ONCE: usize = 1024;
/// Sequence number of reports whose acknowledgement nobody waits for: the worker's begin with 1.
const UNANSWERED: u64 = 0;

/// What an agent needs.
pub struct AgentConfig {
    /// This node, for the logs; the leader says it again.
    pub node: NodeId,
    /// Addresses of managers, `host:port`, to begin with.
    pub managers: Vec<String>,
    /// How managers are reached.
    pub connector: Arc<dyn Connector>,
    /// Who makes containers.
    pub executor: Arc<dyn Executor>,
    /// What survives a restart.
    pub journal: Arc<dyn Journal>,
}

/// What happens to the driver.
pub(crate) enum Event {
    Up {
        node: NodeId,
        outbound: mpsc::Sender<pb::ToManager>,
    },
    Down,
    Assignments(pb::Assignments),
    Reported(u64),
    Did(TaskId, Outcome),
}

/// Why the agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The journal cannot be read.
    #[error("the agent's journal cannot be read")]
    Journal(#[source] io::Error),
}

/// A running agent. Dropping it ends the agent; tasks keep running.
#[derive(Debug)]
pub struct AgentHandle {
    status: watch::Sender<AgentStatus>,
    end: CancellationToken,
    work: Option<(JoinHandle<()>, JoinHandle<()>)>,
}

impl AgentHandle {
    /// How the session with the leader stands.
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.status.subscribe()
    }

    /// Other addresses to try, for when all that are known are gone.
    pub fn set_managers(&self, managers: Vec<String>) {
        self.status.send_modify(|status| status.managers = managers);
    }

    /// Ends the agent and waits until it asks nothing of the executor any more. Tasks keep running.
    pub async fn shutdown(mut self) {
        self.end.cancel();
        if let Some((link, driver)) = self.work.take() {
            // One that panicked has ended, too.
            let _ = link.await;
            let _ = driver.await;
        }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Starts an agent: takes up what the journal and the executor know, then keeps a session with the leader.
///
/// # Errors
/// When the journal cannot be read.
pub async fn run(config: AgentConfig) -> Result<AgentHandle, RunError> {
    let journal = Arc::clone(&config.journal);
    let records = tokio::task::spawn_blocking(move || journal.load()).await;
    let records = records
        .map_err(io::Error::other)
        .and_then(|loaded| loaded)
        .map_err(RunError::Journal)?;
    let (events, inbox) = mpsc::channel(EVENT_QUEUE);
    let status = watch::Sender::new(AgentStatus {
        managers: config.managers,
        ..AgentStatus::default()
    });
    let end = CancellationToken::new();
    let worker = Worker::new(records);
    let last_index = Arc::new(AtomicU64::new(worker.index()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let actions = Actions::new(
        Arc::clone(&config.executor),
        events.clone(),
        cores * STARTS_PER_CORE,
    );
    let driver = Driver {
        worker,
        actions,
        journal: config.journal,
        last_index: Arc::clone(&last_index),
        outbound: None,
        wake: None,
        blocked: Blocked::default(),
        end: end.clone(),
    };
    let link = Link {
        connector: config.connector,
        executor: Arc::clone(&config.executor),
        last_index,
        status: status.clone(),
        events,
    };
    tracing::debug!(node = %config.node, "agent starts");
    let found = config.executor.existing().await;
    let driver = tokio::spawn(driver.run(found, inbox));
    let ended = end.clone();
    let link = tokio::spawn(async move {
        // A session that is dropped is closed.
        ended.run_until_cancelled(link.run()).await;
    });
    Ok(AgentHandle {
        status,
        end,
        work: Some((link, driver)),
    })
}

struct Driver {
    worker: Worker,
    actions: Actions,
    journal: Arc<dyn Journal>,
    last_index: Arc<AtomicU64>,
    outbound: Option<mpsc::Sender<pb::ToManager>>,
    wake: Option<Timestamp>,
    blocked: Blocked,
    end: CancellationToken,
}

impl Driver {
    async fn run(mut self, found: Vec<(TaskId, Existing)>, inbox: mpsc::Receiver<Event>) {
        let end = self.end.clone();
        end.run_until_cancelled(self.serve(found, inbox)).await;
        self.actions.end().await;
    }

    async fn serve(&mut self, found: Vec<(TaskId, Existing)>, mut inbox: mpsc::Receiver<Event>) {
        for (id, container) in &found {
            if matches!(container, Existing::Running(_) | Existing::Checked(..)) {
                self.actions.watch(id);
                self.actions.watch_health(id);
            }
        }
        let mut plan = Plan::default();
        self.step(Input::Found(found), &mut plan);
        self.carry_out(&mut plan).await;
        let mut events = Vec::with_capacity(EVENTS_AT_ONCE);
        loop {
            let due = [self.wake, self.blocked.until()];
            let sleep = due.into_iter().flatten().min();
            let sleep = sleep.map(|at| at.since(now()));
            tokio::select! {
                count = inbox.recv_many(&mut events, EVENTS_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                }
                () = tokio::time::sleep(sleep.unwrap_or_default()), if sleep.is_some() => {}
            }
            for event in events.drain(..) {
                self.take(event, &mut plan);
            }
            if self.wake.is_some_and(|at| at <= now()) {
                self.wake = None;
                self.step(Input::Tick, &mut plan);
            }
            self.carry_out(&mut plan).await;
        }
    }

    fn take(&mut self, event: Event, plan: &mut Plan) {
        match event {
            Event::Up { node, outbound } => {
                self.outbound = Some(outbound);
                self.step(Input::SessionUp { node }, plan);
            }
            Event::Down => {
                self.outbound = None;
                plan.statuses.clear();
                plan.need_complete = false;
                self.blocked.forget_told();
                self.step(Input::SessionDown, plan);
            }
            Event::Assignments(assignments) => match Assignments::try_from(assignments) {
                Ok(assignments) => self.step(Input::Assignments(assignments), plan),
                Err(error) => {
                    // A newer manager asks for what this version cannot do. The next message's digest will differ.
                    tracing::error!(%error, "assignments that cannot be understood");
                }
            },
            Event::Reported(sequence) => self.step(Input::Reported { sequence }, plan),
            Event::Did(id, outcome) => {
                match &outcome {
                    Outcome::Started(_) => self.actions.watch(&id),
                    Outcome::Checked(_) => {
                        self.actions.watch(&id);
                        self.actions.watch_health(&id);
                    }
                    Outcome::Removed => self.actions.forget(&id),
                    _ => {}
                }
                self.step(Input::Did(id, outcome), plan);
            }
        }
    }

    fn step(&mut self, input: Input, plan: &mut Plan) {
        let mut waits = false;
        for output in self.worker.step(now(), input) {
            match output {
                Output::Journal(writes) => {
                    waits = true;
                    writes.into_iter().for_each(|write| plan.writes.add(write));
                }
                // What needs no write of its own does not wait for those of other tasks.
                Output::Do(action @ Action::Start(_)) if !waits => self.actions.begin(action),
                Output::Do(action) => plan.actions.push(action),
                Output::Report { sequence, statuses } => {
                    plan.sequence = sequence;
                    plan.statuses.extend(statuses);
                }
                Output::NeedComplete => plan.need_complete = true,
                Output::WakeAt(at) => self.wake = Some(at),
            }
        }
        self.last_index
            .store(self.worker.index(), Ordering::Relaxed);
    }

    /// Everything durable comes first, for all steps of the round in one write. When it fails the plan stays as it is,
    /// and grows by what comes until a write succeeds.
    async fn carry_out(&mut self, plan: &mut Plan) {
        if !plan.writes.is_empty() && !self.write(plan).await {
            let news = self.blocked.news(plan, &self.worker);
            self.report(UNANSWERED, &news);
            return;
        }
        self.blocked.written(plan, &self.worker);
        let plan = std::mem::take(plan);
        for action in plan.actions {
            self.actions.begin(action);
        }
        let statuses: Vec<_> = plan.statuses.into_iter().collect();
        self.report(plan.sequence, &statuses);
        self.blocked.sent(&statuses);
        if plan.need_complete {
            self.send(ToManager::NeedComplete(pb::NeedComplete {}));
        }
    }

    /// Whether all of the plan is in the journal now. After a failure nothing is tried before a pause has passed.
    async fn write(&mut self, plan: &Plan) -> bool {
        if self.blocked.until().is_some_and(|at| at > now()) {
            return false;
        }
        let (journal, writes) = (Arc::clone(&self.journal), plan.writes.list());
        let written = tokio::task::spawn_blocking(move || journal.write(&writes)).await;
        match written.map_err(io::Error::other).and_then(|result| result) {
            Ok(()) => true,
            Err(error) => {
                self.blocked.failed(&error, now());
                false
            }
        }
    }

    fn report(&self, sequence: u64, statuses: &[(TaskId, TaskStatus)]) {
        if !statuses.is_empty() {
            let report = wire::dispatcher::report(sequence, statuses);
            self.send(ToManager::Report(report));
        }
    }

    /// A full queue means that the leader does not read; the link sees that, too, and ends the session. What is
    /// lost here is sent again in the next one.
    fn send(&self, text: ToManager) {
        if let Some(outbound) = &self.outbound
            && let Err(error) = outbound.try_send(message(text))
        {
            tracing::debug!(%error, "a message to the leader is dropped");
        }
    }
}
