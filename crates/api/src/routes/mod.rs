//! Handlers, one file per area of the API.

pub(crate) mod containers;
pub(crate) mod events;
pub(crate) mod images;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod nodes;
pub(crate) mod payloads;
pub(crate) mod service_actions;
pub(crate) mod service_update;
pub(crate) mod services;
pub(crate) mod swarm;
pub(crate) mod system;
pub(crate) mod tasks;
pub(crate) mod volumes;
