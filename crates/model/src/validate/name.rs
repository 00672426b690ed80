//! Names of objects.

use super::{Invalid, invalid};
use crate::payload;

/// Longest service name: a DNS label.
pub const MAX_NAME_LEN: usize = 63;

/// A name of a service: `^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`, at most 63 characters.
///
/// # Errors
/// With Docker's text.
pub fn service_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return invalid("meta: name must be provided");
    }
    if !is_framed(name, b"-_") {
        return invalid("name must be valid as a DNS name component");
    }
    if name.len() > MAX_NAME_LEN {
        return invalid("name must be 63 characters or fewer");
    }
    Ok(())
}

/// A name of a secret or a config: `^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$`, at most 64 characters.
///
/// # Errors
/// With Docker's text.
pub fn payload_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return invalid("name must be provided");
    }
    if name.len() > payload::MAX_NAME_LEN || !is_framed(name, b"-_.") {
        return invalid(
            "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]",
        );
    }
    Ok(())
}

/// Letters and digits of ASCII, and `inner` but for the first and the last byte.
fn is_framed(name: &str, inner: &[u8]) -> bool {
    let bytes = name.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter()
        .all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || inner.contains(b))
}
