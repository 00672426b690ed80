//! The query string, as Go's handlers read it.

use crate::ApiError;
use api_types::Filters;
use std::collections::BTreeMap;

/// Parameters of a request. The first of several equal ones counts, but for [`Query::all`].
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(text: &str) -> Query {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.entry(decode(key)).or_default().push(decode(value));
        }
        Query(values)
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        self.0
            .get(key)
            .and_then(|v| v.first())
            .map_or("", String::as_str)
    }

    pub(crate) fn all(&self, key: &str) -> Vec<String> {
        self.0.get(key).cloned().unwrap_or_default()
    }

    /// Go's `httputils.BoolValue`: everything but a few words is true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.get(key).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// Go's `strconv.ParseBool`; nothing is false.
    pub(crate) fn boolean(&self, key: &str) -> Result<bool, ApiError> {
        match self.get(key) {
            "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            other => Err(ApiError::bad_request(format!(
                "invalid value for {key}: {other}"
            ))),
        }
    }

    /// A number that may be missing.
    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, ApiError> {
        match self.get(key) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!("invalid value '{text}' of {key}: send a number"))
            }),
        }
    }

    /// Filters with the keys in `allowed` only.
    pub(crate) fn filters(&self, allowed: &[&str]) -> Result<Filters, ApiError> {
        let bad = |error: api_types::filters::FilterError| ApiError::bad_request(error.to_string());
        let filters = Filters::parse(self.get("filters")).map_err(bad)?;
        filters.allow(allowed).map_err(bad)?;
        Ok(filters)
    }

    /// The version that an update was computed from.
    pub(crate) fn version(&self, kind: &str) -> Result<u64, ApiError> {
        let text = self.get("version");
        text.parse().map_err(|_| {
            ApiError::bad_request(format!(
                "invalid {kind} version '{text}': send the Version.Index that was read"
            ))
        })
    }
}

/// `%41` and `+` to bytes; what is not UTF-8 then is replaced.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[at], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
