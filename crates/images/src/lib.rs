//! Images: content store, registry client, layers.
#![forbid(unsafe_code)]
