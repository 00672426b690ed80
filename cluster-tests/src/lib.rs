//! Several hosts on one machine, faults, the seeded simulator, architecture rules.
#![forbid(unsafe_code)]

pub mod hosts;
pub mod sim;
