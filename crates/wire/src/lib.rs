//! Generated protobuf and gRPC, conversions to and from the model, log encoding.
//!
//! `pb` has the shapes on the wire as they are generated. From the model to them leads `From`, back leads
//! `TryFrom`, which refuses what this version does not understand: an unknown state of a task must not turn
//! into a known one. Equal values have equal bytes, since maps are ordered.
#![forbid(unsafe_code)]

pub mod control;
mod convert;
pub mod dispatcher;
mod error;
pub mod log;
pub mod logs;
mod redacted;
mod template;

pub use error::DecodeError;

/// Consensus traffic between managers (`raft.proto`).
#[allow(missing_docs, clippy::all)]
pub mod raft {
    tonic::include_proto!("starling.raft");
}

/// Generated from `proto/`: the shapes on the wire, without meaning. Sibling modules, because packages refer to
/// one another.
#[allow(missing_docs, clippy::all)]
pub mod pb {
    /// Certificates (`ca.proto`).
    pub mod ca {
        tonic::include_proto!("starling.ca");
    }
    /// The control interface (`control.proto`).
    pub mod control {
        tonic::include_proto!("starling.control");
    }
    /// Sessions of agents (`dispatcher.proto`).
    pub mod dispatcher {
        tonic::include_proto!("starling.dispatcher");
    }
    /// Log entries and snapshots (`log.proto`).
    pub mod log {
        tonic::include_proto!("starling.log");
    }
    /// Logs of tasks (`logs.proto`).
    pub mod logs {
        tonic::include_proto!("starling.logs");
    }
    /// Members of the Raft group (`membership.proto`).
    pub mod membership {
        tonic::include_proto!("starling.membership");
    }
    /// The nouns (`objects.proto`).
    pub mod objects {
        tonic::include_proto!("starling.objects");
    }
}
