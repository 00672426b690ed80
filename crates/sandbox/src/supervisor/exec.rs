//! Programs that join a container which runs: starting them, their output, and their end.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::container::{Asker, More, Outcome, READS_AT_END, Start, silent_failure};
use super::launch::Joined;
use super::poller::Token;
use super::server::{Answer, Server};
use crate::container::exec;
use crate::protocol::{Refusal, RefusalKind, Reply, ServerFrame};
use crate::spec::{ExecSpec, MAX_EXEC_OUTPUT};
use crate::state::{ExecResult, Status};
use crate::sys;

/// Programs at once, on the whole host, that run or wait: each takes two descriptors and some memory
/// here. A health check of each of 1000 containers fits.
const MAX_EXECS: usize = 4096;

/// One that waits for others to be executed.
pub(super) struct QueuedExec {
    pub(super) asker: Asker,
    /// The container's.
    pub(super) id: String,
    pub(super) exec: Box<ExecSpec>,
}

/// One that was cloned.
pub(super) struct Exec {
    asker: Asker,
    /// The container's.
    number: u64,
    helper: i32,
    /// The program's, once the helper has made it.
    pid: Option<i32>,
    /// It shall not live, whenever it is born.
    killed: bool,
    /// Until it is executed.
    start: Option<Start>,
    /// `None` after its end.
    output: Option<OwnedFd>,
    kept: Vec<u8>,
    max_output: usize,
    truncated: bool,
}

impl Exec {
    /// Keeps what there is room for, and reads the rest, too: the program must not wait for us.
    fn read(&mut self, times: u32, scratch: &mut [u8]) -> More {
        let Some(output) = &self.output else {
            return More::Ended;
        };
        for _ in 0..times {
            match rustix::io::read(output, &mut *scratch) {
                Ok(0) => return More::Ended,
                Ok(count) => {
                    let room = self.max_output - self.kept.len();
                    self.kept.extend_from_slice(&scratch[..count.min(room)]);
                    self.truncated |= count > room;
                }
                Err(Errno::AGAIN | Errno::INTR) => return More::Later,
                Err(_) => return More::Ended,
            }
        }
        More::Now
    }

    /// With its process group, to which what it started belongs by default. A program that is not known
    /// yet dies with its helper, or when it becomes known.
    fn kill(&mut self) {
        self.killed = true;
        // SAFETY: takes no pointers. The processes are our children and not reaped yet, so the pids and,
        // once the program has made its session, the group are their own.
        unsafe {
            match self.pid {
                Some(pid) => {
                    libc::kill(-pid, libc::SIGKILL);
                    libc::kill(pid, libc::SIGKILL);
                }
                None => {
                    libc::kill(self.helper, libc::SIGKILL);
                }
            }
        }
    }
}

impl Server {
    pub(super) fn queue_exec(&mut self, queued: QueuedExec) {
        if self.execs.len() + self.exec_queue.len() >= MAX_EXECS {
            let text = format!("{MAX_EXECS} programs run in containers: wait for some of them");
            let refusal = Refusal::new(RefusalKind::SetupFailed, text);
            return self.reply(queued.asker, Err(refusal));
        }
        self.exec_queue.push_back(queued);
    }

    pub(super) fn start_queued_execs(&mut self) {
        while self.starting_execs < self.max_starting {
            let Some(QueuedExec { asker, id, exec }) = self.exec_queue.pop_front() else {
                return;
            };
            if let Err(refusal) = self.start_exec(asker, &id, &exec) {
                self.reply(asker, Err(refusal));
            }
        }
    }

    fn start_exec(&mut self, asker: Asker, id: &str, exec: &ExecSpec) -> Result<(), Refusal> {
        let (number, container) = self.find(id)?;
        let running = container.state.status == Status::Running;
        let Some(live) = container.live.as_ref().filter(|_| running) else {
            let text = format!("container {id} is not running");
            return Err(Refusal::new(RefusalKind::NotRunning, text));
        };
        exec::validate(exec).map_err(|text| Refusal::new(RefusalKind::InvalidSpec, text))?;
        let joined = self.launcher.join(&live.plan, container.state.pid, exec);
        let joined = joined.map_err(|error| not_joined(id, &error))?;
        let max_output = exec.max_output.min(MAX_EXEC_OUTPUT);
        self.insert_exec(asker, number, joined, max_output);
        Ok(())
    }

    fn insert_exec(&mut self, asker: Asker, container: u64, joined: Joined, max_output: usize) {
        let number = self.number();
        let watched = self
            .poller
            .add(&joined.output, Token::ExecOutput(number))
            .and_then(|()| self.poller.add(&joined.report, Token::ExecReport(number)));
        if let Err(error) = watched {
            // Out of memory for watches: it is still read when it ends.
            eprintln!("cannot watch a program in a container: {error}");
        }
        let exec = Exec {
            asker,
            number: container,
            helper: joined.helper,
            pid: None,
            killed: false,
            start: Some(Start::new(asker, joined.report)),
            output: Some(joined.output),
            kept: Vec::new(),
            max_output,
            truncated: false,
        };
        self.starting_execs += 1;
        self.by_pid.insert(exec.helper, number);
        self.execs.insert(number, exec);
    }

    pub(super) fn read_exec_report(&mut self, number: u64) {
        let Some(exec) = self.execs.get_mut(&number) else {
            return;
        };
        let Some(start) = &mut exec.start else { return };
        if start.report_fd().is_none() {
            return;
        }
        let more = start.read(&mut self.scratch);
        if let (None, Some(pid)) = (exec.pid, start.pid()) {
            exec.pid = Some(pid);
            self.by_pid.insert(pid, number);
            if exec.killed {
                exec.kill();
            }
        }
        if more == More::Ended {
            self.exec_report_ended(number);
        }
    }

    fn exec_report_ended(&mut self, number: u64) {
        let Some(exec) = self.execs.get_mut(&number) else {
            return;
        };
        let Some(start) = &mut exec.start else { return };
        if let Some(fd) = start.report_fd() {
            self.poller.remove(fd);
        }
        start.end();
        // When there is no program, the child ends by itself, which is awaited.
        if let (Outcome::Executed(_), Some(pid)) = (start.outcome(), exec.pid) {
            exec.start = None;
            self.starting_execs -= 1;
            let asker = exec.asker;
            self.reply(asker, Ok(Reply::ExecStarted { pid }));
        }
    }

    /// A child that is not known: it may be a program of which a report tells.
    pub(super) fn find_program(&mut self, pid: i32) -> Option<u64> {
        let starting = self.execs.iter().filter(|(_, exec)| exec.pid.is_none());
        let starting: Vec<u64> = starting.map(|(number, _)| *number).collect();
        for number in starting {
            self.read_exec_report(number);
        }
        self.by_pid.remove(&pid)
    }

    pub(super) fn read_exec_output(&mut self, number: u64) {
        let Some(exec) = self.execs.get_mut(&number) else {
            return;
        };
        if exec.read(1, &mut self.scratch) == More::Ended
            && let Some(output) = exec.output.take()
        {
            self.poller.remove(output.as_fd());
        }
    }

    /// Its helper or its program was reaped.
    pub(super) fn exec_child_ended(&mut self, number: u64, pid: i32, status: i32) {
        self.read_exec_report(number);
        let Some(exec) = self.execs.get(&number) else {
            return;
        };
        // The helper ends when there is a program, which is awaited then.
        if exec.pid.is_none_or(|program| program == pid) {
            self.exec_ended(number, status);
        }
    }

    fn exec_ended(&mut self, number: u64, status: i32) {
        let Some(mut exec) = self.execs.remove(&number) else {
            return;
        };
        exec.read(READS_AT_END, &mut self.scratch);
        if let Some(output) = &exec.output {
            self.poller.remove(output.as_fd());
        }
        let asker = exec.asker;
        if let Some(start) = exec.start {
            self.starting_execs -= 1;
            if let Some(fd) = start.report_fd() {
                self.poller.remove(fd);
            }
            let refusal = match start.outcome() {
                Outcome::Failed(refusal) => refusal,
                _ => silent_failure(status, false),
            };
            return self.reply(asker, Err(refusal));
        }
        let result = ExecResult {
            exit_code: sys::exit_code(status),
            output: exec.kept,
            truncated: exec.truncated,
        };
        let ended = ServerFrame::ExecEnded {
            exec: asker.seq,
            result,
        };
        self.send(asker.connection, &ended);
    }

    /// One that ended already is no error.
    pub(super) fn kill_exec(&mut self, connection: u64, seq: u64) -> Answer {
        let asker = Asker { connection, seq };
        if let Some(place) = self.exec_queue.iter().position(|q| q.asker == asker) {
            self.exec_queue.remove(place);
            let text = "it was killed before it was executed";
            let refusal = Refusal::new(RefusalKind::SetupFailed, text);
            self.reply(asker, Err(refusal));
        }
        let execs = self.execs.values_mut();
        execs
            .filter(|exec| exec.asker == asker)
            .for_each(Exec::kill);
        Ok(Reply::Done)
    }

    /// A container has ended, and all programs in its PID namespace: helpers are outside of it.
    pub(super) fn end_helpers(&mut self, container: u64) {
        let execs = self.execs.values_mut();
        execs
            .filter(|exec| exec.number == container && exec.pid.is_none())
            .for_each(Exec::kill);
    }

    /// A client is gone: nobody waits for its programs.
    pub(super) fn leave_execs(&mut self, connection: u64) {
        self.exec_queue
            .retain(|queued| queued.asker.connection != connection);
        let execs = self.execs.values_mut();
        execs
            .filter(|exec| exec.asker.connection == connection)
            .for_each(Exec::kill);
    }
}

/// The container may end at any moment: then its namespaces take nobody any more.
fn not_joined(id: &str, error: &std::io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::ENOENT) => {
            let text = format!("container {id} is not running");
            Refusal::new(RefusalKind::NotRunning, text)
        }
        _ => {
            let text = format!("cannot enter container {id}: {error}");
            Refusal::new(RefusalKind::SetupFailed, text)
        }
    }
}
