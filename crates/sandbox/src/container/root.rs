//! The container's root file system: mounting it, resolving paths inside it, and making it `/`.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use super::error::{Context, SetupError};
use crate::spec::Rootfs;
use crate::sys::{self, MountAttributes};

/// fsconfig(2) takes values up to 255 bytes.
const MAX_FSCONFIG_VALUE: usize = 255;
/// Links that lead to something that is not there yet and is created: deeper is a loop.
const MAX_DANGLING_LINKS: u32 = 8;
/// openat2 answers EAGAIN when something is renamed meanwhile; elsewhere nobody renames that long.
const OPEN_TRIES: u32 = 128;

/// What a missing mount target becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// The mounted root file system, as a descriptor: no path of the host is used on it.
pub(super) struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Mounts it on `merged`, in this (private) mount namespace only.
    pub(super) fn mount(rootfs: &Rootfs) -> Result<Root, SetupError> {
        let Rootfs::Overlay {
            lower,
            upper,
            work,
            merged,
        } = rootfs;
        let mount = if lower.is_empty() {
            rustix::mount::open_tree(CWD, upper.as_path(), clone_flags())
                .context(|| format!("cannot use {} as root", upper.display()))?
        } else {
            overlay(lower, upper, work)?
        };
        let target = rustix::fs::open(merged.as_path(), path_flags(), Mode::empty())
            .context(|| format!("cannot open the root's mount point {}", merged.display()))?;
        attach(mount.as_fd(), target.as_fd())
            .context(|| format!("cannot mount the root on {}", merged.display()))?;
        Ok(Root { fd: mount })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens a path inside the root; no link leads out of it.
    pub(super) fn open(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        open_in(self.fd(), path, flags, resolve)
    }

    /// Opens a mount point, which is created when it is absent, with its parents.
    pub(super) fn target(&self, path: &Path, kind: Kind) -> Result<OwnedFd, SetupError> {
        self.ensure(path, kind, MAX_DANGLING_LINKS)
            .context(|| format!("cannot create {} in the container", path.display()))
    }

    fn ensure(&self, path: &Path, kind: Kind, links: u32) -> rustix::io::Result<OwnedFd> {
        match self.open(path, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            found => return found,
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::NOENT);
        };
        let directory = self.ensure(parent, Kind::Directory, links)?;
        match create(directory.as_fd(), name, kind) {
            // There is a link of that name, and what it leads to is absent.
            Err(Errno::EXIST) if links > 0 => {
                if let Ok(link) = rustix::fs::readlinkat(&directory, name, Vec::new()) {
                    let link = Path::new(OsStr::from_bytes(link.as_bytes()));
                    return self.ensure(&parent.join(link), kind, links - 1);
                }
            }
            Err(Errno::EXIST) => return Err(Errno::LOOP),
            other => other?,
        }
        self.open(path, OFlags::PATH)
    }

    /// Opens a directory of the root itself for a file system of the kernel. A link there would
    /// move the mount, and what is masked below it, to another place: refused.
    pub(super) fn plain_directory(&self, path: &str) -> Result<OwnedFd, SetupError> {
        let relative = Path::new(path.trim_start_matches('/'));
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let fd = match open_in(self.fd(), relative, flags, resolve) {
            Err(Errno::NOENT) => self.target(relative, Kind::Directory)?,
            found => found.context(|| format!("{path} of the image is not a plain directory"))?,
        };
        Ok(fd)
    }

    /// Makes everything but the mounts on it read-only.
    pub(super) fn make_readonly(&self) -> Result<(), SetupError> {
        let change = MountAttributes {
            readonly: true,
            ..MountAttributes::default()
        };
        sys::mount_setattr(self.fd(), change).context(|| "cannot make the root read-only")
    }

    /// Makes it `/` and lets go of the host's.
    pub(super) fn enter(self) -> Result<(), SetupError> {
        let steps = || -> rustix::io::Result<()> {
            rustix::process::fchdir(&self.fd)?;
            // The old root lands on top of the new one, from where it is detached.
            rustix::process::pivot_root(".", ".")?;
            rustix::mount::unmount(".", UnmountFlags::DETACH)?;
            rustix::process::chdir("/")
        };
        steps().context(|| "cannot change to the container's root (pivot_root)")
    }
}

/// Later mounts of the host do not come here, and ours do not go there.
pub(super) fn separate_from_host() -> Result<(), SetupError> {
    let flags =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).context(|| "cannot make the mounts private")
}

fn path_flags() -> OFlags {
    OFlags::PATH | OFlags::CLOEXEC
}

fn clone_flags() -> OpenTreeFlags {
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC
}

fn open_in(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = flags | OFlags::CLOEXEC;
    let mut result = Err(Errno::AGAIN);
    for _ in 0..OPEN_TRIES {
        result = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
        if !matches!(result, Err(Errno::AGAIN)) {
            break;
        }
    }
    result
}

fn create(directory: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
    match kind {
        Kind::Directory => rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let mode = Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(directory, name, FileType::RegularFile, mode, 0)
        }
    }
}

/// Puts a detached mount onto an open target.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// A detached copy of the mount at an open file or directory, from there downwards.
pub(super) fn clone_mount(at: BorrowedFd<'_>, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = clone_flags() | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(at, "", flags)
}

/// A detached mount of a new file system. An option without a value is a flag.
pub(super) fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // Only a name, which lists of mounts show.
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", kind)?;
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(context.as_fd(), *key)?;
        } else {
            rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A path that is short enough for the kernel's interface, and the descriptor that keeps it valid.
fn short_name(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().len() <= MAX_FSCONFIG_VALUE {
        return Ok((path.to_owned(), None));
    }
    let fd = rustix::fs::open(path, path_flags(), Mode::empty())?;
    Ok((format!("/proc/self/fd/{}", fd.as_raw_fd()).into(), Some(fd)))
}

fn overlay(lower: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd, SetupError> {
    for path in lower.iter().map(PathBuf::as_path).chain([upper, work]) {
        if !path.is_dir() {
            let path = path.display();
            return Err(SetupError::new(format!(
                "the layer directory {path} does not exist"
            )));
        }
    }
    let detached = match overlay_by_context(lower, upper, work) {
        // Kernels before 6.5 do not know lowerdir+.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            overlay_by_mount(lower, upper, work)
        }
        other => other,
    };
    detached.context(|| format!("cannot mount the overlay of {} layers", lower.len()))
}

/// The new mount API: one parameter for each layer, so there may be as many as the kernel stacks
/// (500).
fn overlay_by_context(lower: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(context.as_fd(), "source", "overlay")?;
    let mut kept = Vec::new();
    let layers = lower.iter().map(|path| ("lowerdir+", path.as_path()));
    for (key, path) in layers.chain([("upperdir", upper), ("workdir", work)]) {
        let (name, fd) = short_name(path)?;
        rustix::mount::fsconfig_set_string(context.as_fd(), key, name.as_path())?;
        kept.extend(fd);
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(rustix::mount::fsmount(
        context.as_fd(),
        flags,
        MountAttrFlags::empty(),
    )?)
}

/// mount(2): all layers in one page of options, so each goes by its descriptor's short name.
fn overlay_by_mount(lower: &[PathBuf], upper: &Path, work: &Path) -> io::Result<OwnedFd> {
    let mut kept = Vec::new();
    let mut name = |path: &Path| -> io::Result<String> {
        let fd = rustix::fs::open(path, path_flags(), Mode::empty())?;
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        kept.push(fd);
        Ok(name)
    };
    let layers: Vec<String> = lower
        .iter()
        .map(|path| name(path))
        .collect::<io::Result<_>>()?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        layers.join(":"),
        name(upper)?,
        name(work)?
    );
    // On the work directory, whose place no one looks at; cloned from there it is detached as the
    // other way's.
    let options = std::ffi::CString::new(options)?;
    rustix::mount::mount(
        "overlay",
        work,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )?;
    let mounted = rustix::fs::open(work, path_flags(), Mode::empty())?;
    let detached = clone_mount(mounted.as_fd(), false)?;
    drop(mounted);
    rustix::mount::unmount(work, UnmountFlags::DETACH)?;
    Ok(detached)
}

/// Type, permissions and device number of an open file.
pub(super) fn stat(fd: BorrowedFd<'_>) -> rustix::io::Result<rustix::fs::Stat> {
    rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)
}
