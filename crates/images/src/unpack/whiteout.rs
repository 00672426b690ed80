//! Whiteouts: how a layer says that something of the layers below is gone.

use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid, XattrFlags};
use rustix::io::{Errno, Result};

use super::{Unpacker, apply};
use crate::error::LayerError;
use crate::tarball::Entry;

/// The beginning of a whiteout's name.
pub(super) const PREFIX: &[u8] = b".wh.";
/// What follows it in the name of the one that hides all of its directory.
const OPAQUE: &[u8] = b".wh..opq";
/// What follows it in other names that aufs had for itself.
const META: &[u8] = b".wh.";

/// What was at the place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    Nothing,
    Whiteout,
    Something,
}

impl Unpacker {
    /// The entry `.wh.<hidden>` in `parent`.
    pub(super) fn whiteout(
        &mut self,
        parent: &OwnedFd,
        parent_path: &[u8],
        hidden: &[u8],
        entry: &Entry,
        fail: &apply::Failure<'_>,
    ) -> std::result::Result<(), LayerError> {
        if hidden == OPAQUE {
            self.opaque_root |= parent_path.is_empty();
            return make_opaque(&apply::proc_path(parent, b".")).map_err(|error| fail.errno(error));
        }
        if hidden.starts_with(META) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(fail.escapes("a whiteout must name an entry of its own directory"));
        }
        hide(parent, hidden, entry).map_err(|error| fail.errno(error))
    }
}

/// Whiteouts are about the layers below only: what this layer itself has of that name stays (OCI image specification).
fn hide(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<()> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
            make_opaque(&apply::proc_path(parent, name))
        }
        Ok(_) => Ok(()),
        Err(Errno::NOENT) => {
            rustix::fs::mknodat(
                parent.as_fd(),
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )?;
            let owner = |id: u64| u32::try_from(id).unwrap_or(0);
            let (uid, gid) = (
                Uid::from_raw(owner(entry.uid)),
                Gid::from_raw(owner(entry.gid)),
            );
            rustix::fs::chownat(
                parent,
                name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )
        }
        Err(error) => Err(error),
    }
}

/// Hides what the layers below have in this directory.
pub(super) fn make_opaque(directory: &Path) -> Result<()> {
    rustix::fs::setxattr(
        directory,
        "trusted.overlay.opaque",
        b"y",
        XattrFlags::empty(),
    )
}
