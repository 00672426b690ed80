//! The log driver of a task: files in the json-file format are the only ones.

use crate::config::LogConfig;
use crate::error::CreateError;
use model::Driver;
use model::validate::log_rotation;

/// Rotation of the container's log.
pub(super) fn log(driver: Option<&Driver>) -> Result<LogConfig, CreateError> {
    let mut log = LogConfig::default();
    if let Some(driver) = driver {
        let rotation =
            log_rotation(driver).map_err(|invalid| CreateError::Invalid(invalid.to_string()))?;
        log.max_size = rotation.max_size.unwrap_or(log.max_size);
        log.max_files = rotation.max_files.unwrap_or(log.max_files);
    }
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_replace_defaults() {
        let with = |options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            let driver = Driver {
                name: "json-file".into(),
                options: options.collect(),
            };
            log(Some(&driver))
        };
        let defaults = log(None).unwrap();
        let some = with(&[("max-size", "20m")]).unwrap();
        assert_eq!(
            (some.max_size, some.max_files),
            (20 << 20, defaults.max_files)
        );
        let some = with(&[("max-file", "7")]).unwrap();
        assert_eq!((some.max_size, some.max_files), (defaults.max_size, 7));
        assert!(with(&[("nope", "1")]).is_err());
    }
}
