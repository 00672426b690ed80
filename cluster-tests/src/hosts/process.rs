//! Processes named by pid and start time, so that a reused pid is never mistaken for the one that was meant.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::eventually;

/// The kernel takes down a PID namespace of some hundred processes well within this time, also on a loaded machine.
const DEATH_LIMIT: Duration = Duration::from_secs(20);

/// One process, for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    /// Pid in the PID namespace of the caller.
    pub pid: i32,
    /// Clock ticks after boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Result<ProcessId> {
        let (_, start_time) = stat(pid).with_context(|| format!("no process with pid {pid}"))?;
        Ok(ProcessId { pid, start_time })
    }

    /// The calling process.
    pub fn me() -> Result<ProcessId> {
        ProcessId::of(std::process::id().cast_signed())
    }

    /// Whether it still runs; a zombie does not.
    pub fn alive(self) -> bool {
        stat(self.pid)
            .is_some_and(|(state, start)| start == self.start_time && !"ZX".contains(state))
    }

    /// Sends a signal; a process that is gone is no error.
    pub fn signal(self, signal: Signal) -> Result<()> {
        if !self.alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(anyhow!("cannot send {signal} to pid {}: {error}", self.pid)),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        eventually(&format!("pid {} is gone", self.pid), DEATH_LIMIT, || {
            anyhow::ensure!(!self.alive(), "it is still there");
            Ok(())
        })
    }

    /// Writes `PID START_TIME` to a file, for a later sweep.
    pub fn record(self, file: &Path) -> Result<()> {
        fs::write(file, format!("{} {}\n", self.pid, self.start_time))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Reads what [`ProcessId::record`] wrote; `None` when there is no such file or it was cut short.
    pub fn recorded(file: &Path) -> Option<ProcessId> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, start_time) = text.trim().split_once(' ')?;
        Some(ProcessId {
            pid: pid.parse().ok()?,
            start_time: start_time.parse().ok()?,
        })
    }
}

/// State letter and start time. The command in field 2 may hold spaces and brackets: fields count from its last bracket.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Name of the group of a host's own processes.
pub(super) const OWN_GROUP: &str = "sys";

/// A process of a host, as seen from outside of the host.
#[derive(Clone, Debug)]
pub struct Process {
    /// Which process.
    pub id: ProcessId,
    /// Its short name (`/proc/PID/comm`).
    pub comm: String,
    /// Its arguments, joined by spaces.
    pub args: String,
    /// Last part of its control group's path: `sys` for the host's own processes, a container's id for a container's.
    pub group: String,
}

impl Process {
    /// All living processes whose control group lies under `parent`, which starts with a slash.
    pub fn under(parent: &str) -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Process::in_group(pid, parent))
            .collect()
    }

    fn in_group(pid: i32, parent: &str) -> Option<Process> {
        let inside = format!("{parent}/");
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let inside: Vec<&str> = paths
            .filter_map(|path| path.strip_prefix(&inside))
            .collect();
        // An engine need not use every hierarchy: where it does not, a container's process is still in its parent's group.
        let group = inside
            .iter()
            .find(|group| **group != OWN_GROUP)
            .or(inside.first())?;
        let id = ProcessId::of(pid).ok().filter(|id| id.alive())?;
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let args = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Process {
            id,
            comm: comm.trim_end().to_owned(),
            args: String::from_utf8_lossy(&args)
                .replace('\0', " ")
                .trim_end()
                .to_owned(),
            group: group.rsplit('/').next().unwrap_or(group).to_owned(),
        })
    }
}
