//! Raft: openraft behind a narrow interface, its log and snapshots on disk, its transport.
//!
//! Nothing of openraft appears in the public API. The owner brings a [`StateMachine`] and a [`Connector`], mounts
//! [`Raft::service`] into its gRPC server and proposes opaque entries.

#![forbid(unsafe_code)]

mod barrier;
mod codec;
mod compaction;
mod config;
mod contact;
mod election;
mod error;
mod inner;
mod leader;
mod leadership;
mod log_store;
mod machine;
mod member;
mod membership;
mod quorum;
mod raft;
mod seal;
mod snapshot;
mod start;
mod state_machine;
mod transport;
mod types;
mod wal;

pub use compaction::Compaction;
pub use config::*;
pub use error::{InitializeError, MembershipError, ProposeError, StartError};
pub use leadership::{Halt, Leadership};
pub use machine::{SnapshotEncoder, StateMachine};
pub use member::{Connector, Member};
pub use raft::{Applied, Raft};
pub use transport::service::RaftService;

#[cfg(test)]
mod tests;
