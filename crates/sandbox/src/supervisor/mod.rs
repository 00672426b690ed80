//! The supervisor process: one per host, single-threaded, parent of all containers.
//!
//! ```text
//! start-up   startup   own session and name, sealed executable, lock, orphans, socket
//! loop       server    epoll (poller): clients (connection) and their requests
//! containers lifecycle starting, output, reaping
//!            launch    checks, cgroup, pipes, clone; the child does its own set-up (crate::container)
//!            container one in memory: streams, log, the report of its set-up
//! programs   exec      that join a container: health checks
//! end        idle      when nobody needs it any more
//! ```
//!
//! It sleeps in epoll without a timer; only while the kernel still holds a cgroup that must go does
//! it look again after some milliseconds, and once a second while it has neither a container nor a daemon. Everything that may block for long is the child's
//! business.

mod connection;
mod container;
mod exec;
mod idle;
mod launch;
mod lifecycle;
mod poller;
mod server;
mod startup;

use std::ffi::OsString;

use crate::container::init;

/// Exit status when another supervisor runs already (`EX_TEMPFAIL` of sysexits.h).
pub(crate) const EXIT_RUNNING: i32 = 75;

/// Runs the supervisor; `args` are those after the subcommand: `[--idle-seconds N] --exec-root DIR`. Call it first thing in
/// `main`: the process must have one thread and nothing to close. Never returns.
///
/// Without a container and without a daemon it ends after `--idle-seconds` (2 minutes unless given), and at once when
/// its socket was removed or replaced.
///
/// It prints `ready` on standard output when it listens, or one line that says why it cannot.
pub fn supervisor_main(args: impl IntoIterator<Item = OsString>) -> ! {
    let mut args = args.into_iter().peekable();
    if args.next_if(|arg| arg == init::FLAG).is_some() {
        init::main(args);
    }
    let error = match startup::start(args) {
        Ok(server) => server.run(),
        Err(error) => error,
    };
    println!("{error}");
    std::process::exit(match error {
        startup::StartupError::Running(_) => EXIT_RUNNING,
        _ => 1,
    })
}
