//! Generated protobuf and gRPC, conversions to and from the model, log encoding.
#![forbid(unsafe_code)]

/// Consensus traffic between managers (`raft.proto`).
#[allow(missing_docs, clippy::all)]
pub mod raft {
    tonic::include_proto!("starling.raft");
}
