//! Digests of content: `sha256:<64 hex digits>`.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Hex digits that Docker shows of an image or a layer.
const SHORT_HEX: usize = 12;

/// Why a text is not a digest. The texts are those of Docker's clients and daemon.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DigestError {
    /// No `algorithm:hex`.
    #[error("invalid checksum digest format")]
    Format,
    /// Not as many hex digits as the algorithm has.
    #[error("invalid checksum digest length")]
    Length,
    /// Neither sha256, sha384 nor sha512.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

/// A checked digest, `algorithm:hex` in lower case. Content of our store always has sha256; references may name the others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Reads `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        let length = match algorithm {
            "sha256" => 64,
            "sha384" => 96,
            "sha512" => 128,
            _ if is_algorithm(algorithm) => return Err(DigestError::Algorithm),
            _ => return Err(DigestError::Format),
        };
        if !hex.bytes().all(is_lower_hex) {
            return Err(DigestError::Format);
        }
        if hex.len() != length {
            return Err(DigestError::Length);
        }
        Ok(Self(text.to_owned()))
    }

    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// A sha256 digest from its 64 hex digits.
    pub(crate) fn from_hex(hex: &str) -> Result<Self, DigestError> {
        Self::parse(&format!("sha256:{hex}"))
    }

    /// The whole text, with the algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits.
    pub fn hex(&self) -> &str {
        self.0
            .split_once(':')
            .map_or(self.0.as_str(), |(_, hex)| hex)
    }

    /// The first 12 hex digits, as Docker shows an ID.
    pub fn short(&self) -> &str {
        &self.hex()[..SHORT_HEX]
    }

    /// Whether our store can hold content of this digest.
    pub(crate) fn is_sha256(&self) -> bool {
        self.0.starts_with("sha256:")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

/// `[A-Za-z][A-Za-z0-9]*` joined by one of `-_+.`
fn is_algorithm(text: &str) -> bool {
    text.split(['-', '_', '+', '.']).all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    })
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Digests content as it passes.
#[derive(Default, Clone)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let mut text = String::from("sha256:");
        for byte in self.0.finalize() {
            write!(text, "{byte:02x}").expect("writing to a String does not fail");
        }
        Digest(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_content() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn reads_only_whole_digests() {
        for (text, want) in [
            (EMPTY, Ok(())),
            ("sha256:", Err(DigestError::Length)),
            ("sha256:e3b0", Err(DigestError::Length)),
            (
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                Err(DigestError::Format),
            ),
            (
                "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
                Err(DigestError::Format),
            ),
            ("sha256:../../../../etc/passwd", Err(DigestError::Format)),
            (
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                Err(DigestError::Algorithm),
            ),
            ("", Err(DigestError::Format)),
            (":abc", Err(DigestError::Format)),
        ] {
            assert_eq!(Digest::parse(text).map(|_| ()), want, "{text}");
        }
    }
}
