//! The API over its socket, on backends in memory.

mod client;
mod docker;
mod events;
mod fake;
mod objects;
mod random;
mod requests;
mod services;
mod updates;

use client::Server;
use fake::Fake;

/// A server and what is behind it.
fn start() -> (Server, Fake) {
    let (server, fake, _) = start_with_events();
    (server, fake)
}

fn start_with_events() -> (Server, Fake, api::events::EventHub) {
    let directory = tempfile::tempdir().expect("a directory");
    let (api, fake) = fake::api(directory.path());
    let events = api.events.clone();
    (Server::start(api, directory), fake, events)
}

/// A spec with this name and this mode.
fn spec(name: &str, mode: serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "Name": name,
        "Labels": {"tier": "front"},
        "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1"}, "ForceUpdate": 0},
        "Mode": mode,
    })
}
