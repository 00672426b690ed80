//! This host's packets and addresses.
//!
//! So far: which interfaces and addresses there are (asked by netlink), and which of them a node listens on and
//! advertises, with Docker's rules and texts.
#![forbid(unsafe_code)]

mod address;
mod interfaces;

pub use address::{
    AddressError, DEFAULT_SWARM_PORT, resolve_advertise, resolve_listen, system_address,
};
pub use interfaces::{Interface, NetlinkError, interfaces};
