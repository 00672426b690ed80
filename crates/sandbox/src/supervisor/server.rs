//! The event loop: clients, ended children, and containers' output.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::event::epoll::EventFlags;

use super::connection::Connection;
use super::container::{Asker, Container, Live, More, Outcome, exit_code, silent_failure};
use super::launch::Launcher;
use super::poller::{self, Poller, Token};
use super::startup::StartupError;
use crate::cgroup::Group;
use crate::logfile::{LogWriter, StreamName};
use crate::protocol::{
    PROTOCOL_VERSION, Refusal, RefusalKind, Reply, Request, RequestFrame, ServerFrame,
};
use crate::record::Records;
use crate::spec::ContainerSpec;
use crate::state::{ContainerState, Exit, Status};
use crate::sys;

/// Bytes read at once, from containers and clients: what a pipe holds.
const SCRATCH: usize = 64 << 10;
/// Set-ups at once for each CPU: more only wait for each other (the kernel's locks on namespaces and mounts).
const STARTS_PER_CPU: usize = 2;
/// Set-ups at once on a host of one CPU.
const MIN_STARTS: usize = 4;
/// How often, and how long apart, the removal of an ended container's cgroup is tried: the kernel may hold it for some
/// milliseconds.
const REMOVAL_TRIES: u32 = 200;
const REMOVAL_PAUSE: Duration = Duration::from_millis(25);

/// A start that waits for others to be done.
struct Queued {
    asker: Asker,
    spec: Box<ContainerSpec>,
}

/// The supervisor.
pub(super) struct Server {
    poller: Poller,
    listener: UnixListener,
    signals: OwnedFd,
    /// Held as long as we live.
    _lock: File,
    records: Records,
    launcher: Launcher,
    connections: HashMap<u64, Connection>,
    containers: HashMap<u64, Container>,
    by_id: HashMap<String, u64>,
    by_pid: HashMap<i32, u64>,
    queue: VecDeque<Queued>,
    starting: usize,
    max_starting: usize,
    /// Cgroups that could not be removed yet, and how often that was tried.
    removals: Vec<(Group, u32)>,
    /// For connections and containers.
    next_number: u64,
    scratch: Vec<u8>,
    entries: Vec<u8>,
}

type Answer = Result<Reply, Refusal>;

impl Server {
    /// `ended` are containers of an earlier supervisor.
    pub(super) fn new(
        listener: UnixListener,
        lock: File,
        records: Records,
        launcher: Launcher,
        ended: Vec<ContainerState>,
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
            max_starting: (cpus * STARTS_PER_CPU).max(MIN_STARTS),
            removals: Vec::new(),
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

    /// Until the kernel's event interface fails, which it does not.
    pub(super) fn run(mut self) -> StartupError {
        let mut ready = Vec::new();
        loop {
            let timeout = (!self.removals.is_empty()).then_some(REMOVAL_PAUSE);
            if let Err(source) = self.poller.wait(&mut ready, timeout) {
                let doing = "cannot wait for events".to_owned();
                return StartupError::Io { doing, source };
            }
            for (token, flags) in &ready {
                self.dispatch(*token, *flags);
            }
            self.retry_removals();
            self.start_queued();
        }
    }

    fn number(&mut self) -> u64 {
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
        }
    }

    // --- clients

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

    /// A client that is gone cannot know of starts that have not begun: they must not happen behind its back.
    fn disconnect(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            self.poller.remove(connection.fd());
        }
        self.queue
            .retain(|queued| queued.asker.connection != number);
    }

    fn send(&mut self, number: u64, message: &ServerFrame) {
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

    fn broadcast(&mut self, message: &ServerFrame) {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        for number in numbers {
            self.send(number, message);
        }
    }

    fn reply(&mut self, asker: Asker, result: Answer) {
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
        };
        self.reply(asker, result);
    }

    fn find(&self, id: &str) -> Result<(u64, &Container), Refusal> {
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
        let killed = Group::from_name(&container.state.cgroup).kill(&self.launcher.layout);
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

    fn forget(&mut self, number: u64) {
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

    // --- starting

    fn start_queued(&mut self) {
        while self.starting < self.max_starting {
            let Some(Queued { asker, spec }) = self.queue.pop_front() else {
                return;
            };
            if let Err(refusal) = self.start(asker, &spec) {
                self.reply(asker, Err(refusal));
            }
        }
    }

    fn start(&mut self, asker: Asker, spec: &ContainerSpec) -> Result<(), Refusal> {
        if self.by_id.contains_key(&spec.id) {
            let text = format!("container {} is there already", spec.id);
            return Err(Refusal::new(RefusalKind::AlreadyExists, text));
        }
        let (group, capabilities) = self
            .launcher
            .check(spec)
            .map_err(|text| Refusal::new(RefusalKind::InvalidSpec, text))?;
        let failed = |text: String| Refusal::new(RefusalKind::SetupFailed, text);
        let log = LogWriter::open(&spec.log).map_err(|e| {
            failed(format!(
                "cannot open the log {}: {e}",
                spec.log.path().display()
            ))
        })?;
        let mut state = ContainerState {
            id: spec.id.clone(),
            pid: 0,
            start_time: 0,
            status: Status::Starting,
            started_at: 0,
            log_path: spec.log.path().to_owned(),
            cgroup: group.name().to_owned(),
        };
        // Before there is a process: should we die, its cgroup is known.
        self.records
            .write(&state)
            .map_err(|error| failed(format!("cannot write the container's record: {error}")))?;
        let launched = match self.launcher.launch(spec, &group, capabilities) {
            Ok(launched) => launched,
            Err(text) => {
                let _ = self.records.remove(&spec.id);
                return Err(failed(text));
            }
        };
        state.pid = launched.pid;
        state.start_time = launched.start_time;
        let live = Box::new(Live::new(launched, log, asker));
        self.insert(state, live);
        Ok(())
    }

    fn insert(&mut self, state: ContainerState, live: Box<Live>) {
        let number = self.number();
        let fds = [
            (live.stream_fd(StreamName::Stdout), Token::Stdout(number)),
            (live.stream_fd(StreamName::Stderr), Token::Stderr(number)),
            (live.report_fd(), Token::Report(number)),
        ];
        for (fd, token) in fds {
            let added = fd.map_or(Ok(()), |fd| self.poller.add(fd, token));
            if let Err(error) = added {
                // Out of memory for watches: its output is still read when it ends.
                eprintln!("cannot watch container {}: {error}", state.id);
            }
        }
        self.starting += 1;
        self.by_id.insert(state.id.clone(), number);
        self.by_pid.insert(state.pid, number);
        let live = Some(live);
        self.containers.insert(number, Container { state, live });
    }

    fn read_report(&mut self, number: u64) {
        let start = self
            .containers
            .get_mut(&number)
            .and_then(|container| container.live.as_mut()?.start.as_mut());
        let Some(start) = start else { return };
        if start.read(&mut self.scratch) == More::Ended {
            self.report_ended(number);
        }
    }

    /// Returns why there is no program, if there is none: then the child ends by itself, which is awaited.
    fn report_ended(&mut self, number: u64) -> Option<Outcome> {
        let container = self.containers.get_mut(&number)?;
        let live = container.live.as_mut()?;
        if let Some(fd) = live.report_fd() {
            self.poller.remove(fd);
        }
        let start = live.start.as_mut()?;
        start.end();
        let outcome = start.outcome();
        if outcome != Outcome::Executed {
            return Some(outcome);
        }
        let asker = start.asker;
        live.start = None;
        self.starting -= 1;
        let state = &mut container.state;
        state.status = Status::Running;
        state.started_at = sys::now();
        if let Err(error) = self.records.write(state) {
            eprintln!("the record of {} is out of date: {error}", state.id);
        }
        let started = Reply::Started {
            pid: state.pid,
            start_time: state.start_time,
            started_at: state.started_at,
        };
        self.reply(asker, Ok(started));
        None
    }

    // --- running and ending

    fn log(&mut self, number: u64, name: StreamName) {
        let live = self
            .containers
            .get_mut(&number)
            .and_then(|c| c.live.as_mut());
        let Some(live) = live else { return };
        if live.read(name, &mut self.scratch, &mut self.entries) == More::Ended {
            if let Some(fd) = live.stream_fd(name) {
                self.poller.remove(fd);
            }
            live.end(name, &mut self.entries);
        }
    }

    fn take_signals(&mut self) {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        let mut asked_to_end = false;
        while let Ok(count) = rustix::io::read(&self.signals, &mut info) {
            if count < info.len() {
                break;
            }
            let signal = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            asked_to_end |= signal == libc::SIGTERM as u32;
        }
        self.reap();
        if asked_to_end {
            let live = self
                .containers
                .values()
                .filter(|c| c.live.is_some())
                .count();
            if live == 0 && self.queue.is_empty() {
                std::process::exit(0);
            }
            eprintln!("SIGTERM is ignored while {live} containers run");
        }
    }

    /// One signal may stand for several children.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is valid for the call.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            // Others are orphans of something else, which we only bury.
            if let Some(number) = self.by_pid.remove(&pid) {
                self.ended(number, status);
            }
        }
    }

    fn ended(&mut self, number: u64, status: i32) {
        self.read_report(number);
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let Some(mut live) = container.live.take() else {
            return;
        };
        for name in [StreamName::Stdout, StreamName::Stderr] {
            if let Some(fd) = live.stream_fd(name) {
                self.poller.remove(fd);
            }
        }
        if let Some(fd) = live.report_fd() {
            self.poller.remove(fd);
        }
        live.drain(&mut self.scratch, &mut self.entries);
        self.entries = Vec::new();
        let group = Group::from_name(&container.state.cgroup);
        let oom_killed = group.oom_killed(&self.launcher.layout);
        self.remove_group(group);
        match live.start.take() {
            None => self.exited(number, status, oom_killed, &live),
            Some(start) => {
                self.starting -= 1;
                let refusal = match start.outcome() {
                    Outcome::Failed(refusal) => refusal,
                    _ => silent_failure(status, oom_killed),
                };
                self.forget(number);
                self.reply(start.asker, Err(refusal));
            }
        }
    }

    fn exited(&mut self, number: u64, status: i32, oom_killed: bool, live: &Live) {
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        if live.log.lost() > 0 {
            let (id, lost) = (&container.state.id, live.log.lost());
            eprintln!("{lost} bytes of the log of container {id} could not be written");
        }
        let exit = Exit {
            exit_code: exit_code(status),
            oom_killed,
            finished_at: sys::now(),
            error: String::new(),
        };
        container.state.status = Status::Exited(exit.clone());
        if let Err(error) = self.records.write(&container.state) {
            eprintln!(
                "the record of {} is out of date: {error}",
                container.state.id
            );
        }
        let id = container.state.id.clone();
        self.broadcast(&ServerFrame::Exited { id, exit });
    }

    fn remove_group(&mut self, group: Group) {
        if group.remove(&self.launcher.layout).is_err() {
            self.removals.push((group, 1));
        }
    }

    fn retry_removals(&mut self) {
        let layout = &self.launcher.layout;
        self.removals.retain_mut(|(group, tries)| {
            *tries += 1;
            match group.remove(layout) {
                Ok(()) => false,
                Err(error) if *tries >= REMOVAL_TRIES => {
                    eprintln!("the cgroup {} stays: {error}", group.name());
                    false
                }
                Err(_) => true,
            }
        });
    }
}
