//! Paths inside of a layer.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, Result};

/// How a directory is opened to work in it.
pub(super) const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY);
/// openat2 gives up with EAGAIN when something on the host is renamed or mounted while it resolves `..`; so often it is tried.
const ATTEMPTS: usize = 128;

/// The path without a leading `/`, `.`, `..` and double slashes; empty for the root. None if it leads above the root.
pub(super) fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// The directory (empty for the root) and the last part of a clean path. None for the root itself.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() || path == b"." {
        return None;
    }
    Some(match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    })
}

/// Opens `path` without ever leaving `root`. A link that leads out of it is `EXDEV`.
pub(super) fn open_beneath(root: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut attempt = 0;
    loop {
        match openat2(
            root.as_fd(),
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            Err(Errno::AGAIN | Errno::INTR) if attempt < ATTEMPTS => attempt += 1,
            opened => return opened,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_paths() {
        for (name, want) in [
            ("a/b", Some("a/b")),
            ("/a//b/", Some("a/b")),
            ("./", Some("")),
            ("", Some("")),
            ("a/../b", Some("b")),
            ("a/b/../..", Some("")),
            ("..", None),
            ("../a", None),
            ("a/../../b", None),
            ("/../etc/passwd", None),
            ("...", Some("...")),
        ] {
            assert_eq!(
                clean(name.as_bytes()),
                want.map(|w| w.as_bytes().to_vec()),
                "{name:?}"
            );
        }
    }

    #[test]
    fn splits_paths() {
        assert_eq!(split(b"a/b/c"), Some((&b"a/b"[..], &b"c"[..])));
        assert_eq!(split(b"a"), Some((&b""[..], &b"a"[..])));
        assert_eq!(split(b""), None);
    }
}
