//! This host's packets and addresses.
//!
//! So far: which interfaces and addresses there are (asked by netlink), and which of them a node listens on and
//! advertises, with Docker's rules and texts.

mod address;
mod interfaces;
mod names;

pub use address::{
    AddressError, DEFAULT_SWARM_PORT, resolve_advertise, resolve_listen, resolve_remote,
    system_address,
};
pub use interfaces::{Interface, NetlinkError, interfaces};
pub use names::use_linked_services_only;
