//! Randomness of the operating system.

use model::IdSource;
use model::id::ID_BYTES;
use ring::rand::{SecureRandom, SystemRandom};

/// New ids from the operating system's random numbers.
#[derive(Debug, Default)]
pub struct OsIds;

impl IdSource for OsIds {
    fn next_id(&mut self) -> [u8; ID_BYTES] {
        bytes()
    }
}

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system has random numbers");
    bytes
}

/// A random number that is not zero.
pub(crate) fn number() -> u64 {
    u64::from_ne_bytes(bytes()).max(1)
}

/// A random number of `[0, 1)`.
pub(crate) fn fraction() -> f64 {
    f64::from(u32::from_ne_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}
