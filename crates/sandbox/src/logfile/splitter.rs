//! From bytes to log entries: one per line, or per 16 KiB of a longer line, as Docker's copier.

/// Docker's longest entry in bytes. An entry without a newline at its end continues in the next
/// one.
const MAX_ENTRY: usize = 16 << 10;

/// What was read of a line that has not ended. It allocates only while there is something.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// Hands out the entries that are complete with these bytes.
    pub(crate) fn push(&mut self, bytes: &[u8], mut entry: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            loop {
                // A newline may exceed the limit: it belongs to its line.
                let room = MAX_ENTRY - self.partial.len();
                let length = rest.strip_suffix(b"\n").unwrap_or(rest).len();
                if length <= room && (rest.ends_with(b"\n") || length < room) {
                    break;
                }
                let (now, later) = rest.split_at(boundary(rest, room.min(length)));
                self.emit(now, &mut entry);
                rest = later;
            }
            if rest.ends_with(b"\n") {
                self.emit(rest, &mut entry);
            } else {
                self.partial.extend_from_slice(rest);
            }
        }
    }

    /// The stream ended: what is left is the last entry.
    pub(crate) fn finish(&mut self, mut entry: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            self.emit(b"", &mut entry);
        }
    }

    fn emit(&mut self, end: &[u8], entry: &mut impl FnMut(&[u8])) {
        if self.partial.is_empty() {
            entry(end);
            return;
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(end);
        entry(&whole);
    }
}

/// At most `room`, but not in the middle of a character.
fn boundary(bytes: &[u8], room: usize) -> usize {
    let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..4)
        .map(|back| room.saturating_sub(back))
        .find(|at| *at > 0 && !is_continuation(*at))
        .unwrap_or(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut entries) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |entry| entries.push(entry.to_vec()));
        }
        splitter.finish(|entry| entries.push(entry.to_vec()));
        assert_eq!(
            splitter.partial.capacity(),
            0,
            "nothing is kept when nothing is open"
        );
        assert_eq!(
            entries.concat(),
            chunks.concat(),
            "nothing is lost or invented"
        );
        entries
    }

    #[test]
    fn lines_across_reads() {
        assert_eq!(
            check(&[b"a\nb", b"c\n\n", b"end"]),
            [&b"a\n"[..], b"bc\n", b"\n", b"end"]
        );
        assert!(check(&[]).is_empty());
    }

    #[test]
    fn long_lines_are_cut_at_16_kib() {
        let long = [vec![b'x'; 40_000], b"\n".to_vec()].concat();
        for size in [1_000, 16_384, 65_536] {
            let chunks: Vec<&[u8]> = long.chunks(size).collect();
            let lengths: Vec<usize> = check(&chunks).iter().map(Vec::len).collect();
            assert_eq!(lengths, [16_384, 16_384, 7_233], "read by {size}");
        }
    }

    #[test]
    fn a_line_of_exactly_16_kib_stays_whole() {
        let line = [vec![b'x'; MAX_ENTRY], b"\n".to_vec()].concat();
        assert_eq!(check(&[&line]).concat(), line);
        assert_eq!(check(&[&line]).len(), 1);
        // When the newline comes later, it is too late.
        let lengths: Vec<usize> = check(&[&line[..MAX_ENTRY], b"\n"])
            .iter()
            .map(Vec::len)
            .collect();
        assert_eq!(lengths, [MAX_ENTRY, 1]);
    }

    #[test]
    fn characters_are_not_cut() {
        let line = "\u{20ac}".repeat(10_000);
        for entry in check(&[line.as_bytes()]) {
            assert!(std::str::from_utf8(&entry).is_ok());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_anywhere() {
        let lengths: Vec<usize> = check(&[&[0x80; 20_000]]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [MAX_ENTRY, 20_000 - MAX_ENTRY]);
    }
}
