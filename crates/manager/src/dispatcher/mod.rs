//! Sessions of agents with the leader: what comes in goes to the driver, what the leader decides goes out.

mod service;
mod sessions;

pub(crate) use service::DispatcherService;
pub(crate) use sessions::Sessions;
