//! What connects the crates: each file implements one crate's trait on another crate's types.

mod address;
pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod executor;
pub(crate) mod host;
pub(crate) mod membership;
pub(crate) mod swarm;
pub(crate) mod table;
pub(crate) mod volumes;
