//! The command line; it talks only to the HTTP API.
#![forbid(unsafe_code)]
