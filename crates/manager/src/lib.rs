//! A manager node: the leader loops, the control interface, the dispatcher, the CA.
#![forbid(unsafe_code)]

mod auth;
pub mod ca;
mod clock;
mod connector;
mod control;
mod credentials;
mod dispatcher;
mod driver;
mod files;
pub mod leader;
mod logs;
mod machine;
mod manager;
mod membership;
mod random;
mod roles;
mod server;
pub mod swarm;
#[cfg(test)]
mod tests;
mod tls;

pub use connector::Connector;
pub use logs::LogStream;
pub use machine::{EVENT_RING, EventBatch, EventReader, EventsGone};
pub use manager::Manager;
pub use random::OsIds;
pub use swarm::Swarm;
