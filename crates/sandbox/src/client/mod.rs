//! The daemon's side: a connection to the host's supervisor, on tokio.
//!
//! [`Supervisor::connect_or_start`] finds the supervisor that an earlier daemon left, or starts
//! one. After it, [`Supervisor::list`] says what runs and what ended in the meantime. When
//! [`Event::SupervisorLost`] comes, call `connect_or_start` again: a new supervisor kills by cgroup
//! what its predecessor left and reports it as exited, so the daemon needs no second path for that.

mod connect;
mod error;
mod exec;
mod level;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

pub use connect::SupervisorConfig;
pub use error::{ClientError, ConnectError, ExecError, StartError};
pub use exec::ExecHandle;

use connect::{Attempt, Connected};
use error::{start_error, unexpected};

use crate::protocol::{
    self, FEATURE_LEVEL, FrameError, HEADER, Refusal, Reply, Request, RequestFrame, SOCKET_NAME,
    ServerFrame,
};
use crate::spec::ContainerSpec;
use crate::state::{ContainerState, Event, ExecResult};

/// Requests that may wait to be written; more make the callers wait.
const WRITE_QUEUE: usize = 64;
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

/// Who waits for what, by the request's number; `None` once the connection is lost.
type Waiting<T> = Arc<Mutex<Option<HashMap<u64, T>>>>;
type Pending = Waiting<ReplySender>;
type Execs = Waiting<oneshot::Sender<ExecResult>>;

/// A connection to the supervisor; clones share it. It is closed when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Supervisor {
    requests: mpsc::Sender<Vec<u8>>,
    pending: Pending,
    /// Programs in containers whose end is awaited.
    execs: Execs,
    next_seq: Arc<AtomicU64>,
    pid: i32,
    level: u32,
}

impl Supervisor {
    /// Connects to the supervisor of `config.exec_root`, or starts one. The receiver first yields
    /// the exits that nobody acknowledged yet.
    pub async fn connect_or_start(
        config: &SupervisorConfig,
    ) -> Result<(Supervisor, mpsc::UnboundedReceiver<Event>), ConnectError> {
        connect::connect_or_start(config).await
    }

    /// Connects to the supervisor of `exec_root` if one runs.
    pub async fn connect(
        exec_root: &Path,
    ) -> Result<Option<(Supervisor, mpsc::UnboundedReceiver<Event>)>, ConnectError> {
        match connect::connect(exec_root).await? {
            Some(stream) => connect::greet(stream, &exec_root.join(SOCKET_NAME))
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

    /// Starts a container; returns when its program has been executed. A caller that gives up
    /// waiting, or whose connection breaks, may have started it all the same: [`Supervisor::list`]
    /// tells.
    pub async fn start(&self, spec: ContainerSpec) -> Result<Started, StartError> {
        if self.level < FEATURE_LEVEL && level::needed(&spec) {
            // It would ignore what it does not know.
            return Err(StartError::InvalidSpec(level::TOO_OLD.into()));
        }
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

    /// Ends the supervisor. Refused while containers run. Exits that nobody acknowledged are kept
    /// for the next one.
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
        self.request_as(self.next_seq(), request).await
    }

    fn next_seq(&self) -> u64 {
        self.next_seq.fetch_add(1, Ordering::Relaxed)
    }

    async fn request_as(
        &self,
        seq: u64,
        request: Request,
    ) -> Result<Result<Reply, Refusal>, ClientError> {
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
    /// Over a connection whose greeting was read.
    fn new(
        pid: i32,
        level: u32,
        reader: BufReader<OwnedReadHalf>,
        writer: OwnedWriteHalf,
    ) -> Connected {
        let pending: Pending = Arc::new(Mutex::new(Some(HashMap::new())));
        let execs: Execs = Arc::new(Mutex::new(Some(HashMap::new())));
        let (events, event_receiver) = mpsc::unbounded_channel();
        let (requests, request_receiver) = mpsc::channel(WRITE_QUEUE);
        tokio::spawn(read_frames(reader, pending.clone(), execs.clone(), events));
        tokio::spawn(write_frames(writer, request_receiver));
        let supervisor = Supervisor {
            requests,
            pending,
            execs,
            next_seq: Arc::new(AtomicU64::new(1)),
            pid,
            level,
        };
        (supervisor, event_receiver)
    }

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

fn lock<T>(waiting: &Waiting<T>) -> std::sync::MutexGuard<'_, Option<HashMap<u64, T>>> {
    waiting
        .lock()
        .expect("no code panics while it holds this lock")
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
    execs: Execs,
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
            Ok(ServerFrame::ExecEnded { exec, result }) => {
                let waiting = lock(&execs).as_mut().and_then(|e| e.remove(&exec));
                if let Some(waiting) = waiting {
                    // The asker may have given up.
                    let _ = waiting.send(result);
                }
            }
            Ok(ServerFrame::Hello { .. }) => {}
            Err(error) => {
                tracing::debug!(%error, "the connection to the supervisor ended");
                break;
            }
        }
    }
    lock(&pending).take();
    lock(&execs).take();
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
