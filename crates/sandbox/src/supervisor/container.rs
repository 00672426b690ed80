//! A container in the supervisor's memory. What it needs only while it runs goes when it ends; 5000
//! of them are meant to fit.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::launch::Launched;
use crate::container::console;
use crate::container::{
    Plan, REPORT_EXEC, REPORT_FAILURE, REPORT_PID, RootId, error::START_FAILED,
};
use crate::logfile::{LogWriter, Splitter, StreamName};
use crate::protocol::{Refusal, RefusalKind};
use crate::state::ContainerState;
use crate::sys;

/// Longest report of a failure in bytes; the rest of it is not read.
const MAX_REPORT: usize = 64 << 10;
/// Reads of one stream before others have their turn.
const READS_PER_TURN: u32 = 1;
/// Reads of a terminal, each of at most 4 KiB.
const TERMINAL_READS_PER_TURN: u32 = 16;
/// Reads of a stream whose container ended: more than a pipe (64 KiB at once) or a terminal (640 KiB in
/// pieces of 4 KiB) holds, but an end, should a process outside of the container have got hold of its
/// output and write on.
pub(super) const READS_AT_END: u32 = 256;

/// Who waits for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) connection: u64,
    pub(super) seq: u64,
}

/// One container.
pub(super) struct Container {
    pub(super) state: ContainerState,
    /// `None` once it ended.
    pub(super) live: Option<Box<Live>>,
}

/// What a container has while its processes live.
pub(super) struct Live {
    /// Open as long as the container lives, if it asked for that.
    _stdin: Option<OwnedFd>,
    /// Or a terminal's master.
    stdout: Stream,
    stderr: Stream,
    /// Whether standard output is a terminal.
    pub(super) terminal: bool,
    /// Through which the terminal's master comes; `None` after that.
    console: Option<OwnedFd>,
    /// For programs that join it.
    pub(super) plan: Box<Plan>,
    pub(super) log: LogWriter,
    /// Until its program is executed.
    pub(super) start: Option<Start>,
}

#[derive(Default)]
struct Stream {
    /// `None` after its end.
    fd: Option<OwnedFd>,
    splitter: Splitter,
}

/// A set-up under way.
pub(super) struct Start {
    pub(super) asker: Asker,
    /// `None` after its end.
    report: Option<OwnedFd>,
    bytes: Vec<u8>,
}

/// What the report says after its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Executed(RootId),
    Failed(Refusal),
    /// It ended in the middle of the set-up.
    Silent,
}

/// Whether to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    /// When the poller says so.
    Later,
    /// There may be more now: others had their turn to come first.
    Now,
    Ended,
}

impl Live {
    pub(super) fn new(launched: Launched, plan: Box<Plan>, log: LogWriter, asker: Asker) -> Live {
        let stream = |fd| Stream {
            fd,
            splitter: Splitter::default(),
        };
        let ends = launched.ends;
        Live {
            _stdin: ends.stdin,
            stdout: stream(ends.stdout),
            stderr: stream(ends.stderr),
            terminal: ends.console.is_some(),
            console: ends.console,
            plan,
            log,
            start: Some(Start::new(asker, launched.report)),
        }
    }

    pub(super) fn console_fd(&self) -> Option<BorrowedFd<'_>> {
        self.console.as_ref().map(AsFd::as_fd)
    }

    /// Takes the terminal's master as standard output. Returns what of the socket's is done: then take
    /// it out of the poller, and call [`Live::end_console`].
    pub(super) fn take_console(&mut self) -> More {
        let Some(socket) = &self.console else {
            return More::Ended;
        };
        match console::receive(socket.as_fd()) {
            Ok(master) => self.stdout.fd = master,
            Err(Errno::AGAIN | Errno::INTR) => return More::Later,
            Err(error) => eprintln!("a container's terminal does not come: {error}"),
        }
        More::Ended
    }

    /// Closes the socket. Take it out of the poller before.
    pub(super) fn end_console(&mut self) {
        self.console = None;
    }

    /// The open descriptors, for the poller.
    pub(super) fn stream_fd(&self, name: StreamName) -> Option<BorrowedFd<'_>> {
        let stream = match name {
            StreamName::Stdout => &self.stdout,
            StreamName::Stderr => &self.stderr,
        };
        stream.fd.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn report_fd(&self) -> Option<BorrowedFd<'_>> {
        self.start.as_ref()?.report_fd()
    }

    /// Moves what a stream has to the log. At its end, call [`Live::end`].
    pub(super) fn read(
        &mut self,
        name: StreamName,
        scratch: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> More {
        let times = match self.terminal {
            true => TERMINAL_READS_PER_TURN,
            false => READS_PER_TURN,
        };
        self.read_times(name, times, scratch, buffer)
    }

    /// The container ended: moves the rest to the log and closes both streams.
    pub(super) fn drain(&mut self, scratch: &mut [u8], buffer: &mut Vec<u8>) {
        for name in [StreamName::Stdout, StreamName::Stderr] {
            self.read_times(name, READS_AT_END, scratch, buffer);
            self.end(name, buffer);
        }
    }

    /// Closes a stream and logs a last line without a newline. Take it out of the poller before.
    pub(super) fn end(&mut self, name: StreamName, buffer: &mut Vec<u8>) {
        let (stream, log) = self.stream_and_log(name);
        if stream.fd.take().is_some() {
            log.write(None, (name, &mut stream.splitter), sys::now(), buffer);
        }
    }

    fn read_times(
        &mut self,
        name: StreamName,
        times: u32,
        scratch: &mut [u8],
        buffer: &mut Vec<u8>,
    ) -> More {
        let (stream, log) = self.stream_and_log(name);
        let Some(fd) = &stream.fd else {
            return More::Ended;
        };
        for _ in 0..times {
            match rustix::io::read(fd, &mut *scratch) {
                Ok(0) => return More::Ended,
                Ok(count) => {
                    let to = (name, &mut stream.splitter);
                    log.write(Some(&scratch[..count]), to, sys::now(), buffer);
                }
                Err(Errno::AGAIN | Errno::INTR) => return More::Later,
                Err(_) => return More::Ended,
            }
        }
        More::Now
    }

    fn stream_and_log(&mut self, name: StreamName) -> (&mut Stream, &mut LogWriter) {
        let stream = match name {
            StreamName::Stdout => &mut self.stdout,
            StreamName::Stderr => &mut self.stderr,
        };
        (stream, &mut self.log)
    }
}

impl Start {
    pub(super) fn new(asker: Asker, report: OwnedFd) -> Start {
        Start {
            asker,
            report: Some(report),
            bytes: Vec::new(),
        }
    }

    pub(super) fn report_fd(&self) -> Option<BorrowedFd<'_>> {
        self.report.as_ref().map(AsFd::as_fd)
    }

    /// Reads the report as far as it is there. At its end, call [`Start::end`].
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> More {
        let Some(report) = &self.report else {
            return More::Ended;
        };
        loop {
            match rustix::io::read(report, &mut *scratch) {
                Ok(0) => return More::Ended,
                Ok(count) => {
                    let room = MAX_REPORT.saturating_sub(self.bytes.len());
                    self.bytes.extend_from_slice(&scratch[..count.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return More::Later,
                Err(_) => return More::Ended,
            }
        }
    }

    /// Closes the report. Take it out of the poller before.
    pub(super) fn end(&mut self) {
        self.report = None;
    }

    /// The process that executes a program that joins, once the report tells.
    pub(super) fn pid(&self) -> Option<i32> {
        self.parse().1
    }

    /// What the complete report says.
    pub(super) fn outcome(&self) -> Outcome {
        let (executed, _, rest) = self.parse();
        match rest {
            [REPORT_FAILURE, a, b, c, d, message @ ..] => Outcome::Failed(Refusal {
                kind: RefusalKind::SetupFailed,
                message: String::from_utf8_lossy(message).into_owned(),
                exit_code: i32::from_le_bytes([*a, *b, *c, *d]),
            }),
            _ => executed.map_or(Outcome::Silent, Outcome::Executed),
        }
    }

    /// The root, the pid, and what follows them.
    fn parse(&self) -> (Option<RootId>, Option<i32>, &[u8]) {
        let all = self.bytes.as_slice();
        let [REPORT_EXEC, rest @ ..] = all else {
            return (None, None, all);
        };
        let Some((device, rest)) = rest.split_first_chunk() else {
            return (None, None, &[]);
        };
        let Some((inode, rest)) = rest.split_first_chunk() else {
            return (None, None, &[]);
        };
        let root = RootId(u64::from_le_bytes(*device), u64::from_le_bytes(*inode));
        match rest {
            [REPORT_PID, a, b, c, d, rest @ ..] => {
                let pid = i32::from_le_bytes([*a, *b, *c, *d]);
                (Some(root), Some(pid), rest)
            }
            rest => (Some(root), None, rest),
        }
    }
}

/// The words for a set-up that ended without any.
pub(super) fn silent_failure(status: i32, oom_killed: bool) -> Refusal {
    let message = if oom_killed {
        "the container's set-up was killed for want of memory: its memory limit is too low"
            .to_owned()
    } else if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        format!("the container's set-up was killed by signal {signal}")
    } else {
        format!(
            "the container's set-up ended with {}",
            sys::exit_code(status)
        )
    };
    Refusal {
        kind: RefusalKind::SetupFailed,
        message,
        exit_code: START_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) -> Outcome {
        let start = Start {
            asker: Asker {
                connection: 0,
                seq: 0,
            },
            report: None,
            bytes: bytes.to_vec(),
        };
        start.outcome()
    }

    #[test]
    fn reports() {
        let root = b"E\x07\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0";
        assert_eq!(check(root), Outcome::Executed(RootId(7, 257)));
        assert_eq!(check(b"E\x07"), Outcome::Silent);
        let pid = [root, b"P\x05\0\0\0".as_slice()].concat();
        assert_eq!(check(&pid), Outcome::Executed(RootId(7, 257)));
        assert_eq!(check(b""), Outcome::Silent);
        assert_eq!(check(b"F\x7f"), Outcome::Silent);
        let not_found = Outcome::Failed(Refusal {
            kind: RefusalKind::SetupFailed,
            message: "no".into(),
            exit_code: 127,
        });
        assert_eq!(check(b"F\x7f\0\0\0no"), not_found);
        assert_eq!(
            check(&[root, b"F\x7f\0\0\0no".as_slice()].concat()),
            not_found
        );
    }
}
