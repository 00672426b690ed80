//! What the event loop waits for.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

use crate::sys::check;

/// Whose descriptor is ready. The numbers are given out once, so an event for something that has
/// just gone meets nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Signals,
    Connection(u64),
    Stdout(u64),
    Stderr(u64),
    /// A container's report of its set-up.
    Report(u64),
    /// The socket through which a container's terminal comes.
    Console(u64),
    /// Of a program that joined a container.
    ExecOutput(u64),
    ExecReport(u64),
}

/// Kinds are in the upper byte; the numbers below never get that high.
const KIND_SHIFT: u32 = 56;

impl Token {
    fn encode(self) -> u64 {
        let (kind, number) = match self {
            Token::Listener => (0, 0),
            Token::Signals => (1, 0),
            Token::Connection(number) => (2, number),
            Token::Stdout(number) => (3, number),
            Token::Stderr(number) => (4, number),
            Token::Report(number) => (5, number),
            Token::Console(number) => (6, number),
            Token::ExecOutput(number) => (7, number),
            Token::ExecReport(number) => (8, number),
        };
        kind << KIND_SHIFT | number
    }

    fn decode(data: u64) -> Token {
        let number = data & ((1 << KIND_SHIFT) - 1);
        match data >> KIND_SHIFT {
            0 => Token::Listener,
            1 => Token::Signals,
            2 => Token::Connection(number),
            3 => Token::Stdout(number),
            4 => Token::Stderr(number),
            5 => Token::Report(number),
            6 => Token::Console(number),
            7 => Token::ExecOutput(number),
            _ => Token::ExecReport(number),
        }
    }
}

/// An epoll, level-triggered except where it says otherwise.
pub(super) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll })
    }

    /// Waits for input, until `fd` is closed (in all processes) or removed.
    pub(super) fn add(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = EventData::new_u64(token.encode());
        Ok(epoll::add(&self.epoll, fd, data, EventFlags::IN)?)
    }

    /// Tells only changes: a terminal that nobody has open is "ready" all the time. Read until there is
    /// nothing more, or call [`Poller::again`].
    pub(super) fn add_changes(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = EventData::new_u64(token.encode());
        Ok(epoll::add(
            &self.epoll,
            fd,
            data,
            EventFlags::IN | EventFlags::ET,
        )?)
    }

    /// Tells of it once more if it is ready, after [`Poller::add_changes`].
    pub(super) fn again(&self, fd: impl AsFd, token: Token) -> io::Result<()> {
        let data = EventData::new_u64(token.encode());
        Ok(epoll::modify(
            &self.epoll,
            fd,
            data,
            EventFlags::IN | EventFlags::ET,
        )?)
    }

    /// Whether to wait for room for output, too.
    pub(super) fn wait_for_output(
        &self,
        fd: impl AsFd,
        token: Token,
        output: bool,
    ) -> io::Result<()> {
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, output);
        let data = EventData::new_u64(token.encode());
        Ok(epoll::modify(&self.epoll, fd, data, flags)?)
    }

    /// Must precede closing: a child that has not closed its copy yet would keep the registration
    /// alive.
    pub(super) fn remove(&self, fd: impl AsFd) {
        // Not registered is as good.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Blocks without limit when there is no time-out.
    pub(super) fn wait(
        &self,
        ready: &mut Vec<(Token, EventFlags)>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        /// Events per round; more wait for the next one.
        const BATCH: usize = 64;
        let none = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        let mut events = [none; BATCH];
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        ready.clear();
        match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
            Ok(count) => {
                let events = events[..count].iter();
                ready.extend(events.map(|event| (Token::decode(event.data.u64()), event.flags)));
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A descriptor that is readable when a child ended or someone asks us to end; both signals are
/// blocked from now on.
pub(super) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised by sigemptyset, and the pointers are valid for the calls.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        check(libc::sigprocmask(
            libc::SIG_BLOCK,
            &raw const set,
            std::ptr::null_mut(),
        ))?;
        let fd = check(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [
            Token::Listener,
            Token::Signals,
            Token::Connection(1),
            Token::Stdout(u64::from(u32::MAX) + 7),
            Token::Stderr(2),
            Token::Report(3),
            Token::Console(4),
            Token::ExecOutput(5),
            Token::ExecReport(6),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
