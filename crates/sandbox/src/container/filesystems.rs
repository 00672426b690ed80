//! The kernel's file systems that every container gets, and what of them it must not see or change:
//! Docker's defaults.

use std::cell::OnceCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::error::{Context, SetupError};
use super::root::{Root, attach, clone_mount, new_mount, stat};
use crate::cgroup::Layout;
use crate::spec::ContainerSpec;
use crate::sys::{self, MountAttributes};

/// Size of `/dev` itself, which holds only nodes.
const DEV_SIZE: &str = "65536k";
/// The group `tty` of every distribution, as Docker assumes.
const TTY_GROUP: &str = "5";

const NOSUID: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID;
const NODEV: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV;
const NOEXEC: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOEXEC;
const RDONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// Device nodes with their numbers.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];

/// What tells of, or reaches, the whole host.
const MASKED: [&str; 12] = [
    "proc/acpi",
    "proc/asound",
    "proc/interrupts",
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/timer_list",
    "proc/timer_stats",
    "sys/devices/virtual/powercap",
    "sys/firmware",
];

const READONLY: [&str; 5] = [
    "proc/bus",
    "proc/fs",
    "proc/irq",
    "proc/sys",
    "proc/sysrq-trigger",
];

/// What [`mount_all`] leaves for later steps.
pub(super) struct Mounted {
    /// Root of the container's own `/proc`.
    pub(super) proc: OwnedFd,
    /// Root of the container's own `/dev`.
    pub(super) dev: OwnedFd,
    /// The node `/dev/null` that we made, to put over masked files.
    null: OwnedFd,
    /// An empty file system that masks directories; made when the first one comes.
    empty: OnceCell<OwnedFd>,
}

/// Mounts `/proc`, `/dev` with what is in it, `/sys` and the cgroups.
pub(super) fn mount_all(
    root: &Root,
    spec: &ContainerSpec,
    layout: &Layout,
) -> Result<Mounted, SetupError> {
    let kernel_own = match spec.privileged {
        true => NOSUID | NODEV | NOEXEC,
        false => NOSUID | NODEV | NOEXEC | RDONLY,
    };
    let proc = mount(root, "/proc", "proc", &[], NOSUID | NODEV | NOEXEC)?;
    let dev = mount(
        root,
        "/dev",
        "tmpfs",
        &[("mode", "755"), ("size", DEV_SIZE)],
        NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME,
    )?;
    let null = fill_dev(&dev).context(|| "cannot make the devices in /dev")?;
    let pts = [
        ("newinstance", ""),
        ("ptmxmode", "0666"),
        ("mode", "0620"),
        ("gid", TTY_GROUP),
    ];
    mount(root, "/dev/pts", "devpts", &pts, NOSUID | NOEXEC)?;
    let size = spec.shm_size.to_string();
    let shm = [("mode", "1777"), ("size", size.as_str())];
    mount(root, "/dev/shm", "tmpfs", &shm, NOSUID | NODEV | NOEXEC)?;
    mount(root, "/dev/mqueue", "mqueue", &[], NOSUID | NODEV | NOEXEC)?;
    mount(root, "/sys", "sysfs", &[], kernel_own)?;
    mount_cgroups(root, layout, kernel_own)?;
    Ok(Mounted {
        proc,
        dev,
        null,
        empty: OnceCell::new(),
    })
}

fn mount(
    root: &Root,
    path: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, SetupError> {
    let target = root.plain_directory(path)?;
    let steps = || -> rustix::io::Result<OwnedFd> {
        let mount = new_mount(kind, options, attributes)?;
        attach(mount.as_fd(), target.as_fd())?;
        Ok(mount)
    };
    steps().context(|| format!("cannot mount {kind} on {path} in the container"))
}

/// Returns the node `null`.
fn fill_dev(dev: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    for (name, major, minor) in NODES {
        let device = rustix::fs::makedev(major, minor);
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(dev, name, FileType::CharacterDevice, mode, device)?;
    }
    for (name, to) in LINKS {
        rustix::fs::symlinkat(to, dev, name)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        rustix::fs::mkdirat(dev, name, Mode::from_raw_mode(0o755))?;
    }
    rustix::fs::openat(dev, "null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// The container's cgroup namespace makes its own group their root.
fn mount_cgroups(
    root: &Root,
    layout: &Layout,
    attributes: MountAttrFlags,
) -> Result<(), SetupError> {
    let mut names = Vec::new();
    for (controller, hierarchy) in layout.v1() {
        let name = hierarchy.file_name().and_then(|name| name.to_str());
        names.push((controller.name(), name.unwrap_or(controller.name())));
    }
    if names.is_empty() {
        mount(root, "/sys/fs/cgroup", "cgroup2", &[], attributes)?;
        return Ok(());
    }
    let options = [("mode", "755")];
    let top = mount(
        root,
        "/sys/fs/cgroup",
        "tmpfs",
        &options,
        NOSUID | NODEV | NOEXEC,
    )?;
    for (controller, name) in &names {
        match rustix::fs::mkdirat(&top, *name, Mode::from_raw_mode(0o755)) {
            // Two controllers in one hierarchy.
            Err(Errno::EXIST) => continue,
            other => other.context(|| format!("cannot create /sys/fs/cgroup/{name}"))?,
        }
        // A hierarchy is asked for by all its controllers, which are its name (`cpu,cpuacct`).
        let controllers = if name.contains(',') { name } else { controller };
        let options: Vec<(&str, &str)> = controllers.split(',').map(|c| (c, "")).collect();
        mount(
            root,
            &format!("/sys/fs/cgroup/{name}"),
            "cgroup",
            &options,
            attributes,
        )?;
        if name != controller {
            rustix::fs::symlinkat(*name, &top, *controller)
                .context(|| format!("cannot create /sys/fs/cgroup/{controller}"))?;
        }
    }
    let change = MountAttributes {
        readonly: true,
        ..MountAttributes::default()
    };
    sys::mount_setattr(top.as_fd(), change).context(|| "cannot make /sys/fs/cgroup read-only")
}

/// Hides and protects parts of `/proc` and `/sys`; what this kernel does not have is no error.
pub(super) fn protect(root: &Root, mounted: &Mounted) -> Result<(), SetupError> {
    for path in READONLY {
        make_readonly(root, path).context(|| format!("cannot make /{path} read-only"))?;
    }
    for path in MASKED {
        mask(root, path, mounted).context(|| format!("cannot mask /{path}"))?;
    }
    for cpu in 0.. {
        // The throttling counters of each CPU tell what other containers do.
        let directory = format!("sys/devices/system/cpu/cpu{cpu}");
        if root.open(Path::new(&directory), OFlags::PATH).is_err() {
            break;
        }
        let path = format!("{directory}/thermal_throttle");
        mask(root, &path, mounted).context(|| format!("cannot mask /{path}"))?;
    }
    Ok(())
}

fn make_readonly(root: &Root, path: &str) -> std::io::Result<()> {
    let target = match root.open(Path::new(path), OFlags::PATH) {
        Err(Errno::NOENT) => return Ok(()),
        found => found?,
    };
    let mount = clone_mount(target.as_fd(), true)?;
    let change = MountAttributes {
        readonly: true,
        recursive: true,
        ..MountAttributes::default()
    };
    sys::mount_setattr(mount.as_fd(), change)?;
    Ok(attach(mount.as_fd(), target.as_fd())?)
}

fn mask(root: &Root, path: &str, mounted: &Mounted) -> rustix::io::Result<()> {
    let target = match root.open(Path::new(path), OFlags::PATH) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        found => found?,
    };
    let kind = FileType::from_raw_mode(stat(target.as_fd())?.st_mode);
    if kind != FileType::Directory {
        let null = clone_mount(mounted.null.as_fd(), false)?;
        return attach(null.as_fd(), target.as_fd());
    }
    if let Some(empty) = mounted.empty.get() {
        let again = clone_mount(empty.as_fd(), false)?;
        return attach(again.as_fd(), target.as_fd());
    }
    let attributes = NOSUID | NODEV | NOEXEC | RDONLY;
    let empty = new_mount("tmpfs", &[("nr_inodes", "1")], attributes)?;
    attach(empty.as_fd(), target.as_fd())?;
    // Nothing else fills it.
    let _ = mounted.empty.set(empty);
    Ok(())
}
