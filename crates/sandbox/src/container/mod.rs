//! One container, from the clone to its program: what its first process does to itself.
//!
//! All of this runs in the child, so that the supervisor never waits for it. The child is a copy of
//! the single-threaded supervisor; it keeps only its standard streams and the pipe on which it
//! reports.

pub(crate) mod capabilities;
pub(crate) mod error;
mod filesystems;
pub(crate) mod limits;
pub(crate) mod mounts;
mod network;
pub(crate) mod program;
mod root;
mod user;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use libc::sock_filter;

use crate::cgroup::{self, Group, Layout};
use crate::seccomp;
use crate::spec::{ContainerSpec, Network};
use crate::sys::{self, check};
use capabilities::CapabilitySet;
use error::{Context, SetupError};
use root::{Kind, Root};

/// First byte of the report: the program is about to be executed; nothing follows when that worked.
pub(crate) const REPORT_EXEC: u8 = b'E';
/// First (or second) byte of the report: an exit code (little-endian i32) and a text follow.
pub(crate) const REPORT_FAILURE: u8 = b'F';
/// Where the report pipe is in the child, behind the standard streams.
const REPORT_FD: i32 = 3;

/// Everything that the child needs.
pub(crate) struct Launch<'a> {
    pub(crate) spec: &'a ContainerSpec,
    pub(crate) layout: &'a Layout,
    pub(crate) group: &'a Group,
    pub(crate) capabilities: CapabilitySet,
    /// `None` is unconfined.
    pub(crate) filter: Option<&'a [sock_filter]>,
    /// The limit of open files that the supervisor was started with; it may have raised its own.
    pub(crate) open_files: libc::rlimit,
}

/// The child's ends.
pub(crate) struct ChildStreams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) report: OwnedFd,
}

/// The namespaces that are made by the clone; the cgroup one is made later, after entering the
/// groups.
pub(crate) fn clone_flags(network: Network) -> u64 {
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    if network == Network::Loopback {
        flags |= libc::CLONE_NEWNET;
    }
    flags as u64
}

/// The whole life of the child. It must not return into the supervisor's code, nor unwind into it.
pub(crate) fn run(launch: &Launch<'_>, streams: &ChildStreams) -> ! {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut report = match take_streams(streams) {
            Ok(report) => report,
            Err(_) => return,
        };
        let Err(failure) = set_up_and_exec(launch, &mut report);
        let mut message = vec![REPORT_FAILURE];
        message.extend(failure.exit_code.to_le_bytes());
        message.extend(failure.message.as_bytes());
        // Without its reader nobody is left to tell.
        let _ = report.write_all(&message);
    }));
    // SAFETY: ends this process without running the supervisor's destructors in its copy.
    unsafe { libc::_exit(if outcome.is_ok() { 1 } else { 2 }) }
}

/// Puts the streams where they belong and closes everything else, the supervisor's sockets
/// included.
fn take_streams(streams: &ChildStreams) -> io::Result<File> {
    let sources = [
        &streams.stdin,
        &streams.stdout,
        &streams.stderr,
        &streams.report,
    ];
    // First above all targets, so that none is overwritten before it was copied.
    let mut copies = [0; 4];
    for (copy, source) in copies.iter_mut().zip(sources) {
        // SAFETY: fcntl with these arguments takes no pointers.
        let fd = check(unsafe { libc::fcntl(source.as_raw_fd(), libc::F_DUPFD, 10) })?;
        *copy = fd as i32;
    }
    for (target, copy) in (0..).zip(copies) {
        let flags = if target == REPORT_FD {
            libc::O_CLOEXEC
        } else {
            0
        };
        // SAFETY: dup3 takes no pointers; nothing in this process uses the targets afterwards.
        check(unsafe { libc::dup3(copy, target, flags) })?;
    }
    sys::close_from(REPORT_FD + 1)?;
    // SAFETY: dup3 has just made this descriptor, and nobody else owns it.
    Ok(unsafe { File::from_raw_fd(REPORT_FD) })
}

fn set_up_and_exec(launch: &Launch<'_>, report: &mut File) -> Result<Infallible, SetupError> {
    let spec = launch.spec;
    prepare_process(launch)?;
    enter_cgroups(launch)?;
    set_hostname(&spec.hostname)?;
    if spec.network == Network::Loopback {
        network::raise_loopback().context(|| "cannot raise the loopback device")?;
    }
    build_root(launch)?;
    limits::apply_rlimits(&spec.rlimits)?;
    let user = user::resolve(&spec.user)?;
    let env = program::environment(spec, &user.home);
    program::enter_directory(&spec.cwd)?;
    drop_privileges(launch, &user)?;
    let path = program::find(&spec.args[0], &env)?;
    report
        .write_all(&[REPORT_EXEC])
        .context(|| "the supervisor does not listen")?;
    program::exec(&path, &spec.args, &env)
}

fn prepare_process(launch: &Launch<'_>) -> Result<(), SetupError> {
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
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const launch.open_files) })
        .context(|| "cannot restore the limit of open files")?;
    limits::apply_oom_score(launch.spec.oom_score_adj)
}

const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Default actions and nothing blocked: the supervisor ignores and blocks some.
fn reset_signals() -> io::Result<()> {
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

fn enter_cgroups(launch: &Launch<'_>) -> Result<(), SetupError> {
    cgroup::enter(launch.layout, launch.group, &launch.spec.resources)
        .map_err(|error| SetupError::new(error.to_string()))?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })
        .context(|| "cannot make a cgroup namespace")?;
    Ok(())
}

fn set_hostname(name: &str) -> Result<(), SetupError> {
    // SAFETY: the pointer is valid for so many bytes.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
        .context(|| format!("cannot set the hostname \"{name}\""))?;
    Ok(())
}

fn build_root(launch: &Launch<'_>) -> Result<(), SetupError> {
    let spec = launch.spec;
    let prepared = mounts::prepare(spec)?;
    root::separate_from_host()?;
    let root = Root::mount(&spec.rootfs)?;
    let mounted = filesystems::mount_all(&root, spec.shm_size, launch.layout)?;
    for mount in prepared {
        mount.attach(&root)?;
    }
    limits::apply_sysctls(spec, &mounted.proc)?;
    filesystems::protect(&root, &mounted)?;
    if !spec.cwd.is_empty() && spec.cwd != "/" {
        root.target(Path::new(&spec.cwd), Kind::Directory)?;
    }
    if spec.readonly_root {
        root.make_readonly()?;
    }
    root.enter()
}

/// Last of all, the order matters: the filter while we may install it without no_new_privs, then
/// the bounding set while we have CAP_SETPCAP, the user while we have CAP_SETUID, and the
/// capabilities at the end.
fn drop_privileges(launch: &Launch<'_>, user: &user::User) -> Result<(), SetupError> {
    // SAFETY: takes no pointers and cannot fail; Docker's mask.
    unsafe { libc::umask(0o022) };
    if launch.spec.no_new_privileges {
        // SAFETY: prctl with this option takes no pointers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
            .context(|| "cannot set no_new_privs")?;
    }
    if let Some(filter) = launch.filter {
        seccomp::install(filter).context(|| "cannot install the seccomp filter")?;
    }
    capabilities::limit_bounding_set(launch.capabilities)
        .context(|| "cannot limit the capabilities")?;
    user::apply(user).context(|| format!("cannot become user {}:{}", user.uid, user.gid))?;
    capabilities::apply(launch.capabilities).context(|| "cannot set the capabilities")
}
