//! Credentials for registries, as `docker login` left them in `config.json`. They go to the daemon only, and never into a message.

use crate::error::{Error, Result};
use crate::reference::Reference;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// The key of the default registry in `config.json`.
const DEFAULT_REGISTRY_KEY: &str = "https://index.docker.io/v1/";

/// The header without credentials: an empty object.
pub const NONE: &str = "e30=";

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfigFile {
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    /// Base64 of `user:password`.
    auth: String,
    identitytoken: String,
}

#[derive(Serialize, Default)]
struct Credentials<'a> {
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    password: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    serveraddress: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    identitytoken: String,
}

/// The value of `X-Registry-Auth` for an image; that of an empty object when there are no credentials for its registry.
pub fn header(directory: Option<&Path>, reference: &Reference) -> Result<String> {
    let key = reference.domain().unwrap_or(DEFAULT_REGISTRY_KEY);
    let entry = match directory.map(|directory| read(&directory.join("config.json"))) {
        Some(file) => file?.auths.remove(key).unwrap_or_default(),
        None => Entry::default(),
    };
    let mut credentials = Credentials::default();
    if !entry.auth.is_empty() || !entry.identitytoken.is_empty() {
        let plain = STANDARD
            .decode(entry.auth.trim_end_matches('\0'))
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or_default();
        let (username, password) = plain.split_once(':').unwrap_or((&plain, ""));
        credentials = Credentials {
            username: username.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
            serveraddress: key,
            identitytoken: entry.identitytoken,
        };
    }
    let json = serde_json::to_vec(&credentials)
        .map_err(|err| Error::Failed(format!("cannot pass the credentials on: {err}")))?;
    Ok(URL_SAFE.encode(json))
}

fn read(path: &Path) -> Result<ConfigFile> {
    match std::fs::read(path) {
        // What serde_json says of a syntax error names a place, not a value.
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|err| {
            Error::Failed(format!(
                "cannot read {}: not the JSON of a docker config (line {})",
                path.display(),
                err.line()
            ))
        }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(ConfigFile::default()),
        Err(source) => Err(Error::File {
            what: format!("cannot read {}", path.display()),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(directory: Option<&Path>, image: &str) -> String {
        let header = header(directory, &Reference::parse(image).unwrap()).unwrap();
        String::from_utf8(URL_SAFE.decode(header).unwrap()).unwrap()
    }

    #[test]
    fn of_the_images_registry() {
        let directory = std::env::temp_dir().join(format!("starling-auth-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let auth = STANDARD.encode("me:se:cret");
        std::fs::write(
            directory.join("config.json"),
            format!(r#"{{"auths":{{"localhost:5000":{{"auth":"{auth}"}}}},"credsStore":"x"}}"#),
        )
        .unwrap();
        assert_eq!(
            decoded(Some(&directory), "localhost:5000/a/b:1"),
            r#"{"username":"me","password":"se:cret","serveraddress":"localhost:5000"}"#
        );
        assert_eq!(decoded(Some(&directory), "nginx"), "{}");
        std::fs::write(
            directory.join("config.json"),
            r#"{"auths":{"x":{"auth":7}}}"#,
        )
        .unwrap();
        assert!(header(Some(&directory), &Reference::parse("a").unwrap()).is_err());
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(decoded(Some(&directory), "nginx"), "{}");
        assert_eq!(
            header(None, &Reference::parse("nginx").unwrap()).unwrap(),
            NONE
        );
    }
}
