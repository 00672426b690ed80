//! What happens, for `/events`: rings of the last ones, and a channel of those to come.
//!
//! Events of the cluster carry the index of their log entry, the same on every manager: a client that lost its stream goes on from the
//! last index that it saw, also on another manager. Events of this host have none.

mod swarm;

pub use swarm::{of_leader, of_node, of_payload, of_service, of_task};

use api_types::StringMap;
use api_types::events::{Actor, Event};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Events of this host that are kept, as many as in Docker.
const KEPT: usize = 256;
/// Events of the cluster that are kept, and as many again of tasks: minutes of a busy cluster, some MiB.
const EVENT_RING: usize = 4096;
/// Events that a slow reader may be behind before its stream ends.
const CHANNEL: usize = 4096;

/// Where events are put and read. Cheap to clone.
#[derive(Clone)]
pub struct EventHub(Arc<Hub>);

struct Hub {
    kept: Mutex<Kept>,
    sender: broadcast::Sender<Arc<Event>>,
}

#[derive(Default)]
struct Kept {
    local: VecDeque<Arc<Event>>,
    swarm: Ring,
    /// Beside the others, since there are many more of them.
    tasks: Ring,
}

/// Events by index. All that came after `floor` are in it; none when no index is known yet.
#[derive(Default)]
struct Ring {
    floor: Option<u64>,
    events: VecDeque<(u64, Arc<Event>)>,
}

impl Ring {
    fn push(&mut self, index: u64, event: Arc<Event>) {
        if self.events.len() == EVENT_RING
            && let Some((dropped, _)) = self.events.pop_front()
        {
            self.floor = Some(dropped);
        }
        self.events.push_back((index, event));
    }

    fn begin(&mut self, index: u64) {
        self.events.clear();
        self.floor = Some(index);
    }
}

/// What a reader wants of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    /// Nothing.
    Nothing,
    /// All that is kept.
    All,
    /// From this point in time on, Unix nanoseconds.
    Since(i64),
    /// After this index of the log.
    After(u64),
}

/// Events after an index are not kept here any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    /// After this index, they are; none when this host knows of no index.
    pub(crate) kept_after: Option<u64>,
}

/// Kept events in the order of their time, and those to come.
pub(crate) type Subscription = (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>);

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
    /// Tells everybody. Events with an index must come in its order.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &event.starling {
            Some(of) if event.kind == TASK => kept.tasks.push(of.index, event.clone()),
            Some(of) => kept.swarm.push(of.index, event.clone()),
            None => {
                if kept.local.len() == KEPT {
                    kept.local.pop_front();
                }
                kept.local.push_back(event.clone());
            }
        }
        // Under the lock, so that a reader sees each event once: in a ring or on the channel. Nobody may listen.
        let _ = self.0.sender.send(event);
    }

    /// All events of the cluster from now on have an index above `index`; what came before is not known here. To be called when this
    /// host begins to be a manager, after a snapshot was taken over, and when events were missed.
    pub fn begin_after(&self, index: u64) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.swarm.begin(index);
        kept.tasks.begin(index);
    }

    /// No event with an index comes any more: this host has ceased to be a manager. Nobody can go on by index here; what was
    /// told is still found by its time.
    pub fn end(&self) {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.swarm.floor = None;
        kept.tasks.floor = None;
    }

    /// What is kept, and what is to come; `tasks` are told only to those who ask for them.
    pub(crate) fn subscribe(&self, past: Past, tasks: bool) -> Result<Subscription, Gone> {
        let kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = [Some(&kept.swarm), tasks.then_some(&kept.tasks)];
        let rings: Vec<_> = rings.into_iter().flatten().collect();
        let mut events: Vec<Arc<Event>> = Vec::new();
        match past {
            Past::Nothing => {}
            Past::After(index) => {
                // The highest floor: no ring has less than what came after it.
                let floor = rings.iter().map(|ring| ring.floor).max().flatten();
                if floor.is_none_or(|floor| index < floor) {
                    return Err(Gone { kept_after: floor });
                }
                let mut found: Vec<_> = rings
                    .iter()
                    .flat_map(|ring| &ring.events)
                    .filter(|(at, _)| *at > index)
                    .collect();
                found.sort_by_key(|(at, _)| *at);
                events.extend(found.into_iter().map(|(_, event)| event.clone()));
            }
            Past::All | Past::Since(_) => {
                let first = match past {
                    Past::Since(first) => first,
                    _ => i64::MIN,
                };
                let of_swarm = rings.iter().flat_map(|r| &r.events).map(|(_, event)| event);
                let all = kept.local.iter().chain(of_swarm);
                events.extend(all.filter(|e| e.time_nano >= first).cloned());
                events.sort_by_key(|event| event.time_nano);
            }
        }
        Ok((events, self.0.sender.subscribe()))
    }
}

/// The type of events that Docker's clients do not know.
pub(crate) const TASK: &str = "task";

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
        starling: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::starling::StarlingEvent;

    fn indexed(kind: &str, index: u64) -> Event {
        let mut event = event(kind, "update", "x", StringMap::new(), "swarm", index as i64);
        event.starling = Some(StarlingEvent { index });
        event
    }

    fn indexes(hub: &EventHub, past: Past, tasks: bool) -> Result<Vec<u64>, Gone> {
        let (events, _) = hub.subscribe(past, tasks)?;
        Ok(events
            .iter()
            .map(|e| e.starling.as_ref().map_or(0, |of| of.index))
            .collect())
    }

    #[test]
    fn readers_go_on_after_an_index() {
        let hub = EventHub::default();
        assert_eq!(
            indexes(&hub, Past::After(0), false),
            Err(Gone { kept_after: None })
        );
        hub.begin_after(9);
        for index in [10, 12, 15] {
            hub.publish(indexed("service", index));
        }
        hub.publish(indexed(TASK, 11));
        hub.publish(event(
            "container",
            "start",
            "c",
            StringMap::new(),
            "local",
            13,
        ));
        assert_eq!(indexes(&hub, Past::After(9), false), Ok(vec![10, 12, 15]));
        assert_eq!(indexes(&hub, Past::After(10), true), Ok(vec![11, 12, 15]));
        assert_eq!(indexes(&hub, Past::After(99), true), Ok(vec![]));
        assert_eq!(
            indexes(&hub, Past::After(8), false),
            Err(Gone {
                kept_after: Some(9)
            })
        );
        assert_eq!(indexes(&hub, Past::Since(12), false), Ok(vec![12, 0, 15]));
        assert_eq!(indexes(&hub, Past::Nothing, true), Ok(vec![]));
    }

    #[test]
    fn a_host_that_ceased_to_be_a_manager_is_not_asked_by_index() {
        let hub = EventHub::default();
        hub.begin_after(9);
        hub.publish(indexed("service", 10));
        hub.end();
        let nothing = Err(Gone { kept_after: None });
        assert_eq!(indexes(&hub, Past::After(9), false), nothing);
        assert_eq!(indexes(&hub, Past::After(99), true), nothing);
        assert_eq!(indexes(&hub, Past::All, false), Ok(vec![10]));
        hub.begin_after(20);
        assert_eq!(indexes(&hub, Past::After(20), true), Ok(vec![]));
    }

    #[test]
    fn what_was_dropped_is_gone() {
        let hub = EventHub::default();
        hub.begin_after(0);
        for index in 1..=EVENT_RING as u64 + 2 {
            hub.publish(indexed("node", index));
        }
        assert_eq!(
            indexes(&hub, Past::After(1), false),
            Err(Gone {
                kept_after: Some(2)
            })
        );
        assert_eq!(
            indexes(&hub, Past::After(2), true).map(|all| all.len()),
            Ok(EVENT_RING)
        );
    }
}
