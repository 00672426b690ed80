//! Credentials for registries, as Docker's clients send them and services keep them: base64 of JSON.

use crate::types::Auth;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Why credentials cannot be read. It shows nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither alphabet fits.
    #[error("they are no base64")]
    NotBase64,
    /// Not what clients send.
    #[error("they are no JSON object")]
    NotJson,
    /// `auth` is what configuration files of clients hold.
    #[error("the field auth is no base64 of user:password")]
    BadPair,
    /// Not built.
    #[error("identity tokens are not built yet: log in with a user name and a password")]
    IdentityToken,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

impl Auth {
    /// What is in the value of Docker's header `X-Registry-Auth`; none when it says that there are no credentials.
    ///
    /// # Errors
    /// When it is malformed, or holds what is not built.
    pub fn from_header(header: &str) -> Result<Option<Auth>, AuthError> {
        let json = decode(header).ok_or(AuthError::NotBase64)?;
        // A list would do for a struct, too.
        let fields: Map<String, Value> =
            serde_json::from_slice(&json).map_err(|_| AuthError::NotJson)?;
        let mut credentials: Credentials =
            serde_json::from_value(fields.into()).map_err(|_| AuthError::NotJson)?;
        if !credentials.identitytoken.is_empty() {
            return Err(AuthError::IdentityToken);
        }
        if credentials.username.is_empty() && !credentials.auth.is_empty() {
            let both = decode(&credentials.auth).and_then(|bytes| String::from_utf8(bytes).ok());
            let both = both.as_deref().and_then(|both| both.split_once(':'));
            let (username, password) = both.ok_or(AuthError::BadPair)?;
            (credentials.username, credentials.password) = (username.into(), password.into());
        }
        if !credentials.registrytoken.is_empty() {
            return Ok(Some(Auth::Bearer(credentials.registrytoken)));
        }
        let Credentials {
            username, password, ..
        } = credentials;
        let has_any = !username.is_empty();
        Ok(has_any.then_some(Auth::Basic { username, password }))
    }
}

/// Clients use either alphabet, with and without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim();
    let engines = [&URL_SAFE, &STANDARD].map(|a| GeneralPurpose::new(a, lenient));
    engines.iter().find_map(|engine| engine.decode(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    #[test]
    fn credentials_are_read() {
        let basic = Auth::Basic {
            username: "me".into(),
            password: "hunter2".into(),
        };
        let auth = BASE64_STANDARD.encode("me:hunter2");
        for (json, expected) in [
            (
                r#"{"username":"me","password":"hunter2"}"#.to_owned(),
                Some(basic.clone()),
            ),
            (format!(r#"{{"auth":"{auth}"}}"#), Some(basic)),
            (
                r#"{"registrytoken":"t"}"#.into(),
                Some(Auth::Bearer("t".into())),
            ),
            ("{}".into(), None),
        ] {
            let read = Auth::from_header;
            assert_eq!(read(&BASE64_URL_SAFE.encode(&json)), Ok(expected.clone()));
            assert_eq!(read(&BASE64_STANDARD.encode(&json)), Ok(expected));
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        for (header, expected) in [
            ("%".to_owned(), AuthError::NotBase64),
            (BASE64_STANDARD.encode("hunter2"), AuthError::NotJson),
            (BASE64_STANDARD.encode("[]"), AuthError::NotJson),
            (
                BASE64_STANDARD.encode(r#"{"auth":"dQ"}"#),
                AuthError::BadPair,
            ),
            (
                BASE64_STANDARD.encode(r#"{"identitytoken":"hunter2"}"#),
                AuthError::IdentityToken,
            ),
        ] {
            let error = Auth::from_header(&header).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
