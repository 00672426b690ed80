//! One task on this node: where it stands on the ladder, what its container is, what is being done for it.

use super::types::{Action, Existing, Exit, Failure, Outcome, TaskRecord};
use model::assignment::AssignedTask;
use model::task::ContainerStatus;
use model::{DesiredState, TaskState, TaskStatus, Timestamp};
use std::time::Duration;

/// Pause before an action that failed is tried again, as in swarmkit's agent.
pub(super) const ACTION_RETRY: Duration = Duration::from_secs(1);

/// Error of a task whose container is not there any more although it had been started.
const CONTAINER_GONE: &str =
    "task: its container is gone: the host was restarted or its data was removed";
/// Error of a task whose container was killed by the kernel for lack of memory.
const OOM_CAUSE: &str = "killed by the kernel: out of memory";

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
            busy: None,
            retry_at: None,
            told: Told::Due,
            unwritten: false,
        }
    }

    /// What the journal has to hold.
    pub(super) fn record(&self) -> TaskRecord {
        TaskRecord {
            task: self.task.clone(),
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
                } else if !over {
                    self.back_to(TaskState::Ready, now, "prepared");
                }
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

    /// After a restart a task stands where its container is: that may be lower than what the last process told.
    fn back_to(&mut self, state: TaskState, now: Timestamp, message: &str) {
        self.status = TaskStatus::new(state, now, message);
    }

    fn running(&mut self, container: ContainerStatus, now: Timestamp) {
        let known = self.status.state == TaskState::Running;
        if known && self.status.container.as_ref() == Some(&container) {
            return;
        }
        self.status.container = Some(container);
        self.settle(TaskState::Running, now, "started");
    }

    fn exited(&mut self, exit: Exit) {
        self.container = Container::Ended;
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
            Outcome::Started(container) => self.started(container, now),
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
        if !self.status.state.is_terminal() && self.status.error != error {
            self.status.error = error;
            self.told = Told::Due;
        }
    }

    /// What has to be done now, and the step on the ladder that goes with it. `may_begin`: something new may be
    /// prepared or started.
    pub(super) fn next(&mut self, now: Timestamp, may_begin: bool) -> Next {
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
        if !may_begin {
            return Next::Wait;
        }
        match self.status.state {
            TaskState::Accepted | TaskState::Preparing => self.prepare(now),
            TaskState::Ready if self.task.desired == DesiredState::Running => self.start(now),
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

    fn prepare(&mut self, now: Timestamp) -> Next {
        self.container = Container::Made;
        self.climb(TaskState::Preparing, now, "preparing");
        self.ask(Busy::Prepare, Action::Prepare(Box::new(self.task.clone())))
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
        cause => format!("task: non-zero exit ({}): {cause}", exit.code),
    }
}
