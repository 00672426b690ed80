//! The host's clock, and times as text.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970 by this host's clock.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

/// Nanoseconds since 1970 of an RFC 3339 time in UTC, as logs have it: `2026-11-21T10:16:34.123456789Z`.
pub(crate) fn parse_utc(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000_000 + nanos(fraction)?)
}

fn numbers<const N: usize>(text: &str, separator: char) -> Option<[i64; N]> {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let parts = text
        .split(separator)
        .map(|part| part.parse().ok().filter(|_| digits(part)));
    parts.collect::<Option<Vec<i64>>>()?.try_into().ok()
}

fn nanos(fraction: &str) -> Option<i64> {
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<9}").parse().ok()
}

/// Days since 1970 of a date in the Gregorian calendar: years begin in March, so that the leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T10:16:34.5Z", Some(1_795_256_194_500_000_000)),
            (
                "2024-02-29T23:59:59.123456789Z",
                Some(1_709_251_199_123_456_789),
            ),
            ("1969-12-31T23:59:59Z", Some(-1_000_000_000)),
            ("2026-11-21T10:16:34", None),
            ("2026-13-21T10:16:34Z", None),
            ("2026-11-21T10:16:34.1234567891Z", None),
            ("2026-11-21 10:16:34Z", None),
            ("nonsense", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_utc(text), expected, "{text}");
        }
    }
}
