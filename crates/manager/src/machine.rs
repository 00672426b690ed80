//! The replicated state machine of this manager: the store, fed by Raft.

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
    events: broadcast::Sender<Arc<EventBatch>>,
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
            events: broadcast::Sender::new(EVENT_BACKLOG),
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
            if let Event::Node {
                id,
                kind: Kind::Removed,
                ..
            } = event
            {
                self.gate.shut_out(id.clone());
            }
        }
        let events = Arc::new(EventBatch {
            index,
            at,
            events: applied.events,
        });
        if !events.events.is_empty() {
            // Nobody may be listening.
            let _ = self.events.send(Arc::clone(&events));
            if at >= self.started {
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
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(())
    }

    fn members_changed(&self, members: &[Member]) {
        self.members.send_replace(members.to_vec());
    }
}
