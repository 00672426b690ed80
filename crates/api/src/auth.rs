//! `X-Registry-Auth`: base64 of JSON, as Docker's clients send credentials.

use crate::ApiError;
use http::HeaderMap;
use images::{Auth, AuthError};
use model::service::RegistryAuth;

const HEADER: &str = "X-Registry-Auth";

/// The text of the header, and what is in it; none when it was not sent.
fn read(headers: &HeaderMap) -> Result<Option<(&str, Option<Auth>)>, ApiError> {
    let Some(value) = headers.get(HEADER).filter(|v| !v.is_empty()) else {
        return Ok(None);
    };
    let bad =
        || ApiError::bad_request("invalid X-Registry-Auth header: send base64url of a JSON object");
    let text = value.to_str().map_err(|_| bad())?;
    match Auth::from_header(text) {
        Ok(auth) => Ok(Some((text, auth))),
        Err(AuthError::IdentityToken) => Err(ApiError::not_built("X-Registry-Auth.identitytoken")),
        Err(AuthError::NotBase64 | AuthError::NotJson | AuthError::BadPair) => Err(bad()),
    }
}

/// Credentials for a request of this host to a registry.
pub(crate) fn credentials(headers: &HeaderMap) -> Result<Option<Auth>, ApiError> {
    Ok(read(headers)?.and_then(|(_, auth)| auth))
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
    let Some((text, auth)) = read(headers)? else {
        return Ok(Sent::Nothing);
    };
    Ok(Sent::Auth(auth.map(|_| RegistryAuth(text.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE;
    use http::HeaderValue;

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
