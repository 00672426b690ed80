//! The header block of a tar's member (POSIX ustar and GNU).

use std::io;

use super::{BLOCK, corrupt};

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Directory,
    Fifo,
}

/// A header block with a right checksum.
pub(super) struct Header {
    block: [u8; BLOCK],
}

impl Header {
    pub(super) fn parse(block: [u8; BLOCK]) -> io::Result<Self> {
        let header = Self { block };
        // The sum is taken with the checksum's own field full of spaces. Some old programs took the bytes as signed.
        let bytes = block.iter().enumerate().map(|(at, byte)| {
            if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            }
        });
        let unsigned: i64 = bytes.clone().map(i64::from).sum();
        let signed: i64 = bytes.map(|byte| i64::from(byte.cast_signed())).sum();
        let want = number(&block[148..156]).unwrap_or(-1);
        if want != unsigned && want != signed {
            return Err(corrupt("a member's header has a wrong checksum"));
        }
        Ok(header)
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.block[156]
    }

    pub(super) fn is_gnu(&self) -> bool {
        &self.block[257..265] == b"ustar  \0"
    }

    fn is_ustar(&self) -> bool {
        &self.block[257..263] == b"ustar\0"
    }

    /// The kind of the member, whose final name is `name`.
    pub(super) fn kind(&self, name: &[u8]) -> io::Result<EntryKind> {
        Ok(match self.type_flag() {
            // Before ustar a slash at the end was all that marked a directory.
            b'\0' | b'0' if name.ends_with(b"/") => EntryKind::Directory,
            b'\0' | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            b'M' => return Err(corrupt("it is a part of a tar of several volumes")),
            _ => return Err(corrupt("a member has an unknown type")),
        })
    }

    pub(super) fn name(&self) -> io::Result<Vec<u8>> {
        let name = text(&self.block[..100]);
        let prefix = text(&self.block[345..500]);
        if self.is_ustar() && !prefix.is_empty() {
            return Ok([prefix, b"/", name].concat());
        }
        if name.is_empty() {
            return Err(corrupt("a member has no name"));
        }
        Ok(name.to_vec())
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.block[157..257]).to_vec()
    }

    pub(super) fn mode(&self) -> io::Result<u32> {
        let mode = self.unsigned(100..108)?;
        Ok((mode & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> io::Result<u64> {
        self.unsigned(108..116)
    }

    pub(super) fn gid(&self) -> io::Result<u64> {
        self.unsigned(116..124)
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        self.unsigned(124..136)
    }

    pub(super) fn mtime(&self) -> io::Result<i64> {
        number(&self.block[136..148]).ok_or_else(not_a_number)
    }

    pub(super) fn device(&self) -> io::Result<(u32, u32)> {
        if !self.is_gnu() && !self.is_ustar() {
            return Ok((0, 0));
        }
        let small = |value: u64| u32::try_from(value).map_err(|_| not_a_number());
        Ok((
            small(self.unsigned(329..337)?)?,
            small(self.unsigned(337..345)?)?,
        ))
    }

    /// The first sparse map of an old GNU header: 4 pairs of offset and length, whether more follow, and the file's size.
    pub(super) fn gnu_sparse(&self) -> io::Result<(&[u8], bool, u64)> {
        Ok((
            &self.block[386..482],
            self.block[482] != 0,
            self.unsigned(483..495)?,
        ))
    }

    fn unsigned(&self, range: std::ops::Range<usize>) -> io::Result<u64> {
        let value = number(&self.block[range]).ok_or_else(not_a_number)?;
        u64::try_from(value).map_err(|_| not_a_number())
    }
}

fn not_a_number() -> io::Error {
    corrupt("a number in a member's header cannot be read")
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits among spaces and NULs, or (GNU) a big-endian number in two's complement when the first bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        let mut value: i64 = if negative { -1 } else { 0 };
        for (at, byte) in field.iter().enumerate() {
            let byte = if at == 0 && !negative {
                byte & 0x7f
            } else {
                *byte
            };
            let shifted = value.checked_mul(256)?;
            value = shifted | i64::from(byte);
        }
        return Some(value);
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    let digits = digits.split(['\0', ' ']).next()?;
    if digits.is_empty() {
        return Some(0);
    }
    if !digits.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return None;
    }
    i64::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn reads_octal_and_binary_numbers() {
        for (field, want) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"0000008\0", None),
            (b"-000001\0", None),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xffxx", Some(-34696)),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
    }
}
