//! From a plain child of the daemon to a process that depends on nobody.

use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;
use thiserror::Error;

use super::idle::{IDLE_LIMIT, Idle};
use super::launch::Launcher;
use super::server::Server;
use crate::cgroup::{self, Layout, V1Controller};
use crate::container::{Host, capabilities};
use crate::orphans;
use crate::protocol::SOCKET_NAME;
use crate::record::Records;
use crate::seccomp;
use crate::sys::{self, MountAttributes, check};

/// The name that `ps` shows; the kernel keeps 15 bytes.
const COMM: &std::ffi::CStr = c"starling-superv";
/// Set for the second execution, see [`seal`].
const SEALED: &str = "STARLING_SUPERVISOR_SEALED";
/// Its own messages: few, so the file is not rotated.
const LOG_NAME: &str = "supervisor.log";
/// When memory is short, a container goes before the parent of all of them does; dockerd's value.
const OOM_SCORE: &str = "-500";

/// Why there is no supervisor now.
#[derive(Debug, Error)]
pub(super) enum StartupError {
    #[error("usage: supervisor [--idle-seconds N] --exec-root DIR")]
    Usage,
    #[error("the supervisor must be started before any thread of its process")]
    Threads,
    #[error("another supervisor runs on {}", .0.display())]
    Running(PathBuf),
    #[error("no cgroup hierarchy is mounted on this host: mount cgroup2 on /sys/fs/cgroup")]
    NoCgroups,
    #[error("{doing}: {source}")]
    Io {
        doing: String,
        #[source]
        source: io::Error,
    },
}

fn doing<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> StartupError {
    move |source| StartupError::Io {
        doing: what.into(),
        source: source.into(),
    }
}

/// Everything up to the first client.
pub(super) fn start(args: impl IntoIterator<Item = OsString>) -> Result<Server, StartupError> {
    let (exec_root, idle_limit) = parse(args)?;
    // Nothing of the daemon that was not marked close-on-exec stays with us.
    sys::close_from(3).map_err(doing("cannot close inherited files"))?;
    let sealed = seal();
    detach()?;
    std::fs::create_dir_all(&exec_root)
        .map_err(doing(format!("cannot create {}", exec_root.display())))?;
    let exec_root = exec_root
        .canonicalize()
        .map_err(doing(format!("cannot open {}", exec_root.display())))?;
    let lock = orphans::lock(&exec_root)
        .map_err(doing("cannot lock exec-root"))?
        .ok_or_else(|| StartupError::Running(exec_root.clone()))?;
    redirect(2, &log_file(&exec_root)?)?;
    let records =
        Records::open(&exec_root).map_err(doing("cannot make the directory of records"))?;
    let launcher = launcher(sealed)?;
    let ended = orphans::settle(&records, &launcher.host.layout).map_err(doing(
        "cannot look after the containers of an earlier supervisor",
    ))?;
    let listener = listen(&exec_root)?;
    let idle = Idle::new(exec_root.join(SOCKET_NAME), idle_limit)
        .map_err(doing("cannot look at the socket"))?;
    let server = Server::new(listener, lock, records, launcher, ended, idle)
        .map_err(doing("cannot make the event loop"))?;
    announce()?;
    Ok(server)
}

/// exec-root, and how long to wait for a daemon.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<(PathBuf, Duration), StartupError> {
    let (mut args, mut limit) = (args.into_iter(), IDLE_LIMIT);
    loop {
        match (args.next(), args.next()) {
            (Some(flag), Some(seconds)) if flag == "--idle-seconds" => {
                let seconds = seconds.to_str().and_then(|text| text.parse().ok());
                limit = Duration::from_secs(seconds.ok_or(StartupError::Usage)?);
            }
            (Some(flag), Some(path)) if flag == "--exec-root" && !path.is_empty() => {
                if args.next().is_some() {
                    return Err(StartupError::Usage);
                }
                let path = std::path::absolute(path);
                return Ok((
                    path.map_err(doing("cannot find the current directory"))?,
                    limit,
                ));
            }
            _ => return Err(StartupError::Usage),
        }
    }
}

/// Executes this program once more from a read-only mount that exists nowhere else. A container's
/// first process is, until its exec, this program: an image whose program is a link to
/// `/proc/self/exe` would otherwise get hold of the host's file and could overwrite it (as in
/// CVE-2019-5736). Without success it goes on as it is, and returns false.
fn seal() -> bool {
    if std::env::var_os(SEALED).is_some() {
        // SAFETY: there is one thread.
        unsafe { std::env::remove_var(SEALED) };
        return true;
    }
    if let Err(error) = try_seal() {
        eprintln!("the supervisor's executable cannot be protected from containers: {error}");
    }
    false
}

fn try_seal() -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = rustix::mount::open_tree(CWD, "/proc/self/exe", flags)?;
    let readonly = MountAttributes {
        readonly: true,
        ..MountAttributes::default()
    };
    sys::mount_setattr(program.as_fd(), readonly)?;
    let args = std::env::args_os().map(|arg| CString::new(arg.into_vec()));
    let args = args.collect::<Result<Vec<_>, _>>()?;
    let env = std::env::vars_os().map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry)
    });
    let mut env = env.collect::<Result<Vec<_>, _>>()?;
    env.push(CString::new(format!("{SEALED}=1"))?);
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        let pointers = list.iter().map(|text| text.as_ptr());
        pointers.chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(&args), pointers(&env));
    // SAFETY: all strings live until the call returns, which is when it failed; both lists end with null.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Err(io::Error::last_os_error())
}

/// An own session, name and place; parent of what loses its parent.
fn detach() -> Result<(), StartupError> {
    let status =
        std::fs::read_to_string("/proc/self/status").map_err(doing("cannot read /proc"))?;
    if !status.lines().any(|line| line == "Threads:\t1") {
        return Err(StartupError::Threads);
    }
    // SAFETY: takes no pointers. It fails when we lead a session or group already, which is as good.
    unsafe { libc::setsid() };
    // SAFETY: the name is a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, COMM.as_ptr(), 0, 0, 0) };
    // What a process inherits that joins a container: until its exec it is a copy of us, and a process of the
    // container must not look into it (as in CVE-2016-9962). The exec ends that.
    // SAFETY: prctl with this option takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
        .map_err(doing("cannot hide this process's memory"))?;
    // SAFETY: prctl with this option takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
        .map_err(doing("cannot become the reaper of orphaned processes"))?;
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE] {
        // SAFETY: ignoring runs no code.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    // SAFETY: takes no pointers and cannot fail. What we make is for root only.
    unsafe { libc::umask(0o077) };
    rustix::process::chdir("/").map_err(doing("cannot change to /"))?;
    // Lowering it needs CAP_SYS_RESOURCE on some hosts: best effort.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}

fn log_file(exec_root: &Path) -> Result<OwnedFd, StartupError> {
    let path = exec_root.join(LOG_NAME);
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path);
    file.map(OwnedFd::from)
        .map_err(doing(format!("cannot open {}", path.display())))
}

fn redirect(target: i32, to: &OwnedFd) -> Result<(), StartupError> {
    // SAFETY: dup3 takes no pointers; the targets are standard streams, which std looks up by number.
    check(unsafe { libc::dup3(to.as_raw_fd(), target, 0) })
        .map_err(doing("cannot redirect a standard stream"))?;
    Ok(())
}

fn launcher(sealed: bool) -> Result<Launcher, StartupError> {
    let layout = Layout::detect().map_err(doing("cannot read this host's cgroup mounts"))?;
    if layout.v1().next().is_none() && layout.v2_root().is_none() {
        return Err(StartupError::NoCgroups);
    }
    let device_program = match layout.v1_root(V1Controller::Devices) {
        Some(_) => None,
        None => Some(
            cgroup::devices::load()
                .map_err(doing("cannot load the program that restricts devices"))?,
        ),
    };
    let available =
        capabilities::available().map_err(doing("cannot read this process's capabilities"))?;
    let host = Host {
        layout,
        open_files: raise_open_files(),
        default_filter: seccomp::compile(capabilities::DEFAULT),
        selector: selector(),
    };
    Ok(Launcher::new(host, device_program, available, sealed))
}

/// The arguments between this program's name and those of the supervisor.
fn selector() -> Vec<String> {
    std::env::args()
        .skip(1)
        .take_while(|arg| !arg.starts_with("--"))
        .collect()
}

/// Each container takes up to four descriptors here. Returns what containers shall get: the limit
/// as it was.
fn raise_open_files() -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is valid for the call, which cannot fail with a known resource.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let raised = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    // SAFETY: the pointer is valid for the call. Up to the hard limit everybody may; otherwise it stays.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    limit
}

/// The lock is ours, so a socket that is there is stale.
fn listen(exec_root: &Path) -> Result<UnixListener, StartupError> {
    let path = exec_root.join(SOCKET_NAME);
    let failed = || doing(format!("cannot listen on {}", path.display()));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        _ => {}
    }
    let directory = File::open(exec_root).map_err(failed())?;
    // Through /proc, because a socket's address holds only 108 bytes.
    let short = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    let listener = UnixListener::bind(short).map_err(failed())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed())?;
    listener.set_nonblocking(true).map_err(failed())?;
    Ok(listener)
}

/// Tells the daemon, and lets go of its pipe.
fn announce() -> Result<(), StartupError> {
    let mut stdout = io::stdout();
    // The daemon may be gone already; the next one will find us.
    let _ = stdout.write_all(b"ready\n").and_then(|()| stdout.flush());
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = OwnedFd::from(null.map_err(doing("cannot open /dev/null"))?);
    redirect(0, &null)?;
    redirect(1, &null)
}
