//! Cgroups of both versions. Each container has one group of the same name in every hierarchy that
//! is used: limits and devices in v1 where v1 controllers are mounted, in v2 otherwise; and
//! wherever a v2 hierarchy is mounted, even a bare one beside v1, a group there for `cgroup.kill`.

pub(crate) mod devices;
mod group;
mod layout;
mod v1;
mod v2;
mod values;

pub(crate) use devices::{DeviceAccess, Rule as DeviceRule};
pub(crate) use group::Group;
pub(crate) use layout::{Layout, V1Controller};
pub(crate) use v2::prepare;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::spec::Resources;

/// Why a container's cgroup cannot be made.
#[derive(Debug, Error)]
pub(crate) enum CgroupError {
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "a limit of {what} was asked for, but this host has no cgroup controller \"{controller}\""
    )]
    NoController {
        what: &'static str,
        controller: &'static str,
    },
    #[error(
        "no cgroup hierarchy can restrict devices: mount cgroup2 or the v1 controller \"devices\""
    )]
    NoDevices,
    #[error("cannot load the program that restricts devices: {0}")]
    DeviceProgram(#[source] std::io::Error),
    #[error(
        "the device \"{rule}\" cannot be allowed: the cgroup of this host's daemon does not allow it"
    )]
    DeviceNotOurs { rule: String },
}

impl CgroupError {
    fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        CgroupError::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes one value to a control file.
fn write(path: &Path, value: impl AsRef<[u8]>) -> Result<(), CgroupError> {
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, value.as_ref()))
        .map_err(|source| CgroupError::file("write", path, source))
}

fn write_limit(group: &Path, file: &values::ControlFile) -> Result<(), CgroupError> {
    let path = group.join(file.name);
    if file.optional && !path.exists() {
        return Ok(());
    }
    write(&path, &file.value)
}

/// Called by the container's first process: makes the v1 groups, sets all limits and enters.
/// The v2 group was made, and entered, by the supervisor, which has restricted it to the default
/// devices where v1 does not and no others were asked for.
pub(crate) fn enter(
    layout: &Layout,
    group: &Group,
    resources: &Resources,
    devices: DeviceAccess<'_>,
) -> Result<(), CgroupError> {
    let limits = values::limits(layout, resources)?;
    for (controller, root) in layout.v1() {
        v1::enter(controller, root, group, &limits, devices)?;
    }
    if let Some(path) = group.v2_path(layout) {
        for file in &limits.v2 {
            write_limit(&path, file)?;
        }
        if let DeviceAccess::More(more) = devices
            && layout.v1_root(V1Controller::Devices).is_none()
        {
            let directory = std::fs::File::open(&path);
            let directory = directory.map_err(|e| CgroupError::file("open", &path, e))?;
            devices::restrict(&directory.into(), more).map_err(CgroupError::DeviceProgram)?;
        }
    }
    Ok(())
}

/// Called by a process that joins a container which runs: enters its v1 groups. The v2 group was
/// entered by the clone.
pub(crate) fn join(layout: &Layout, group: &Group) -> Result<(), CgroupError> {
    for (_, root) in layout.v1() {
        let path = group.path(root).join("tasks");
        match write(&path, "0") {
            // A hierarchy in which the container has no group of its own.
            Err(CgroupError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}
