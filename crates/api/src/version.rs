//! Versions of the API: the prefix of paths, and the headers of every answer.

use crate::{ApiError, ENGINE_VERSION};
use api_types::{API_VERSION, MIN_API_VERSION};
use http::{HeaderMap, HeaderValue};

/// A version as two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The version that a path names (ours without one), and the path behind it.
pub(crate) fn split(path: &str) -> Result<(Version, &str), ApiError> {
    let newest = Version::parse(API_VERSION).expect("a version");
    let oldest = Version::parse(MIN_API_VERSION).expect("a version");
    let Some(rest) = path.strip_prefix("/v") else {
        return Ok((newest, path));
    };
    let (text, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some(version) = Version::parse(text) else {
        return Ok((newest, path));
    };
    if version < oldest {
        let text = format!(
            "client version {text} is too old. Minimum supported API version is {MIN_API_VERSION}, please upgrade your client to a newer version"
        );
        return Err(ApiError::bad_request(text));
    }
    if version > newest {
        let text = format!(
            "client version {text} is too new. Maximum supported API version is {API_VERSION}"
        );
        return Err(ApiError::bad_request(text));
    }
    Ok((version, rest))
}

/// What Docker's version middleware puts on every answer.
pub(crate) fn add_headers(headers: &mut HeaderMap) {
    let server = format!("Starling/{ENGINE_VERSION} (linux)");
    headers.insert(
        "Server",
        HeaderValue::from_str(&server).expect("plain text"),
    );
    headers.insert("Api-Version", HeaderValue::from_static(API_VERSION));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_from_paths_and_checked() {
        assert_eq!(split("/info"), Ok((Version(1, 50), "/info")));
        assert_eq!(split("/v1.41/info"), Ok((Version(1, 41), "/info")));
        assert_eq!(split("/version"), Ok((Version(1, 50), "/version")));
        assert_eq!(split("/volumes"), Ok((Version(1, 50), "/volumes")));
        assert!(split("/v1.23/info").is_err_and(|e| e.message.contains("too old")));
        assert!(split("/v1.51/info").is_err_and(|e| e.message.contains("too new")));
        assert!(split("/v2.0/info").is_err());
    }
}
