//! Generated protobuf and gRPC, conversions to and from the model, log encoding.
#![forbid(unsafe_code)]
