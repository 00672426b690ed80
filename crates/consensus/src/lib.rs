//! Raft: openraft behind a narrow interface, its log and snapshots on disk, its transport.
//!
//! Nothing of openraft appears in the public API. The owner brings a [`StateMachine`] and a [`Connector`], mounts
//! [`Raft::service`] into its gRPC server and proposes opaque entries.

mod config;
mod error;
mod leadership;
mod machine;
mod member;
mod raft;

pub use config::*;
pub use error::{InitializeError, MembershipError, ProposeError, StartError};
pub use leadership::{Halt, Leadership};
pub use machine::{SnapshotEncoder, StateMachine};
pub use member::{Connector, Member};
pub use raft::{Applied, Raft, RaftService};
