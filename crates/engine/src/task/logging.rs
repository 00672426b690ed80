//! The log driver of a task: files in the json-file format are the only ones.

use crate::config::LogConfig;
use crate::error::CreateError;
use model::Driver;

/// Rotation of the container's log.
pub(super) fn log(driver: Option<&Driver>) -> Result<LogConfig, CreateError> {
    let mut log = LogConfig::default();
    let Some(driver) = driver else {
        return Ok(log);
    };
    match driver.name.as_str() {
        "" | "json-file" => {}
        other => {
            let text =
                format!("logger: no log driver named '{other}' is registered (there is json-file)");
            return Err(CreateError::Invalid(text));
        }
    }
    for (name, value) in &driver.options {
        let invalid = || CreateError::Invalid(format!("invalid log option {name}={value}"));
        match name.as_str() {
            "max-size" => log.max_size = size(value).ok_or_else(invalid)?,
            "max-file" => log.max_files = value.parse().map_err(|_| invalid())?,
            // Kept, and without effect: rotated files are not compressed.
            "compress" if matches!(value.as_str(), "true" | "false") => {}
            _ => {
                let text = format!("unknown log opt '{name}' for json-file log driver");
                return Err(CreateError::Invalid(text));
            }
        }
    }
    Ok(log)
}

/// Docker's sizes: `10m`, `1.5k` are not both taken; whole numbers with a unit of 1024.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(driver: &str, name: &str, value: &str) -> Result<LogConfig, CreateError> {
        let options = [(name.to_owned(), value.to_owned())].into();
        let name = driver.into();
        log(Some(&Driver { name, options }))
    }

    #[test]
    fn log_options_are_read() {
        assert_eq!(
            with("json-file", "max-size", "20m").unwrap().max_size,
            20 << 20
        );
        assert_eq!(with("json-file", "max-file", "7").unwrap().max_files, 7);
        assert!(with("json-file", "max-size", "many").is_err());
        assert!(with("json-file", "nope", "1").is_err());
        let other = with("local", "max-file", "1").unwrap_err().to_string();
        assert!(other.contains("'local'"), "{other}");
        let text = with("syslog", "max-file", "1").unwrap_err().to_string();
        assert!(text.contains("syslog"), "{text}");
    }
}
