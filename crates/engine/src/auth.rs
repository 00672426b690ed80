//! A service's credentials for its registry: the value of Docker's `X-Registry-Auth` header, base64 of JSON.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use images::Auth;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

/// The credentials, or none when there are none in it. The error shows nothing of them.
pub(crate) fn read(header: &str) -> Result<Option<Auth>, &'static str> {
    let json = decode(header).ok_or("they are no base64")?;
    let credentials: Option<Credentials> =
        serde_json::from_slice(&json).map_err(|_| "they are no JSON object")?;
    let mut credentials = credentials.unwrap_or_default();
    if !credentials.identitytoken.is_empty() {
        return Err("identity tokens are not built yet: log in with a user name and a password");
    }
    if !credentials.registrytoken.is_empty() {
        return Ok(Some(Auth::Bearer(credentials.registrytoken)));
    }
    if credentials.username.is_empty() && !credentials.auth.is_empty() {
        let both = decode(&credentials.auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let both = both.as_deref().and_then(|both| both.split_once(':'));
        let (username, password) = both.ok_or("the field auth is no base64 of user:password")?;
        (credentials.username, credentials.password) = (username.into(), password.into());
    }
    let Credentials {
        username, password, ..
    } = credentials;
    let some = !username.is_empty();
    Ok(some.then_some(Auth::Basic { username, password }))
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
            assert_eq!(read(&BASE64_URL_SAFE.encode(&json)), Ok(expected.clone()));
            assert_eq!(read(&BASE64_STANDARD.encode(&json)), Ok(expected));
        }
    }

    #[test]
    fn errors_keep_the_secret() {
        for bad in ["%", &BASE64_STANDARD.encode("hunter2")] {
            assert!(!read(bad).unwrap_err().contains("hunter2"));
        }
    }
}
