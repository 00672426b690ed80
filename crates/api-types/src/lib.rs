//! The Docker Engine HTTP API's JSON.
#![forbid(unsafe_code)]
