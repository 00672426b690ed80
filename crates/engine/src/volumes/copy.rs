//! Filling an empty volume with what an image has where it is mounted.

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags,
};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Extended attributes that belong to a file wherever it is.
const KEPT_ATTRIBUTES: [&[u8]; 3] = [b"user.", b"security.capability", b"system.posix_acl_"];
/// Directories within directories that are followed: far above what images have.
const MAX_DEPTH: usize = 256;

/// Copies the image's directory at `target` into the volume if the latter is empty, with owners, modes, times and
/// attributes; the volume itself gets the directory's owner and mode. An image that has no directory there is none
/// to copy from. Names of one file become files of their own. `empty` is an empty directory.
pub(super) fn fill(
    lower: &[PathBuf],
    target: &Path,
    volume: &Path,
    empty: &Path,
) -> io::Result<()> {
    if lower.is_empty() || std::fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let root = merged(lower, empty)?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let source = match rustix::fs::openat2(&root, target, flags, Mode::empty(), resolve) {
        Ok(source) => source,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let volume = rustix::fs::open(volume, flags | OFlags::NOFOLLOW, Mode::empty())?;
    directory(source.as_fd(), volume.as_fd(), 0)
}

/// The image's layers as one read-only tree that is mounted nowhere, and gone when the descriptor is closed.
fn merged(lower: &[PathBuf], empty: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |path: &Path| rustix::fs::open(path, flags, Mode::empty());
    if let [only] = lower {
        return Ok(open(only)?);
    }
    let layers = lower.iter().map(PathBuf::as_path).chain([empty]);
    let layers: Vec<OwnedFd> = layers.map(open).collect::<Result<_, _>>()?;
    // Paths of layers may be longer than what fsconfig takes.
    let paths = layers
        .iter()
        .map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let paths: Vec<String> = paths.collect();
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let one_by_one = paths.iter().try_for_each(|path| {
        rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir+", path.as_str())
    });
    match one_by_one {
        // Kernels before 6.7 take them together only.
        Err(Errno::INVAL) => {
            let all = paths.join(":");
            rustix::mount::fsconfig_set_string(context.as_fd(), "lowerdir", all.as_str())?;
        }
        other => other?,
    }
    rustix::mount::fsconfig_create(context.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(rustix::mount::fsmount(
        context.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::LOOP.into());
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy(from, to, name, depth)?;
        }
    }
    let stat = rustix::fs::fstat(from)?;
    attributes(from, to)?;
    finish(to, &stat)
}

fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let private = Mode::from_raw_mode(0o700);
    let common = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let read = OFlags::RDONLY | common;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, private)?;
            let from = rustix::fs::openat(from, name, read, Mode::empty())?;
            let to = rustix::fs::openat(to, name, read, Mode::empty())?;
            directory(from.as_fd(), to.as_fd(), depth + 1)
        }
        FileType::RegularFile => {
            let from = rustix::fs::openat(from, name, read, Mode::empty())?;
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | common;
            let to = rustix::fs::openat(to, name, write, private)?;
            let (mut from, mut to) = (std::fs::File::from(from), std::fs::File::from(to));
            io::copy(&mut from, &mut to)?;
            attributes(from.as_fd(), to.as_fd())?;
            finish(to.as_fd(), &stat)
        }
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(link, to, name)?;
            place(to, name, &stat)
        }
        kind @ (FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice) => {
            let mode = Mode::from_raw_mode(stat.st_mode);
            rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev)?;
            place(to, name, &stat)?;
            // The process's mask has taken bits away.
            rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
            Ok(())
        }
        // Nobody listens on a socket of an image.
        _ => Ok(()),
    }
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanos| Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    }
}

fn owner(stat: &Stat) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )
}

/// Owner first: changing it clears set-id bits.
fn finish(to: BorrowedFd<'_>, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(to, uid, gid)?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?;
    rustix::fs::futimens(to, &times(stat))?;
    Ok(())
}

fn place(to: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(to, name, uid, gid, flags)?;
    rustix::fs::utimensat(to, name, &times(stat), flags)?;
    Ok(())
}

/// A file system without attributes has none to give or take.
fn attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let mut names = vec![0_u8; 64 << 10];
    let length = match rustix::fs::flistxattr(from, &mut names) {
        Err(Errno::NOTSUP) => return Ok(()),
        other => other?,
    };
    names.truncate(length);
    let kept = |name: &&[u8]| {
        KEPT_ATTRIBUTES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for name in names.split(|byte| *byte == 0).filter(kept) {
        let name = CString::new(name)?;
        // The kernel's limit of a value.
        let mut value = vec![0_u8; 64 << 10];
        let length = rustix::fs::fgetxattr(from, &name, &mut value)?;
        match rustix::fs::fsetxattr(to, &name, &value[..length], XattrFlags::empty()) {
            Err(Errno::NOTSUP) => {}
            other => other?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn an_empty_volume_gets_the_images_directory() {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test mounts and changes owners: run it as root");
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        for name in ["top/data/sub", "low/data", "empty", "volume"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::write(path("low/data/a"), "lower").unwrap();
        std::fs::write(path("low/data/b"), "b").unwrap();
        std::fs::write(path("top/data/a"), "upper").unwrap();
        symlink("/data/a", path("top/data/sub/link")).unwrap();
        // In the image, /here leads to /data.
        symlink("/data", path("top/here")).unwrap();
        std::os::unix::fs::chown(path("top/data"), Some(7), Some(8)).unwrap();
        let mode = std::fs::Permissions::from_mode(0o750);
        std::fs::set_permissions(path("top/data"), mode).unwrap();
        let lower = [path("top"), path("low")];
        let run = |target: &str| fill(&lower, Path::new(target), &path("volume"), &path("empty"));
        run("/nothing/there").unwrap();
        assert_eq!(std::fs::read_dir(path("volume")).unwrap().count(), 0);
        run("/here").unwrap();
        assert_eq!(std::fs::read(path("volume/a")).unwrap(), b"upper");
        assert_eq!(std::fs::read(path("volume/b")).unwrap(), b"b");
        let link = std::fs::read_link(path("volume/sub/link")).unwrap();
        assert_eq!(link, Path::new("/data/a"));
        let stat = std::fs::metadata(path("volume")).unwrap();
        assert_eq!((stat.uid(), stat.gid(), stat.mode() & 0o777), (7, 8, 0o750));
        // What is not empty stays as it is.
        std::fs::remove_file(path("volume/b")).unwrap();
        run("/data").unwrap();
        assert!(!path("volume/b").exists());
    }
}
