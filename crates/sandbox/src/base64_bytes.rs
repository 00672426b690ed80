//! Bytes as base64 in JSON. Errors do not repeat the text: it may be a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_str(Base64)
}

struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes in base64")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        STANDARD
            .decode(text)
            .map_err(|_| E::invalid_value(Unexpected::Other("other text"), &self))
    }
}

#[cfg(test)]
mod tests {
    use crate::spec::InjectedFile;

    fn file(data: &str) -> Result<InjectedFile, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"target":"/run/secrets/a","mode":292,"data":"{data}"}}"#
        ))
    }

    #[test]
    fn bytes_travel_and_are_not_shown() {
        let sent = file("AP9odXNo").unwrap();
        assert_eq!(sent.data, b"\0\xffhush");
        let json = serde_json::to_string(&sent).unwrap();
        assert_eq!(serde_json::from_str::<InjectedFile>(&json).unwrap(), sent);
        assert_eq!(
            format!("{sent:?}"),
            "InjectedFile(/run/secrets/a 0:0 444, 6 bytes)"
        );
        let error = file("hush, not base64!").unwrap_err().to_string();
        assert!(
            error.starts_with("invalid value: other text, expected bytes in base64"),
            "{error}"
        );
    }
}
