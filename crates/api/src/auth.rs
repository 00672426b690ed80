//! `X-Registry-Auth`: base64 of JSON, as Docker's clients send credentials.

use crate::ApiError;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
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
    let bytes = URL_SAFE
        .decode(text)
        .or_else(|_| URL_SAFE_NO_PAD.decode(text))
        .map_err(|_| bad())?;
    let map: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    let credentials: Credentials = serde_json::from_value(map.into()).map_err(|_| bad())?;
    if !credentials.identitytoken.is_empty() {
        return Err(ApiError::not_built("X-Registry-Auth.identitytoken"));
    }
    Ok(Some((text.to_owned(), credentials)))
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

    fn sent(json: &str) -> Result<Sent, ApiError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&URL_SAFE.encode(json)).expect("base64");
        headers.insert(HEADER, value);
        of_service(&headers)
    }

    #[test]
    fn credentials_are_kept_as_they_were_sent() {
        assert!(matches!(of_service(&HeaderMap::new()), Ok(Sent::Nothing)));
        assert!(matches!(sent("{}"), Ok(Sent::Auth(None))));
        let json = r#"{"username":"u","password":"p"}"#;
        match sent(json) {
            Ok(Sent::Auth(Some(auth))) => assert_eq!(auth.0, URL_SAFE.encode(json)),
            _ => panic!("no credentials"),
        }
        assert!(sent(r#"{"identitytoken":"t"}"#).is_err_and(|e| e.status == 501));
        assert!(sent("[]").is_err_and(|e| e.status == 400));
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_static("not base64!"));
        assert!(of_service(&headers).is_err_and(|e| e.status == 400));
    }
}
