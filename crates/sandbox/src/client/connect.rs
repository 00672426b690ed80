//! Finding the host's supervisor, or starting one.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::{ConnectError, ReadError, Supervisor, read_frame};
use crate::protocol::{PROTOCOL_VERSION, SOCKET_NAME, ServerFrame};
use crate::state::Event;
use crate::supervisor::EXIT_RUNNING;

/// How long a new supervisor may take until it listens. It takes milliseconds; when it has to kill
/// the containers of a dead predecessor, it waits for these up to 10 s.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a supervisor that accepted a connection may take to greet.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How often, and how long apart, connecting is tried while a supervisor is just coming or going:
/// one that was killed holds its lock until the kernel has taken it down.
const CONNECT_TRIES: u32 = 100;
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Most bytes that are read from a supervisor that could not start: its error.
const MAX_START_OUTPUT: u64 = 16 << 10;

/// Where the supervisor lives and how to start one.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// Directory on a tmpfs for its socket and its records; created (0700) when absent. Empty after
    /// a restart of the host.
    pub exec_root: PathBuf,
    /// Executable that contains [`crate::supervisor_main`]: usually this program.
    pub binary: PathBuf,
    /// Arguments that select it, before `--exec-root DIR`: usually `supervisor`.
    pub args: Vec<OsString>,
}

impl SupervisorConfig {
    /// `<binary> supervisor --exec-root <exec_root>`.
    pub fn new(exec_root: impl Into<PathBuf>, binary: impl Into<PathBuf>) -> Self {
        SupervisorConfig {
            exec_root: exec_root.into(),
            binary: binary.into(),
            args: vec!["supervisor".into()],
        }
    }
}

/// Connects, or starts a supervisor and connects to it; again and again while one is coming or
/// going.
pub(super) async fn connect_or_start(config: &SupervisorConfig) -> Result<Connected, ConnectError> {
    make_exec_root(&config.exec_root)?;
    let mut tries = 1;
    loop {
        match try_connect_or_start(config).await {
            Err(Attempt::Again(_)) if tries < CONNECT_TRIES => tries += 1,
            other => return other.map_err(Attempt::into_error),
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

fn make_exec_root(path: &Path) -> Result<(), ConnectError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ConnectError::ExecRoot {
            path: path.to_owned(),
            source,
        })
}

/// `None` when nobody listens.
pub(super) async fn connect(exec_root: &Path) -> Result<Option<UnixStream>, ConnectError> {
    let path = exec_root.join(SOCKET_NAME);
    let error = |source| ConnectError::Connect {
        path: path.clone(),
        source,
    };
    let directory = match std::fs::File::open(exec_root) {
        Ok(directory) => directory,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(error(source)),
    };
    // Through /proc, because a socket's address holds only 108 bytes.
    let short = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    match UnixStream::connect(short).await {
        Ok(stream) => Ok(Some(stream)),
        Err(source)
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(error(source)),
    }
}

pub(super) type Connected = (Supervisor, mpsc::UnboundedReceiver<Event>);

/// How an attempt to get a supervisor failed.
#[derive(Debug)]
pub(super) enum Attempt {
    /// A supervisor was just coming or going: another attempt will find it there, or gone.
    Again(ConnectError),
    Failed(ConnectError),
}

impl Attempt {
    pub(super) fn into_error(self) -> ConnectError {
        match self {
            Attempt::Again(error) | Attempt::Failed(error) => error,
        }
    }
}

async fn try_connect_or_start(config: &SupervisorConfig) -> Result<Connected, Attempt> {
    let path = config.exec_root.join(SOCKET_NAME);
    if let Some(stream) = connect(&config.exec_root).await.map_err(Attempt::Failed)? {
        return greet(stream, &path).await;
    }
    spawn(config).await?;
    match connect(&config.exec_root).await.map_err(Attempt::Failed)? {
        Some(stream) => greet(stream, &path).await,
        None => Err(Attempt::Again(ConnectError::Start(
            "it ended right after it had started".into(),
        ))),
    }
}

/// Starts a supervisor and waits until it listens. It says `ready`, or why not, on its standard
/// output.
async fn spawn(config: &SupervisorConfig) -> Result<(), Attempt> {
    let spawn_error = |source| {
        Attempt::Failed(ConnectError::Spawn {
            binary: config.binary.clone(),
            source,
        })
    };
    // Nothing here may need a fork (no pre_exec, no working directory): std then uses posix_spawn,
    // which does not copy the daemon's page tables. tokio reaps the child whenever it ends.
    let mut child = tokio::process::Command::new(&config.binary)
        .args(&config.args)
        .arg("--exec-root")
        .arg(&config.exec_root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(spawn_error)?;
    let output = child.stdout.take().expect("standard output is a pipe");
    let mut said = String::new();
    let mut output = output.take(MAX_START_OUTPUT);
    let start = async {
        output.read_to_string(&mut said).await?;
        match said.trim_end() {
            "ready" => Ok(None),
            // It closed its output without that word, so it ends.
            _ => child.wait().await.map(|status| status.code()),
        }
    };
    let started = tokio::time::timeout(START_TIMEOUT, start).await;
    let ended = match started {
        Err(_) => {
            let seconds = START_TIMEOUT.as_secs();
            let text = format!("it does not listen after {seconds} s");
            return Err(Attempt::Failed(ConnectError::Start(text)));
        }
        Ok(result) => result.map_err(spawn_error)?,
    };
    let error = ConnectError::Start(match said.trim() {
        "ready" => return Ok(()),
        "" => "it ended without a word".to_owned(),
        words => words.to_owned(),
    });
    Err(match ended {
        Some(EXIT_RUNNING) => Attempt::Again(error),
        _ => Attempt::Failed(error),
    })
}

pub(super) async fn greet(stream: UnixStream, path: &Path) -> Result<Connected, Attempt> {
    let protocol_error = |reason: String| ConnectError::Protocol {
        path: path.to_owned(),
        reason,
    };
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let hello = tokio::time::timeout(HELLO_TIMEOUT, read_frame(&mut reader)).await;
    let (pid, level) = match hello {
        Err(_) => Err(Attempt::Failed(protocol_error("it does not greet".into()))),
        Ok(Err(error @ ReadError::Io(_))) => Err(Attempt::Again(protocol_error(error.to_string()))),
        Ok(Err(error)) => Err(Attempt::Failed(protocol_error(error.to_string()))),
        Ok(Ok(ServerFrame::Hello {
            protocol,
            pid,
            level,
        })) if protocol == PROTOCOL_VERSION => Ok((pid, level)),
        Ok(Ok(ServerFrame::Hello { protocol, .. })) => {
            Err(Attempt::Failed(protocol_error(format!(
                "it speaks version {protocol}, this daemon {PROTOCOL_VERSION}; stop its containers with \
             the daemon that started it"
            ))))
        }
        Ok(Ok(other)) => Err(Attempt::Failed(protocol_error(format!(
            "it greets with {other:?}"
        )))),
    }?;
    Ok(Supervisor::new(pid, level, reader, writer))
}
