//! What happens to containers: starting, output, and their end.

use crate::cgroup::Group;
use crate::logfile::{LogWriter, StreamName};
use crate::protocol::{Refusal, RefusalKind, Reply, ServerFrame};
use crate::spec::ContainerSpec;
use crate::state::{ContainerState, Exit, Status};
use crate::sys;

use super::container::{Asker, Container, Live, More, Outcome, silent_failure};
use super::poller::Token;
use super::server::{Queued, Server};

/// How often the removal of an ended container's cgroup is tried; the event loop paces it.
const REMOVAL_TRIES: u32 = 200;

impl Server {
    pub(super) fn start_queued(&mut self) {
        while self.starting < self.max_starting {
            let Some(Queued { asker, spec }) = self.queue.pop_front() else {
                return;
            };
            if let Err(refusal) = self.start(asker, spec) {
                self.reply(asker, Err(refusal));
            }
        }
    }

    fn start(&mut self, asker: Asker, spec: Box<ContainerSpec>) -> Result<(), Refusal> {
        if self.by_id.contains_key(&spec.id) {
            let text = format!("container {} is there already", spec.id);
            return Err(Refusal::new(RefusalKind::AlreadyExists, text));
        }
        let mut plan = self
            .launcher
            .check(spec)
            .map_err(|text| Refusal::new(RefusalKind::InvalidSpec, text))?;
        let spec = &plan.spec;
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
            cgroup: plan.group.name().to_owned(),
        };
        // Before there is a process: should we die, its cgroup is known.
        self.records
            .write(&state)
            .map_err(|error| failed(format!("cannot write the container's record: {error}")))?;
        let launched = match self.launcher.launch(&plan) {
            Ok(launched) => launched,
            Err(text) => {
                let _ = self.records.remove(&state.id);
                return Err(failed(text));
            }
        };
        plan.shrink();
        state.pid = launched.pid;
        state.start_time = launched.start_time;
        let live = Box::new(Live::new(launched, Box::new(plan), log, asker));
        self.insert(state, live);
        Ok(())
    }

    fn insert(&mut self, state: ContainerState, live: Box<Live>) {
        let number = self.number();
        let fds = [
            (live.stream_fd(StreamName::Stdout), Token::Stdout(number)),
            (live.stream_fd(StreamName::Stderr), Token::Stderr(number)),
            (live.console_fd(), Token::Console(number)),
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

    pub(super) fn read_report(&mut self, number: u64) {
        let start = self
            .containers
            .get_mut(&number)
            .and_then(|container| container.live.as_mut()?.start.as_mut());
        let Some(start) = start else { return };
        if start.read(&mut self.scratch) == More::Ended {
            self.report_ended(number);
        }
    }

    /// Returns why there is no program, if there is none: then the child ends by itself, which is
    /// awaited.
    fn report_ended(&mut self, number: u64) -> Option<Outcome> {
        let container = self.containers.get_mut(&number)?;
        let live = container.live.as_mut()?;
        if let Some(fd) = live.report_fd() {
            self.poller.remove(fd);
        }
        let start = live.start.as_mut()?;
        start.end();
        let outcome = start.outcome();
        let Outcome::Executed(root) = outcome else {
            return Some(outcome);
        };
        live.plan.root = Some(root);
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

    /// A terminal comes.
    pub(super) fn take_console(&mut self, number: u64) {
        let live = self
            .containers
            .get_mut(&number)
            .and_then(|c| c.live.as_mut());
        let Some(live) = live else { return };
        if live.console_fd().is_none() || live.take_console() == More::Later {
            return;
        }
        if let Some(fd) = live.console_fd() {
            self.poller.remove(fd);
        }
        live.end_console();
        if let Some(fd) = live.stream_fd(StreamName::Stdout)
            && let Err(error) = self.poller.add_changes(fd, Token::Stdout(number))
        {
            // Out of memory for watches: its output is still read when it ends.
            eprintln!("cannot watch a container's terminal: {error}");
        }
    }

    pub(super) fn log(&mut self, number: u64, name: StreamName) {
        let live = self
            .containers
            .get_mut(&number)
            .and_then(|c| c.live.as_mut());
        let Some(live) = live else { return };
        let more = live.read(name, &mut self.scratch, &mut self.entries);
        if live.terminal {
            // "Ended" may be only for now: the program may open its terminal again, and closing ours
            // would hang up.
            if let (More::Now, Some(fd)) = (more, live.stream_fd(name))
                && let Err(error) = self.poller.again(fd, Token::Stdout(number))
            {
                eprintln!("cannot watch a container's terminal: {error}");
            }
        } else if more == More::Ended {
            if let Some(fd) = live.stream_fd(name) {
                self.poller.remove(fd);
            }
            live.end(name, &mut self.entries);
        }
    }

    pub(super) fn take_signals(&mut self) {
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
            let known = self.by_pid.remove(&pid);
            if let Some(number) = known.or_else(|| self.find_program(pid)) {
                match self.execs.contains_key(&number) {
                    true => self.exec_child_ended(number, pid, status),
                    false => self.ended(number, status),
                }
            }
        }
    }

    fn ended(&mut self, number: u64, status: i32) {
        self.read_report(number);
        self.take_console(number);
        self.end_helpers(number);
        let Some(container) = self.containers.get_mut(&number) else {
            return;
        };
        let Some(mut live) = container.live.take() else {
            return;
        };
        let streams = [StreamName::Stdout, StreamName::Stderr].map(|name| live.stream_fd(name));
        let others = [live.console_fd(), live.report_fd()];
        for fd in streams.into_iter().chain(others).flatten() {
            self.poller.remove(fd);
        }
        live.drain(&mut self.scratch, &mut self.entries);
        self.entries = Vec::new();
        let group = Group::from_name(&container.state.cgroup);
        let oom_killed = group.oom_killed(&self.launcher.host.layout);
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
            exit_code: sys::exit_code(status),
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
        if group.remove(&self.launcher.host.layout).is_err() {
            self.removals.push((group, 1));
        }
    }

    pub(super) fn retry_removals(&mut self) {
        let layout = &self.launcher.host.layout;
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
