//! The replicated state machine of this manager: the store, fed by Raft.

mod ring;

use ring::Ring;
pub use ring::{EVENT_RING, EventReader, EventsGone};

use crate::auth::Gate;
use crate::clock::wall;
use consensus::{Member, SnapshotEncoder};
use model::{Refusal, Timestamp};
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use store::{Event, Kind, Store};
use tokio::sync::{broadcast, mpsc, watch};

/// Batches of events that a slow reader of [`crate::Manager::events`] may be behind before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// What one log entry changed.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// Index of the entry.
    pub index: u64,
    /// When it was decided (leader's clock).
    pub at: Timestamp,
    /// The changes in order, each with the object before and after.
    pub events: Vec<Event>,
}

/// An entry that was applied, for the leader.
#[derive(Debug)]
pub(crate) struct AppliedEntry {
    pub(crate) index: u64,
    /// Names the proposer's batch.
    pub(crate) batch: u64,
    pub(crate) outcomes: Vec<Result<(), Refusal>>,
    pub(crate) events: Arc<EventBatch>,
}

/// The state machine that Raft drives.
pub(crate) struct Machine {
    store: RwLock<Store>,
    /// Not bounded by itself: the leader has one entry under way at a time, and the receiver always takes.
    applied: mpsc::UnboundedSender<AppliedEntry>,
    events: Arc<Ring>,
    /// The same without what was decided before this manager started: after a restart the log is applied again from
    /// the last snapshot, and clients have heard of it.
    news: broadcast::Sender<Arc<EventBatch>>,
    started: Timestamp,
    members: watch::Sender<Vec<Member>>,
    /// Set when an entry could not be understood: from then on the state is not what the log says.
    broken: watch::Sender<Option<Arc<str>>>,
    gate: Gate,
}

impl Machine {
    pub(crate) fn new(gate: Gate) -> (Arc<Machine>, mpsc::UnboundedReceiver<AppliedEntry>) {
        let (applied, receiver) = mpsc::unbounded_channel();
        let machine = Machine {
            store: RwLock::new(Store::new()),
            applied,
            events: Arc::default(),
            news: broadcast::Sender::new(EVENT_BACKLOG),
            started: wall(),
            members: watch::Sender::default(),
            broken: watch::Sender::default(),
            gate,
        };
        (Arc::new(machine), receiver)
    }

    /// The state. Held for short reads only: log entries wait meanwhile.
    pub(crate) fn view(&self) -> RwLockReadGuard<'_, Store> {
        // A panic while applying poisons the lock; the state may then be half of an entry's.
        self.store.read().expect("no entry was applied by halves")
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.events.subscribe()
    }

    /// Events from the entry with this index on.
    ///
    /// # Errors
    /// When some of them are not kept any more.
    pub(crate) fn events_from(&self, index: u64) -> Result<EventReader, EventsGone> {
        self.events.read(index)
    }

    /// What was decided since this manager started.
    pub(crate) fn news(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.news.subscribe()
    }

    pub(crate) fn members(&self) -> watch::Receiver<Vec<Member>> {
        self.members.subscribe()
    }

    /// Why this manager cannot go on, if so.
    pub(crate) fn broken(&self) -> Option<Arc<str>> {
        self.broken.borrow().clone()
    }

    pub(crate) fn watch_broken(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.broken.subscribe()
    }

    fn break_down(&self, index: u64, error: &wire::DecodeError) {
        tracing::error!(index, %error, "cannot apply a log entry: this manager stops serving");
        let text = format!("log entry {index} cannot be applied: {error}");
        self.broken.send_replace(Some(text.into()));
    }
}

impl consensus::StateMachine for Machine {
    fn apply(&self, index: u64, entry: &[u8]) -> Vec<u8> {
        if self.broken().is_some() {
            return Vec::new();
        }
        let entry = match wire::log::decode_entry(entry) {
            Ok(entry) => entry,
            Err(error) => {
                self.break_down(index, &error);
                return Vec::new();
            }
        };
        let at = entry
            .proposals
            .iter()
            .map(|p| p.at)
            .max()
            .unwrap_or_default();
        let applied = {
            let mut store = self.store.write().expect("no entry was applied by halves");
            store.apply(index, &entry.proposals)
        };
        for event in &applied.events {
            match event {
                Event::Node {
                    id,
                    kind: Kind::Removed,
                    ..
                } => self.gate.shut_out(id.clone()),
                Event::Node {
                    id,
                    new: Some(node),
                    ..
                } => self.gate.note_role(id, node.role),
                _ => {}
            }
        }
        let events = Arc::new(EventBatch {
            index,
            at,
            events: applied.events,
        });
        if !events.events.is_empty() {
            self.events.push(&events);
            if at >= self.started {
                // Nobody may be listening.
                let _ = self.news.send(Arc::clone(&events));
            }
        }
        // The receiver goes away when the manager stops.
        let _ = self.applied.send(AppliedEntry {
            index,
            batch: entry.batch,
            outcomes: applied.outcomes,
            events,
        });
        // The proposer learns what became of its proposals through `applied`, with the events.
        Vec::new()
    }

    fn snapshot(&self) -> SnapshotEncoder {
        let snapshot = self.view().snapshot();
        let broken = self.broken();
        Box::new(move || match broken {
            Some(why) => Err(io::Error::other(why.as_ref())),
            None => Ok(wire::log::encode_snapshot(&snapshot)),
        })
    }

    fn restore(&self, _index: u64, snapshot: &[u8]) -> io::Result<()> {
        let snapshot = wire::log::decode_snapshot(snapshot).map_err(io::Error::other)?;
        let store = Store::restore(snapshot);
        for node in store.nodes() {
            self.gate.note_role(&node.id, node.role);
        }
        self.events.skip_to(store.index());
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(())
    }

    fn members_changed(&self, members: &[Member]) {
        self.members.send_replace(members.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consensus::StateMachine;
    use model::{ClusterId, NodeId, Proposal};

    fn machine() -> (Arc<Machine>, mpsc::UnboundedReceiver<AppliedEntry>) {
        Machine::new(Gate::new(ClusterId::from("c")))
    }

    fn entry(batch: u64, at: Timestamp) -> Vec<u8> {
        let node = model::Node {
            id: NodeId::from("n"),
            meta: model::Meta::default(),
            spec: model::NodeSpec::default(),
            role: model::Role::default(),
            description: None,
            status: model::NodeStatus::default(),
            manager: None,
        };
        let proposal = Proposal {
            request: None,
            at,
            changes: vec![model::Change::CreateNode(Box::new(node))],
        };
        wire::log::encode_entry(batch, [&proposal])
    }

    #[test]
    fn the_proposer_learns_what_became_of_its_proposals_in_order() {
        let (machine, mut applied) = machine();
        machine.apply(1, &entry(7, Timestamp(1)));
        machine.apply(2, &entry(8, Timestamp(1)));
        let (first, second) = (applied.try_recv().unwrap(), applied.try_recv().unwrap());
        assert_eq!(
            (first.index, first.batch, first.outcomes),
            (1, 7, vec![Ok(())])
        );
        assert_eq!(first.events.events.len(), 1);
        assert_eq!((second.index, second.batch), (2, 8));
        assert!(second.outcomes[0].is_err(), "the node exists already");
    }

    #[test]
    fn what_was_decided_before_the_start_is_no_news() {
        let (machine, _applied) = machine();
        let (mut all, mut news) = (machine.events(), machine.news());
        machine.apply(1, &entry(1, Timestamp(1)));
        assert!(all.try_recv().is_ok());
        assert!(news.try_recv().is_err());
    }

    #[test]
    fn a_machine_that_cannot_apply_an_entry_applies_and_saves_nothing_more() {
        let (machine, _applied) = machine();
        machine.apply(1, b"\xff");
        let why = machine.broken().unwrap();
        assert!(why.contains("log entry 1 cannot be applied"), "{why}");
        machine.apply(2, &entry(1, Timestamp(1)));
        assert_eq!(machine.view().nodes().len(), 0);
        assert!(machine.snapshot()().is_err());
    }

    #[test]
    fn a_snapshot_brings_the_state_to_another_manager() {
        let (machine, _applied) = machine();
        machine.apply(3, &entry(1, Timestamp(1)));
        let bytes = machine.snapshot()().unwrap();
        let (other, _) = Machine::new(Gate::new(ClusterId::from("c")));
        other.restore(3, &bytes).unwrap();
        assert_eq!(other.view().index(), 3);
        assert_eq!(other.view().snapshot(), machine.view().snapshot());
        assert!(other.restore(3, &bytes[1..]).is_err());
    }
}
