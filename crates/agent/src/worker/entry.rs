//! One task on this node: where it stands on the ladder, what its container is, what is being done for it.

use super::types::{Action, Existing, Exit, Failure, Health, Outcome, Payloads, TaskRecord};
use model::assignment::AssignedTask;
use model::payload::{self, PayloadKind};
use model::task::ContainerStatus;
use model::{DesiredState, PayloadId, TaskState, TaskStatus, Timestamp};
use std::time::Duration;

/// Pause before an action that failed is tried again, as in swarmkit's agent.
pub(super) const ACTION_RETRY: Duration = Duration::from_secs(1);

/// Error of a task whose container is not there any more although it had been started.
const CONTAINER_GONE: &str =
    "task: its container is gone: the host was restarted or its data was removed";
/// Error of a task whose container was killed by the kernel for lack of memory.
const OOM_CAUSE: &str = "killed by the kernel: out of memory";

/// What a task says while its health check has not succeeded.
const CHECKING: &str = "starting: waiting for the health check to succeed";
/// Reasons of one state that may pass by themselves (failing probes, an action that is tried again) and that the manager
/// is told: each is a write in the Raft log, and each may have other words. What follows them is only the next state.
/// Enough for the first failing probe in the start period and, counted by doubling, for more than a hundred after it.
const MAX_PASSING_REASONS: u32 = 8;
/// Cause of the end of a task whose container got unhealthy. Docker's text.
const UNHEALTHY_CAUSE: &str = "dockerexec: unhealthy container";
/// Exit code of a container that was stopped for it and whose end was not seen.
const KILLED: i64 = 137;

/// What may exist of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// Nothing: no action was ever asked for.
    None,
    /// Something may be there, no process of it runs.
    Made,
    /// A process of it runs.
    Running,
    /// It ran and ended.
    Ended,
}

/// The action that the executor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    Prepare,
    Start,
    Stop,
    Remove,
}

/// Whether the manager knows the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Not yet.
    Due,
    /// Sent under this sequence number, not yet acknowledged.
    Sent(u64),
    /// It does.
    Acknowledged,
}

/// What has to be done next for a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing, or an answer is awaited.
    Wait,
    /// Ask the executor.
    Do(Action),
    /// Nothing is left of it and the manager has forgotten it.
    Forget,
}

/// A task on this node.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// What to run; `desired` only climbs.
    pub(super) task: AssignedTask,
    /// What the manager says it wants, while it lists the task.
    pub(super) listed: Option<DesiredState>,
    pub(super) status: TaskStatus,
    pub(super) container: Container,
    /// Its health check has failed too often: it is stopped, whatever the check says from now on.
    unhealthy: bool,
    /// How many reasons of the present state were told that may pass.
    passing_reasons: u32,
    /// It waits for a secret or a config.
    pub(super) lacks_payload: bool,
    pub(super) busy: Option<Busy>,
    pub(super) retry_at: Option<Timestamp>,
    pub(super) told: Told,
    /// The journal holds an older state.
    pub(super) unwritten: bool,
}

impl Entry {
    /// A task that was just assigned.
    pub(super) fn new(task: AssignedTask, now: Timestamp) -> Entry {
        Entry {
            listed: Some(task.desired),
            task,
            status: TaskStatus::new(TaskState::Accepted, now, "accepted"),
            container: Container::None,
            unhealthy: false,
            passing_reasons: 0,
            lacks_payload: false,
            busy: None,
            retry_at: None,
            told: Told::Due,
            unwritten: true,
        }
    }

    /// A task from the journal.
    pub(super) fn restored(record: TaskRecord) -> Entry {
        Entry {
            listed: record.listed.then_some(record.task.desired),
            task: record.task,
            status: record.status,
            container: Container::None,
            unhealthy: false,
            passing_reasons: 0,
            lacks_payload: false,
            busy: None,
            retry_at: None,
            told: Told::Due,
            unwritten: false,
        }
    }

    /// What the journal has to hold: no credentials, they come again with the complete set.
    pub(super) fn record(&self) -> TaskRecord {
        TaskRecord {
            task: AssignedTask {
                registry_auth: None,
                ..self.task.clone()
            },
            listed: self.listed.is_some(),
            status: self.status.clone(),
        }
    }

    /// It must not run any more, ever.
    pub(super) fn given_up(&self) -> bool {
        self.listed.is_none() || self.task.desired >= DesiredState::Shutdown
    }

    /// The manager wants this of it. What it wanted before only counts when it was more.
    pub(super) fn want(&mut self, desired: DesiredState) {
        self.listed = Some(desired);
        if desired > self.task.desired {
            self.task.desired = desired;
            self.unwritten = true;
            self.retry_at = None;
        }
    }

    /// The manager does not list it any more.
    pub(super) fn unlist(&mut self) {
        if self.listed.take().is_some() {
            self.task.desired = DesiredState::Remove;
            self.unwritten = true;
            self.retry_at = None;
        }
    }

    fn settle(&mut self, state: TaskState, at: Timestamp, message: &str) {
        let container = self.status.container.take();
        self.status = TaskStatus::new(state, at, message);
        self.status.container = container;
        self.passing_reasons = 0;
        self.told = Told::Due;
        // Starts and ends are durable before they are told; the rest can be found out again after a crash.
        self.unwritten |= state >= TaskState::Running;
    }

    fn fail(&mut self, state: TaskState, at: Timestamp, error: String) {
        let message = std::mem::take(&mut self.status.message);
        self.settle(state, at, &message);
        self.status.error = error;
    }

    /// Takes in what was found of its container at start.
    pub(super) fn adopt(&mut self, found: Option<Existing>, now: Timestamp) {
        let over = self.status.state.is_terminal();
        let ran = self.status.state >= TaskState::Running;
        match found {
            None if ran && !over => self.fail(TaskState::Failed, now, CONTAINER_GONE.into()),
            None if !over => self.back_to(TaskState::Accepted, now, "accepted"),
            None => {}
            Some(Existing::Created) => {
                self.container = Container::Made;
                if ran && !over {
                    self.fail(TaskState::Failed, now, CONTAINER_GONE.into());
                } else if !over && self.uses_payloads() {
                    self.back_to(TaskState::Accepted, now, "accepted");
                } else if !over {
                    self.back_to(TaskState::Ready, now, "prepared");
                }
            }
            Some(Existing::Checked(container, health)) => {
                self.container = Container::Running;
                if ran && !over {
                    self.running(container, now);
                } else if !over {
                    self.back_to(TaskState::Starting, now, CHECKING);
                    self.status.container = Some(container);
                }
                self.health(health, now);
            }
            Some(Existing::Running(container)) => {
                self.container = Container::Running;
                if !over {
                    self.running(container, now);
                }
            }
            Some(Existing::Exited(container, exit)) => {
                self.container = Container::Running;
                self.status.container = Some(container);
                self.exited(exit);
            }
        }
    }

    fn uses_payloads(&self) -> bool {
        let spec = &self.task.spec.container;
        !(spec.secrets.is_empty() && spec.configs.is_empty() && spec.secret_env.is_empty())
    }

    /// After a restart a task stands where its container is: that may be lower than what the last process told.
    fn back_to(&mut self, state: TaskState, now: Timestamp, message: &str) {
        self.status = TaskStatus::new(state, now, message);
    }

    fn running(&mut self, container: ContainerStatus, now: Timestamp) {
        let known = self.status.state == TaskState::Running;
        let has_reason = !self.status.error.is_empty();
        if known && !has_reason && self.status.container.as_ref() == Some(&container) {
            return;
        }
        self.status.container = Some(container);
        self.settle(TaskState::Running, now, "started");
    }

    fn exited(&mut self, mut exit: Exit) {
        self.container = Container::Ended;
        if self.unhealthy && exit.error.is_empty() {
            exit.error = UNHEALTHY_CAUSE.into();
        }
        if self.status.state.is_terminal() {
            return;
        }
        let container = self.status.container.get_or_insert_default();
        container.pid = 0;
        container.exit_code = exit.code;
        if self.given_up() {
            self.settle(TaskState::Shutdown, exit.at, "shutdown");
        } else if exit.code == 0 && exit.error.is_empty() {
            self.settle(TaskState::Complete, exit.at, "finished");
        } else {
            self.fail(TaskState::Failed, exit.at, exit_error(&exit));
        }
    }

    /// Takes in an answer of the executor.
    pub(super) fn did(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Prepared if self.finish(Busy::Prepare) => {
                self.settle(TaskState::Ready, now, "prepared");
            }
            Outcome::PrepareFailed(failure) if self.finish(Busy::Prepare) => {
                self.action_failed(TaskState::Rejected, failure, now);
            }
            Outcome::Says(what) if self.busy == Some(Busy::Prepare) => self.say(what),
            Outcome::Started(container) => self.started(container, now),
            Outcome::Checked(container) => self.checked(container),
            Outcome::Health(health) => self.health(health, now),
            Outcome::StartFailed(failure) if self.finish(Busy::Start) => {
                self.action_failed(TaskState::Failed, failure, now);
            }
            Outcome::Exited(exit) => self.exited(exit),
            Outcome::Stopped if self.finish(Busy::Stop) => self.stopped(now),
            Outcome::StopFailed(error) if self.finish(Busy::Stop) => self.try_again(error, now),
            Outcome::Removed if self.finish(Busy::Remove) => self.container = Container::None,
            Outcome::RemoveFailed(error) if self.finish(Busy::Remove) => self.try_again(error, now),
            // The answer to an action that a stop has overtaken.
            _ => {}
        }
    }

    /// Whether this action was awaited; it is not any more.
    fn finish(&mut self, action: Busy) -> bool {
        let awaited = self.busy == Some(action);
        if awaited {
            self.busy = None;
        }
        awaited
    }

    fn started(&mut self, container: ContainerStatus, now: Timestamp) {
        let awaited = self.finish(Busy::Start);
        if self.container == Container::Ended {
            return;
        }
        self.container = Container::Running;
        if awaited && !self.status.state.is_terminal() {
            self.running(container, now);
        } else {
            self.status.container = Some(container);
        }
    }

    /// It runs, but only its health check can say that it does what it should.
    fn checked(&mut self, container: ContainerStatus) {
        let awaited = self.finish(Busy::Start);
        if self.container == Container::Ended {
            return;
        }
        self.container = Container::Running;
        self.status.container = Some(container);
        if awaited && !self.status.state.is_terminal() {
            self.say(CHECKING.into());
        }
    }

    fn health(&mut self, health: Health, now: Timestamp) {
        let over = self.status.state.is_terminal() || self.given_up();
        if over || self.container != Container::Running || self.unhealthy {
            return;
        }
        let starting = self.status.state == TaskState::Starting;
        match health {
            Health::Starting(why) if starting && !why.is_empty() => self.passing_reason(why),
            Health::Healthy if starting => {
                let container = self.status.container.clone().unwrap_or_default();
                self.running(container, now);
            }
            Health::Unhealthy(why) => {
                self.unhealthy = true;
                let why = match why.as_str() {
                    "" => "unhealthy".into(),
                    _ => why,
                };
                self.reason(why.clone());
                self.say(why);
            }
            Health::Starting(_) | Health::Healthy => {}
        }
    }

    /// The user sees what is going on; the state stays.
    fn say(&mut self, message: String) {
        if self.status.message != message {
            self.status.message = message;
            self.told = Told::Due;
            self.unwritten |= self.status.state >= TaskState::Running;
        }
    }

    /// Why it does not go on, or is about to end; gone with the next state.
    fn reason(&mut self, error: String) {
        if self.status.error != error {
            self.status.error = error;
            self.told = Told::Due;
        }
    }

    /// Why it does not go on for now. It may be another reason at each try: only some are told.
    fn passing_reason(&mut self, error: String) {
        if self.passing_reasons < MAX_PASSING_REASONS && self.status.error != error {
            self.passing_reasons += 1;
            self.reason(error);
        }
    }

    fn stopped(&mut self, now: Timestamp) {
        if self.container == Container::Running {
            self.container = Container::Ended;
        }
        if self.status.state.is_terminal() {
            return;
        }
        if let Some(container) = &mut self.status.container {
            container.pid = 0;
        }
        if self.unhealthy && !self.given_up() {
            let exit = Exit {
                code: KILLED,
                error: UNHEALTHY_CAUSE.into(),
                ..Exit::default()
            };
            self.fail(TaskState::Failed, now, exit_error(&exit));
            return;
        }
        self.settle(TaskState::Shutdown, now, "shutdown");
    }

    fn action_failed(&mut self, end: TaskState, failure: Failure, now: Timestamp) {
        if self.status.state.is_terminal() {
            return;
        }
        if failure.permanent {
            self.fail(end, now, failure.message);
        } else {
            self.try_again(failure.message, now);
        }
    }

    /// The user sees why it does not go on; an end keeps its own reason.
    fn try_again(&mut self, error: String, now: Timestamp) {
        self.retry_at = Some(now + ACTION_RETRY);
        if !self.status.state.is_terminal() {
            self.passing_reason(error);
        }
    }

    /// What has to be done now, and the step on the ladder that goes with it. `may_begin`: something new may be
    /// prepared or started.
    pub(super) fn next(&mut self, now: Timestamp, may_begin: bool, payloads: &Payloads) -> Next {
        self.lacks_payload = false;
        if self.retry_at.is_some_and(|at| at > now) {
            return Next::Wait;
        }
        self.retry_at = None;
        if self.given_up() && !self.status.state.is_terminal() {
            return self.give_up(now);
        }
        if self.busy.is_some() {
            return Next::Wait;
        }
        if self.status.state.is_terminal() {
            return self.clean_up();
        }
        if self.container == Container::Running {
            // It runs, or its health check has yet to succeed.
            return match self.unhealthy {
                true => self.ask(Busy::Stop, Action::Stop(self.task.id.clone())),
                false => Next::Wait,
            };
        }
        if !may_begin {
            return Next::Wait;
        }
        match self.status.state {
            TaskState::Accepted | TaskState::Preparing => self.prepare(now, payloads),
            TaskState::Ready if self.task.desired >= DesiredState::Running => self.start(now),
            // Only a start that failed for a time comes here without being busy.
            TaskState::Starting => self.start(now),
            _ => Next::Wait,
        }
    }

    fn give_up(&mut self, now: Timestamp) -> Next {
        match (self.busy, self.container) {
            (Some(Busy::Stop | Busy::Remove), _) => Next::Wait,
            (None, Container::None) => {
                self.settle(TaskState::Shutdown, now, "shutdown");
                self.clean_up()
            }
            _ => self.ask(Busy::Stop, Action::Stop(self.task.id.clone())),
        }
    }

    fn clean_up(&mut self) -> Next {
        if self.container == Container::Running {
            return self.ask(Busy::Stop, Action::Stop(self.task.id.clone()));
        }
        match (self.listed, self.container) {
            (Some(_), _) => Next::Wait,
            (None, Container::None) => Next::Forget,
            (None, _) => self.ask(Busy::Remove, Action::Remove(self.task.id.clone())),
        }
    }

    fn prepare(&mut self, now: Timestamp, payloads: &Payloads) -> Next {
        let mut own = Payloads::new();
        for id in payload::used_by(&self.task.spec.container) {
            let Some(payload) = payloads.get(&id) else {
                self.lacks_payload = true;
                let why = format!("waiting for {}", self.describe(&id));
                self.reason(why.clone());
                self.say(why);
                return Next::Wait;
            };
            own.insert(id, payload.clone());
        }
        self.container = Container::Made;
        self.climb(TaskState::Preparing, now, "preparing");
        let task = Box::new(self.task.clone());
        self.ask(Busy::Prepare, Action::Prepare(task, own))
    }

    /// `secret NAME`, as the task's specification has it.
    fn describe(&self, id: &PayloadId) -> String {
        let spec = &self.task.spec.container;
        let files = spec.secrets.iter().map(|secret| (&secret.id, &secret.name));
        let variables = spec
            .secret_env
            .iter()
            .map(|secret| (&secret.id, &secret.name));
        let configs = spec.configs.iter().map(|config| (&config.id, &config.name));
        let secret = PayloadKind::Secret.name();
        let secrets = files.chain(variables).map(|used| (secret, used));
        let configs = configs.map(|used| (PayloadKind::Config.name(), used));
        let found = secrets.chain(configs).find(|(_, (used, _))| *used == id);
        match found {
            Some((kind, (_, name))) => format!("{kind} {name}"),
            None => format!("secret or config {id}"),
        }
    }

    fn start(&mut self, now: Timestamp) -> Next {
        self.climb(TaskState::Starting, now, "starting");
        self.ask(Busy::Start, Action::Start(self.task.id.clone()))
    }

    fn climb(&mut self, state: TaskState, now: Timestamp, message: &str) {
        if self.status.state < state {
            self.settle(state, now, message);
        }
    }

    fn ask(&mut self, busy: Busy, action: Action) -> Next {
        self.busy = Some(busy);
        Next::Do(action)
    }
}

/// Docker's text for a process that ended badly.
fn exit_error(exit: &Exit) -> String {
    let cause = match (exit.error.as_str(), exit.oom_killed) {
        ("", true) => OOM_CAUSE,
        (cause, _) => cause,
    };
    match cause {
        "" => format!("task: non-zero exit ({})", exit.code),
        // It ended well when it was told to, but not of its own accord.
        cause if exit.code == 0 => format!("task: {cause}"),
        cause => format!("task: non-zero exit ({}): {cause}", exit.code),
    }
}
