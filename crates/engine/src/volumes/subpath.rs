//! A part of a volume: mounted aside by its descriptor while the container that wants it is being started, so that
//! nobody who writes to the volume can put a link in its place meanwhile.

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags};
use std::io;
use std::path::Path;

/// Mounts `subpath` of the volume on `at`, which is made. No link leads out of the volume.
pub(super) fn mount(volume: &Path, subpath: &str, at: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(volume, flags | OFlags::DIRECTORY, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let subpath = subpath.trim_start_matches('/');
    let part = rustix::fs::openat2(&root, subpath, flags, Mode::empty(), resolve)?;
    let stat = rustix::fs::fstat(&part)?;
    let directory = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
    if directory {
        std::fs::create_dir(at)?;
    } else {
        std::fs::File::create_new(at)?;
    }
    let clone = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(&part, "", clone)?;
    let empty_path = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&tree, "", CWD, at, empty_path)?;
    Ok(())
}

/// Takes away what was mounted for a container.
pub(super) fn unmount(mounts: &Path, container: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(mounts)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(container) {
            take_away(&entry.path())?;
        }
    }
    Ok(())
}

/// Takes away what earlier daemons left.
pub(super) fn clear(mounts: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(mounts)? {
        take_away(&entry?.path())?;
    }
    Ok(())
}

/// Only the mount point itself is removed, never what is in it.
fn take_away(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(path),
        other => other,
    }
}
