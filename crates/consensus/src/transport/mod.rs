//! What travels between members: tonic on the channels of the owner's [`Connector`](crate::Connector).

pub(crate) mod network;
pub(crate) mod peer;
pub(crate) mod service;
