//! How other tasks reach the driver.

use crate::leader::{Input, Limits};
use model::control::{ControlError, WriteRequest, Written};
use model::{Change, Refusal};
use tokio::sync::{mpsc, oneshot};

/// What other tasks ask of the driver.
pub(super) enum Command {
    /// A client's change.
    Write {
        request: WriteRequest,
        reply: oneshot::Sender<Result<Written, ControlError>>,
    },
    /// Changes that this manager decided itself (certificates, membership).
    Propose {
        changes: Vec<Change>,
        reply: oneshot::Sender<Result<(), ProposalError>>,
    },
    /// Something of a session.
    Session(Input),
}

/// Why changes of this manager were not made.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProposalError {
    #[error(transparent)]
    Refused(Refusal),
    /// Not leading, or leadership was lost: then they may have been made.
    #[error("this manager lost its leadership")]
    Lost,
}

/// Hands commands to the driver. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DriverHandle {
    commands: mpsc::Sender<Command>,
    limits: Limits,
}

impl DriverHandle {
    pub(super) fn new(commands: mpsc::Sender<Command>, limits: Limits) -> DriverHandle {
        DriverHandle { commands, limits }
    }

    /// The leader's bounds.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) async fn write(&self, request: WriteRequest) -> Result<Written, ControlError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Write { request, reply };
        let stopped = || ControlError::Unavailable("this manager is shutting down".into());
        self.commands.send(command).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    pub(crate) async fn propose(&self, changes: Vec<Change>) -> Result<(), ProposalError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Propose { changes, reply };
        self.commands
            .send(command)
            .await
            .map_err(|_| ProposalError::Lost)?;
        answer.await.unwrap_or(Err(ProposalError::Lost))
    }

    /// Waits while the driver is busy: the sender's session waits with it.
    pub(crate) async fn session(&self, input: Input) {
        // A driver that is gone has closed all sessions.
        let _ = self.commands.send(Command::Session(input)).await;
    }
}
