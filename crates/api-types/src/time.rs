//! Points in time as Go prints them: RFC 3339 in UTC, up to nine digits after the second, trailing zeros trimmed.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds from the Unix epoch to Go's zero time, 0001-01-01T00:00:00Z.
const GO_ZERO_SECONDS: i64 = -62_135_596_800;
const SECONDS_PER_DAY: i64 = 86_400;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time; the default is Go's zero time, which Docker prints where nothing happened yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// A text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "parsing time {:?}: expected a form like 2006-01-02T15:04:05Z",
            self.text
        )
    }
}

impl std::error::Error for ParseError {}

impl Default for Timestamp {
    fn default() -> Self {
        Timestamp {
            seconds: GO_ZERO_SECONDS,
            nanos: 0,
        }
    }
}

impl Timestamp {
    /// From seconds since the Unix epoch and nanoseconds within that second; more than a second of them is carried over.
    pub fn new(seconds: i64, nanos: u32) -> Self {
        Timestamp {
            seconds: seconds + i64::from(nanos) / NANOS_PER_SECOND,
            nanos: nanos % NANOS_PER_SECOND as u32,
        }
    }

    /// From nanoseconds since the Unix epoch.
    pub fn from_unix_nanos(nanos: i64) -> Self {
        Timestamp {
            seconds: nanos.div_euclid(NANOS_PER_SECOND),
            nanos: nanos.rem_euclid(NANOS_PER_SECOND) as u32,
        }
    }

    /// The time of this host's clock.
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// Whether it is Go's zero time.
    pub fn is_zero(&self) -> bool {
        *self == Timestamp::default()
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub fn subsec_nanos(&self) -> u32 {
        self.nanos
    }

    /// Nanoseconds since the Unix epoch; what does not fit (before 1677, after 2262) becomes the nearest that does.
    pub fn unix_nanos(&self) -> i64 {
        let nanos =
            i128::from(self.seconds) * i128::from(NANOS_PER_SECOND) + i128::from(self.nanos);
        nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// The time from `earlier` until this; zero when it is the other way round.
    pub fn since(&self, earlier: Timestamp) -> Duration {
        let nanos = (i128::from(self.seconds) - i128::from(earlier.seconds))
            * i128::from(NANOS_PER_SECOND)
            + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        Duration::from_nanos(nanos.clamp(0, i128::from(u64::MAX)) as u64)
    }

    /// Always nine digits after the second, as log lines with time stamps have.
    pub fn to_fixed_string(&self) -> String {
        format!("{}.{:09}Z", self.whole(), self.nanos)
    }

    /// Year, month and day, then hour, minute and second.
    pub fn civil(&self) -> (i64, u32, u32, u32, u32, u32) {
        let (days, second) = (
            self.seconds.div_euclid(SECONDS_PER_DAY),
            self.seconds.rem_euclid(SECONDS_PER_DAY),
        );
        let (year, month, day) = civil_from_days(days);
        (
            year,
            month,
            day,
            (second / 3600) as u32,
            (second / 60 % 60) as u32,
            (second % 60) as u32,
        )
    }

    fn whole(&self) -> String {
        let (year, month, day, hour, minute, second) = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp {
                seconds: after.as_secs() as i64,
                nanos: after.subsec_nanos(),
            },
            Err(before) => Timestamp::from_unix_nanos(
                -(before.duration().as_nanos().min(i64::MAX as u128) as i64),
            ),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.whole())?;
        if self.nanos != 0 {
            let digits = format!("{:09}", self.nanos);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    /// RFC 3339 with `Z` or an offset.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError {
            text: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes[at] != byte)
        || !matches!(bytes[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (
        number(&text[0..4])?,
        number(&text[5..7])?,
        number(&text[8..10])?,
    );
    let (hour, minute, second) = (
        number(&text[11..13])?,
        number(&text[14..16])?,
        number(&text[17..19])?,
    );
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let (nanos, zone) = fraction(&text[19..])?;
    let seconds =
        days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
            - offset(zone)?;
    Some(Timestamp { seconds, nanos })
}

fn number(text: &str) -> Option<i64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Splits `.123Z` into nanoseconds and the zone.
fn fraction(text: &str) -> Option<(u32, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return None;
    }
    let kept = &rest[..digits.min(9)];
    let scale = 10u32.pow(9 - kept.len() as u32);
    Some((kept.parse::<u32>().ok()? * scale, &rest[digits..]))
}

fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    Some(sign * (number(hours)? * 3600 + number(minutes)? * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the Unix epoch, by eras of 400 years that begin in March (so that the leap day is the last of its year).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month as u32,
        day as u32,
    )
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Timestamp::default());
        }
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: i64, nanos: u32) {
        let time: Timestamp = text.parse().unwrap();
        assert_eq!(
            (time.unix_seconds(), time.subsec_nanos()),
            (seconds, nanos),
            "{text}"
        );
    }

    #[test]
    fn reads_what_go_and_people_write() {
        check("1970-01-01T00:00:00Z", 0, 0);
        check("2026-11-21T10:00:00.5Z", 1_795_255_200, 500_000_000);
        check(
            "2024-02-29T23:59:59.123456789+02:00",
            1_709_243_999,
            123_456_789,
        );
        check("0001-01-01T00:00:00Z", GO_ZERO_SECONDS, 0);
        check("1969-12-31T23:59:59.999999999Z", -1, 999_999_999);
    }

    #[test]
    fn prints_as_go_does() {
        for text in [
            "0001-01-01T00:00:00Z",
            "2026-11-21T10:00:00.5Z",
            "2024-02-29T21:59:59.123456789Z",
            "1999-12-31T23:59:59Z",
            "1969-12-31T23:59:59.000000001Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::default().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(
            Timestamp::new(0, 500_000_000).to_fixed_string(),
            "1970-01-01T00:00:00.500000000Z"
        );
    }

    #[test]
    fn every_day_of_five_centuries_comes_back() {
        for day in -100_000..100_000 {
            let (year, month, of_month) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month.into(), of_month.into()), day);
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+2:00",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn nanoseconds_since_the_epoch() {
        assert_eq!(Timestamp::from_unix_nanos(-1).unix_nanos(), -1);
        assert_eq!(
            Timestamp::from_unix_nanos(1_500_000_000)
                .since(Timestamp::from_unix_nanos(1_000_000_000)),
            Duration::from_millis(500)
        );
        assert_eq!(Timestamp::default().unix_nanos(), i64::MIN);
    }
}
