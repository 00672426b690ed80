//! Durations, sizes and processor shares: what people write, and what they like to read.

use std::time::Duration;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Reads a duration as Go does (`1h2m3.5s`, `100ms`, `0`), into nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "invalid duration {text:?}: write numbers with units, for example 1h30m, 10s or 500ms"
        )
    };
    let digits = |b: u8| b.is_ascii_digit() || b == b'.';
    if text != "0" && !text.is_empty() && text.bytes().all(digits) {
        return Err(format!(
            "missing unit in duration {text:?}: write for example {text}s"
        ));
    }
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        total += decimal(number, unit_nanos(unit).ok_or_else(wrong)?).ok_or_else(wrong)?;
        rest = tail;
    }
    let total = if negative { -total } else { total };
    i64::try_from(total).map_err(|_| wrong())
}

/// As [`parse_duration`], and not negative.
pub fn parse_positive_duration(text: &str) -> Result<i64, String> {
    match parse_duration(text)? {
        nanos if nanos < 0 => Err("duration cannot be negative".to_owned()),
        nanos => Ok(nanos),
    }
}

/// As [`parse_duration`], for health checks: zero, or a millisecond at least (a bare number would be nanoseconds).
pub fn parse_probe_duration(text: &str) -> Result<i64, String> {
    match parse_positive_duration(text)? {
        nanos if nanos != 0 && nanos < NANOS_PER_SECOND / 1000 => {
            Err("duration must be at least 1ms".to_owned())
        }
        nanos => Ok(nanos),
    }
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` times `unit`, where the number may have a fraction; what is below one is dropped.
fn decimal(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Eighteen digits are far below a nanosecond of the largest unit.
    let kept = &fraction[..fraction.len().min(18)];
    let part: i128 = if kept.is_empty() {
        0
    } else {
        kept.parse::<i128>().ok()? * unit / 10i128.pow(kept.len() as u32)
    };
    Some(whole * unit + part)
}

/// Prints nanoseconds as Go does: `1h2m3.5s`.
pub fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let trimmed = |value: u64, unit: u64, name: &str| {
        let (whole, part) = (value / unit, value % unit);
        let digits = format!("{part:0width$}", width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if part == 0 {
            format!("{whole}{name}")
        } else {
            format!("{whole}.{digits}{name}")
        }
    };
    let text = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => trimmed(nanos, 1_000, "µs"),
        1_000_000..1_000_000_000 => trimmed(nanos, 1_000_000, "ms"),
        _ => {
            let seconds = nanos / 1_000_000_000;
            let rest = trimmed(nanos % 60_000_000_000, 1_000_000_000, "s");
            match (seconds / 3600, seconds / 60 % 60) {
                (0, 0) => rest,
                (0, minutes) => format!("{minutes}m{rest}"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// Reads a number of bytes with a unit of powers of 1024 (`50M`, `1g`, `1.5GiB`, `512`).
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("invalid size: '{text}'");
    let trimmed = text.trim();
    let digits = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ if number.is_empty() => return Err(wrong()),
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    decimal(number, 1024i128.pow(power))
        .and_then(|bytes| i64::try_from(bytes).ok())
        .ok_or_else(wrong)
}

/// Reads a number of processors (`0.5`), into billionths.
pub fn parse_cpus(text: &str) -> Result<i64, String> {
    let (_, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 9 {
        return Err(
            "value is too precise: a share of a processor has at most nine decimals".to_owned(),
        );
    }
    let wrong =
        || format!("failed to parse {text} as a rational number: write for example 0.5 or 2");
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(wrong());
    }
    decimal(text, i128::from(NANOS_PER_SECOND))
        .and_then(|nanos| i64::try_from(nanos).ok())
        .ok_or_else(wrong)
}

/// About how long: `5 seconds`, `About a minute`, `3 weeks`.
pub fn human_duration(duration: Duration) -> String {
    let (seconds, minutes) = (duration.as_secs(), duration.as_secs() / 60);
    let hours = (duration.as_secs_f64() / 3600.0 + 0.5) as u64;
    const DAY: u64 = 24;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 2 * DAY => format!("{hours} hours"),
        () if hours < 14 * DAY => format!("{} days", hours / DAY),
        () if hours < 60 * DAY => format!("{} weeks", hours / DAY / 7),
        () if hours < 730 * DAY => format!("{} months", hours / DAY / 30),
        () => format!("{} years", seconds / 3600 / DAY / 365),
    }
}

/// A number of bytes in powers of 1000 with `digits` significant digits: `7.67MB`.
pub fn human_size(bytes: i64, digits: usize) -> String {
    scaled(
        bytes as f64,
        1000.0,
        &["B", "kB", "MB", "GB", "TB", "PB", "EB"],
        digits,
    )
}

/// A number of bytes in powers of 1024 with four significant digits: `15.61GiB`.
pub fn binary_size(bytes: i64) -> String {
    scaled(
        bytes as f64,
        1024.0,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
        4,
    )
}

fn scaled(mut value: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// As C's `%.{digits}g` for values in the range of [`scaled`]: trailing zeros are dropped.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let before = value.abs().log10().floor() as i32 + 1;
    let decimals = (digits as i32 - before).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, nanos: i64| assert_eq!(parse_duration(text), Ok(nanos), "{text}");
        check("1h2m3.5s", 3_723_500_000_000);
        check("100ms", 100_000_000);
        check("0", 0);
        check("0s", 0);
        check("-1.5h", -5_400_000_000_000);
        check(".5s", 500_000_000);
        check("1us", 1000);
        for text in [
            "",
            "1",
            "s",
            "1x",
            "1.2.3s",
            "-",
            "1 s",
            "99999999999h",
            "5secs",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_positive_duration("-1s").is_err());
        assert!(parse_probe_duration("1us").is_err() && parse_probe_duration("0s").is_ok());
    }

    #[test]
    fn durations_come_back() {
        for text in [
            "1h2m3.5s",
            "100ms",
            "0s",
            "1.5µs",
            "5s",
            "1m0s",
            "2160h0m0s",
            "-3ns",
            "1.000000001s",
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes() {
        let check = |text: &str, bytes: i64| assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        check("50M", 50 << 20);
        check("1g", 1 << 30);
        check("1.5GiB", 3 << 29);
        check("512", 512);
        check("64 kb", 64 << 10);
        check("10b", 10);
        for text in ["", "M", "-5M", "1x", "1.2.3M", "99999999p", "5 0M"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors() {
        assert_eq!(parse_cpus("0.5"), Ok(500_000_000));
        assert_eq!(parse_cpus("2"), Ok(2_000_000_000));
        assert_eq!(parse_cpus("0.000000001"), Ok(1));
        for text in ["", "0.0000000001", "a", "-1", "1e3", "."] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_people() {
        let human = |seconds: u64| human_duration(Duration::from_secs(seconds));
        assert_eq!(human(0), "Less than a second");
        assert_eq!(
            (human(1), human(59), human(61)),
            (
                "1 second".into(),
                "59 seconds".into(),
                "About a minute".into()
            )
        );
        assert_eq!(
            (human(180), human(3600), human(86_400)),
            (
                "3 minutes".into(),
                "About an hour".into(),
                "24 hours".into()
            )
        );
        assert_eq!(
            (human(86_400 * 3), human(86_400 * 21), human(86_400 * 400)),
            ("3 days".into(), "3 weeks".into(), "13 months".into())
        );
        assert_eq!(
            (
                human_size(7_674_000, 3),
                human_size(0, 3),
                human_size(999, 3),
                human_size(1000, 3)
            ),
            ("7.67MB".into(), "0B".into(), "999B".into(), "1kB".into())
        );
        assert_eq!(binary_size(16_760_000_000), "15.61GiB");
    }
}
