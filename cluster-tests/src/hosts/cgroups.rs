//! Control groups of the hosts, in whatever the machine has: version 1 hierarchies, version 2, or both.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::wait::eventually;

/// A group can be removed only when the kernel has buried its last process, a moment after that one's exit.
const REMOVE_LIMIT: Duration = Duration::from_secs(10);

/// Controllers that containers are limited by; version 2 hands them down level by level.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// Where hierarchies are mounted (`/proc/mounts`, see cgroups(7)).
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    Ok(mounts
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 3 && matches!(fields[2], "cgroup" | "cgroup2"))
        .map(|fields| PathBuf::from(fields[1]))
        .collect())
}

/// Makes the group `path` (as in `/cluster/host/sys`) in each hierarchy, ready to take processes.
pub(super) fn create(path: &str) -> Result<()> {
    for root in hierarchies()? {
        let mut group = root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            hand_down_controllers(&group);
            let child = group.join(name);
            match fs::create_dir(&child) {
                Ok(()) => copy_cpuset(&group, &child)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make {}", child.display()));
                }
            }
            group = child;
        }
    }
    Ok(())
}

/// Version 2 only. One at a time, because a controller that the machine keeps for itself must not cost us the others.
fn hand_down_controllers(group: &Path) {
    let control = group.join("cgroup.subtree_control");
    if control.exists() {
        for controller in CONTROLLERS {
            // Refused for a controller that is not available here; the daemon then says which limits it cannot set.
            let _ = fs::write(&control, format!("+{controller}"));
        }
    }
}

/// Version 1 only: a new cpuset group is empty and takes no process until it has processors and memory nodes.
fn copy_cpuset(parent: &Path, child: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let (from, to) = (parent.join(file), child.join(file));
        if from.exists() && !child.join("cgroup.subtree_control").exists() {
            let value = fs::read(&from)?;
            fs::write(&to, value).with_context(|| format!("cannot fill {}", to.display()))?;
        }
    }
    Ok(())
}

/// Moves the calling process into the group `path` of each hierarchy.
pub(super) fn join(path: &str) -> Result<()> {
    for root in hierarchies()? {
        let file = root.join(path.trim_start_matches('/')).join("cgroup.procs");
        fs::write(&file, "0").with_context(|| format!("cannot move into {}", file.display()))?;
    }
    Ok(())
}

/// Removes the group `path` and all below it from each hierarchy; one that is not there is no error.
pub(super) fn remove(path: &str) -> Result<()> {
    for root in hierarchies()? {
        let group = root.join(path.trim_start_matches('/'));
        eventually(
            &format!("{} is removed", group.display()),
            REMOVE_LIMIT,
            || remove_tree(&group),
        )?;
    }
    Ok(())
}

fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
