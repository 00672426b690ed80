//! One line of a json-file: `{"log":"...\n","stream":"stdout","time":"2026-11-21T10:00:00.5Z"}`.

use super::StreamName;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Appends one entry. `time` is in Go's RFC3339Nano, as [`rfc3339_nano`] makes it.
pub(super) fn append_entry(out: &mut Vec<u8>, log: &[u8], stream: StreamName, time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    append_escaped(out, log);
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.as_str().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// As Go's encoder: what HTML could misread is escaped, too, and what is not UTF-8 becomes U+FFFD.
fn append_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        append_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (i, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            b'<' => b"\\u003c",
            b'>' => b"\\u003e",
            b'&' => b"\\u0026",
            0..0x20 => &control(*byte),
            // U+2028 and U+2029 begin with these two; JavaScript takes them for ends of lines.
            0xe2 if bytes[i..].starts_with(b"\xe2\x80\xa8") => b"\\u2028",
            0xe2 if bytes[i..].starts_with(b"\xe2\x80\xa9") => b"\\u2029",
            _ => continue,
        };
        out.extend_from_slice(&bytes[plain_from..i]);
        out.extend_from_slice(escaped);
        plain_from = i + if *byte == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

fn control(byte: u8) -> [u8; 6] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| DIGITS[usize::from(n)];
    [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]
}

/// UTC, with as many digits of the fraction as are not zero.
pub(super) fn rfc3339_nano(nanos_since_1970: u64) -> String {
    let seconds = nanos_since_1970 / NANOS_PER_SECOND;
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let fraction = nanos_since_1970 % NANOS_PER_SECOND;
    if fraction != 0 {
        let digits = format!("{fraction:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Year, month and day of the Gregorian calendar. Counts years from March, so that the leap day is
/// the last.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    /// From 0000-03-01 to 1970-01-01.
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days_since_1970 + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &[u8]) -> String {
        let mut out = Vec::new();
        append_entry(&mut out, log, StreamName::Stderr, "T");
        let text = String::from_utf8(out).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["log"], String::from_utf8_lossy(log).as_ref());
        text
    }

    #[test]
    fn entries_are_dockers() {
        assert_eq!(
            check(b"hello\n"),
            "{\"log\":\"hello\\n\",\"stream\":\"stderr\",\"time\":\"T\"}\n"
        );
        for (log, escaped) in [
            (&b"a\"b\\c\td\r"[..], "a\\\"b\\\\c\\td\\r"),
            (
                b"<b>&\x00\x1b[0m",
                "\\u003cb\\u003e\\u0026\\u0000\\u001b[0m",
            ),
            (
                "h\u{e4}\u{2028}x\u{2029}\u{20ac}".as_bytes(),
                "h\u{e4}\\u2028x\\u2029\u{20ac}",
            ),
            (b"\xff\xfeok\xe2\x80", "\\ufffd\\ufffdok\\ufffd"),
        ] {
            assert!(check(log).contains(escaped), "{}", check(log));
        }
    }

    #[test]
    fn times_are_gos() {
        assert_eq!(rfc3339_nano(0), "1970-01-01T00:00:00Z");
        assert_eq!(
            rfc3339_nano(951_782_400_500_000_000),
            "2000-02-29T00:00:00.5Z"
        );
        assert_eq!(
            rfc3339_nano(1_795_255_205_000_000_120),
            "2026-11-21T10:00:05.00000012Z"
        );
        assert_eq!(
            rfc3339_nano(4_107_542_399_999_999_999),
            "2100-02-28T23:59:59.999999999Z"
        );
        assert_eq!(
            rfc3339_nano(4_107_542_400_000_000_000),
            "2100-03-01T00:00:00Z"
        );
    }
}
