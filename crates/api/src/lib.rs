//! The Docker Engine HTTP API: JSON to model and back, streams.
//!
//! It knows no kernel, no Raft and no scheduling: what a host and a cluster can do stands behind
//! [`backend`]'s traits. What is not built answers 501 and says so.
#![forbid(unsafe_code)]

mod address;
mod auth;
pub mod backend;
mod body;
mod convert;
mod error;
pub mod events;
mod filter;
mod frame;
mod names;
mod query;
mod refusal;
mod router;
mod routes;
mod server;
mod version;

pub use error::ApiError;
pub use server::{Api, serve};

/// The version that `/version` and the `Server` header tell.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");
