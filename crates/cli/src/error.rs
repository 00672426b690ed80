//! What can go wrong in a command, in words for the person in front of it.

use std::io;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The daemon refused.
    #[error("Error response from daemon: {message}")]
    Api {
        /// The HTTP status.
        status: u16,
        /// The daemon's own words.
        message: String,
    },
    /// There is no daemon.
    #[error(
        "Cannot connect to the Starling daemon at {host}. Is `starling daemon` running? ({source})"
    )]
    Connect {
        /// The address tried.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// May not talk to the daemon.
    #[error(
        "permission denied while trying to connect to the Starling daemon at {host}: run the command as root, or as a member of the group that owns the socket"
    )]
    Permission {
        /// The address tried.
        host: String,
    },
    /// The address of the daemon makes no sense.
    #[error("{0}")]
    Host(String),
    /// The connection broke, or what came over it is not HTTP.
    #[error("lost the connection to the daemon: {0}")]
    Transport(String),
    /// The daemon sent something that is not the JSON that it should be.
    #[error("cannot read the daemon's answer to {path}: {why}")]
    Answer {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A template cannot be read or does not fit the data.
    #[error("template parsing error: {0}")]
    Template(String),
    /// Flags or arguments that make no sense; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// A flag's value cannot be read; nothing was sent.
    #[error("{0}")]
    BadFlag(String),
    /// A file cannot be read or written.
    #[error("{what}: {source}")]
    File {
        /// Which, and what for.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Our own output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// What was begun did not come to its end.
    #[error("{0}")]
    Failed(String),
    /// The user had enough of waiting; the cluster goes on, and how to look again was said. No failure.
    #[error("")]
    Detached,
    /// Everything was said already.
    #[error("")]
    Silent,
}

/// The result of a command or a part of one.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Flags or arguments that make no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        Error::Usage(text.into())
    }

    /// Whether the daemon said that the thing is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Api { status: 404, .. })
    }

    /// Whether the reader of our output went away, as `head` does.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Error::Output(err) if err.kind() == io::ErrorKind::BrokenPipe)
    }
}
