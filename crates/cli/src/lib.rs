//! The command line; it talks only to the HTTP API.
#![forbid(unsafe_code)]
pub mod client;
pub mod console;
pub mod error;
pub mod parse;
pub mod reference;
pub mod table;
pub mod template;
pub mod units;
