//! The state of clusters on disk, the process that keeps each, and taking down what nobody owns any more.
//!
//! ```text
//! BASE/CLUSTER/owner         pid and start time of the process that made it
//! BASE/CLUSTER/kept          present when it was left up on purpose
//! BASE/CLUSTER/keeper        pid and start time of the keeper; keeper.log, what it had to complain about
//! BASE/CLUSTER/HOST/init     of the host's first process, HOST/daemon of its daemon
//! BASE/CLUSTER/HOST/data     the daemon's data root; beside it starling.sock, daemon.log, boot.log
//! ```

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;

use super::cgroups;
use super::helper::{READY, STAY};
use super::process::{Process, ProcessId};
use super::wait::eventually;

/// Variable that moves the clusters' directories elsewhere: a local disk whose file system can carry overlays.
const BASE_VARIABLE: &str = "STARLING_HOSTS_DIR";
/// On disk on most machines, unlike /tmp, and short: a socket's path has at most 107 bytes.
const DEFAULT_BASE: &str = "/var/tmp/starling-hosts";
/// Taking down kills processes and removes control groups and files of some hundred MB.
const TAKE_DOWN_LIMIT: Duration = Duration::from_secs(60);

/// Where the clusters of this machine have their directories.
pub fn base_dir() -> PathBuf {
    env::var_os(BASE_VARIABLE).map_or_else(|| DEFAULT_BASE.into(), PathBuf::from)
}

/// Control group of a cluster, as a path in each hierarchy.
pub(super) fn cgroup_of(dir: &Path) -> String {
    format!(
        "/starling-test-{}",
        dir.file_name().unwrap_or_default().to_string_lossy()
    )
}

/// Makes a cluster's directory, with this process as its owner; it never exists without one.
pub(super) fn claim_dir() -> Result<PathBuf> {
    let base = base_dir();
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let owner = ProcessId::me()?;
    let draft = base.join(format!(
        ".new-{}-{:?}",
        owner.pid,
        std::thread::current().id()
    ));
    fs::create_dir_all(&draft)?;
    owner.record(&draft.join("owner"))?;
    for number in 0.. {
        let dir = base.join(format!("{}-{number}", owner.pid));
        match fs::rename(&draft, &dir) {
            Ok(()) => return Ok(dir),
            Err(_) if dir.exists() => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot make {}", dir.display()));
            }
        }
    }
    unreachable!("the numbers do not end")
}

/// Removes every cluster whose owner is gone, except those kept on purpose. Returns their directories.
pub fn sweep() -> Result<Vec<PathBuf>> {
    let mut swept = Vec::new();
    for dir in clusters()? {
        let owned = ProcessId::recorded(&dir.join("owner")).is_some_and(ProcessId::alive);
        if owned || dir.join("kept").exists() {
            continue;
        }
        // A keeper that lives is already at it.
        match ProcessId::recorded(&dir.join("keeper")) {
            Some(keeper) if keeper.alive() => wait_until_down(&dir)?,
            _ => take_down(&dir)?,
        }
        swept.push(dir);
    }
    Ok(swept)
}

/// Directories of the clusters that were left up on purpose.
pub fn kept() -> Result<Vec<PathBuf>> {
    Ok(clusters()?
        .into_iter()
        .filter(|dir| dir.join("kept").exists())
        .collect())
}

fn clusters() -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(base_dir()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let dirs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(dirs.filter(|dir| dir.join("owner").exists()).collect())
}

/// Kills all processes in a cluster's control group, removes that group and the cluster's directory.
pub(super) fn take_down(dir: &Path) -> Result<()> {
    // Until none is left: one that is killed may have started another just before.
    let cgroup = cgroup_of(dir);
    eventually(
        &format!("no process is left in {cgroup}"),
        TAKE_DOWN_LIMIT,
        || {
            let left = Process::under(&cgroup);
            left.iter()
                .try_for_each(|process| process.id.signal(Signal::SIGKILL))?;
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        },
    )?;
    if let Some(keeper) = ProcessId::recorded(&dir.join("keeper"))
        .filter(|keeper| ProcessId::me().ok() != Some(*keeper))
    {
        keeper.kill()?;
    }
    cgroups::remove(&cgroup)?;
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn wait_until_down(dir: &Path) -> Result<()> {
    eventually(
        &format!("{} is taken down", dir.display()),
        TAKE_DOWN_LIMIT,
        || {
            ensure!(!dir.exists(), "it is still there");
            Ok(())
        },
    )
}

/// Takes down a cluster that was left up on purpose.
pub(super) fn take_down_kept(dir: &Path) -> Result<()> {
    ensure!(
        dir.join("kept").exists(),
        "{} is not a cluster that was left up",
        dir.display()
    );
    take_down(dir)
}

/// The owner's end of a keeper: as long as it is held, the cluster stays up.
pub(super) struct Keeper {
    dir: PathBuf,
    pid: i32,
    process: Mutex<Option<(Child, ChildStdin)>>,
}

/// Those of this process, for an interrupt by the user.
static KEEPERS: Mutex<Vec<Arc<Keeper>>> = Mutex::new(Vec::new());

impl Keeper {
    /// Starts the keeper of a cluster's directory.
    pub(super) fn start(helper: &Path, dir: &Path) -> Result<Arc<Keeper>> {
        take_down_on_interrupt();
        let mut process = Command::new(helper)
            .args(["keep", "--dir"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(dir.join("keeper.log"))?)
            .spawn()
            .with_context(|| format!("cannot start {}", helper.display()))?;
        let lifeline = process
            .stdin
            .take()
            .context("the keeper has no standard input")?;
        let mut greeting = String::new();
        BufReader::new(
            process
                .stdout
                .take()
                .context("the keeper has no standard output")?,
        )
        .read_line(&mut greeting)?;
        ensure!(
            greeting.trim() == READY,
            "the keeper did not start: {}",
            log_of(dir)
        );
        let id = ProcessId::of(process.id().cast_signed())?;
        id.record(&dir.join("keeper"))?;
        let keeper = Arc::new(Keeper {
            dir: dir.to_owned(),
            pid: id.pid,
            process: Mutex::new(Some((process, lifeline))),
        });
        lock(&KEEPERS).push(keeper.clone());
        Ok(keeper)
    }

    /// The process whose network namespace is the switch.
    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Leaves the cluster up when the owner ends.
    pub(super) fn stay(&self) -> Result<()> {
        let Some((process, mut lifeline)) = lock(&self.process).take() else {
            return Ok(());
        };
        fs::write(self.dir.join("kept"), "")?;
        lifeline.write_all(STAY)?;
        drop(process);
        Ok(())
    }

    /// Whether the cluster was left up.
    pub(super) fn stayed(&self) -> bool {
        self.dir.join("kept").exists()
    }

    /// Takes the cluster down and waits until that is done. The second call does nothing.
    pub(super) fn end(&self) -> Result<()> {
        let Some((mut process, lifeline)) = lock(&self.process).take() else {
            return Ok(());
        };
        drop(lifeline);
        let ended = eventually(
            &format!("{} is taken down", self.dir.display()),
            TAKE_DOWN_LIMIT,
            || {
                process
                    .try_wait()?
                    .ok_or_else(|| anyhow!("its keeper still works"))
            },
        )?;
        ensure!(
            ended.success(),
            "the keeper of {} failed: {}",
            self.dir.display(),
            log_of(&self.dir)
        );
        Ok(())
    }
}

fn log_of(dir: &Path) -> String {
    fs::read_to_string(dir.join("keeper.log")).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Exit code of a shell's program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Once per process: Ctrl-C, a hang-up or a request to end takes the clusters down before the process ends.
fn take_down_on_interrupt() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let watch = std::thread::Builder::new()
            .name("interrupt".to_owned())
            .spawn(|| {
                if wait_for_interrupt().is_ok() {
                    eprintln!("interrupted: taking the hosts down");
                    let keepers: Vec<_> = lock(&KEEPERS).iter().cloned().collect();
                    for keeper in keepers {
                        if let Err(error) = keeper.end() {
                            eprintln!("{error:#}");
                        }
                    }
                    std::process::exit(INTERRUPTED);
                }
            });
        watch.expect("a thread can be started");
    });
}

fn wait_for_interrupt() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    })
}
