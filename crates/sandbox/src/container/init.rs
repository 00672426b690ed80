//! Process 1 of a container that asked for an init: the supervisor's own executable once more, as a
//! new image, because a copy of the supervisor's memory must not stay within reach of a container.
//! It starts the program, passes signals on to it, reaps what is left to process 1, and ends as the
//! program does.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::error::{Context, SetupError};
use super::process::{REPORT_FD, failure_report, reset_signals};
use super::program;
use crate::sys::{self, check};

/// What `ps` shows, as with Docker's init.
const NAME: &str = "/sbin/docker-init";
const COMM: &std::ffi::CStr = c"docker-init";
/// Selects it on the supervisor's command line: `--init PATH ARG0 ARG...`.
pub(crate) const FLAG: &str = "--init";
/// When the program's process cannot be made or waited for.
const NO_PROGRAM: i32 = 128;

/// Opens this executable, while `/proc` is the host's.
pub(super) fn open() -> Result<OwnedFd, SetupError> {
    let file = File::open("/proc/self/exe").context(|| "cannot open the init program")?;
    Ok(file.into())
}

/// Becomes the init, which executes `path`. `selector` are the arguments with which this
/// executable becomes a supervisor.
pub(super) fn exec(
    executable: &OwnedFd,
    selector: &[String],
    path: &str,
    args: &[String],
    env: &[String],
) -> Result<Infallible, SetupError> {
    // The program's process gets it, closes it when it is executed, or reports why it cannot be.
    // SAFETY: fcntl with these arguments takes no pointers.
    check(unsafe { libc::fcntl(REPORT_FD, libc::F_SETFD, 0) })
        .context(|| "cannot keep the report open")?;
    let mut all = vec![NAME.to_owned()];
    all.extend_from_slice(selector);
    all.extend([FLAG.to_owned(), path.to_owned()]);
    all.extend_from_slice(args);
    let own = format!("/proc/self/fd/{}", executable.as_raw_fd());
    let error = match program::exec(&own, &all, env) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    Err(SetupError::new(format!(
        "cannot execute the init: {}",
        error.message
    )))
}

/// The init itself. `args` are those after [`FLAG`].
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ! {
    let args: Option<Vec<String>> = args.map(|arg| arg.into_string().ok()).collect();
    let code = match args.as_deref() {
        Some([path, args @ ..]) if !args.is_empty() => run(path, args),
        _ => NO_PROGRAM,
    };
    // SAFETY: ends this process; there is nothing to destroy.
    unsafe { libc::_exit(code) }
}

fn run(path: &str, args: &[String]) -> i32 {
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, COMM.as_ptr(), 0, 0, 0) };
    // All are taken one by one below: a process 1 loses signals that it neither handles nor blocks.
    let signals = match block_signals() {
        Ok(signals) => signals,
        Err(_) => return NO_PROGRAM,
    };
    // SAFETY: this process has one thread, so its copy is whole.
    match unsafe { libc::fork() } {
        0 => be_program(path, args),
        child if child > 0 => {
            // SAFETY: the descriptor was left open for us, and nobody else owns it.
            drop(unsafe { OwnedFd::from_raw_fd(REPORT_FD) });
            serve(child, &signals)
        }
        _ => NO_PROGRAM,
    }
}

fn block_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: the set is filled before it is used, and the pointers are valid for the calls.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        check(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const all,
            std::ptr::null_mut(),
        ))?;
        Ok(all)
    }
}

/// A process group of its own, in the terminal's foreground if there is one.
fn be_program(path: &str, args: &[String]) -> ! {
    let become_program = || -> Result<Infallible, SetupError> {
        // SAFETY: takes no pointers.
        unsafe { libc::setpgid(0, 0) };
        // SAFETY: takes no pointers. SIGTTOU is still blocked; without a terminal it fails, which is as good.
        unsafe { libc::tcsetpgrp(0, libc::getpid()) };
        reset_signals().context(|| "cannot reset signals")?;
        // SAFETY: fcntl with these arguments takes no pointers.
        check(unsafe { libc::fcntl(REPORT_FD, libc::F_SETFD, libc::FD_CLOEXEC) })
            .context(|| "cannot mark the report")?;
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value.to_str()?)));
        program::exec(path, args, &env.collect::<Vec<_>>())
    };
    let failure = match become_program() {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    // SAFETY: the descriptor was left open for us, and nobody else owns it.
    let mut report = unsafe { File::from_raw_fd(REPORT_FD) };
    // Without its reader nobody is left to tell.
    let _ = report.write_all(&failure_report(&failure));
    // SAFETY: ends this process; there is nothing to destroy.
    unsafe { libc::_exit(failure.exit_code) }
}

/// Until the program ends; returns its exit code.
fn serve(program: i32, signals: &libc::sigset_t) -> i32 {
    loop {
        // SAFETY: the set is valid; no information on the signal is asked for.
        let signal = unsafe { libc::sigwaitinfo(signals, std::ptr::null_mut()) };
        match signal {
            libc::SIGCHLD => {
                if let Some(code) = reap(program) {
                    return code;
                }
            }
            // For the terminal's background processes; this one neither reads nor writes it.
            libc::SIGTTIN | libc::SIGTTOU => {}
            signal if signal > 0 => {
                // SAFETY: takes no pointers; the program is our child and not reaped yet.
                unsafe { libc::kill(program, signal) };
            }
            // Interrupted.
            _ => {}
        }
    }
}

/// One signal may stand for several children. The program's exit code, if it is among them.
fn reap(program: i32) -> Option<i32> {
    let mut code = None;
    loop {
        let mut status = 0;
        // SAFETY: the pointer is valid for the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return code;
        }
        if pid == program {
            code = Some(sys::exit_code(status));
        }
    }
}
