//! Groups of the v1 hierarchies.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::group::create;
use super::values::Limits;
use super::{CgroupError, DeviceAccess, Group, V1Controller, devices, write, write_limit};

/// Makes the container's group in one hierarchy, sets its limits and enters it.
pub(super) fn enter(
    controller: V1Controller,
    root: &Path,
    group: &Group,
    limits: &Limits,
    devices: DeviceAccess<'_>,
) -> Result<(), CgroupError> {
    let path = group.path(root);
    let parent = path.parent().unwrap_or(root);
    if controller == V1Controller::Cpuset {
        // Who did not make a cpuset group of the parent's name does not restrict it.
        if parent == root || !parent.is_dir() {
            return Ok(());
        }
        inherit_cpuset(root, parent)?;
    } else {
        std::fs::create_dir_all(parent)
            .map_err(|source| CgroupError::file("create", parent, source))?;
    }
    make(&path)?;
    match controller {
        V1Controller::Cpuset => copy_cpuset(parent, &path)?,
        V1Controller::Devices => restrict_devices(&path, devices)?,
        _ => {}
    }
    for (_, file) in limits.v1.iter().filter(|(c, _)| *c == controller) {
        write_limit(&path, file)?;
    }
    // 0 stands for the writer. Into "tasks", not "cgroup.procs": a thread that moves itself alone
    // does not need the kernel's lock on all thread groups, which waits for a grace period (up to
    // 14 ms). We have one thread.
    write(&path.join("tasks"), "0")
}

/// Controllers may share a hierarchy: then the second finds the group that the first has just made,
/// with this process in it.
fn make(path: &Path) -> Result<(), CgroupError> {
    let own_pid = std::process::id().to_string();
    let made_already = std::fs::read_to_string(path.join("cgroup.procs"))
        .is_ok_and(|pids| pids.lines().any(|pid| pid == own_pid));
    if made_already {
        return Ok(());
    }
    create(path)
}

/// Gives each group from the root down to `path` its parent's CPUs and memory nodes, where it has
/// none.
fn inherit_cpuset(root: &Path, path: &Path) -> Result<(), CgroupError> {
    if path == root {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(root);
    inherit_cpuset(root, parent)?;
    copy_cpuset(parent, path)
}

/// A new cpuset group has none of both, and nothing can enter it then.
fn copy_cpuset(from: &Path, to: &Path) -> Result<(), CgroupError> {
    let read = |path: &Path| -> Result<String, CgroupError> {
        std::fs::read_to_string(path).map_err(|source| CgroupError::file("read", path, source))
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read(&to.join(file))?.trim().is_empty() {
            write(&to.join(file), read(&from.join(file))?.trim())?;
        }
    }
    Ok(())
}

/// A new group has what its parent has.
fn restrict_devices(path: &Path, access: DeviceAccess<'_>) -> Result<(), CgroupError> {
    let more = match access {
        DeviceAccess::Default => &[],
        DeviceAccess::More(more) => more,
        DeviceAccess::All => return Ok(()),
    };
    write(&path.join("devices.deny"), "a")?;
    let path = path.join("devices.allow");
    let error = |source| CgroupError::file("write", &path, source);
    let mut file = OpenOptions::new().write(true).open(&path).map_err(error)?;
    for rule in devices::ALLOWED {
        match file.write_all(rule.to_string().as_bytes()) {
            // The parent allows less than we do: that must stay so.
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {}
            other => other.map_err(error)?,
        }
    }
    for rule in more {
        let rule = rule.to_string();
        match file.write_all(rule.as_bytes()) {
            Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                return Err(CgroupError::DeviceNotOurs { rule });
            }
            other => other.map_err(error)?,
        }
    }
    Ok(())
}
