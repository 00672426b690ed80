//! What a container's first process and a program that joins the container later have in common:
//! their streams, their report, and the way from the supervisor's rights to the program's.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{FileType, Uid};

use super::capabilities;
use super::error::{Context, SetupError};
use super::user::{self, User};
use super::{FilterChoice, Host, Plan, RootId, init, labels, limits, program};
use crate::seccomp;
use crate::spec::ContainerSpec;
use crate::sys::{self, Cloned, check};

/// First byte of the report: the program is about to be executed; its root's device and inode
/// (little-endian u64) follow, and nothing else when that worked.
pub(crate) const REPORT_EXEC: u8 = b'E';
/// First byte of the report, or of what follows that: an exit code (little-endian i32) and a text follow.
pub(crate) const REPORT_FAILURE: u8 = b'F';
/// Of a program that joins, behind the root: the process that executes it was made; its pid
/// (little-endian i32) follows.
pub(crate) const REPORT_PID: u8 = b'P';
/// Where the report pipe is in the child, behind the standard streams.
pub(super) const REPORT_FD: i32 = 3;
/// Where the extra descriptor is.
const EXTRA_FD: i32 = 4;

/// The child's ends.
pub(crate) struct ChildStreams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) report: OwnedFd,
    pub(crate) extra: Option<OwnedFd>,
}

/// What the child has besides its standard streams; closed at exec.
pub(super) struct Given {
    report: File,
    pub(super) extra: Option<OwnedFd>,
}

/// What is executed, as whom and where.
pub(super) struct Program<'a> {
    pub(super) args: &'a [String],
    pub(super) env: &'a [String],
    pub(super) cwd: &'a str,
    pub(super) user: &'a str,
    pub(super) birth: Birth<'a>,
}

/// Which process becomes the program.
pub(super) enum Birth<'a> {
    /// This one.
    Here,
    /// A child of an init, which this one becomes; its executable.
    Init(&'a OwnedFd),
    /// One that is born now in the PID namespace for this one's children, a child of the supervisor; with
    /// a pipe, whose ends are for it and for this one.
    Sibling(OwnedFd, OwnedFd),
}

/// The whole life of a child. It must not return into the supervisor's code, nor unwind into it.
pub(super) fn run(
    streams: &ChildStreams,
    become_program: impl FnOnce(&mut Given) -> Result<Infallible, SetupError>,
) -> ! {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut given = match take_streams(streams) {
            Ok(given) => given,
            Err(_) => return,
        };
        let Err(failure) = become_program(&mut given);
        // Without its reader nobody is left to tell.
        let _ = given.report.write_all(&failure_report(&failure));
    }));
    // SAFETY: ends this process without running the supervisor's destructors in its copy.
    unsafe { libc::_exit(if outcome.is_ok() { 1 } else { 2 }) }
}

/// The bytes that tell the supervisor of a failure.
pub(super) fn failure_report(failure: &SetupError) -> Vec<u8> {
    let mut message = vec![REPORT_FAILURE];
    message.extend(failure.exit_code.to_le_bytes());
    message.extend(failure.message.as_bytes());
    message
}

/// Puts the streams where they belong and closes everything else, the supervisor's sockets
/// included.
fn take_streams(streams: &ChildStreams) -> io::Result<Given> {
    let sources = [
        Some(&streams.stdin),
        Some(&streams.stdout),
        Some(&streams.stderr),
        Some(&streams.report),
        streams.extra.as_ref(),
    ];
    // First above all targets, so that none is overwritten before it was copied.
    let mut copies = [0; 5];
    for (copy, source) in copies.iter_mut().zip(sources.into_iter().flatten()) {
        // SAFETY: fcntl with these arguments takes no pointers.
        let fd = check(unsafe { libc::fcntl(source.as_raw_fd(), libc::F_DUPFD, 10) })?;
        *copy = fd as i32;
    }
    let last = match streams.extra {
        Some(_) => EXTRA_FD,
        None => REPORT_FD,
    };
    for (target, copy) in (0..=last).zip(copies) {
        let flags = if target >= REPORT_FD {
            libc::O_CLOEXEC
        } else {
            0
        };
        // SAFETY: dup3 takes no pointers; nothing in this process uses the targets afterwards.
        check(unsafe { libc::dup3(copy, target, flags) })?;
    }
    sys::close_from(last + 1)?;
    Ok(Given {
        // SAFETY: dup3 has just made this descriptor, and nobody else owns it.
        report: unsafe { File::from_raw_fd(REPORT_FD) },
        extra: streams.extra.as_ref().map(|_| {
            // SAFETY: as above.
            unsafe { OwnedFd::from_raw_fd(EXTRA_FD) }
        }),
    })
}

/// From a copy of the supervisor to a process of its own.
pub(super) fn prepare(host: &Host, spec: &ContainerSpec) -> Result<(), SetupError> {
    reset_signals().context(|| "cannot reset signals")?;
    // SAFETY: takes no pointers. A new process is no group leader, so it does not fail.
    unsafe { libc::setsid() };
    // SAFETY: takes no pointers and cannot fail. All modes below are the ones that are written there.
    unsafe { libc::umask(0) };
    // A key ring of its own, so that the host's session keys are not the container's. Kernels without keys and a full
    // quota are no reason to fail: then there is nothing to share, or it stays as it was.
    // SAFETY: a null name makes an anonymous ring.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0usize) };
    // SAFETY: the pointer is valid for the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const host.open_files) })
        .context(|| "cannot restore the limit of open files")?;
    limits::apply_oom_score(spec.oom_score_adj)
}

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Default actions and nothing blocked: the supervisor ignores and blocks some.
pub(super) fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // SAFETY: the default action runs no code. SIGKILL, SIGSTOP and the C library's own two refuse, rightly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set is made by sigemptyset before it is used.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut(),
        ))?;
    }
    Ok(())
}

/// Inside the container's root: takes the program's rights and becomes it.
pub(super) fn become_program(
    host: &Host,
    plan: &Plan,
    program: Program<'_>,
    given: &mut Given,
) -> Result<Infallible, SetupError> {
    let spec = &plan.spec;
    limits::apply_rlimits(&spec.rlimits)?;
    let user = user::resolve(program.user, &spec.groups)?;
    let env = program::environment(spec, program.env, &user.home);
    program::enter_directory(program.cwd)?;
    own_streams(&user);
    drop_privileges(host, plan, &user)?;
    let path = program::find(&program.args[0], &env)?;
    let RootId(device, inode) = RootId::own()?;
    let mut about_to = vec![REPORT_EXEC];
    about_to.extend(device.to_le_bytes());
    about_to.extend(inode.to_le_bytes());
    given
        .report
        .write_all(&about_to)
        .context(|| "the supervisor does not listen")?;
    match program.birth {
        Birth::Here => labels::apply(spec)?,
        Birth::Sibling(known, tell) => {
            be_born(known, tell, &mut given.report)?;
            labels::apply(spec)?;
        }
        Birth::Init(executable) => {
            labels::apply(spec)?;
            return init::exec(executable, &host.selector, &path, program.args, &env);
        }
    }
    program::exec(&path, program.args, &env)
}

/// Returns in a new process, and never in this one. It was not born before it has but the container's
/// rights and root: those of its PID namespace see it from now on. It lives only if the supervisor
/// knows of it.
fn be_born(known: OwnedFd, tell: OwnedFd, report: &mut File) -> Result<(), SetupError> {
    // SAFETY: this process is a copy of the supervisor, which has one thread.
    let cloned = unsafe { sys::clone_sibling() };
    match cloned.context(|| "cannot make a process in the container (has it ended?)")? {
        Cloned::Child => {
            drop(tell);
            if !matches!(rustix::io::read(&known, &mut [0]), Ok(1)) {
                // SAFETY: ends this process without running the supervisor's destructors in its copy.
                unsafe { libc::_exit(1) };
            }
            // SAFETY: takes no pointers. A new process is no group leader, so it does not fail.
            unsafe { libc::setsid() };
            Ok(())
        }
        Cloned::Parent(pid) => {
            let mut message = vec![REPORT_PID];
            message.extend(pid.to_le_bytes());
            let told = report.write_all(&message);
            // The report must end when the program is executed, not when this process has ended.
            // SAFETY: nothing uses the descriptor any more.
            unsafe { libc::close(REPORT_FD) };
            if told.is_ok() {
                // When it is gone, so much the better.
                let _ = rustix::io::write(&tell, b"k");
            }
            // SAFETY: as above.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Gives the standard streams to the program's user, as runc does: it could not open
/// `/dev/stdout` otherwise. Not the host's `/dev/null`.
fn own_streams(user: &User) {
    if user.uid == 0 {
        return;
    }
    for number in 0..=2 {
        // SAFETY: the standard streams are open for the whole life of the process.
        let stream = unsafe { BorrowedFd::borrow_raw(number) };
        let Ok(status) = rustix::fs::fstat(stream) else {
            continue;
        };
        let pipe = FileType::from_raw_mode(status.st_mode) == FileType::Fifo;
        if pipe || rustix::termios::isatty(stream) {
            // It works without, too.
            let _ = rustix::fs::fchown(stream, Some(Uid::from_raw(user.uid)), None);
        }
    }
}

/// Last of all, the order matters: the filter while we may install it without no_new_privs, then
/// the bounding set while we have CAP_SETPCAP, the user while we have CAP_SETUID, and the
/// capabilities at the end.
fn drop_privileges(host: &Host, plan: &Plan, user: &User) -> Result<(), SetupError> {
    // SAFETY: takes no pointers and cannot fail; Docker's mask.
    unsafe { libc::umask(0o022) };
    if plan.spec.no_new_privileges {
        // SAFETY: prctl with this option takes no pointers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
            .context(|| "cannot set no_new_privs")?;
    }
    let filtered = match &plan.filter {
        FilterChoice::None => Ok(()),
        FilterChoice::Default if plan.capabilities == capabilities::DEFAULT => {
            seccomp::install(&host.default_filter)
        }
        FilterChoice::Default => seccomp::install(&seccomp::compile(plan.capabilities)),
        FilterChoice::Custom(filter) => seccomp::install(filter),
    };
    filtered.context(|| "cannot install the seccomp filter")?;
    capabilities::limit_bounding_set(plan.capabilities)
        .context(|| "cannot limit the capabilities")?;
    user::apply(user).context(|| format!("cannot become user {}:{}", user.uid, user.gid))?;
    capabilities::apply(plan.capabilities).context(|| "cannot set the capabilities")
}
