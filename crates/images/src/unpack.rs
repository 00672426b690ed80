//! Unpacking a layer's tar into a directory that overlayfs can take as a lower directory.
//!
//! - A path is resolved with openat2(2) and `RESOLVE_BENEATH`: whatever links the tar made, nothing outside of the
//!   directory is touched; what tries is refused.
//! - Whiteouts become what overlayfs understands: `.wh.x` a character device 0/0 named `x`, `.wh..wh..opq` the attribute
//!   `trusted.overlay.opaque` of its directory (the format is in the OCI image specification, "Layer").
//! - Attributes of a directory are set when all of its entries are there, since these change its time.

mod apply;
mod path;
mod whiteout;

use std::io::{self, Read};
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use crate::digest::{Digest, Hasher};
use crate::error::{LayerError, StoreError};
use crate::tarball::{Entry, EntryKind, TarReader};

/// What came out of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpacked {
    /// The digest of the tar, uncompressed.
    pub(crate) diff_id: Digest,
    /// Bytes of the tar, uncompressed.
    pub(crate) tar_size: u64,
    /// Bytes of the files, as `image ls` counts them.
    pub(crate) size: u64,
    /// Whether the layer hides everything below it.
    pub(crate) opaque_root: bool,
}

/// Unpacks `tar` into the empty directory `target`, and reads it to its end.
pub(crate) fn unpack(tar: impl Read, target: &Path) -> Result<Unpacked, LayerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, target, flags, Mode::empty());
    let root = root.map_err(|error| StoreError::at("open", target)(error.into()))?;
    let mut unpacker = Unpacker {
        root,
        parent: None,
        directories: Vec::new(),
        size: 0,
        opaque_root: false,
    };
    let mut tar = TarReader::new(Measured {
        inner: tar,
        hasher: Hasher::default(),
        size: 0,
    });
    while let Some(entry) = tar.next_entry().map_err(corrupt)? {
        unpacker.apply(&entry, &mut tar)?;
    }
    unpacker.finish()?;
    // The digest is of the whole stream, with what fills the last record.
    let mut measured = tar.into_inner();
    io::copy(&mut measured, &mut io::sink()).map_err(corrupt)?;
    Ok(Unpacked {
        diff_id: measured.hasher.finish(),
        tar_size: measured.size,
        size: unpacker.size,
        opaque_root: unpacker.opaque_root,
    })
}

fn corrupt(error: io::Error) -> LayerError {
    LayerError::Corrupt(error.to_string())
}

/// Counts and digests what passes.
struct Measured<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.size += count as u64;
        Ok(count)
    }
}

struct Unpacker {
    root: OwnedFd,
    /// The directory of the entry before: tars are grouped by directory. Its path and an `O_PATH` descriptor.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Directories and the times that they get at the end.
    directories: Vec<(Vec<u8>, Timestamps)>,
    size: u64,
    opaque_root: bool,
}

impl Unpacker {
    fn apply(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), LayerError> {
        let fail = apply::Failure::of(entry);
        let path =
            path::clean(&entry.name).ok_or_else(|| fail.escapes("its name has too many `..`"))?;
        let Some((parent, name)) = path::split(&path) else {
            if entry.kind != EntryKind::Directory {
                return Err(fail.entry("the root of the file system must be a directory"));
            }
            return self.apply_root(entry, &fail);
        };
        let parent_fd = self.open_parent(parent, &fail)?;
        if let Some(hidden) = name.strip_prefix(whiteout::PREFIX) {
            return self.whiteout(&parent_fd, parent, hidden, entry, &fail);
        }
        let replaced = self.clear_place(&parent_fd, name, entry.kind, &fail)?;
        apply::create(self, &parent_fd, &path, name, entry, data, &fail)?;
        if replaced == whiteout::Replaced::Whiteout && entry.kind == EntryKind::Directory {
            whiteout::make_opaque(&apply::proc_path(&parent_fd, name))
                .map_err(|e| fail.errno(e))?;
        }
        apply::set_attributes(self, &parent_fd, &path, name, entry, &fail)
    }

    /// The entry `./`.
    fn apply_root(&mut self, entry: &Entry, fail: &apply::Failure<'_>) -> Result<(), LayerError> {
        let root = self
            .root
            .try_clone()
            .map_err(|error| StoreError::new("open the layer", error))?;
        apply::set_attributes(self, &root, b"", b".", entry, fail)
    }

    /// Sets the times of directories, the deepest last or first: it does not matter, since nothing changes any more.
    fn finish(&mut self) -> Result<(), LayerError> {
        for (path, times) in std::mem::take(&mut self.directories) {
            let path = if path.is_empty() { b".".to_vec() } else { path };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
            match path::open_beneath(&self.root, &path, flags) {
                Ok(directory) => {
                    rustix::fs::futimens(&directory, &times).map_err(|error| {
                        StoreError::new("set the time of a directory", error.into())
                    })?;
                }
                // A later entry replaced it by something else.
                Err(
                    rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP,
                ) => {}
                Err(error) => return Err(StoreError::new("open a directory", error.into()).into()),
            }
        }
        Ok(())
    }

    /// The directory that an entry is in, made if it is not there.
    fn open_parent(
        &mut self,
        parent: &[u8],
        fail: &apply::Failure<'_>,
    ) -> Result<OwnedFd, LayerError> {
        if self.parent.as_ref().is_none_or(|(path, _)| path != parent) {
            let fd = self.open_or_make(parent, fail)?;
            self.parent = Some((parent.to_vec(), fd));
        }
        let (_, fd) = self.parent.as_ref().expect("it was set above");
        fd.try_clone()
            .map_err(|error| StoreError::new("open a directory", error).into())
    }

    fn open_or_make(
        &self,
        directory: &[u8],
        fail: &apply::Failure<'_>,
    ) -> Result<OwnedFd, LayerError> {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        match path::open_beneath(&self.root, directory, path::DIRECTORY) {
            Err(rustix::io::Errno::NOENT) => {}
            opened => return opened.map_err(|error| fail.errno(error)),
        }
        let (above, name) =
            path::split(directory).ok_or_else(|| fail.entry("its directory cannot be made"))?;
        let above = self.open_or_make(above, fail)?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(IMPLIED_DIRECTORY_MODE)) {
            Ok(()) => {}
            Err(rustix::io::Errno::EXIST) => {
                return Err(fail.entry("it is below a symbolic link that leads nowhere"));
            }
            Err(error) => return Err(fail.errno(error)),
        }
        path::open_beneath(&above, name, path::DIRECTORY | OFlags::NOFOLLOW)
            .map_err(|error| fail.errno(error))
    }

    /// Removes what an earlier entry of the same layer put at the place of this one; directories are merged.
    fn clear_place(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        kind: EntryKind,
        fail: &apply::Failure<'_>,
    ) -> Result<whiteout::Replaced, LayerError> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => return Ok(whiteout::Replaced::Nothing),
            stat => stat.map_err(|error| fail.errno(error))?,
        };
        let file_type = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        if file_type.is_dir() && kind == EntryKind::Directory {
            return Ok(whiteout::Replaced::Something);
        }
        let was_whiteout = file_type.is_char_device() && stat.st_rdev == 0;
        self.parent = None;
        let removed = if file_type.is_dir() {
            std::fs::remove_dir_all(apply::proc_path(parent, name))
        } else {
            rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(io::Error::from)
        };
        removed.map_err(|error| StoreError::new("replace an entry", error))?;
        Ok(if was_whiteout {
            whiteout::Replaced::Whiteout
        } else {
            whiteout::Replaced::Something
        })
    }
}

/// Mode of directories that have no entry of their own.
const IMPLIED_DIRECTORY_MODE: u32 = 0o755;

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime.0,
        tv_nsec: entry.mtime.1.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
