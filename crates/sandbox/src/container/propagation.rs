//! Docker's demand on the source of a bind that is to take part in the host's mounts: its own mount must, too.
//! Otherwise nothing would ever arrive, and nobody would say so.

use std::path::{Path, PathBuf};

use super::error::{Context, SetupError};
use crate::spec::Propagation;

/// Refuses a source whose mount is not shared (or, for `slave`, not a slave either).
pub(super) fn check(source: &Path, propagation: Propagation) -> Result<(), SetupError> {
    let slave = match propagation {
        Propagation::Private | Propagation::Rprivate => return Ok(()),
        Propagation::Slave | Propagation::Rslave => true,
        Propagation::Shared | Propagation::Rshared => false,
    };
    let source = source
        .canonicalize()
        .context(|| format!("cannot bind mount {}", source.display()))?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")
        .context(|| "cannot read the mounts of the host")?;
    judge(&mounts, &source, slave).map_err(SetupError::new)
}

/// `mounts` has the format of `/proc/PID/mountinfo`, see proc_pid_mountinfo(5).
fn judge(mounts: &str, source: &Path, slave: bool) -> Result<(), String> {
    let (mut found, mut fits) = (PathBuf::from("/"), false);
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(4);
        let Some(point) = fields.next().map(unescape) else {
            continue;
        };
        let deeper = point.components().count() >= found.components().count();
        // Of several mounts at one place the last one is on top.
        if deeper && source.starts_with(&point) {
            let takes_part = |field: &str| {
                field.starts_with("shared:") || (slave && field.starts_with("master:"))
            };
            fits = fields.skip(1).take_while(|f| *f != "-").any(takes_part);
            found = point;
        }
    }
    if fits {
        return Ok(());
    }
    let wanted = match slave {
        true => "shared or slave",
        false => "shared",
    };
    let (source, found) = (source.display(), found.display());
    Err(format!(
        "path {source} is mounted on {found} but it is not a {wanted} mount."
    ))
}

/// Blanks and backslashes are written as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|d| std::str::from_utf8(d).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match escaped.filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from(String::from_utf8_lossy(&bytes).into_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        21 20 0:20 / /own rw - tmpfs tmpfs rw\n\
        22 20 0:21 / /with\\040blank rw,noatime master:7 - tmpfs tmpfs rw\n\
        23 20 0:22 / /top rw shared:9 - tmpfs tmpfs rw\n\
        24 23 0:23 / /top rw - tmpfs tmpfs rw\n";

    #[test]
    fn the_mount_of_the_source_is_asked() {
        let judge = |path: &str, slave| judge(MOUNTS, Path::new(path), slave);
        assert_eq!(judge("/srv/data", false), Ok(()));
        assert_eq!(judge("/srv/data", true), Ok(()));
        assert_eq!(judge("/owner", false), Ok(()));
        assert_eq!(
            judge("/own/data", false).unwrap_err(),
            "path /own/data is mounted on /own but it is not a shared mount."
        );
        assert_eq!(judge("/with blank/x", true), Ok(()));
        assert!(judge("/with blank/x", false).is_err());
        assert_eq!(
            judge("/top", true).unwrap_err(),
            "path /top is mounted on /top but it is not a shared or slave mount."
        );
    }
}
