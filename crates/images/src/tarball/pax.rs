//! PAX records: `<length> <key>=<value>\n`, where the value may be any bytes.

use std::io;

use super::corrupt;

/// The prefix of extended attributes, as star, GNU tar and Docker write them.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records in their order; a later one of the same key wins.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    pub(super) fn parse(mut data: &[u8]) -> io::Result<Self> {
        let mut records = Vec::new();
        // Some programs fill the rest with NULs.
        while data.first().is_some_and(|byte| *byte != 0) {
            let space = data
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(malformed)?;
            let length: usize = std::str::from_utf8(&data[..space])
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or_else(malformed)?;
            if length <= space + 1 || length > data.len() || data[length - 1] != b'\n' {
                return Err(malformed());
            }
            let record = &data[space + 1..length - 1];
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or_else(malformed)?;
            records.push((record[..equals].to_vec(), record[equals + 1..].to_vec()));
            data = &data[length..];
        }
        Ok(Self(records))
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The last value of `key`. An empty value takes an earlier one back (POSIX), so it counts as none.
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = self.0.iter().rev().find(|(k, _)| k == key)?;
        (!value.is_empty()).then_some(value.as_slice())
    }

    /// A decimal number.
    pub(super) fn number(&self, key: &str) -> io::Result<Option<u64>> {
        let Some(value) = self.get(key.as_bytes()) else {
            return Ok(None);
        };
        parse_number(value).map(Some)
    }

    /// Decimal seconds with a fraction.
    pub(super) fn time(&self, key: &str) -> io::Result<Option<(i64, u32)>> {
        let Some(value) = self.get(key.as_bytes()) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(value).map_err(|_| malformed())?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let seconds: i64 = whole.parse().map_err(|_| malformed())?;
        let digits: String = fraction
            .chars()
            .chain(std::iter::repeat('0'))
            .take(9)
            .collect();
        let nanos: u32 = digits.parse().map_err(|_| malformed())?;
        if whole.starts_with('-') && nanos > 0 {
            return Ok(Some((seconds - 1, 1_000_000_000 - nanos)));
        }
        Ok(Some((seconds, nanos)))
    }

    /// Names and values of the extended attributes.
    pub(super) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (key, value) in &self.0 {
            let Some(name) = key.strip_prefix(XATTR) else {
                continue;
            };
            found.retain(|(other, _)| other != name);
            found.push((name.to_vec(), value.clone()));
        }
        found
    }

    /// All values of the keys, in order: GNU sparse format 0.0 repeats its keys.
    pub(super) fn all<'a>(
        &'a self,
        keys: &'a [&[u8]],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.0
            .iter()
            .filter(|(key, _)| keys.contains(&key.as_slice()))
            .map(|(k, v)| (k.as_slice(), v.as_slice()))
    }
}

pub(super) fn parse_number(text: &[u8]) -> io::Result<u64> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|t| t.parse().ok())
        .ok_or_else(malformed)
}

fn malformed() -> io::Error {
    corrupt("a member's PAX header is malformed")
}
