//! A daemon: the real worker, its journal, its search for the leader.

use super::MANAGERS;
use super::events::{DownMessage, Event, Id, UpMessage};
use super::host::Journal;
use super::world::World;
use agent::worker::{Input, JournalRecord, JournalWrite, Output, Worker};
use model::assignment::{AssignmentChange, Assignments};
use model::{DesiredState, TaskId, TaskState, TaskStatus, Timestamp};
use std::time::Duration;

/// The first pause after a connection that did not come about; it doubles.
const BACKOFF: Duration = Duration::from_millis(50);
/// The longest such pause.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// An agent that is not welcomed for this long tries another manager.
const WELCOME: Duration = Duration::from_secs(2);

/// A daemon's process.
pub(super) struct Daemon {
    pub(super) worker: Worker,
    alarms: u64,
    pub(super) session: Option<usize>,
    welcomed: bool,
    /// A complete set of assignments, not older than what is known, came in.
    pub(super) synced: bool,
    backoff: Duration,
    /// It dies at the nth journal write from now, before or after it.
    dies_at_write: Option<u32>,
}

impl Journal {
    fn write(&mut self, writes: Vec<JournalWrite>) {
        for write in writes {
            match write {
                JournalWrite::Put(JournalRecord::Task(task)) => {
                    self.tasks.insert(task.task.id.clone(), *task);
                }
                JournalWrite::Put(JournalRecord::Index(index)) => self.index = Some(index),
                JournalWrite::Delete(id) => {
                    self.tasks.remove(&id);
                }
            }
        }
    }

    /// What is wanted of each task, as far as it was ever heard.
    fn wishes(&self) -> Vec<(TaskId, DesiredState, bool)> {
        let tasks = self.tasks.iter();
        tasks
            .map(|(id, record)| (id.clone(), record.task.desired, record.listed))
            .collect()
    }

    fn records(&self) -> Vec<JournalRecord> {
        let tasks = self
            .tasks
            .values()
            .cloned()
            .map(Box::new)
            .map(JournalRecord::Task);
        tasks.chain(self.index.map(JournalRecord::Index)).collect()
    }
}

impl World {
    fn host_clock(&self, host: Id) -> Timestamp {
        Timestamp(self.now.0 + self.hosts[host].skew)
    }

    /// Starts the daemon, and the manager on hosts that are one.
    pub(super) fn start_daemon(&mut self, host: Id) {
        if !self.hosts[host].powered || self.hosts[host].daemon.is_some() {
            return;
        }
        if self
            .checker
            .reference
            .node(&self.hosts[host].node)
            .is_none()
        {
            return; // It waits to join.
        }
        self.trace(|| format!("daemon {host} starts"));
        self.summary.restarts += 1;
        if host < MANAGERS && !self.managers[host].up {
            self.restart_manager(host);
        }
        self.hosts[host].daemon = Some(Daemon {
            worker: Worker::new(self.hosts[host].journal.records()),
            alarms: 0,
            session: None,
            welcomed: false,
            synced: false,
            backoff: BACKOFF,
            dies_at_write: None,
        });
        let found = self.hosts[host].existing();
        self.step_worker(host, Input::Found(found));
        let life = self.hosts[host].life;
        self.after(Duration::ZERO, Event::Connect { host, life });
    }

    /// The daemon is killed; the host and its containers live on.
    pub(super) fn crash_daemon(&mut self, host: Id) {
        if self.hosts[host].daemon.is_none() {
            return;
        }
        self.trace(|| format!("daemon {host} is killed"));
        if let Some(session) = self.hosts[host].daemon.as_ref().and_then(|d| d.session) {
            self.close_from_agent(session);
        }
        if host < MANAGERS {
            self.reset_sessions_of(host);
        }
        self.end_daemon(host);
    }

    pub(super) fn end_daemon(&mut self, host: Id) {
        if let Some(daemon) = self.hosts[host].daemon.take() {
            if let Some(session) = daemon.session {
                self.sessions[session].agent_open = false;
            }
            self.hosts[host].life += 1;
            self.hosts[host].payloads.clear();
            if host < MANAGERS {
                self.crash_manager(host);
            }
        }
        self.review_leadership();
    }

    /// The daemon will die around its nth journal write from now.
    pub(super) fn die_at_write(&mut self, host: Id, writes: u32) {
        if let Some(daemon) = &mut self.hosts[host].daemon {
            daemon.dies_at_write = Some(writes);
        }
    }

    pub(super) fn lives(&self, host: Id, life: u64) -> bool {
        self.hosts[host].life == life && self.hosts[host].daemon.is_some()
    }

    /// Gives a worker an input and does what it says, in order.
    pub(super) fn step_worker(&mut self, host: Id, input: Input) {
        let now = self.host_clock(host);
        let life = self.hosts[host].life;
        let Some(daemon) = &mut self.hosts[host].daemon else {
            return;
        };
        let before = daemon.worker.index();
        let outputs = daemon.worker.step(now, input);
        let after = daemon.worker.index();
        if after < before {
            self.fail(|| {
                format!(
                    "older assignment after a newer one: host {host} went from {before} to {after}"
                )
            });
        }
        for output in outputs {
            if self.failed.is_some() || !self.lives(host, life) {
                return;
            }
            self.do_for_worker(host, output);
        }
    }

    fn do_for_worker(&mut self, host: Id, output: Output) {
        match output {
            Output::Journal(writes) => self.write_journal(host, writes),
            Output::Do(action) => self.execute(host, action),
            Output::Report { sequence, statuses } => self.report(host, sequence, statuses),
            Output::NeedComplete => {
                if let Some(session) = self.open_session_of(host) {
                    self.send_up(session, UpMessage::NeedComplete);
                }
            }
            Output::WakeAt(at) => {
                let state = &mut self.hosts[host];
                let (life, skew) = (state.life, state.skew);
                if let Some(daemon) = &mut state.daemon {
                    daemon.alarms += 1;
                    let number = daemon.alarms;
                    self.at(
                        Timestamp(at.0 - skew),
                        Event::WorkerTick { host, life, number },
                    );
                }
            }
        }
    }

    fn write_journal(&mut self, host: Id, writes: Vec<JournalWrite>) {
        let dies = self.hosts[host].daemon.as_mut().is_some_and(|daemon| {
            let left = daemon.dies_at_write.map(|n| n.saturating_sub(1));
            daemon.dies_at_write = left;
            left == Some(0)
        });
        if dies && self.rng.chance(50) {
            self.crash_daemon(host);
        } else {
            for write in &writes {
                let JournalWrite::Put(JournalRecord::Task(task)) = write else {
                    continue;
                };
                if task.task.registry_auth.is_some() {
                    let id = &task.task.id;
                    self.fail(|| format!("host {host} wrote credentials of {id} into its journal"));
                }
                if task.task.desired >= DesiredState::Shutdown || !task.listed {
                    self.hosts[host].given_up.insert(task.task.id.clone());
                }
            }
            self.hosts[host].journal.write(writes);
            if dies {
                self.crash_daemon(host);
            }
        }
        if dies {
            let delay = self.rng.millis(200, 4000);
            self.after(delay, Event::StartDaemon { host });
        }
    }

    fn report(&mut self, host: Id, sequence: u64, updates: Vec<(TaskId, TaskStatus)>) {
        for (id, status) in &updates {
            self.check_report(host, id, status);
        }
        if let Some(session) = self.open_session_of(host) {
            self.send_up(session, UpMessage::Report { sequence, updates });
        }
    }

    /// Journal before report; what is told to run was started, what is told to be over does not run.
    fn check_report(&mut self, host: Id, id: &TaskId, status: &TaskStatus) {
        let state = &self.hosts[host];
        if status.state >= TaskState::Running {
            let written = state
                .journal
                .tasks
                .get(id)
                .map(|record| record.status.state);
            if written.is_none_or(|written| written < status.state) {
                self.fail(|| format!("journal before report: host {host} told {} of {id}, its journal says {written:?}", status.state));
                return;
            }
        }
        let container = state.containers.get(id);
        let runs = container.is_some_and(|c| c.is_running());
        let unchecked = container.is_some_and(|c| c.health.is_some() && !c.was_healthy);
        if status.state == TaskState::Running && !state.started.contains(id) {
            self.fail(|| format!("host {host} told that {id} runs, which it never started"));
        } else if status.state == TaskState::Running && runs && unchecked {
            self.fail(|| {
                format!("host {host} told that {id} runs, whose health check never succeeded")
            });
        } else if status.state.is_terminal() && runs {
            self.fail(|| {
                format!(
                    "host {host} told that {id} is {}, and it runs",
                    status.state
                )
            });
        }
    }

    fn open_session_of(&self, host: Id) -> Option<usize> {
        let session = self.hosts[host].daemon.as_ref()?.session?;
        self.sessions[session].agent_open.then_some(session)
    }

    pub(super) fn worker_tick(&mut self, host: Id, life: u64, number: u64) {
        let current = self.hosts[host].daemon.as_ref().map(|d| d.alarms);
        if self.lives(host, life) && current == Some(number) {
            self.step_worker(host, Input::Tick);
        }
    }

    /// Tries a manager: the leader when it is heard of, else any.
    pub(super) fn connect(&mut self, host: Id, life: u64) {
        if !self.lives(host, life) || self.open_session_of(host).is_some() {
            return;
        }
        let known = self.log.leader.filter(|_| self.rng.chance(70));
        let manager = known.unwrap_or_else(|| self.rng.below(MANAGERS));
        if !self.net.reaches(host, manager) || !self.managers[manager].up {
            self.connect_later(host, life);
            return;
        }
        let session = self.open_session(host, manager);
        if let Some(daemon) = &mut self.hosts[host].daemon {
            daemon.session = Some(session);
            daemon.welcomed = false;
        }
        self.after(
            WELCOME,
            Event::ConnectTimeout {
                host,
                life,
                session,
            },
        );
    }

    fn connect_later(&mut self, host: Id, life: u64) {
        let Some(daemon) = &mut self.hosts[host].daemon else {
            return;
        };
        let pause = daemon.backoff;
        daemon.backoff = (pause * 2).min(MAX_BACKOFF);
        self.after(pause, Event::Connect { host, life });
    }

    pub(super) fn connect_timeout(&mut self, host: Id, life: u64, session: usize) {
        let waits = |d: &Daemon| d.session == Some(session) && !d.welcomed;
        if self.lives(host, life) && self.hosts[host].daemon.as_ref().is_some_and(waits) {
            self.agent_loses(session);
        }
    }

    /// A message of the leader arrives.
    pub(super) fn receive(&mut self, session: usize, message: DownMessage) {
        let (host, life) = (
            self.sessions[session].host,
            self.sessions[session].host_life,
        );
        if !self.lives(host, life) {
            return;
        }
        let node = self.hosts[host].node.clone();
        if let Some(daemon) = &mut self.hosts[host].daemon
            && matches!(message, DownMessage::Welcome)
        {
            daemon.welcomed = true;
            daemon.backoff = BACKOFF;
        }
        let stale = self.note_assignments(host, &message);
        let before = stale.then(|| self.hosts[host].journal.wishes());
        self.step_worker(host, message.input(node));
        if before.is_some_and(|before| before != self.hosts[host].journal.wishes()) {
            self.fail(|| format!("older assignment after a newer one: host {host} followed it"));
        }
    }

    /// Whether the message is older than what the host knows.
    fn note_assignments(&mut self, host: Id, message: &DownMessage) -> bool {
        let DownMessage::Assignments(assignments) = message else {
            return false;
        };
        self.note_payloads(host, assignments);
        let Some(daemon) = &mut self.hosts[host].daemon else {
            return false;
        };
        let stale = assignments.index < daemon.worker.index();
        daemon.synced |= assignments.complete && !stale;
        if stale {
            self.summary.stale_assignments += 1;
        }
        stale
    }

    /// What the host holds after the message, if it follows it.
    fn note_payloads(&mut self, host: Id, assignments: &Assignments) {
        let state = &mut self.hosts[host];
        let known = state.daemon.as_ref().map(|d| d.worker.index());
        if known.is_none_or(|known| assignments.index < known) {
            return;
        }
        if assignments.complete {
            state.payloads.clear();
        }
        for change in &assignments.changes {
            match change {
                AssignmentChange::PutPayload(payload) => {
                    state.payloads.insert(payload.id.clone());
                }
                AssignmentChange::RemovePayload(id) => {
                    state.payloads.remove(id);
                }
                _ => {}
            }
        }
    }

    pub(super) fn session_lost(&mut self, host: Id, life: u64, session: usize) {
        if !self.lives(host, life) {
            return;
        }
        let Some(daemon) = &mut self.hosts[host].daemon else {
            return;
        };
        if daemon.session != Some(session) {
            return;
        }
        daemon.session = None;
        if std::mem::take(&mut daemon.welcomed) {
            self.step_worker(host, Input::SessionDown);
        }
        self.connect_later(host, life);
    }
}
