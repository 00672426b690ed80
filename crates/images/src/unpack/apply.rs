//! Making one entry with its attributes.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, makedev};
use rustix::io::Errno;

use super::{Unpacker, path, times};
use crate::error::{LayerError, StoreError};
use crate::store::CHUNK;
use crate::tarball::{Chunk, Entry, EntryKind};

/// Attributes that tell overlayfs what to do with a layer. A tar may not set them: whiteouts are its way to say the same.
const OVERLAY_XATTRS: &[u8] = b"trusted.overlay.";

/// Makes errors about one entry.
pub(super) struct Failure<'a>(&'a Entry);

impl<'a> Failure<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        Self(entry)
    }

    pub(super) fn escapes(&self, why: &str) -> LayerError {
        LayerError::Escapes {
            entry: self.0.display_name(),
            why: why.to_owned(),
        }
    }

    pub(super) fn entry(&self, why: &str) -> LayerError {
        LayerError::Entry {
            entry: self.0.display_name(),
            why: why.to_owned(),
        }
    }

    /// What the kernel says is the entry's fault or the host's.
    pub(super) fn errno(&self, error: Errno) -> LayerError {
        match error {
            Errno::XDEV => self.escapes("a symbolic link on its way leads out"),
            Errno::LOOP => self.entry("there are too many symbolic links on its way"),
            Errno::NOTDIR => self.entry("something on its way is not a directory"),
            Errno::NAMETOOLONG => self.entry("its name is too long"),
            Errno::INVAL | Errno::ILSEQ => {
                self.entry("its name or an attribute is not possible on this file system")
            }
            error => StoreError::new(
                format!("make the entry {:?}", self.0.display_name()),
                error.into(),
            )
            .into(),
        }
    }

    fn io(&self, error: io::Error) -> LayerError {
        StoreError::new(
            format!("write the entry {:?}", self.0.display_name()),
            error,
        )
        .into()
    }
}

/// A path for calls that take no descriptor. `name` is one component.
pub(super) fn proc_path(parent: &OwnedFd, name: &[u8]) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(OsStr::from_bytes(name))
}

/// Makes the entry `name` in `parent`; its place is empty, or a directory if it is one.
pub(super) fn create(
    unpacker: &mut Unpacker,
    parent: &OwnedFd,
    path: &[u8],
    name: &[u8],
    entry: &Entry,
    data: &mut impl Read,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    let private = Mode::from_raw_mode(0o600);
    let device = |kind| {
        let number = makedev(entry.device.0, entry.device.1);
        rustix::fs::mknodat(parent, name, kind, private, number)
    };
    let made = match entry.kind {
        EntryKind::File => {
            unpacker.size += entry.size;
            return create_file(parent, name, entry, data, fail);
        }
        EntryKind::HardLink => return create_hard_link(unpacker, parent, path, name, entry, fail),
        EntryKind::Symlink if entry.link.is_empty() => {
            return Err(fail.entry("a symbolic link without a target"));
        }
        EntryKind::Symlink => {
            unpacker.size += entry.link.len() as u64;
            rustix::fs::symlinkat(entry.link.as_slice(), parent, name)
        }
        EntryKind::Directory => match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))
        {
            Err(Errno::EXIST) => Ok(()),
            made => made,
        },
        EntryKind::CharDevice => device(FileType::CharacterDevice),
        EntryKind::BlockDevice => device(FileType::BlockDevice),
        EntryKind::Fifo => device(FileType::Fifo),
    };
    made.map_err(|error| fail.errno(error))
}

fn create_file(
    parent: &OwnedFd,
    name: &[u8],
    entry: &Entry,
    data: &mut impl Read,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
    let mut file = File::from(file.map_err(|error| fail.errno(error))?);
    let whole = [Chunk {
        offset: 0,
        length: entry.size,
    }];
    let chunks = entry.sparse.as_deref().unwrap_or(&whole);
    for chunk in chunks {
        file.seek(SeekFrom::Start(chunk.offset))
            .map_err(|error| fail.io(error))?;
        copy(data, &mut file, chunk.length, fail)?;
    }
    if entry.sparse.is_some() {
        file.set_len(entry.size).map_err(|error| fail.io(error))?;
    }
    Ok(())
}

/// Copies exactly `length` bytes. A failure to read is the tar's, a failure to write the host's.
fn copy(
    data: &mut impl Read,
    file: &mut File,
    length: u64,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    let mut buffer = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
    let mut left = length;
    while left > 0 {
        let limit = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match data.read(&mut buffer[..limit]) {
            Ok(0) => return Err(super::corrupt(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(super::corrupt(error)),
        };
        file.write_all(&buffer[..count])
            .map_err(|error| fail.io(error))?;
        left -= count as u64;
    }
    Ok(())
}

fn create_hard_link(
    unpacker: &Unpacker,
    parent: &OwnedFd,
    place: &[u8],
    name: &[u8],
    entry: &Entry,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    let target = path::clean(&entry.link)
        .ok_or_else(|| fail.escapes("it is a hard link to a file outside"))?;
    if target == place {
        return Err(fail.entry("it is a hard link to itself"));
    }
    let missing = || {
        fail.entry(&format!(
            "it is a hard link to {:?}, which is not in this layer",
            shown(&target)
        ))
    };
    let (directory, target_name) =
        path::split(&target).ok_or_else(|| fail.entry("it is a hard link to the root"))?;
    let directory = if directory.is_empty() {
        b"."
    } else {
        directory
    };
    let directory = match path::open_beneath(&unpacker.root, directory, path::DIRECTORY) {
        Err(Errno::NOENT) => return Err(missing()),
        Err(Errno::XDEV) => return Err(fail.escapes("it is a hard link to a file outside")),
        opened => opened.map_err(|error| fail.errno(error))?,
    };
    // Without AT_SYMLINK_FOLLOW a link to a symbolic link is a second name of the link itself.
    match rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Err(missing()),
        Err(Errno::PERM) => Err(fail.entry("it is a hard link to a directory")),
        linked => linked.map_err(|error| fail.errno(error)),
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Owner, mode, extended attributes and time. A hard link has those of its target already.
pub(super) fn set_attributes(
    unpacker: &mut Unpacker,
    parent: &OwnedFd,
    path: &[u8],
    name: &[u8],
    entry: &Entry,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    if entry.kind == EntryKind::HardLink {
        return Ok(());
    }
    let id = |id: u64| {
        u32::try_from(id)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| fail.entry("its owner's number is not possible"))
    };
    let (uid, gid) = (Uid::from_raw(id(entry.uid)?), Gid::from_raw(id(entry.gid)?));
    // The order matters: a change of owner clears setuid and capabilities.
    rustix::fs::chownat(
        parent,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .map_err(|error| fail.errno(error))?;
    if entry.kind != EntryKind::Symlink {
        let mode = Mode::from_raw_mode(entry.mode);
        rustix::fs::chmodat(parent, name, mode, AtFlags::empty())
            .map_err(|error| fail.errno(error))?;
    }
    set_xattrs(parent, name, entry, fail)?;
    if entry.kind == EntryKind::Directory {
        unpacker.directories.push((path.to_vec(), times(entry)));
        return Ok(());
    }
    rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| fail.errno(error))
}

fn set_xattrs(
    parent: &OwnedFd,
    name: &[u8],
    entry: &Entry,
    fail: &Failure<'_>,
) -> Result<(), LayerError> {
    for (key, value) in &entry.xattrs {
        if key.starts_with(OVERLAY_XATTRS) {
            continue;
        }
        match rustix::fs::lsetxattr(
            proc_path(parent, name),
            key.as_slice(),
            value,
            XattrFlags::empty(),
        ) {
            // As in Docker: an image with, say, SELinux labels is of use on a file system without them.
            Err(Errno::OPNOTSUPP) => {
                tracing::debug!(
                    entry = entry.display_name(),
                    xattr = shown(key),
                    "the file system has no such attribute"
                );
            }
            set => set.map_err(|error| fail.errno(error))?,
        }
    }
    Ok(())
}
