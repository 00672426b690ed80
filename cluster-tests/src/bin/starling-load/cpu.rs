//! CPU time of the daemons under load.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where CPU time is read.
pub(crate) enum Meter {
    /// Nowhere.
    None,
    /// Of these processes.
    Processes(Vec<u32>),
    /// Of a whole cgroup.
    Group(PathBuf),
}

/// CPU time up to a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage(pub(crate) Duration);

/// A reading; nothing is read without a source.
#[derive(Clone, Copy)]
pub(crate) struct Reading(Option<Duration>);

impl Reading {
    pub(crate) fn since(self, before: Reading) -> Option<Usage> {
        Some(Usage(self.0?.saturating_sub(before.0?)))
    }
}

impl Meter {
    pub(crate) fn new(pids: &[u32], group: Option<&Path>) -> Result<Meter> {
        let meter = match (pids, group) {
            (_, Some(group)) => Meter::Group(group.to_owned()),
            ([], None) => Meter::None,
            (pids, None) => Meter::Processes(pids.to_vec()),
        };
        // Before anything is measured, so that a slip costs no time.
        meter.read()?;
        Ok(meter)
    }

    pub(crate) fn read(&self) -> Result<Reading> {
        let total = match self {
            Meter::None => return Ok(Reading(None)),
            Meter::Processes(pids) => {
                let times = pids.iter().map(|pid| of_process(*pid));
                times.sum::<Result<Duration>>()?
            }
            Meter::Group(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Duration::from_nanos(text.trim().parse().context("no number of nanoseconds")?)
            }
        };
        Ok(Reading(Some(total)))
    }
}

/// User and system time of a process with all its threads: fields 14 and 15 of proc_pid_stat(5).
fn of_process(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')').context("no name in it")?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut ticks = || -> Result<u64> { Ok(fields.next().context("too short")?.parse()?) };
    let total = ticks()? + ticks()?;
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?;
    let per_second = per_second.context("the kernel has no clock ticks")?;
    Ok(Duration::from_secs_f64(total as f64 / per_second as f64))
}
