//! What the agent needs from whoever makes containers.

use crate::worker::{Existing, Exit, Failure, Health, Payloads};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::assignment::AssignedTask;
use model::logs::{LogOptions, LogStream};
use model::task::ContainerStatus;
use model::{NodeDescription, TaskId, Timestamp};

/// Makes, runs and removes the containers of tasks.
///
/// Calls for one task come one after another; only [`Executor::wait`], [`Executor::health`] and [`Executor::logs`] run
/// beside them. The
/// future of [`Executor::prepare`] may be dropped at any time: what it has begun is cleaned up by the `stop` and
/// `remove` that follow.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// What this node is and has to give. Asked whenever a session begins.
    fn describe(&self) -> NodeDescription;
    /// Gets the image and makes the container with its secrets and configs, all of which are in `payloads`. A
    /// container that is there already is no error: it was made by an earlier process, and gets what that one had in
    /// memory. Long waits are told to `say`.
    async fn prepare(
        &self,
        task: &AssignedTask,
        payloads: &Payloads,
        say: &Say,
    ) -> Result<(), ExecError>;
    /// Starts the prepared container; returns when its program has been executed.
    async fn start(&self, task: &TaskId) -> Result<Started, ExecError>;
    /// What the health check of a running container says: now, and whenever that changes, until the container ends.
    /// None when it has no check.
    fn health(&self, task: &TaskId) -> Option<BoxStream<'static, Health>>;
    /// Returns when the started container has ended.
    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecError>;
    /// Stop signal, grace period, SIGKILL. A container that does not run, or is not there, is no error.
    async fn stop(&self, task: &TaskId) -> Result<(), ExecError>;
    /// Removes the container with its root file system and logs. One that is not there is no error.
    async fn remove(&self, task: &TaskId) -> Result<(), ExecError>;
    /// The containers of tasks that are there when the process starts.
    async fn existing(&self) -> Vec<(TaskId, Existing)>;
    /// Output of the task's container; when it follows and there is no container yet, waits for it.
    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, LogFrame>, ExecError>;
}

/// Told what is being waited for, in words for the user.
pub type Say = dyn Fn(String) + Send + Sync;

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The container.
    pub container: ContainerStatus,
    /// It has a health check, and counts as running once that has succeeded.
    pub checked: bool,
}

/// Why the executor could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExecError {
    /// For the user.
    pub message: String,
    /// Trying again is of no use.
    pub permanent: bool,
}

impl ExecError {
    /// An error that trying again cannot mend.
    pub fn permanent(message: impl Into<String>) -> ExecError {
        let message = message.into();
        let permanent = true;
        ExecError { message, permanent }
    }

    /// An error that may be gone at the next attempt.
    pub fn passing(message: impl Into<String>) -> ExecError {
        let message = message.into();
        let permanent = false;
        ExecError { message, permanent }
    }
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Failure {
        Failure {
            message: error.message,
            permanent: error.permanent,
        }
    }
}

/// One line of a container's output, or a part of a long one, with its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFrame {
    /// Where it was written.
    pub stream: LogStream,
    /// When.
    pub time: Timestamp,
    /// The bytes.
    pub data: Vec<u8>,
}
