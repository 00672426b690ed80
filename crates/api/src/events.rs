//! What happens, for `/events`: a ring of the last ones, and a channel of those to come.

use api_types::StringMap;
use api_types::events::{Actor, Event};
use model::Node;
use model::service::{Service, UpdateState};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events kept for `since`, as many as in Docker.
const KEPT: usize = 256;
/// Events that a slow reader may be behind before it misses some.
const CHANNEL: usize = 4096;

/// Where events are put and read. Cheap to clone.
#[derive(Clone)]
pub struct EventHub(Arc<Hub>);

struct Hub {
    kept: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for EventHub {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(CHANNEL);
        EventHub(Arc::new(Hub {
            kept: Mutex::default(),
            sender,
        }))
    }
}

impl EventHub {
    /// Tells everybody.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Under the lock, so that a reader sees each event once: in the ring or on the channel. Nobody may listen.
        let _ = self.0.sender.send(event);
    }

    /// The events that are kept, and those to come.
    pub(crate) fn subscribe(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.iter().cloned().collect(), self.0.sender.subscribe())
    }
}

/// An event with everything that Docker prints. `scope` is `local` or `swarm`; `at` is in Unix nanoseconds.
pub fn event(
    kind: &str,
    action: &str,
    id: &str,
    attributes: StringMap,
    scope: &str,
    at: i64,
) -> Event {
    let of_old_clients = matches!(kind, "container" | "image");
    let legacy = |text: &str| {
        if of_old_clients {
            text.to_owned()
        } else {
            String::new()
        }
    };
    Event {
        status: legacy(action),
        id: legacy(id),
        from: attributes
            .get("image")
            .filter(|_| kind == "container")
            .cloned()
            .unwrap_or_default(),
        kind: kind.into(),
        action: action.into(),
        actor: Actor {
            id: id.into(),
            attributes,
        },
        scope: scope.into(),
        time: at.div_euclid(1_000_000_000),
        time_nano: at,
    }
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
        attributes.insert(format!("{name}.old"), old.into());
        attributes.insert(format!("{name}.new"), new.into());
    }
}

/// The event of a change of a service: with Docker's attributes for what changed.
pub fn of_service(old: Option<&Service>, new: Option<&Service>, now: i64) -> Option<Event> {
    let subject = new.or(old)?;
    let mut attributes = StringMap::from([("name".into(), subject.spec.name.clone())]);
    let mut at = now;
    if let (Some(old), Some(new)) = (old, new) {
        let replicas = |s: &Service| s.spec.replicas().to_string();
        changed(&mut attributes, "replicas", &replicas(old), &replicas(new));
        let image = |s: &Service| s.spec.task.container.image.clone();
        changed(&mut attributes, "image", &image(old), &image(new));
        let state = |s: &Service| {
            s.update_status
                .as_ref()
                .map_or("", |u| update_state(u.state))
        };
        changed(&mut attributes, "updatestate", state(old), state(new));
        if old.meta.version == new.meta.version && attributes.len() == 1 {
            return None;
        }
    } else if let Some(new) = new {
        at = new.meta.created_at.0;
    }
    Some(event(
        "service",
        action(old, new),
        subject.id.as_str(),
        attributes,
        "swarm",
        at,
    ))
}

fn update_state(state: UpdateState) -> &'static str {
    match state {
        UpdateState::Updating => "updating",
        UpdateState::Paused => "paused",
        UpdateState::Completed => "completed",
    }
}

/// The event of a change of a node; none when nothing changed that clients know.
pub fn of_node(old: Option<&Node>, new: Option<&Node>, now: i64) -> Option<Event> {
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
    Some(event(
        "node",
        action(old, new),
        subject.id.as_str(),
        attributes,
        "swarm",
        now,
    ))
}
