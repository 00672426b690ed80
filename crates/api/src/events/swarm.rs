//! Changes of the cluster as events, with Docker's attributes (`moby/daemon/events.go`).

use super::{TASK, event};
use api_types::StringMap;
use api_types::events::Event;
use api_types::starling::StarlingEvent;
use model::service::Service;
use model::{Node, Payload, PayloadKind, Task};

fn indexed(
    kind: &str,
    action: &str,
    id: &str,
    attributes: StringMap,
    index: u64,
    at: i64,
) -> Event {
    let mut event = event(kind, action, id, attributes, "swarm", at);
    event.starling = Some(StarlingEvent { index });
    event
}

fn action<T>(old: Option<&T>, new: Option<&T>) -> &'static str {
    match (old, new) {
        (None, _) => "create",
        (Some(_), None) => "remove",
        (Some(_), Some(_)) => "update",
    }
}

fn changed(attributes: &mut StringMap, name: &str, old: &str, new: &str) {
    if old != new {
        for (which, text) in [("old", old), ("new", new)] {
            if !text.is_empty() {
                attributes.insert(format!("{name}.{which}"), text.into());
            }
        }
    }
}

/// The event of a change of a service: with Docker's attributes for what changed.
///
/// `index` is that of the log entry, `now` is in Unix nanoseconds.
pub fn of_service(
    old: Option<&Service>,
    new: Option<&Service>,
    index: u64,
    now: i64,
) -> Option<Event> {
    let subject = new.or(old)?;
    let mut attributes = StringMap::from([("name".into(), subject.spec.name.clone())]);
    let mut at = now;
    if let (Some(old), Some(new)) = (old, new) {
        let replicas = |s: &Service| s.spec.replicas().to_string();
        changed(&mut attributes, "replicas", &replicas(old), &replicas(new));
        let image = |s: &Service| s.spec.task.container.image.clone();
        changed(&mut attributes, "image", &image(old), &image(new));
        let state = |s: &Service| s.update_status.as_ref().map_or("", |u| u.state.name());
        changed(&mut attributes, "updatestate", state(old), state(new));
        if old.meta.version == new.meta.version && attributes.len() == 1 {
            return None;
        }
    } else if let Some(new) = new {
        at = new.meta.created_at.0;
    }
    let id = subject.id.as_str();
    Some(indexed(
        "service",
        action(old, new),
        id,
        attributes,
        index,
        at,
    ))
}

/// The event of a change of a node; none when nothing changed that clients know.
pub fn of_node(old: Option<&Node>, new: Option<&Node>, index: u64, now: i64) -> Option<Event> {
    let subject = new.or(old)?;
    let hostname = subject
        .description
        .as_ref()
        .map_or(String::new(), |d| d.hostname.clone());
    let mut attributes = StringMap::from([("name".into(), hostname)]);
    if let (Some(old), Some(new)) = (old, new) {
        changed(
            &mut attributes,
            "availability",
            old.spec.availability.name(),
            new.spec.availability.name(),
        );
        changed(
            &mut attributes,
            "role",
            old.spec.role.name(),
            new.spec.role.name(),
        );
        changed(
            &mut attributes,
            "state",
            old.status.state.name(),
            new.status.state.name(),
        );
        if old.meta.version == new.meta.version && attributes.len() == 1 {
            return None;
        }
    }
    let id = subject.id.as_str();
    Some(indexed(
        "node",
        action(old, new),
        id,
        attributes,
        index,
        now,
    ))
}

/// The event of a manager that begins or ceases to lead. The log does not say who leads, so it has no index.
pub fn of_leader(node: &Node, leads: bool, now: i64) -> Event {
    let hostname = node.description.as_ref().map(|d| d.hostname.clone());
    let mut attributes = StringMap::from([("name".into(), hostname.unwrap_or_default())]);
    let word = |leads: bool| if leads { "true" } else { "false" };
    changed(&mut attributes, "leader", word(!leads), word(leads));
    event("node", "update", node.id.as_str(), attributes, "swarm", now)
}

/// The event of a change of a secret or a config.
pub fn of_payload(
    old: Option<&Payload>,
    new: Option<&Payload>,
    index: u64,
    now: i64,
) -> Option<Event> {
    let subject = new.or(old)?;
    let kind = match subject.kind {
        PayloadKind::Secret => "secret",
        PayloadKind::Config => "config",
    };
    let attributes = StringMap::from([("name".into(), subject.spec.name.clone())]);
    let id = subject.id.as_str();
    Some(indexed(kind, action(old, new), id, attributes, index, now))
}

/// The event of a change of a task, which only those get who ask for the type: ours, Docker has none.
pub fn of_task(old: Option<&Task>, new: Option<&Task>, index: u64, now: i64) -> Option<Event> {
    let subject = new.or(old)?;
    let mut attributes = StringMap::from([
        ("name".into(), subject.name()),
        ("service.id".into(), subject.service.to_string()),
        ("service.name".into(), subject.service_name.to_string()),
    ]);
    if let Some(node) = &subject.node {
        attributes.insert("node.id".into(), node.to_string());
    }
    let state = |task: Option<&Task>| task.map_or("", |t| t.status.state.name());
    let desired = |task: Option<&Task>| task.map_or("", |t| t.desired.name());
    let before = attributes.len();
    changed(&mut attributes, "state", state(old), state(new));
    changed(&mut attributes, "desiredstate", desired(old), desired(new));
    if old.is_some() && new.is_some() && attributes.len() == before {
        return None;
    }
    if !subject.status.error.is_empty() {
        attributes.insert("error".into(), subject.status.error.clone());
    }
    let id = subject.id.as_str();
    Some(indexed(TASK, action(old, new), id, attributes, index, now))
}
