//! The wire format between daemon and supervisor: frames of a little-endian `u32` length and that
//! many bytes of JSON, over a unix stream socket. Both sides ignore fields that they do not know;
//! [`PROTOCOL_VERSION`] changes only when an old supervisor cannot serve a new daemon.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::spec::{ContainerSpec, ExecSpec};
use crate::state::{ContainerState, ExecResult, Exit};

/// Version that the supervisor announces in its first frame.
pub(crate) const PROTOCOL_VERSION: u32 = 1;
/// What the supervisor can do within that version; 0 when it does not say. 1: the fields of
/// [`ContainerSpec`] from `tty` on, `init`, custom seccomp profiles, and programs that join.
pub(crate) const FEATURE_LEVEL: u32 = 1;
/// Longest frame in bytes: a spec with some twenty secrets (500 KiB each) and configs (1000 KiB each)
/// in base64, and with long arguments and environment (the kernel's own limit for both together is
/// 2 MiB by default), fits; a broken peer cannot make us allocate without end. 32 MiB.
pub(crate) const MAX_FRAME: usize = 32 << 20;
/// Bytes of the length in front of each frame.
pub(crate) const HEADER: usize = 4;
/// Name of the socket in exec_root.
pub(crate) const SOCKET_NAME: &str = "supervisor.sock";

/// Daemon to supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RequestFrame {
    /// Chosen by the client; the reply carries it.
    pub(crate) seq: u64,
    pub(crate) request: Request,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Start(Box<ContainerSpec>),
    List,
    Signal {
        id: String,
        signal: i32,
    },
    KillAll {
        id: String,
    },
    Acknowledge {
        id: String,
    },
    Shutdown,
    /// Its `seq` names it from then on, on this connection.
    Exec {
        id: String,
        exec: Box<ExecSpec>,
    },
    /// `exec` is the `seq` of its request.
    KillExec {
        exec: u64,
    },
}

/// Supervisor to daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ServerFrame {
    /// First frame of a connection.
    Hello {
        protocol: u32,
        pid: i32,
        /// [`FEATURE_LEVEL`].
        #[serde(default)]
        level: u32,
    },
    Reply {
        seq: u64,
        result: Result<Reply, Refusal>,
    },
    Exited {
        id: String,
        exit: Exit,
    },
    /// To who asked for it only; `exec` is the `seq` of its request.
    ExecEnded {
        exec: u64,
        result: ExecResult,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Started {
        pid: i32,
        start_time: u64,
        started_at: u64,
    },
    Containers(Vec<ContainerState>),
    ExecStarted {
        pid: i32,
    },
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
    /// Docker's exit code of a container that could not be started: 126, 127 or 128.
    #[serde(default)]
    pub(crate) exit_code: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RefusalKind {
    NoSuchContainer,
    AlreadyExists,
    InvalidSpec,
    SetupFailed,
    Conflict,
    NotRunning,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Refusal {
            kind,
            message: message.into(),
            exit_code: 128,
        }
    }
}

/// Why a frame cannot be read.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    #[error("a frame of {0} bytes is longer than the limit of {MAX_FRAME}")]
    TooLong(usize),
    #[error("a frame is not the JSON that was expected")]
    Json(#[from] serde_json::Error),
}

/// A message with its length in front.
pub(crate) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![0; HEADER];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - HEADER;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    let length = u32::try_from(length).expect("MAX_FRAME fits in 32 bits");
    frame[..HEADER].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Length of the body that follows this header.
pub(crate) fn body_length(header: [u8; HEADER]) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_carry_their_length() {
        let frame = encode(&ServerFrame::Hello {
            protocol: 1,
            pid: 7,
            level: 2,
        })
        .unwrap();
        let header = frame[..HEADER].try_into().unwrap();
        assert_eq!(body_length(header).unwrap(), frame.len() - HEADER);
        let body: serde_json::Value = serde_json::from_slice(&frame[HEADER..]).unwrap();
        assert_eq!(
            body,
            serde_json::json!({"Hello": {"protocol": 1, "pid": 7, "level": 2}})
        );
    }

    #[test]
    fn a_frame_above_the_limit_is_refused() {
        let header = u32::try_from(MAX_FRAME + 1).unwrap().to_le_bytes();
        assert!(matches!(body_length(header), Err(FrameError::TooLong(n)) if n == MAX_FRAME + 1));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let later = r#"{"seq":3,"request":{"Signal":{"id":"a","signal":9,"whole_group":true}},"trace":"x"}"#;
        let frame: RequestFrame = serde_json::from_str(later).unwrap();
        assert!(
            matches!(frame.request, Request::Signal { ref id, signal: 9 } if id == "a"),
            "{frame:?}"
        );
    }
}
