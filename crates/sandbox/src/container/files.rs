//! Files whose content comes with the request: secrets and configs. They are in one tmpfs, which
//! exists only in the container's mount namespace and goes with it; nothing is written to a disk.

use std::collections::HashSet;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::mount::{MountAttrFlags, UnmountFlags};

use super::error::{Context, SetupError};
use super::root::{Kind, Root, attach, clone_mount, new_mount, stat};
use crate::spec::{ContainerSpec, InjectedFile};
use crate::sys::{self, MountAttributes};

/// Where the tmpfs is while its files are mounted from it, in the container's own `/dev`.
const PLACE: &str = ".files";
/// The tmpfs counts whole pages; the largest that our architectures have.
const PAGE: usize = 64 << 10;
/// Most files of one container; each is a mount.
const MAX_FILES: usize = 1024;

/// In words, what is wrong with the spec's files. Never what is in them.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    if spec.files.len() > MAX_FILES {
        let count = spec.files.len();
        return Err(format!(
            "{count} secrets and configs are more than {MAX_FILES}"
        ));
    }
    let mut targets = HashSet::new();
    for InjectedFile { target, mode, .. } in &spec.files {
        let shown = target.display();
        let mut parts = target.components();
        let plain = parts.next() == Some(Component::RootDir)
            && parts.clone().next().is_some()
            && parts.all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(format!(
                "the target of a file, \"{shown}\", is not an absolute path"
            ));
        }
        if *mode > 0o7777 {
            return Err(format!("invalid mode {mode:o} of the file {shown}"));
        }
        let components: PathBuf = target.components().collect();
        if !targets.insert(components) {
            return Err(format!("two files have the target {shown}"));
        }
    }
    Ok(())
}

/// Writes the files and mounts each at its target. `dev` is the container's own `/dev`.
pub(super) fn mount(root: &Root, dev: &OwnedFd, files: &[InjectedFile]) -> Result<(), SetupError> {
    if files.is_empty() {
        return Ok(());
    }
    let memory = write(files).context(|| "cannot keep secrets and configs in memory")?;
    // Only what is attached can be cloned.
    let place = || -> rustix::io::Result<()> {
        rustix::fs::mkdirat(dev, PLACE, Mode::from_raw_mode(0o700))?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let place = rustix::fs::openat(dev, PLACE, flags, Mode::empty())?;
        attach(memory.as_fd(), place.as_fd())
    };
    place().context(|| "cannot mount secrets and configs")?;
    for (number, file) in files.iter().enumerate() {
        bind(root, &memory, number, file)?;
    }
    let leave = || -> rustix::io::Result<()> {
        // The container's own /dev, through this process's descriptor of it.
        let path = format!("/proc/self/fd/{}/{PLACE}", dev.as_raw_fd());
        rustix::mount::unmount(path, UnmountFlags::DETACH)?;
        rustix::fs::unlinkat(dev, PLACE, AtFlags::REMOVEDIR)
    };
    leave().context(|| "cannot hide the place of secrets and configs")
}

/// A detached, read-only tmpfs with the files, each named by its number.
fn write(files: &[InjectedFile]) -> std::io::Result<OwnedFd> {
    let pages: usize = files
        .iter()
        .map(|file| file.data.len().div_ceil(PAGE).max(1))
        .sum();
    let size = (pages * PAGE).to_string();
    // And the root directory.
    let inodes = (files.len() + 1).to_string();
    let options = [
        ("mode", "700"),
        ("size", size.as_str()),
        ("nr_inodes", inodes.as_str()),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    // A secret must not come to a disk by way of swap; kernels before 6.4 do not know the option.
    let unswapped: Vec<(&str, &str)> = options.into_iter().chain([("noswap", "")]).collect();
    let memory = new_mount("tmpfs", &unswapped, attributes)
        .or_else(|_| new_mount("tmpfs", &options, attributes))?;
    for (number, file) in files.iter().enumerate() {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let fd = rustix::fs::openat(&memory, number.to_string(), flags, mode)?;
        let mut fd = std::fs::File::from(fd);
        fd.write_all(&file.data)?;
        let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
        rustix::fs::fchown(&fd, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(file.mode))?;
    }
    let readonly = MountAttributes {
        readonly: true,
        ..MountAttributes::default()
    };
    sys::mount_setattr(memory.as_fd(), readonly)?;
    Ok(memory)
}

fn bind(
    root: &Root,
    memory: &OwnedFd,
    number: usize,
    file: &InjectedFile,
) -> Result<(), SetupError> {
    let shown = file.target.display();
    let target = root.target(&file.target, Kind::File)?;
    let status = stat(target.as_fd()).context(|| format!("cannot read {shown}"))?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        let text = format!("cannot mount a file on {shown}: it is a directory");
        return Err(SetupError::new(text));
    }
    let steps = || -> rustix::io::Result<()> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let source = rustix::fs::openat(memory, number.to_string(), flags, Mode::empty())?;
        let mount = clone_mount(source.as_fd(), false)?;
        attach(mount.as_fd(), target.as_fd())
    };
    steps().context(|| format!("cannot mount a file on {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{LogFile, Rootfs};

    fn check(targets: &[&str], mode: u32) -> Result<(), String> {
        let rootfs = Rootfs::Overlay {
            lower: Vec::new(),
            upper: "/u".into(),
            work: "/w".into(),
            merged: "/m".into(),
        };
        let log = LogFile::json_file("/l");
        let mut spec = ContainerSpec::new("a", rootfs, Vec::new(), "/", log);
        spec.files = targets
            .iter()
            .map(|target| InjectedFile {
                target: target.into(),
                uid: 0,
                gid: 0,
                mode,
                data: b"hush".to_vec(),
            })
            .collect();
        validate(&spec)
    }

    #[test]
    fn targets_are_absolute_and_of_one_file() {
        assert_eq!(check(&["/run/secrets/a", "/run/secrets/b"], 0o444), Ok(()));
        for wrong in ["", "a", "/", "/a/../b"] {
            let error = check(&[wrong], 0o444).unwrap_err();
            assert!(error.ends_with("is not an absolute path"), "{error}");
        }
        assert_eq!(
            check(&["/a", "/a/"], 0o444),
            Err("two files have the target /a/".into())
        );
        assert_eq!(
            check(&["/a"], 0o10000),
            Err("invalid mode 10000 of the file /a".into())
        );
    }
}
