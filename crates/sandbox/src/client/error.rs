//! Why the supervisor cannot be had, or did not do what was asked.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::protocol::{Refusal, RefusalKind, Reply};

/// Why there is no connection to a supervisor.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The directory for its socket cannot be made.
    #[error("cannot create the directory {path}")]
    ExecRoot {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The socket is there but does not accept.
    #[error("cannot connect to the supervisor's socket {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The program cannot be executed.
    #[error("cannot execute {binary} as supervisor")]
    Spawn {
        /// The program.
        binary: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The new supervisor said why it cannot work.
    #[error("the supervisor did not start: {0}")]
    Start(String),
    /// What answers on the socket is not a supervisor that we can talk to.
    #[error("the supervisor on {path} does not speak our protocol: {reason}")]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

/// Why a request to the supervisor failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ClientError {
    /// The connection broke; whether the request was done is unknown until
    /// [`list`](super::Supervisor::list).
    #[error("the connection to the supervisor is lost")]
    Lost,
    /// The supervisor holds no such container.
    #[error("{0}")]
    NoSuchContainer(String),
    /// Not in the container's present state.
    #[error("{0}")]
    Conflict(String),
    /// The request cannot be sent.
    #[error("the request to the supervisor cannot be sent: {0}")]
    Unsendable(String),
}

/// Why a container did not start. Nothing of it is left.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StartError {
    /// The supervisor holds a container of this id.
    #[error("{0}")]
    AlreadyExists(String),
    /// The spec asks for something that cannot be; nothing was tried.
    #[error("{0}")]
    InvalidSpec(String),
    /// Set-up failed, or its program cannot be executed; the text says which and why.
    #[error("{message}")]
    Failed {
        /// In Docker's words where Docker has them.
        message: String,
        /// Docker's: 127 not found, 126 not executable, 128 anything else.
        exit_code: i32,
    },
    /// The connection failed; whether the container runs is unknown until
    /// [`list`](super::Supervisor::list).
    #[error(transparent)]
    Client(ClientError),
}

impl StartError {
    /// Docker's exit code for a container that could not be started.
    pub fn exit_code(&self) -> i32 {
        match self {
            StartError::Failed { exit_code, .. } => *exit_code,
            _ => 128,
        }
    }
}

/// Why a program does not run in a container, or is not known to have ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExecError {
    /// The container is being set up, or has ended.
    #[error("{0}")]
    NotRunning(String),
    /// The spec asks for something that cannot be; nothing was tried.
    #[error("{0}")]
    InvalidSpec(String),
    /// The program cannot be executed; the text says why.
    #[error("{message}")]
    Failed {
        /// In Docker's words where Docker has them.
        message: String,
        /// Docker's: 127 not found, 126 not executable, 128 anything else.
        exit_code: i32,
    },
    /// There is no such container, or the connection failed; with it the program is killed.
    #[error(transparent)]
    Client(ClientError),
}

pub(super) fn exec_error(refusal: Refusal) -> ExecError {
    match refusal.kind {
        RefusalKind::NotRunning => ExecError::NotRunning(refusal.message),
        RefusalKind::InvalidSpec => ExecError::InvalidSpec(refusal.message),
        RefusalKind::SetupFailed => ExecError::Failed {
            message: refusal.message,
            exit_code: refusal.exit_code,
        },
        _ => ExecError::Client(unexpected(Err(refusal))),
    }
}

pub(super) fn unexpected(reply: Result<Reply, Refusal>) -> ClientError {
    match reply {
        Err(refusal) if refusal.kind == RefusalKind::NoSuchContainer => {
            ClientError::NoSuchContainer(refusal.message)
        }
        Err(refusal) => ClientError::Conflict(refusal.message),
        Ok(reply) => {
            ClientError::Conflict(format!("the supervisor's answer does not fit: {reply:?}"))
        }
    }
}

pub(super) fn start_error(refusal: Refusal) -> StartError {
    match refusal.kind {
        RefusalKind::AlreadyExists => StartError::AlreadyExists(refusal.message),
        RefusalKind::InvalidSpec => StartError::InvalidSpec(refusal.message),
        _ => StartError::Failed {
            message: refusal.message,
            exit_code: refusal.exit_code,
        },
    }
}
