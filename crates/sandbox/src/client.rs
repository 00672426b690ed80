//! The daemon's side: a connection to the host's supervisor, on tokio.
//!
//! [`Supervisor::connect_or_start`] finds the supervisor that an earlier daemon left, or starts one.
//! After it, [`Supervisor::list`] says what runs and what ended in the meantime. When
//! [`Event::SupervisorLost`] comes, call `connect_or_start` again: a new supervisor kills by cgroup
//! what its predecessor left and reports it as exited, so the daemon needs no second path for that.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::protocol::{
    self, FrameError, HEADER, PROTOCOL_VERSION, Refusal, RefusalKind, Reply, Request, RequestFrame,
    SOCKET_NAME, ServerFrame,
};
use crate::spec::ContainerSpec;
use crate::state::{ContainerState, Event};
use crate::supervisor::EXIT_RUNNING;

/// How long a new supervisor may take until it listens. It takes milliseconds; when it has to kill
/// the containers of a dead predecessor, it waits for these up to 10 s.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a supervisor that accepted a connection may take to greet.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How often, and how long apart, connecting is tried while a supervisor is just coming or going: one that was
/// killed holds its lock until the kernel has taken it down.
const CONNECT_TRIES: u32 = 100;
const CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Requests that may wait to be written; more make the callers wait.
const WRITE_QUEUE: usize = 64;
/// Most bytes that are read from a supervisor that could not start: its error.
const MAX_START_OUTPUT: u64 = 16 << 10;

/// Where the supervisor lives and how to start one.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// Directory on a tmpfs for its socket and its records; created (0700) when absent. Empty after a
    /// restart of the host.
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
    /// The connection broke; whether the request was done is unknown until [`Supervisor::list`].
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
    /// The connection failed; whether the container runs is unknown until [`Supervisor::list`].
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

/// A container whose program has been executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Process id of its init, in the supervisor's PID namespace.
    pub pid: i32,
    /// Start time of that process, see [`ContainerState::start_time`].
    pub start_time: u64,
    /// When its program was executed, in nanoseconds since 1970.
    pub started_at: u64,
}

type ReplySender = oneshot::Sender<Result<Reply, Refusal>>;

/// `None` once the connection is lost.
type Pending = Arc<Mutex<Option<HashMap<u64, ReplySender>>>>;

/// A connection to the supervisor; clones share it. It is closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Supervisor {
    requests: mpsc::Sender<Vec<u8>>,
    pending: Pending,
    next_seq: Arc<AtomicU64>,
    pid: i32,
}

impl Supervisor {
    /// Connects to the supervisor of `config.exec_root`, or starts one. The receiver first yields the
    /// exits that nobody acknowledged yet.
    pub async fn connect_or_start(
        config: &SupervisorConfig,
    ) -> Result<(Supervisor, mpsc::UnboundedReceiver<Event>), ConnectError> {
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

    /// Connects to the supervisor of `exec_root` if one runs.
    pub async fn connect(
        exec_root: &Path,
    ) -> Result<Option<(Supervisor, mpsc::UnboundedReceiver<Event>)>, ConnectError> {
        match connect(exec_root).await? {
            Some(stream) => greet(stream, &exec_root.join(SOCKET_NAME))
                .await
                .map(Some)
                .map_err(Attempt::into_error),
            None => Ok(None),
        }
    }

    /// Process id of the supervisor, in its own PID namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// All containers that it holds: those that run or are being set up, and those that ended and
    /// nobody acknowledged yet.
    pub async fn list(&self) -> Result<Vec<ContainerState>, ClientError> {
        match self.request(Request::List).await? {
            Ok(Reply::Containers(list)) => Ok(list),
            other => Err(unexpected(other)),
        }
    }

    /// Starts a container; returns when its program has been executed.
    pub async fn start(&self, spec: ContainerSpec) -> Result<Started, StartError> {
        let reply = self.request(Request::Start(Box::new(spec))).await;
        match reply.map_err(StartError::Client)? {
            Ok(Reply::Started {
                pid,
                start_time,
                started_at,
            }) => Ok(Started {
                pid,
                start_time,
                started_at,
            }),
            Err(refusal) => Err(start_error(refusal)),
            other => Err(StartError::Client(unexpected(other))),
        }
    }

    /// Sends a signal to the container's init. A container that ended already is no error.
    pub async fn signal(&self, id: &str, signal: i32) -> Result<(), ClientError> {
        let id = id.to_owned();
        self.done(Request::Signal { id, signal }).await
    }

    /// Kills every process of the container. Its exit is reported as usual.
    pub async fn kill_all(&self, id: &str) -> Result<(), ClientError> {
        self.done(Request::KillAll { id: id.to_owned() }).await
    }

    /// The exit was recorded durably by the daemon: forget the container. Refused while it runs;
    /// an unknown id is no error.
    pub async fn acknowledge(&self, id: &str) -> Result<(), ClientError> {
        self.done(Request::Acknowledge { id: id.to_owned() }).await
    }

    /// Ends the supervisor. Refused while containers run. Exits that nobody acknowledged are kept for
    /// the next one.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.done(Request::Shutdown).await
    }

    async fn done(&self, request: Request) -> Result<(), ClientError> {
        match self.request(request).await? {
            Ok(Reply::Done) => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    async fn request(&self, request: Request) -> Result<Result<Reply, Refusal>, ClientError> {
        let seq = self.next_seq.fetch_add(1, Ordering::Relaxed);
        let frame = protocol::encode(&RequestFrame { seq, request })
            .map_err(|error| ClientError::Unsendable(error.to_string()))?;
        let (sender, receiver) = oneshot::channel();
        self.expect_reply(seq, sender)?;
        // Forgets the waiting entry also when the caller gives up.
        let _entry = PendingEntry {
            pending: &self.pending,
            seq,
        };
        self.requests
            .send(frame)
            .await
            .map_err(|_| ClientError::Lost)?;
        receiver.await.map_err(|_| ClientError::Lost)
    }
}

impl Supervisor {
    fn expect_reply(&self, seq: u64, sender: ReplySender) -> Result<(), ClientError> {
        let mut pending = lock(&self.pending);
        let pending = pending.as_mut().ok_or(ClientError::Lost)?;
        pending.insert(seq, sender);
        Ok(())
    }
}

struct PendingEntry<'a> {
    pending: &'a Pending,
    seq: u64,
}

impl Drop for PendingEntry<'_> {
    fn drop(&mut self) {
        if let Some(pending) = lock(self.pending).as_mut() {
            pending.remove(&self.seq);
        }
    }
}

fn lock(pending: &Pending) -> std::sync::MutexGuard<'_, Option<HashMap<u64, ReplySender>>> {
    pending
        .lock()
        .expect("no code panics while it holds this lock")
}

fn unexpected(reply: Result<Reply, Refusal>) -> ClientError {
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

fn start_error(refusal: Refusal) -> StartError {
    match refusal.kind {
        RefusalKind::AlreadyExists => StartError::AlreadyExists(refusal.message),
        RefusalKind::InvalidSpec => StartError::InvalidSpec(refusal.message),
        _ => StartError::Failed {
            message: refusal.message,
            exit_code: refusal.exit_code,
        },
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
async fn connect(exec_root: &Path) -> Result<Option<UnixStream>, ConnectError> {
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

type Connected = (Supervisor, mpsc::UnboundedReceiver<Event>);

/// How an attempt to get a supervisor failed.
#[derive(Debug)]
enum Attempt {
    /// A supervisor was just coming or going: another attempt will find it there, or gone.
    Again(ConnectError),
    Failed(ConnectError),
}

impl Attempt {
    fn into_error(self) -> ConnectError {
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

/// Starts a supervisor and waits until it listens. It says `ready`, or why not, on its standard output.
async fn spawn(config: &SupervisorConfig) -> Result<(), Attempt> {
    let spawn_error = |source| {
        Attempt::Failed(ConnectError::Spawn {
            binary: config.binary.clone(),
            source,
        })
    };
    // Nothing here may need a fork (no pre_exec, no working directory): std then uses posix_spawn, which
    // does not copy the daemon's page tables. tokio reaps the child whenever it ends.
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

async fn greet(stream: UnixStream, path: &Path) -> Result<Connected, Attempt> {
    let protocol_error = |reason: String| ConnectError::Protocol {
        path: path.to_owned(),
        reason,
    };
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let hello = tokio::time::timeout(HELLO_TIMEOUT, read_frame(&mut reader)).await;
    let pid = match hello {
        Err(_) => Err(Attempt::Failed(protocol_error("it does not greet".into()))),
        Ok(Err(error @ ReadError::Io(_))) => Err(Attempt::Again(protocol_error(error.to_string()))),
        Ok(Err(error)) => Err(Attempt::Failed(protocol_error(error.to_string()))),
        Ok(Ok(ServerFrame::Hello { protocol, pid })) if protocol == PROTOCOL_VERSION => Ok(pid),
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
    let pending: Pending = Arc::new(Mutex::new(Some(HashMap::new())));
    let (events, event_receiver) = mpsc::unbounded_channel();
    let (requests, request_receiver) = mpsc::channel(WRITE_QUEUE);
    tokio::spawn(read_frames(reader, pending.clone(), events));
    tokio::spawn(write_frames(writer, request_receiver));
    let supervisor = Supervisor {
        requests,
        pending,
        next_seq: Arc::new(AtomicU64::new(1)),
        pid,
    };
    Ok((supervisor, event_receiver))
}

#[derive(Debug, Error)]
enum ReadError {
    #[error("it closed the connection or reading failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

async fn read_frame(reader: &mut BufReader<OwnedReadHalf>) -> Result<ServerFrame, ReadError> {
    let mut header = [0; HEADER];
    reader.read_exact(&mut header).await?;
    let mut body = vec![0; protocol::body_length(header)?];
    reader.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body).map_err(FrameError::Json)?)
}

/// Runs until the connection ends.
async fn read_frames(
    mut reader: BufReader<OwnedReadHalf>,
    pending: Pending,
    events: mpsc::UnboundedSender<Event>,
) {
    loop {
        match read_frame(&mut reader).await {
            Ok(ServerFrame::Reply { seq, result }) => {
                let waiting = lock(&pending).as_mut().and_then(|p| p.remove(&seq));
                if let Some(waiting) = waiting {
                    // The asker may have given up.
                    let _ = waiting.send(result);
                }
            }
            Ok(ServerFrame::Exited { id, exit }) => {
                // The daemon may have stopped listening to events.
                let _ = events.send(Event::Exited { id, exit });
            }
            Ok(ServerFrame::Hello { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, "the connection to the supervisor ended");
                break;
            }
        }
    }
    lock(&pending).take();
    let _ = events.send(Event::SupervisorLost);
}

/// Runs until the last [`Supervisor`] is dropped or writing fails (which the reader notices).
async fn write_frames(mut writer: OwnedWriteHalf, mut requests: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = requests.recv().await {
        if let Err(error) = writer.write_all(&frame).await {
            tracing::debug!(%error, "a request cannot be written to the supervisor");
            break;
        }
    }
}
