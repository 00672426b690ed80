//! What happens to containers and to the cluster, as events of the API.

use api::events::{EventHub, event, of_node, of_payload, of_service, of_task};
use engine::{ContainerAction, ContainerEvent, Engine, LOCAL_DRIVER, VolumeEvent};
use store::Event;
use tokio::sync::broadcast::error::RecvError;

/// Publishes what happens to containers, until the engine is gone.
pub(crate) async fn containers(engine: Engine, hub: EventHub) {
    let mut events = engine.events();
    drop(engine);
    loop {
        match events.recv().await {
            Ok(happened) => hub.publish(container(&happened)),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events of containers were missed")
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn container(happened: &ContainerEvent) -> api_types::events::Event {
    let record = &happened.container;
    let mut attributes = record.process.labels.clone();
    attributes.insert("image".into(), record.config.image.clone());
    attributes.insert("name".into(), record.config.name.clone());
    match happened.action {
        ContainerAction::Kill { signal } => {
            attributes.insert("signal".into(), signal.to_string());
        }
        ContainerAction::Die { exit_code } => {
            attributes.insert("exitCode".into(), exit_code.to_string());
        }
        _ => {}
    }
    let at = i64::try_from(happened.time).unwrap_or(i64::MAX);
    event(
        "container",
        happened.action.name(),
        &record.id,
        attributes,
        "local",
        at,
    )
}

/// What an applied entry means for clients of the API.
pub(crate) fn cluster(happened: &Event, index: u64, now: i64) -> Option<api_types::events::Event> {
    match happened {
        Event::Service { old, new, .. } => of_service(old.as_deref(), new.as_deref(), index, now),
        Event::Node { old, new, .. } => of_node(old.as_deref(), new.as_deref(), index, now),
        Event::Payload { old, new, .. } => of_payload(old.as_deref(), new.as_deref(), index, now),
        Event::Task { old, new, .. } => of_task(old.as_deref(), new.as_deref(), index, now),
        Event::Cluster { .. } => None,
    }
}

/// Publishes what happens to volumes, until the engine is gone.
pub(crate) async fn volumes(engine: Engine, hub: EventHub) {
    let mut events = engine.volume_events();
    drop(engine);
    loop {
        match events.recv().await {
            Ok(happened) => hub.publish(volume(&happened)),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "events of volumes were missed")
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn volume(happened: &VolumeEvent) -> api_types::events::Event {
    let mut attributes = api_types::StringMap::from([("driver".into(), LOCAL_DRIVER.into())]);
    if let Some(container) = &happened.container {
        attributes.insert("container".into(), container.clone());
    }
    let at = i64::try_from(happened.time).unwrap_or(i64::MAX);
    event(
        "volume",
        happened.action,
        &happened.name,
        attributes,
        "local",
        at,
    )
}
