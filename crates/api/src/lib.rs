//! The Docker Engine HTTP API.
#![forbid(unsafe_code)]
