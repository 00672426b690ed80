//! The Docker Engine HTTP API's JSON, version 1.50, as Docker's clients send and expect it.
//!
//! Every type here mirrors one of Docker's Go structs (names: `api/types` of moby v28.2.2): the same key names, the same keys
//! left out when they are empty, the same `null`s where Go prints a nil slice. A field that is always there in Docker is always
//! there here. The types know nothing of the daemon; whoever uses them converts by hand at the edge.
//!
//! Reading goes through [`from_json`], which behaves as Go's decoder does: keys match without regard to case, `null` means
//! "not given", unknown keys are ignored, and a wrong type is reported with the path of the field.
#![forbid(unsafe_code)]

mod decode;
mod macros;
mod zero;

pub mod container;
pub mod events;
pub mod filters;
pub mod image;
pub mod mount;
pub mod network;
pub mod payload;
pub mod service;
pub mod starling;
pub mod swarm;
pub mod system;
pub mod task;
pub mod time;
pub mod volume;

pub use decode::{DecodeError, from_json, from_value};
pub use filters::Filters;
pub use time::Timestamp;

use std::collections::BTreeMap;

/// A map of names to text, printed in the order of its keys as Go does.
pub type StringMap = BTreeMap<String, String>;

/// The newest version of the API that this crate describes.
pub const API_VERSION: &str = "1.50";
/// The oldest version of the API that clients may ask for.
pub const MIN_API_VERSION: &str = "1.24";

/// Content type of a raw stream (logs of a container with a terminal).
pub const MEDIA_TYPE_RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// Content type of a stream whose frames carry an eight byte header (logs without a terminal, from API 1.42).
pub const MEDIA_TYPE_MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

macros::go_json! {
    /// The body of every error answer.
    pub struct ErrorResponse {
        message: String = "message",
    }

    /// The answer to the creation of a swarm object.
    pub struct IdResponse {
        id: String = "ID",
    }

    /// The version of a swarm object; an update must carry the one that it was computed from.
    pub struct Version {
        index: u64 = "Index" omitempty,
    }

    /// A driver and its options (logging, networks, volumes, secrets).
    pub struct Driver {
        name: String = "Name" omitempty,
        options: StringMap = "Options" omitempty,
    }
}
