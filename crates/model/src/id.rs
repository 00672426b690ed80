//! Typed ids: a service's id never meets a task's.

use std::fmt;
use std::sync::Arc;

/// Length of every id in characters, as in Docker Swarm: 17 random bytes in base 36.
pub const ID_LEN: usize = 25;
/// Random bytes that make one id.
pub const ID_BYTES: usize = 17;

/// Where new ids come from: the operating system's random numbers in production, a seed in tests.
pub trait IdSource {
    /// Bytes that have not been handed out before.
    fn next_id(&mut self) -> [u8; ID_BYTES];
}

/// Writes `bytes` as 25 base-36 digits, as `swarmkit/identity/randomid.go` lays ids out.
pub fn encode(bytes: [u8; ID_BYTES]) -> String {
    let mut number = bytes;
    // 17 bytes are 136 bits and 36^25 is a little above 2^129: keep 129 bits, so that every id fits.
    number[0] &= 0x01;
    let mut digits = [b'0'; ID_LEN];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in number.iter_mut() {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 36)
                .expect("a remainder below 36 keeps the quotient in a byte");
            rest = value % 36;
        }
        *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[rest as usize];
    }
    digits.iter().map(|d| char::from(*d)).collect()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the next id of `source`.
            pub fn generate(source: &mut dyn IdSource) -> Self {
                Self(encode(source.next_id()).into())
            }
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    )*};
}

ids! {
    /// A cluster.
    ClusterId;
    /// A node: a host's identity in the cluster. It outlives addresses and certificates.
    NodeId;
    /// A service.
    ServiceId;
    /// A task: one attempt to run one replica.
    TaskId;
    /// A secret or a config.
    PayloadId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_25_base36_digits_and_order_of_their_bytes() {
        let low = encode([0; ID_BYTES]);
        let mut bytes = [0xff; ID_BYTES];
        let high = encode(bytes);
        bytes[16] = 0xfe;
        assert_eq!(low, "0".repeat(ID_LEN));
        assert_eq!(high.len(), ID_LEN);
        assert!(encode(bytes) < high);
        assert!(
            high.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
    }
}
