//! `X-Registry-Auth`: base64 of JSON, as Docker's clients send credentials.

use crate::ApiError;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use images::Auth;
use model::service::RegistryAuth;
use serde::Deserialize;
use serde_json::{Map, Value};

const HEADER: &str = "X-Registry-Auth";

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
    registrytoken: String,
}

fn read(headers: &HeaderMap) -> Result<Option<(String, Credentials)>, ApiError> {
    let Some(value) = headers.get(HEADER).filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let bad =
        || ApiError::bad_request("invalid X-Registry-Auth header: send base64url of a JSON object");
    let text = value.to_str().map_err(|_| bad())?;
    let bytes = decode(text).ok_or_else(bad)?;
    let map: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let mut credentials: Credentials = serde_json::from_value(map.into()).map_err(|_| bad())?;
    if !credentials.identitytoken.is_empty() {
        return Err(ApiError::not_built("X-Registry-Auth.identitytoken"));
    }
    if credentials.username.is_empty() && !credentials.auth.is_empty() {
        let both = decode(&credentials.auth).and_then(|bytes| String::from_utf8(bytes).ok());
        let both = both.as_deref().and_then(|both| both.split_once(':'));
        let (username, password) = both.ok_or_else(bad)?;
        (credentials.username, credentials.password) = (username.into(), password.into());
    }
    Ok(Some((text.to_owned(), credentials)))
}

/// Clients use either alphabet, with and without padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engines = [&URL_SAFE, &STANDARD].map(|a| GeneralPurpose::new(a, lenient));
    engines.iter().find_map(|engine| engine.decode(text).ok())
}

/// Credentials for a request of this host to a registry.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Option<Auth>, ApiError> {
    let Some((_, credentials)) = read(headers)? else {
        return Ok(None);
    };
    if !credentials.registrytoken.is_empty() {
        return Ok(Some(Auth::Bearer(credentials.registrytoken)));
    }
    let Credentials {
        username, password, ..
    } = credentials;
    Ok((!username.is_empty()).then_some(Auth::Basic { username, password }))
}

/// What a client says of a service's credentials.
pub(crate) enum Sent {
    /// Nothing: they stay.
    Nothing,
    /// These, or that there are none: Docker's CLI sends `{}` when it has none.
    Auth(Option<RegistryAuth>),
}

/// Credentials to keep with a service.
pub(crate) fn of_service(headers: &HeaderMap) -> Result<Sent, ApiError> {
    let Some((text, credentials)) = read(headers)? else {
        return Ok(Sent::Nothing);
    };
    let has_any = !credentials.username.is_empty() || !credentials.registrytoken.is_empty();
    Ok(Sent::Auth(has_any.then_some(RegistryAuth(text))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    use base64::prelude::BASE64_URL_SAFE;

    fn sent(json: &str) -> Result<Sent, ApiError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&BASE64_URL_SAFE.encode(json)).expect("base64");
        headers.insert(HEADER, value);
        of_service(&headers)
    }

    #[test]
    fn credentials_are_kept_as_they_were_sent() {
        assert!(matches!(of_service(&HeaderMap::new()), Ok(Sent::Nothing)));
        assert!(matches!(sent("{}"), Ok(Sent::Auth(None))));
        let json = r#"{"username":"u","password":"p"}"#;
        match sent(json) {
            Ok(Sent::Auth(Some(auth))) => assert_eq!(auth.0, BASE64_URL_SAFE.encode(json)),
            _ => panic!("no credentials"),
        }
        assert!(matches!(
            sent(r#"{"auth":"dTpw"}"#),
            Ok(Sent::Auth(Some(_)))
        ));
        assert!(sent(r#"{"auth":"dQ"}"#).is_err_and(|e| e.status == 400));
        assert!(sent(r#"{"identitytoken":"t"}"#).is_err_and(|e| e.status == 501));
        assert!(sent("[]").is_err_and(|e| e.status == 400));
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("not base64!"));
        assert!(of_service(&headers).is_err_and(|e| e.status == 400));
    }
}
