//! Generated protobuf and gRPC, conversions to and from the model, log encoding.
#![forbid(unsafe_code)]

/// Consensus traffic between managers (`raft.proto`).
#[allow(missing_docs, clippy::all)]
pub mod raft {
    tonic::include_proto!("starling.raft");
}

/// Generated from `proto/`: the shapes on the wire, without meaning. Sibling modules, because packages refer to
/// one another.
#[allow(missing_docs, clippy::all)]
pub mod pb {
    /// The nouns (`objects.proto`).
    pub mod objects {
        tonic::include_proto!("starling.objects");
    }
    /// Sessions of agents (`dispatcher.proto`).
    pub mod dispatcher {
        tonic::include_proto!("starling.dispatcher");
    }
}
