//! Raft: openraft behind a narrow interface, its log and snapshots on disk, its transport.
//!
//! Nothing of openraft appears in the public API. The owner brings a [`StateMachine`] and a [`Connector`], mounts
//! [`Raft::service`] into its gRPC server and proposes opaque entries.

mod codec;
mod config;
mod error;
mod leadership;
mod log_store;
mod machine;
mod member;
mod raft;
mod snapshot;
mod state_machine;
mod types;
mod wal;

pub use config::*;
pub use error::{InitializeError, MembershipError, ProposeError, StartError};
pub use leadership::{Halt, Leadership};
pub use machine::{SnapshotEncoder, StateMachine};
pub use member::{Connector, Member};
pub use raft::{Applied, Raft, RaftService};

#[cfg(test)]
mod tests;
