//! The options of the `json-file` log driver.

use super::{Invalid, invalid};
use crate::Driver;

/// Most files that a container's log may be kept in: opening a log looks at each of them.
pub const MAX_LOG_FILES: u32 = 1000;

/// When a container's log is rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRotation {
    /// Bytes of one file; [`u64::MAX`] never rotates. None leaves it to the engine.
    pub max_size: Option<u64>,
    /// Files, the one that is written included; 1 to [`MAX_LOG_FILES`]. None leaves it to the engine.
    pub max_files: Option<u32>,
}

/// Reads the driver's options. Only the driver `json-file` exists.
///
/// # Errors
/// In Docker's words where it has some: another driver, an unknown option, or a value that is none.
pub fn log_rotation(driver: &Driver) -> Result<LogRotation, Invalid> {
    if !matches!(driver.name.as_str(), "" | "json-file") {
        return invalid(format!(
            "logger: no log driver named '{}' is registered (there is json-file)",
            driver.name
        ));
    }
    let mut rotation = LogRotation::default();
    for (option, value) in &driver.options {
        match option.as_str() {
            "max-size" => rotation.max_size = Some(size(value)?),
            "max-file" => rotation.max_files = Some(files(value)?),
            _ => {
                return invalid(format!(
                    "unknown log opt '{option}' for json-file log driver (there are max-size and max-file)"
                ));
            }
        }
    }
    Ok(rotation)
}

fn files(text: &str) -> Result<u32, Invalid> {
    match text.parse() {
        Ok(files @ 1..=MAX_LOG_FILES) => Ok(files),
        _ => invalid(format!(
            "invalid value {text:?} of log opt 'max-file': use a number from 1 to {MAX_LOG_FILES}"
        )),
    }
}

/// A number with a unit of 1024 as Docker's `go-units` reads it: `100`, `10m`, `1.5g`, `20MB`; -1 is no bound.
fn size(text: &str) -> Result<u64, Invalid> {
    if text == "-1" {
        return Ok(u64::MAX);
    }
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        "t" | "tb" | "tib" => Some(40),
        _ => None,
    };
    let bytes = unit.and_then(|shift| {
        let number: f64 = number.trim_end().parse().ok()?;
        Some(number * 2_f64.powi(shift))
    });
    match bytes {
        // Infinity and what is not a number are not below the bound.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is positive and below 2^63"
        )]
        Some(bytes) if bytes >= 1.0 && bytes < 2_f64.powi(63) => Ok(bytes as u64),
        _ => invalid(format!(
            "invalid value {text:?} of log opt 'max-size': use a size such as 10m, or -1 for no bound"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<LogRotation, String> {
        let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        let driver = Driver {
            name: "json-file".into(),
            options: options.collect(),
        };
        log_rotation(&driver).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn sizes_are_dockers() {
        for (text, bytes) in [
            ("100", 100),
            ("10m", 10 << 20),
            ("20MB", 20 << 20),
            ("1.5g", 3 << 29),
            ("1t", 1 << 40),
            ("3 kib", 3 << 10),
            ("-1", u64::MAX),
        ] {
            let max_size = read(&[("max-size", text)]).unwrap().max_size;
            assert_eq!(max_size, Some(bytes), "{text}");
        }
        for text in [
            "", "ten", "0", "-5m", "5x", "inf", "NaN", "0.5", "1e300", "9e30t",
        ] {
            let said = read(&[("max-size", text)]).unwrap_err();
            assert!(said.contains("'max-size'"), "{text}: {said}");
        }
    }

    #[test]
    fn files_have_bounds() {
        assert_eq!(read(&[]).unwrap(), LogRotation::default());
        assert_eq!(read(&[("max-file", "7")]).unwrap().max_files, Some(7));
        for text in ["0", "-1", "1001", "many", ""] {
            let said = read(&[("max-file", text)]).unwrap_err();
            assert!(said.contains("1 to 1000"), "{text}: {said}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let said = read(&[("colour", "red")]).unwrap_err();
        assert!(
            said.contains("unknown log opt 'colour' for json-file"),
            "{said}"
        );
        let other = Driver {
            name: "syslog".into(),
            ..Driver::default()
        };
        let said = log_rotation(&other).unwrap_err().to_string();
        assert!(said.contains("no log driver named 'syslog'"), "{said}");
    }
}
