//! Groups of the v2 hierarchy.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::group::create;
use super::{CgroupError, Group, Layout, V1Controller, devices, write};

/// Makes the container's v2 group, ready for `CLONE_INTO_CGROUP`; `None` when no v2 hierarchy is mounted.
/// `device_program` restricts devices where v1 does not.
pub(crate) fn prepare(
    layout: &Layout,
    group: &Group,
    device_program: Option<&OwnedFd>,
) -> Result<Option<OwnedFd>, CgroupError> {
    let (Some(root), Some(path)) = (layout.v2_root(), group.v2_path(layout)) else {
        return match layout.v1_root(V1Controller::Devices) {
            Some(_) => Ok(None),
            None => Err(CgroupError::NoDevices),
        };
    };
    let parent = path.parent().unwrap_or(root);
    enable_controllers(layout, root, parent)?;
    create(&path)?;
    let directory = File::open(&path).map_err(|e| CgroupError::file("open", &path, e))?;
    let directory = OwnedFd::from(directory);
    if let Some(program) = device_program {
        devices::attach(program, &directory).map_err(CgroupError::DeviceProgram)?;
    }
    Ok(Some(directory))
}

/// Makes the groups from the root down to `parent` and hands the controllers down through them.
/// Cheap when it was done before; it must be done each time because another program may remove an
/// empty parent.
fn enable_controllers(layout: &Layout, root: &Path, parent: &Path) -> Result<(), CgroupError> {
    let wanted: Vec<&str> = layout.v2_wanted().collect();
    let below = parent.strip_prefix(root).unwrap_or(Path::new(""));
    let mut path = root.to_owned();
    enable(&path, &wanted)?;
    for part in below {
        path.push(part);
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(CgroupError::file("create", &path, error));
            }
            _ => enable(&path, &wanted)?,
        }
    }
    Ok(())
}

/// Fails where processes live directly in a group that should hand controllers down (v2's rule of
/// no inner processes): put the daemon into a group beside the parent.
fn enable(path: &Path, wanted: &[&str]) -> Result<(), CgroupError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let file = path.join("cgroup.subtree_control");
    let enabled =
        std::fs::read_to_string(&file).map_err(|e| CgroupError::file("read", &file, e))?;
    for controller in wanted {
        if !enabled.split_whitespace().any(|c| c == *controller) {
            write(&file, format!("+{controller}"))?;
        }
    }
    Ok(())
}
