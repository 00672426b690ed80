//! What the program `starling-hosts` does inside of a host: make the namespaces, be the first process, enter them.
//!
//! Each of these is one short-lived or single-threaded process, because namespaces are entered by a thread, a mount
//! namespace only by a process with one thread, and a PID namespace only by a child.

use std::convert::Infallible;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, sethostname, setsid};

use super::cgroups;
use super::keeper;

/// What `init` says on its standard output when the host is up.
pub(super) const READY: &str = "ready";

/// `starling-hosts boot`: makes a host's namespaces and its first process, and stays as that one's parent.
#[derive(Debug, clap::Args)]
pub struct Boot {
    /// Name of the host.
    #[arg(long)]
    hostname: String,
    /// Control group of the host's own processes.
    #[arg(long)]
    cgroup: String,
}

/// Prints the first process's pid, as the caller sees it; the first process prints [`READY`].
pub fn run_boot(args: &Boot) -> Result<ExitStatus> {
    setsid().context("cannot start a session")?;
    cgroups::join(&args.cgroup)?;
    unshare(
        CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )
    .context("cannot make namespaces: this needs root")?;
    let mut init = Command::new(env::current_exe()?)
        .args(["init", "--hostname", &args.hostname])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start the first process")?;
    println!("{}", init.id());
    Ok(init.wait()?)
}

/// The first process of a host: sets up its mounts and its name, then reaps what is orphaned, until it is killed.
pub fn run_init(hostname: &str) -> Result<Infallible> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot make mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none)
        .context("cannot mount /proc")?;
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
    .context("cannot mount /run")?;
    fs::create_dir("/run/lock")?;
    sethostname(hostname).context("cannot set the host's name")?;
    println!("{READY}");
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    child_ended.thread_block()?;
    loop {
        reap()?;
        child_ended.wait()?;
    }
}

fn reap() -> Result<()> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => bail!("cannot reap: {error}"),
        }
    }
}

/// `starling-hosts enter`: runs a program inside of a host and ends as it does.
#[derive(Debug, clap::Args)]
pub struct Enter {
    /// The host's first process.
    #[arg(long)]
    pid: i32,
    /// Control group to run in.
    #[arg(long)]
    cgroup: String,
    /// Detach from the terminal, append the program's output to this file, print the program's pid.
    #[arg(long)]
    log: Option<PathBuf>,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

impl Enter {
    /// Runs `program` in the host with this first process, with our input and output.
    pub fn new(pid: i32, cgroup: &str, program: &[String]) -> Enter {
        let program = program.iter().map(OsString::from).collect();
        Enter {
            pid,
            cgroup: cgroup.to_owned(),
            log: None,
            program,
        }
    }
}

/// Enters the host, runs the program, waits for it.
pub fn run_enter(args: &Enter) -> Result<ExitStatus> {
    cgroups::join(&args.cgroup)?;
    let mut program = Command::new(&args.program[0]);
    program.args(&args.program[1..]).current_dir("/");
    if let Some(log) = &args.log {
        setsid().context("cannot start a session")?;
        let log = open_log(log)?;
        program
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
    }
    enter_namespaces(args.pid)?;
    let mut child = program
        .spawn()
        .with_context(|| format!("cannot run {}", Path::new(&args.program[0]).display()))?;
    if args.log.is_some() {
        announce(&child)?;
    }
    Ok(child.wait()?)
}

fn open_log(path: &Path) -> Result<File> {
    let log = OpenOptions::new().create(true).append(true).open(path);
    log.with_context(|| format!("cannot open {}", path.display()))
}

fn announce(child: &Child) -> Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", child.id())?;
    Ok(out.flush()?)
}

/// All files first: once the mount namespace is another, `/proc` is that of the host.
fn enter_namespaces(pid: i32) -> Result<()> {
    let kinds = [
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let open = |(name, kind)| Ok((File::open(format!("/proc/{pid}/ns/{name}"))?, kind));
    let namespaces: io::Result<Vec<_>> = kinds.into_iter().map(open).collect();
    for (file, kind) in
        namespaces.with_context(|| format!("the host with first process {pid} is down"))?
    {
        setns(file, kind).context("cannot enter a namespace")?;
    }
    Ok(())
}

/// `starling-hosts keep`: holds a cluster's switch, and takes the cluster down when its owner is gone.
#[derive(Debug, clap::Args)]
pub struct Keep {
    /// The cluster's directory.
    #[arg(long)]
    dir: PathBuf,
}

/// What an owner sends before it leaves a cluster up on purpose.
pub(super) const STAY: &[u8] = b"stay\n";

/// Waits for the end of its standard input, which comes also when the owner is killed.
pub fn run_keep(args: &Keep) -> Result<()> {
    setsid().context("cannot start a session")?;
    unshare(CloneFlags::CLONE_NEWNET)
        .context("cannot make a network namespace: this needs root")?;
    println!("{READY}");
    let mut last_words = Vec::new();
    io::stdin().read_to_end(&mut last_words)?;
    if last_words == STAY {
        loop {
            std::thread::park();
        }
    }
    keeper::take_down(&args.dir)
}

/// The exit code that a shell would give.
pub fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| Some(128 + status.signal()?))
        .unwrap_or(1)
}
