//! The frame: how bytes lie in a segment and in a snapshot file, so that a reader knows what was written whole.
//!
//! `len u32 | crc32c u32 | format version u8 | 0 u8 | 0 u16 | payload | zeros up to a multiple of 8`, little endian.
//! The checksum covers everything but itself and the padding, and starts from a seed that belongs to the file: bytes
//! copied from another file (or sent by a client) never pass for a frame of this one. What has to be secret is sealed
//! within the payload.

use std::ops::Range;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 12;
/// Frames start at multiples of this, which bounds the search for frames behind a damaged one.
pub(crate) const ALIGN: usize = 8;
const VERSION: u8 = 1;
const RESERVED: [u8; 2] = [0; 2];

/// The seed of a file's checksums.
pub(crate) fn seed(owner: u64, sequence: u64) -> u32 {
    crc32c::crc32c_append(
        crc32c::crc32c(&owner.to_le_bytes()),
        &sequence.to_le_bytes(),
    )
}

/// Bytes that a payload of `len` occupies.
pub(crate) fn size(len: usize) -> usize {
    (HEADER + len).next_multiple_of(ALIGN)
}

/// Encloses `payload`. It must be shorter than 4 GiB, which the limits on entries and batches ensure.
pub(crate) fn encode(seed: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("batches are bounded far below 4 GiB");
    let mut out = Vec::with_capacity(size(payload.len()));
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[VERSION, 0]);
    out.extend_from_slice(&RESERVED);
    out.extend_from_slice(payload);
    let crc = checksum(seed, &out[..4], &out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out.resize(size(payload.len()), 0);
    out
}

/// The payload's place in `buffer`, when a whole frame starts at `at`.
pub(crate) fn decode(seed: u32, buffer: &[u8], at: usize) -> Option<Range<usize>> {
    let head = buffer.get(at..at + HEADER)?;
    let len = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let start = at + HEADER;
    if len == 0 || head[8] != VERSION || head[9] != 0 || head[10..12] != RESERVED {
        return None;
    }
    let payload = buffer.get(start..start.checked_add(len)?)?;
    let crc = u32::from_le_bytes(head[4..8].try_into().ok()?);
    let sum = crc32c::crc32c_append(checksum(seed, &head[..4], &head[8..]), payload);
    (sum == crc).then_some(start..start + len)
}

/// The place of a whole frame behind `at`, if there is one.
///
/// Each frame is synced before the next is written, so a frame behind a damaged one proves that the damaged one had
/// reached the disk: no crash explains it.
pub(crate) fn find_after(seed: u32, buffer: &[u8], at: usize) -> Option<usize> {
    let first = (at + 1).next_multiple_of(ALIGN);
    (first..buffer.len())
        .step_by(ALIGN)
        .find(|&offset| decode(seed, buffer, offset).is_some())
}

fn checksum(seed: u32, len: &[u8], rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, len), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_flipped_bit_is_seen() {
        let seed = seed(7, 3);
        let mut frame = encode(seed, b"starling");
        assert_eq!(frame.len() % ALIGN, 0);
        assert_eq!(decode(seed, &frame, 0), Some(12..20));
        assert_eq!(decode(seed + 1, &frame, 0), None);
        for bit in 0..20 * 8 {
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(seed, &frame, 0), None, "bit {bit}");
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        for short in 0..20 {
            assert_eq!(decode(seed, &frame[..short], 0), None);
        }
    }

    #[test]
    fn a_frame_behind_garbage_is_found() {
        let seed = seed(1, 1);
        let mut buffer = vec![0xa5; 64];
        assert_eq!(find_after(seed, &buffer, 0), None);
        buffer.extend(encode(seed, b"x"));
        assert_eq!(find_after(seed, &buffer, 0), Some(64));
        assert_eq!(find_after(seed, &buffer, 64), None);
    }
}
