//! Points in time as flags give them.

use crate::units::parse_duration;
use api_types::Timestamp;

/// Into what the API takes: seconds since the epoch with nanoseconds. A duration means that long ago.
pub fn since(text: &str) -> Result<String, String> {
    point(text, Timestamp::now())
}

fn point(text: &str, now: Timestamp) -> Result<String, String> {
    let seconds = |time: Timestamp| format!("{}.{:09}", time.unix_seconds(), time.subsec_nanos());
    if let Ok(nanos) = parse_duration(text) {
        return Ok(seconds(Timestamp::from_unix_nanos(
            now.unix_nanos().saturating_sub(nanos),
        )));
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if number(whole) && number(fraction) {
        return Ok(text.to_owned());
    }
    // A date alone, or a time without seconds or zone, is in UTC.
    let zoned = text.ends_with(['Z', 'z'])
        || text
            .get(10..)
            .is_some_and(|clock| clock.contains(['+', '-']));
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        13 if !zoned => format!("{text}:00:00Z"),
        16 if !zoned => format!("{text}:00Z"),
        _ if !zoned => format!("{text}Z"),
        _ => text.to_owned(),
    };
    full.parse::<Timestamp>().map(seconds).map_err(|_| format!("{text:?} is no point in time: write for example 2026-11-21T10:00:00Z, 1795255200, or 10m for ten minutes ago"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points() {
        let now = Timestamp::new(1_795_255_200, 0);
        let check =
            |text: &str, expected: &str| assert_eq!(point(text, now).unwrap(), expected, "{text}");
        check("10m", "1795254600.000000000");
        check("1795255200", "1795255200");
        check("1795255200.5", "1795255200.5");
        check("2026-11-21T10:00:00Z", "1795255200.000000000");
        check("2026-11-21T10:00:00.25+01:00", "1795251600.250000000");
        check("2026-11-21T10:00:00", "1795255200.000000000");
        check("2026-11-21T10:00", "1795255200.000000000");
        check("2026-11-21", "1795219200.000000000");
        assert!(point("yesterday", now).is_err() && point("", now).is_err());
    }
}
