//! Join tokens: `SWMTKN-1-<digest of the root certificate>-<secret>`, as in Docker Swarm.

use model::cluster::JoinSecret;
use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

/// Prefix of a token with version.
const PREFIX: &str = "SWMTKN-1-";
/// Base-36 digits of the digest: 256 bits.
const DIGEST_DIGITS: usize = 50;
/// Base-36 digits of the secret.
const SECRET_DIGITS: usize = 25;

/// What a new node has to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    digest: [u8; SHA256_OUTPUT_LEN],
    secret: JoinSecret,
}

/// The text is no token. It is not repeated: it may be one with a slip of the pen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid join token")]
pub struct InvalidToken;

/// SHA-256 of a root certificate's PEM.
fn digest_of(root_pem: &str) -> [u8; SHA256_OUTPUT_LEN] {
    let mut bytes = [0; SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest(&SHA256, root_pem.as_bytes()).as_ref());
    bytes
}

impl JoinToken {
    /// The token for a cluster with this root certificate.
    pub fn new(root_pem: &str, secret: &JoinSecret) -> JoinToken {
        JoinToken {
            digest: digest_of(root_pem),
            secret: secret.clone(),
        }
    }

    /// Reads a token.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<JoinToken, InvalidToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidToken)?;
        let (digits, secret) = rest.split_once('-').ok_or(InvalidToken)?;
        let base36 = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        };
        if digits.len() != DIGEST_DIGITS || secret.len() != SECRET_DIGITS || !base36(secret) {
            return Err(InvalidToken);
        }
        Ok(JoinToken {
            digest: from_base36(digits).ok_or(InvalidToken)?,
            secret: JoinSecret(secret.into()),
        })
    }

    /// Whether it was made for the cluster with this root certificate. The text is Docker's.
    ///
    /// # Errors
    /// The digests, when they differ.
    pub fn check_root(&self, root_pem: &str) -> Result<(), String> {
        let found = digest_of(root_pem);
        if found == self.digest {
            return Ok(());
        }
        Err(format!(
            "remote CA does not match fingerprint. Expected: {}, got {}",
            hex(&self.digest),
            hex(&found)
        ))
    }

    /// Whether its secret is this one; the time that it takes says nothing about how much is right.
    pub fn has_secret(&self, secret: &JoinSecret) -> bool {
        // Digests of both, since lengths differ only for what is no secret anyway.
        let (ours, theirs) = (digest_of(&self.secret.0), digest_of(&secret.0));
        ours.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// The token as operators see it. `Debug` hides the secret, this does not.
impl std::fmt::Display for JoinToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PREFIX}{}-{}", to_base36(self.digest), self.secret.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 50 base-36 digits, zeros in front.
fn to_base36(mut number: [u8; SHA256_OUTPUT_LEN]) -> String {
    let mut digits = [b'0'; DIGEST_DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 36).expect("the rest is below 36");
            rest = value % 36;
        }
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[rest as usize];
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

fn from_base36(digits: &str) -> Option<[u8; SHA256_OUTPUT_LEN]> {
    let mut number = [0_u8; SHA256_OUTPUT_LEN];
    for digit in digits.bytes() {
        let mut carry = match digit {
            b'0'..=b'9' => u32::from(digit - b'0'),
            b'a'..=b'z' => u32::from(digit - b'a') + 10,
            _ => return None,
        };
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 36;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(digit: char) -> JoinSecret {
        JoinSecret(digit.to_string().repeat(SECRET_DIGITS))
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = JoinToken::new("some certificate", &secret('7'));
        let text = token.to_string();
        assert_eq!(text.len(), 9 + 50 + 1 + 25);
        assert_eq!(JoinToken::parse(&text), Ok(token.clone()));
        assert_eq!(token.check_root("some certificate"), Ok(()));
        assert!(token.has_secret(&secret('7')) && !token.has_secret(&secret('8')));
        assert!(!token.has_secret(&JoinSecret(String::new())));
        let error = token.check_root("another one").unwrap_err();
        assert!(
            error.starts_with("remote CA does not match fingerprint. Expected: "),
            "{error}"
        );
        assert!(!format!("{token:?}").contains("777"), "the secret shows");
    }

    #[test]
    fn a_digest_has_leading_zeros() {
        // Computed with Python's integers.
        let token = JoinToken::new("9", &secret('0')).to_string();
        assert!(
            token.contains("-0mqnj0140hn7l9ryrs8ow12kw5me6xky5o8fm8xat4qobntrxz-"),
            "{token}"
        );
        assert_eq!(to_base36([0; 32]), "0".repeat(50));
        assert_eq!(from_base36(&to_base36([0xff; 32])), Some([0xff; 32]));
        assert_eq!(from_base36(&"z".repeat(50)), None);
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let good = JoinToken::new("x", &secret('1')).to_string();
        for bad in [
            "",
            "SWMTKN-1-",
            &good[1..],
            &good[..good.len() - 1],
            &good.replace("SWMTKN-1", "SWMTKN-2"),
            &good.replace("-11", "-1_"),
            &good.to_uppercase(),
        ] {
            assert_eq!(JoinToken::parse(bad), Err(InvalidToken), "{bad}");
        }
    }
}
