//! What goes into the worker state machine and what comes out of it.

use model::assignment::{AssignedTask, Assignments};
use model::task::ContainerStatus;
use model::{NodeId, Payload, PayloadId, TaskId, TaskStatus, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the worker keeps on disk: what it was told, and how far each task got.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalRecord {
    /// A task of this node; one record per task id.
    Task(Box<TaskRecord>),
    /// Log index of the newest assignments that were taken; one record.
    Index(u64),
}

/// A task in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRecord {
    /// What to run; `desired` is the highest state that was ever asked for.
    pub task: AssignedTask,
    /// The manager still lists it. A task that is not listed any more is stopped, removed and forgotten.
    pub listed: bool,
    /// How far it got. Only RUNNING and what follows is written at once: see [`Output::Report`].
    pub status: TaskStatus,
}

/// A change of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum JournalWrite {
    /// Writes or replaces a record.
    Put(JournalRecord),
    /// Forgets a task.
    Delete(TaskId),
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The containers that were there when the process started. Must come once and before everything is expected
    /// to move: nothing is done or reported until it is known what runs already.
    Found(Vec<(TaskId, Existing)>),
    /// A session with the leader began; it sends the complete assignments next.
    SessionUp {
        /// This node.
        node: NodeId,
    },
    /// The session is gone. Tasks keep running.
    SessionDown,
    /// What the manager wants.
    Assignments(Assignments),
    /// The manager has committed all reports up to this sequence number.
    Reported {
        /// The highest sequence number that is committed.
        sequence: u64,
    },
    /// The executor finished something.
    Did(TaskId, Outcome),
    /// Time passed; see [`Output::WakeAt`].
    Tick,
}

/// What the worker asks for, in the order in which it has to happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Must be durable before anything that follows it in the list is done.
    Journal(Vec<JournalWrite>),
    /// Work for the executor; it answers with [`Input::Did`]. Actions of one task are done one after another, with
    /// one exception: a [`Action::Stop`] cancels a [`Action::Prepare`] in progress (no answer to the latter is needed).
    Do(Action),
    /// Statuses for the manager, only while a session is up. RUNNING and terminal statuses are journaled before
    /// they are reported; lower ones are not: after a crash they may be reported again, and the manager ignores
    /// what does not climb.
    Report {
        /// Names this report in [`Input::Reported`]; it grows.
        sequence: u64,
        /// The present statuses.
        statuses: Vec<(TaskId, TaskStatus)>,
    },
    /// Ask the manager for the complete assignments.
    NeedComplete,
    /// Call again with [`Input::Tick`] at this time; replaces earlier wishes.
    WakeAt(Timestamp),
}

/// Work for the executor.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Get the image, make the container, with the secrets and configs of the task. Answered by `Prepared` or
    /// `PrepareFailed`, before that maybe by `Says`.
    Prepare(Box<AssignedTask>, Payloads),
    /// Start the prepared container. Answered by `Started`, `Checked` or `StartFailed`; later by `Exited`.
    Start(TaskId),
    /// Signal, grace period, kill; nothing to do when nothing runs. Answered by `Stopped` or `StopFailed`.
    Stop(TaskId),
    /// Remove the container and all that belongs to it. Answered by `Removed` or `RemoveFailed`.
    Remove(TaskId),
}

/// Secrets and configs by their ids.
pub type Payloads = BTreeMap<PayloadId, Arc<Payload>>;

/// What came of an action, or of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The preparation waits for this, in words for the user.
    Says(String),
    /// The container is made.
    Prepared,
    /// It is not.
    PrepareFailed(Failure),
    /// It runs.
    Started(ContainerStatus),
    /// It runs, and its health check has to succeed before it counts as running.
    Checked(ContainerStatus),
    /// It does not.
    StartFailed(Failure),
    /// What its health check says now.
    Health(Health),
    /// Its process ended, by itself or because it was stopped.
    Exited(Exit),
    /// No process of it is left.
    Stopped,
    /// It may still run; asked again after a pause.
    StopFailed(String),
    /// Nothing is left of it.
    Removed,
    /// Something is left; asked again after a pause.
    RemoveFailed(String),
}

/// What the health check of a container that runs says. Words are for the user, and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It has not succeeded yet.
    Starting(String),
    /// It succeeds.
    Healthy,
    /// It failed too often.
    Unhealthy(String),
}

/// Why an action failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the user.
    pub message: String,
    /// Trying again is of no use: the task is REJECTED, or FAILED when it was being started.
    pub permanent: bool,
}

/// The end of a container's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// As Docker counts: 128 + N for signal N.
    pub code: i64,
    /// The kernel killed it for lack of memory.
    pub oom_killed: bool,
    /// When.
    pub at: Timestamp,
    /// A cause other than the process itself; empty usually.
    pub error: String,
}

/// A container found at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Made, never started.
    Created,
    /// Runs, and is healthy or has no health check.
    Running(ContainerStatus),
    /// Runs, and its health check says this; never [`Health::Healthy`].
    Checked(ContainerStatus, Health),
    /// Ended.
    Exited(ContainerStatus, Exit),
}
