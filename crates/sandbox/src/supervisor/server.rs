//! The event loop and its clients. What it does to containers is in `lifecycle`.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;

use super::connection::Connection;
use super::container::{Asker, Container};
use super::exec::{Exec, QueuedExec};
use super::idle::{Idle, Verdict};
use super::launch::Launcher;
use super::poller::{self, Poller, Token};
use super::startup::StartupError;
use crate::cgroup::Group;
use crate::logfile::StreamName;
use crate::protocol::{
    FEATURE_LEVEL, PROTOCOL_VERSION, Refusal, RefusalKind, Reply, Request, RequestFrame,
    ServerFrame,
};
use crate::record::Records;
use crate::spec::ContainerSpec;
use crate::state::{ContainerState, Status};
use crate::sys;

/// Bytes read at once, from containers and clients: what a pipe holds.
const SCRATCH: usize = 64 << 10;
/// Set-ups at once for each CPU: more only wait for each other (the kernel's locks on namespaces
/// and mounts).
const STARTS_PER_CPU: usize = 2;
/// Set-ups at once on a host of one CPU.
const MIN_STARTS: usize = 4;
/// How long apart the removal of an ended container's cgroup is tried: the kernel may hold it for
/// some milliseconds.
const REMOVAL_PAUSE: Duration = Duration::from_millis(25);

/// A start that waits for others to be done.
pub(super) struct Queued {
    pub(super) asker: Asker,
    pub(super) spec: Box<ContainerSpec>,
}

/// The supervisor.
pub(super) struct Server {
    pub(super) poller: Poller,
    listener: UnixListener,
    pub(super) signals: OwnedFd,
    /// Held as long as we live.
    _lock: File,
    pub(super) records: Records,
    pub(super) launcher: Launcher,
    connections: HashMap<u64, Connection>,
    pub(super) containers: HashMap<u64, Container>,
    pub(super) by_id: HashMap<String, u64>,
    pub(super) by_pid: HashMap<i32, u64>,
    pub(super) queue: VecDeque<Queued>,
    pub(super) starting: usize,
    /// Programs that joined a container, and those that wait for that.
    pub(super) execs: HashMap<u64, Exec>,
    pub(super) exec_queue: VecDeque<QueuedExec>,
    pub(super) starting_execs: usize,
    pub(super) max_starting: usize,
    /// Cgroups that could not be removed yet, and how often that was tried.
    pub(super) removals: Vec<(Group, u32)>,
    idle: Idle,
    /// For connections and containers.
    next_number: u64,
    pub(super) scratch: Vec<u8>,
    pub(super) entries: Vec<u8>,
}

pub(super) type Answer = Result<Reply, Refusal>;

impl Server {
    /// `ended` are containers of an earlier supervisor.
    pub(super) fn new(
        listener: UnixListener,
        lock: File,
        records: Records,
        launcher: Launcher,
        ended: Vec<ContainerState>,
        idle: Idle,
    ) -> io::Result<Server> {
        let poller = Poller::new()?;
        let signals = poller::signals()?;
        poller.add(&listener, Token::Listener)?;
        poller.add(&signals, Token::Signals)?;
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get());
        let mut server = Server {
            poller,
            listener,
            signals,
            _lock: lock,
            records,
            launcher,
            connections: HashMap::new(),
            containers: HashMap::new(),
            by_id: HashMap::new(),
            by_pid: HashMap::new(),
            queue: VecDeque::new(),
            starting: 0,
            execs: HashMap::new(),
            exec_queue: VecDeque::new(),
            starting_execs: 0,
            max_starting: (cpus * STARTS_PER_CPU).max(MIN_STARTS),
            removals: Vec::new(),
            idle,
            next_number: 0,
            scratch: vec![0; SCRATCH],
            entries: Vec::new(),
        };
        for state in ended {
            let number = server.number();
            server.by_id.insert(state.id.clone(), number);
            server
                .containers
                .insert(number, Container { state, live: None });
        }
        Ok(server)
    }

    /// Until nobody needs it, which ends the process, or the kernel's event interface fails, which it does not.
    pub(super) fn run(mut self) -> StartupError {
        let mut ready = Vec::new();
        loop {
            let timeout = if self.removals.is_empty() {
                self.idle_pause()
            } else {
                Some(REMOVAL_PAUSE)
            };
            if let Err(source) = self.poller.wait(&mut ready, timeout) {
                let doing = "cannot wait for events".to_owned();
                return StartupError::Io { doing, source };
            }
            for (token, flags) in &ready {
                self.dispatch(*token, *flags);
            }
            self.retry_removals();
            self.start_queued();
            self.start_queued_execs();
        }
    }

    /// Ends the process when it was left behind; otherwise says when to look again.
    fn idle_pause(&mut self) -> Option<Duration> {
        let runs = |container: &Container| container.live.is_some();
        let needed = !self.connections.is_empty()
            || !self.queue.is_empty()
            || self.containers.values().any(runs);
        match self.idle.judge(needed, Instant::now()) {
            Verdict::Stay => None,
            Verdict::Look(pause) => Some(pause),
            Verdict::End(reason) => {
                eprintln!("nothing runs and {reason}: the supervisor ends");
                std::process::exit(0)
            }
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn dispatch(&mut self, token: Token, flags: EventFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => self.take_signals(),
            Token::Connection(number) => self.serve(number, flags),
            Token::Stdout(number) => self.log(number, StreamName::Stdout),
            Token::Stderr(number) => self.log(number, StreamName::Stderr),
            Token::Report(number) => self.read_report(number),
            Token::Console(number) => self.take_console(number),
            Token::ExecOutput(number) => self.read_exec_output(number),
            Token::ExecReport(number) => self.read_exec_report(number),
        }
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        let number = self.number();
        let added = Connection::new(stream).and_then(|connection| {
            self.poller
                .add(connection.fd(), Token::Connection(number))?;
            Ok(connection)
        });
        match added {
            Ok(connection) => self.connections.insert(number, connection),
            Err(error) => return eprintln!("a client cannot be served: {error}"),
        };
        self.send(
            number,
            &ServerFrame::Hello {
                protocol: PROTOCOL_VERSION,
                pid: std::process::id() as i32,
                level: FEATURE_LEVEL,
            },
        );
        for exited in self.exits() {
            self.send(number, &exited);
        }
    }

    fn exits(&self) -> Vec<ServerFrame> {
        let states = self.containers.values().map(|container| &container.state);
        states
            .filter_map(|state| match &state.status {
                Status::Exited(exit) => Some(ServerFrame::Exited {
                    id: state.id.clone(),
                    exit: exit.clone(),
                }),
                _ => None,
            })
            .collect()
    }

    fn serve(&mut self, number: u64, flags: EventFlags) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        if flags.contains(EventFlags::OUT) {
            let flushed = connection.flush();
            if !self.after_output(number, flushed) {
                return;
            }
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        match connection.read(&mut self.scratch) {
            Ok(requests) => {
                for request in requests {
                    self.request(number, request);
                }
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    eprintln!("a client is cut off: {error}");
                }
                self.disconnect(number);
            }
        }
    }

    /// A client that is gone cannot know of starts that have not begun: they must not happen behind
    /// its back.
    fn disconnect(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            self.poller.remove(connection.fd());
        }
        self.queue
            .retain(|queued| queued.asker.connection != number);
        self.leave_execs(number);
    }

    pub(super) fn send(&mut self, number: u64, message: &ServerFrame) {
        if let Some(connection) = self.connections.get_mut(&number) {
            let sent = connection.send(message);
            self.after_output(number, sent);
        }
    }

    /// Whether the connection is still there.
    fn after_output(&mut self, number: u64, result: io::Result<()>) -> bool {
        let Some(connection) = self.connections.get_mut(&number) else {
            return false;
        };
        let wants = connection.has_output();
        let result = result.and_then(|()| {
            if wants != connection.waits_for_output {
                connection.waits_for_output = wants;
                let token = Token::Connection(number);
                self.poller.wait_for_output(connection.fd(), token, wants)?;
            }
            Ok(())
        });
        if let Err(error) = result {
            eprintln!("a client is cut off: {error}");
            self.disconnect(number);
            return false;
        }
        true
    }

    pub(super) fn broadcast(&mut self, message: &ServerFrame) {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.send(number, message);
        }
    }

    pub(super) fn reply(&mut self, asker: Asker, result: Answer) {
        let seq = asker.seq;
        self.send(asker.connection, &ServerFrame::Reply { seq, result });
    }

    fn request(&mut self, connection: u64, frame: RequestFrame) {
        let asker = Asker {
            connection,
            seq: frame.seq,
        };
        let result = match frame.request {
            Request::Start(spec) => {
                self.queue.push_back(Queued { asker, spec });
                return;
            }
            Request::List => Ok(Reply::Containers(
                self.containers.values().map(|c| c.state.clone()).collect(),
            )),
            Request::Signal { id, signal } => self.signal(&id, signal),
            Request::KillAll { id } => self.kill_all(&id),
            Request::Acknowledge { id } => self.acknowledge(&id),
            Request::Shutdown => self.shutdown(asker),
            Request::Exec { id, exec } => {
                self.queue_exec(QueuedExec { asker, id, exec });
                return;
            }
            Request::KillExec { exec } => self.kill_exec(connection, exec),
        };
        self.reply(asker, result);
    }

    pub(super) fn find(&self, id: &str) -> Result<(u64, &Container), Refusal> {
        let known = self.by_id.get(id).copied();
        known
            .and_then(|number| Some((number, self.containers.get(&number)?)))
            .ok_or_else(|| {
                Refusal::new(
                    RefusalKind::NoSuchContainer,
                    format!("No such container: {id}"),
                )
            })
    }

    fn signal(&self, id: &str, signal: i32) -> Answer {
        let (_, container) = self.find(id)?;
        if container.live.is_none() {
            return Ok(Reply::Done);
        }
        // SAFETY: takes no pointers. The process is our child and not reaped yet, so the pid is its own.
        match sys::check(unsafe { libc::kill(container.state.pid, signal) }) {
            Ok(_) => Ok(Reply::Done),
            Err(error) => Err(Refusal::new(
                RefusalKind::Conflict,
                format!("cannot send signal {signal} to container {id}: {error}"),
            )),
        }
    }

    fn kill_all(&self, id: &str) -> Answer {
        let (_, container) = self.find(id)?;
        let killed = Group::from_name(&container.state.cgroup).kill(&self.launcher.host.layout);
        // With its init all others of the PID namespace end, too.
        let result = self.signal(id, libc::SIGKILL);
        match killed {
            Err(error) if container.live.is_some() && result.is_err() => {
                Err(Refusal::new(RefusalKind::Conflict, error.to_string()))
            }
            _ => result,
        }
    }

    fn acknowledge(&mut self, id: &str) -> Answer {
        let Ok((number, container)) = self.find(id) else {
            return Ok(Reply::Done);
        };
        if container.live.is_some() {
            let text = format!("container {id} has not ended");
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        self.forget(number);
        Ok(Reply::Done)
    }

    pub(super) fn forget(&mut self, number: u64) {
        if let Some(container) = self.containers.remove(&number) {
            self.by_id.remove(&container.state.id);
            if let Err(error) = self.records.remove(&container.state.id) {
                eprintln!("the record of {} stays: {error}", container.state.id);
            }
        }
    }

    fn shutdown(&mut self, asker: Asker) -> Answer {
        let live = self
            .containers
            .values()
            .filter(|c| c.live.is_some())
            .count();
        if live > 0 || !self.queue.is_empty() {
            let text = format!("{live} containers run: stop them first");
            return Err(Refusal::new(RefusalKind::Conflict, text));
        }
        self.reply(asker, Ok(Reply::Done));
        std::process::exit(0)
    }
}
