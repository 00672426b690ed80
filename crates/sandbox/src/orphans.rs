//! Containers whose supervisor died: killed by cgroup and reported as ended.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use thiserror::Error;

use crate::cgroup::{Group, Layout};
use crate::record::Records;
use crate::state::{ContainerState, Exit, Status};
use crate::sys;

/// How long all killed containers together may take to end. They take milliseconds; a process in an
/// uninterruptible sleep (a dead disk) may never end.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// A supervisor that was killed holds its lock until the kernel has taken it down, some
/// milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How often it is looked.
const POLL: Duration = Duration::from_millis(2);
/// The supervisor holds a lock on this file in exec_root while it lives.
const LOCK_NAME: &str = "supervisor.lock";
/// Exit code of a container that was killed: 128 + SIGKILL.
const KILLED: i32 = 137;

/// Why the containers of a dead supervisor could not be killed.
#[derive(Debug, Error)]
pub enum OrphanError {
    /// A supervisor runs: ask that one.
    #[error("a supervisor runs on {0}: its containers are no orphans")]
    SupervisorRuns(PathBuf),
    /// The records or cgroups cannot be read.
    #[error("cannot look after the containers of an earlier supervisor on {path}")]
    Io {
        /// exec_root.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

/// Kills by cgroup what a dead supervisor left in `exec_root`, and says how each of its containers
/// ended, those included that had ended before. Idempotent: they are kept until acknowledged. A new
/// supervisor does the same when it starts; this is for a daemon that cannot start one. Blocks up
/// to 10 s.
pub fn kill_orphans(exec_root: &Path) -> Result<Vec<ContainerState>, OrphanError> {
    let error = |source| OrphanError::Io {
        path: exec_root.to_owned(),
        source,
    };
    if !exec_root.exists() {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + LOCK_TIMEOUT;
    let _lock = loop {
        match lock(exec_root).map_err(error)? {
            Some(lock) => break lock,
            None if Instant::now() >= deadline => {
                return Err(OrphanError::SupervisorRuns(exec_root.to_owned()));
            }
            None => std::thread::sleep(POLL),
        }
    };
    let records = Records::open(exec_root).map_err(error)?;
    let layout = Layout::detect().map_err(error)?;
    settle(&records, &layout).map_err(error)
}

/// The lock of the one supervisor of this exec_root; `None` when another process holds it.
pub(crate) fn lock(exec_root: &Path) -> io::Result<Option<File>> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(exec_root.join(LOCK_NAME))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Ends every container in the records that had not ended, and returns all. The caller holds the
/// lock.
pub(crate) fn settle(records: &Records, layout: &Layout) -> io::Result<Vec<ContainerState>> {
    let mut states = records.read_all()?;
    let unfinished = |state: &ContainerState| !matches!(state.status, Status::Exited(_));
    for (state, this_boot) in &states {
        if *this_boot && unfinished(state) {
            kill(state, layout);
        }
    }
    let deadline = Instant::now() + END_TIMEOUT;
    for (state, this_boot) in &mut states {
        if !unfinished(state) {
            continue;
        }
        let mut oom_killed = false;
        if *this_boot {
            let group = Group::from_name(&state.cgroup);
            oom_killed = group.oom_killed(layout);
            wait_and_remove(&group, layout, deadline);
        }
        state.status = Status::Exited(Exit {
            exit_code: KILLED,
            oom_killed,
            finished_at: sys::now(),
            error: "the supervisor of its host ended unexpectedly".into(),
        });
        records.write(state)?;
    }
    Ok(states.into_iter().map(|(state, _)| state).collect())
}

/// By its cgroup; and its init by pid, if the process of that pid is still the same one.
fn kill(state: &ContainerState, layout: &Layout) {
    if let Err(error) = Group::from_name(&state.cgroup).kill(layout) {
        eprintln!("cannot kill container {} by its cgroup: {error}", state.id);
    }
    if state.pid > 0 && sys::start_time(state.pid) == Some(state.start_time) {
        // SAFETY: takes no pointers; pid and start time name the container's init.
        unsafe { libc::kill(state.pid, libc::SIGKILL) };
    }
}

fn wait_and_remove(group: &Group, layout: &Layout, deadline: Instant) {
    while group.populated(layout) && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    loop {
        match group.remove(layout) {
            Ok(()) => return,
            Err(error) if Instant::now() >= deadline => {
                eprintln!("the cgroup of a killed container stays: {error}");
                return;
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}
