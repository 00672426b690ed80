//! Devices of the host in the container: Docker's `--device`, and all of them when privileged.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;

use super::error::{Context, SetupError};
use super::root::{Kind, Root};
use crate::cgroup::DeviceRule;
use crate::spec::ContainerSpec;

/// Where the host's devices are.
const HOST_DEVICES: &str = "/dev";
/// Directories below `/dev` that hold no devices of the host, or the container has its own of, as
/// in Docker; as it has of `console` and `ptmx`.
const OWN: [&str; 7] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];
/// Directories inside each other that are looked through: udev makes three levels.
const MAX_DEPTH: u32 = 8;
/// Most devices of one container: hosts with many disks have some thousands.
const MAX_DEVICES: usize = 16 << 10;

/// A node to make in the container.
pub(super) struct Node {
    target: PathBuf,
    block: bool,
    number: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    pub(super) rule: DeviceRule,
}

/// In words, what is wrong with the spec's devices; the host's nodes are looked at later.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    for device in &spec.devices {
        let (host, target) = (device.host.display(), device.container.display());
        if !device.host.is_absolute() {
            return Err(format!("the device \"{host}\" is not an absolute path"));
        }
        let mut parts = device.container.components();
        let plain = parts.next() == Some(Component::RootDir)
            && parts.clone().next().is_some()
            && parts.all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(format!(
                "the device's target \"{target}\" is not an absolute path"
            ));
        }
        let permissions = &device.permissions;
        if permissions.is_empty() || permissions.chars().any(|c| !"rwm".contains(c)) {
            return Err(format!("invalid device mode: {permissions}"));
        }
    }
    Ok(())
}

/// Looks at the host's nodes, while this process still sees them.
pub(super) fn gather(spec: &ContainerSpec) -> Result<Vec<Node>, SetupError> {
    let mut nodes = Vec::new();
    if spec.privileged {
        let found = walk(
            Path::new(HOST_DEVICES),
            Path::new(HOST_DEVICES),
            "rwm",
            0,
            &mut nodes,
        );
        found.context(|| "cannot read the host's devices")?;
    }
    for device in &spec.devices {
        let (host, target) = (&device.host, &device.container);
        let found = add(host, target, &device.permissions, &mut nodes);
        found.context(|| {
            format!(
                "error gathering device information while adding custom device \"{}\"",
                host.display()
            )
        })?;
    }
    Ok(nodes)
}

/// Links are followed; of a directory, all nodes.
fn add(host: &Path, target: &Path, permissions: &str, nodes: &mut Vec<Node>) -> io::Result<()> {
    let found = std::fs::metadata(host)?;
    if found.is_dir() {
        return walk(host, target, permissions, 0, nodes);
    }
    match node(&found, target, permissions) {
        Some(node) => nodes.push(node),
        None => return Err(io::Error::other("not a device node")),
    }
    Ok(())
}

fn walk(
    host: &Path,
    target: &Path,
    permissions: &str,
    depth: u32,
    nodes: &mut Vec<Node>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(host)? {
        let entry = entry?;
        let name = entry.file_name();
        let (path, target) = (entry.path(), target.join(&name));
        // Not through links; what has gone meanwhile is no device of this host.
        let Ok(found) = std::fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() {
            let own = OWN.iter().any(|own| name.as_bytes() == own.as_bytes());
            if !own && depth < MAX_DEPTH {
                walk(&path, &target, permissions, depth + 1, nodes)?;
            }
        } else if name != "console"
            && name != "ptmx"
            && nodes.len() < MAX_DEVICES
            && let Some(node) = node(&found, &target, permissions)
        {
            nodes.push(node);
        }
    }
    Ok(())
}

/// `None` for what is not a device.
fn node(found: &std::fs::Metadata, target: &Path, permissions: &str) -> Option<Node> {
    let kind = found.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return None;
    }
    let number = found.rdev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    Some(Node {
        target: target.to_owned(),
        block: kind.is_block_device(),
        number,
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        rule: DeviceRule::device(kind.is_block_device(), major, minor, permissions),
    })
}

/// Makes the nodes, with the owner and the mode that they have on the host. One that is there
/// already, of the same device, stays as it is.
pub(super) fn make(root: &Root, nodes: &[Node]) -> Result<(), SetupError> {
    for node in nodes {
        let target = node.target.display();
        let (Some(parent), Some(name)) = (node.target.parent(), node.target.file_name()) else {
            return Err(SetupError::new(format!("{target} cannot be a device")));
        };
        let directory = root.target(parent, Kind::Directory)?;
        let make = || -> rustix::io::Result<()> {
            let kind = match node.block {
                true => FileType::BlockDevice,
                false => FileType::CharacterDevice,
            };
            let mode = Mode::from_raw_mode(node.mode);
            match rustix::fs::mknodat(&directory, name, kind, mode, node.number) {
                Err(Errno::EXIST) => {
                    let flags = AtFlags::SYMLINK_NOFOLLOW;
                    let found = rustix::fs::statat(&directory, name, flags)?;
                    let same = found.st_rdev == node.number
                        && FileType::from_raw_mode(found.st_mode) == kind;
                    if same { Ok(()) } else { Err(Errno::EXIST) }
                }
                Ok(()) => {
                    let (uid, gid) = (Uid::from_raw(node.uid), Gid::from_raw(node.gid));
                    rustix::fs::chownat(
                        &directory,
                        name,
                        Some(uid),
                        Some(gid),
                        AtFlags::SYMLINK_NOFOLLOW,
                    )
                }
                other => other,
            }
        };
        make().context(|| format!("cannot make the device {target} in the container"))?;
    }
    Ok(())
}
