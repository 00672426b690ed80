//! The last events of the replicated state, with their log index: whoever was cut off goes on where he was, also on
//! another manager, since the index of an event is the same on all of them.

use super::EventBatch;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// Events that are kept: some minutes of a busy cluster, enough for a client to find another manager, at about
/// 1 KiB each (most objects are shared with the state).
pub const EVENT_RING: usize = 4096;

/// Batches of events that a slow reader may be behind before it has to look into the ring.
const EVENT_BACKLOG: usize = 1024;

/// Events from the asked index on are not kept (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "events from index {asked} on are not there any more: the oldest that this manager has begin at index {first}"
)]
pub struct EventsGone {
    /// The index that was asked for.
    pub asked: u64,
    /// The first index from which on all events are there.
    pub first: u64,
}

/// The ring of a manager.
pub(crate) struct Ring {
    inner: Mutex<Inner>,
    live: broadcast::Sender<Arc<EventBatch>>,
}

struct Inner {
    /// From this index on, all events are here or are to come.
    first: u64,
    /// The same as the last snapshot left it.
    skipped_to: u64,
    batches: VecDeque<Arc<EventBatch>>,
    events: usize,
}

impl Default for Ring {
    fn default() -> Ring {
        Ring {
            inner: Mutex::new(Inner {
                first: 1,
                skipped_to: 1,
                batches: VecDeque::new(),
                events: 0,
            }),
            live: broadcast::Sender::new(EVENT_BACKLOG),
        }
    }
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what an entry changed. The newest batch is always kept, however long it is.
    pub(crate) fn push(&self, batch: &Arc<EventBatch>) {
        let mut inner = self.lock();
        inner.events += batch.events.len();
        inner.batches.push_back(Arc::clone(batch));
        while inner.events > EVENT_RING && inner.batches.len() > 1 {
            if let Some(oldest) = inner.batches.pop_front() {
                inner.events -= oldest.events.len();
                inner.first = oldest.index + 1;
            }
        }
        // Under the lock, so that a reader gets each batch once. Nobody may be listening.
        let _ = self.live.send(Arc::clone(batch));
    }

    /// A snapshot took the place of entries up to `index`: what they changed is not known.
    pub(crate) fn skip_to(&self, index: u64) {
        let mut inner = self.lock();
        inner.batches.clear();
        inner.events = 0;
        inner.first = index + 1;
        inner.skipped_to = index + 1;
    }

    /// Everything from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.live.subscribe()
    }

    /// Everything from the entry with this index on.
    ///
    /// # Errors
    /// When some of it is not kept any more.
    pub(crate) fn read(self: &Arc<Self>, from: u64) -> Result<EventReader, EventsGone> {
        let inner = self.lock();
        let backlog = inner.since(from)?;
        Ok(EventReader {
            live: self.live.subscribe(),
            ring: Arc::clone(self),
            backlog,
            next: from,
        })
    }
}

impl Inner {
    fn since(&self, from: u64) -> Result<VecDeque<Arc<EventBatch>>, EventsGone> {
        if from < self.first {
            return Err(EventsGone {
                asked: from,
                first: self.first,
            });
        }
        let begin = self.batches.partition_point(|batch| batch.index < from);
        Ok(self.batches.range(begin..).cloned().collect())
    }
}

/// Reads events in the order of the log, first those that have been, then those to come. Each is read once.
pub struct EventReader {
    ring: Arc<Ring>,
    backlog: VecDeque<Arc<EventBatch>>,
    live: broadcast::Receiver<Arc<EventBatch>>,
    /// Index of the next entry that was not read yet.
    next: u64,
}

impl EventReader {
    /// What is there already, without waiting.
    #[cfg(test)]
    pub(crate) fn take_ready(&mut self) -> Vec<Arc<EventBatch>> {
        let ready = std::mem::take(&mut self.backlog);
        if let Some(last) = ready.back() {
            self.next = last.index + 1;
        }
        ready.into()
    }

    /// The next batch; waits for one. None when the manager ends.
    ///
    /// # Errors
    /// When events were missed: the reader was too slow, or this manager was so far behind the others that it was sent
    /// the state instead of the events.
    pub async fn next(&mut self) -> Result<Option<Arc<EventBatch>>, EventsGone> {
        loop {
            if let Some(batch) = self.backlog.pop_front() {
                self.next = batch.index + 1;
                return Ok(Some(batch));
            }
            match self.live.recv().await {
                // It was in the backlog, or it is older than what is asked for.
                Ok(batch) if batch.index < self.next => {}
                Ok(batch) => {
                    self.check_gap()?;
                    self.next = batch.index + 1;
                    return Ok(Some(batch));
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.backlog = self.ring.lock().since(self.next)?;
                }
                Err(broadcast::error::RecvError::Closed) => return Ok(None),
            }
        }
    }

    /// A snapshot came in between: what lies before it was never seen here.
    fn check_gap(&self) -> Result<(), EventsGone> {
        let first = self.ring.lock().skipped_to;
        if self.next < first {
            return Err(EventsGone {
                asked: self.next,
                first,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ServiceId, Timestamp};
    use store::{Event, Kind};

    /// An entry with so many events.
    fn batch(index: u64, events: usize) -> Arc<EventBatch> {
        let event = Event::Service {
            id: ServiceId::from("s"),
            kind: Kind::Removed,
            old: None,
            new: None,
        };
        Arc::new(EventBatch {
            index,
            at: Timestamp(0),
            events: vec![event; events],
        })
    }

    fn indexes(batches: &[Arc<EventBatch>]) -> Vec<u64> {
        batches.iter().map(|b| b.index).collect()
    }

    #[tokio::test]
    async fn a_reader_goes_on_from_any_index_that_is_kept_and_reads_each_batch_once() {
        let ring = Arc::new(Ring::default());
        for index in [1, 2, 5] {
            ring.push(&batch(index, 1));
        }
        let mut reader = ring.read(2).unwrap();
        ring.push(&batch(6, 1));
        for expected in [2, 5, 6] {
            assert_eq!(reader.next().await.unwrap().unwrap().index, expected);
        }
        assert_eq!(indexes(&ring.read(3).unwrap().take_ready()), [5, 6]);
        // Of an entry to come.
        let mut reader = ring.read(8).unwrap();
        ring.push(&batch(7, 1));
        ring.push(&batch(9, 1));
        assert_eq!(reader.next().await.unwrap().unwrap().index, 9);
        drop(ring);
    }

    #[tokio::test]
    async fn what_is_too_old_is_said_with_the_first_index_that_is_there() {
        let ring = Arc::new(Ring::default());
        for index in 1..=10 {
            ring.push(&batch(index, EVENT_RING / 4));
        }
        let gone = ring.read(6).map(|_| ()).unwrap_err();
        assert_eq!((gone.asked, gone.first), (6, 7));
        assert_eq!(indexes(&ring.read(7).unwrap().take_ready()), [7, 8, 9, 10]);
        // One entry that is larger than the ring is kept all the same.
        ring.push(&batch(11, EVENT_RING * 2));
        assert_eq!(indexes(&ring.read(11).unwrap().take_ready()), [11]);
    }

    #[tokio::test]
    async fn a_slow_reader_finds_in_the_ring_what_it_missed_or_is_told() {
        let ring = Arc::new(Ring::default());
        let mut patient = ring.read(1).unwrap();
        for index in 1..=(EVENT_BACKLOG as u64 + 10) {
            ring.push(&batch(index, 1));
        }
        for expected in 1..=(EVENT_BACKLOG as u64 + 10) {
            assert_eq!(patient.next().await.unwrap().unwrap().index, expected);
        }
        let mut late = ring.read(EVENT_BACKLOG as u64).unwrap();
        late.take_ready();
        for index in 2000..2000 + EVENT_BACKLOG as u64 + 10 {
            ring.push(&batch(index, 100));
        }
        assert!(late.next().await.is_err());
    }

    #[tokio::test]
    async fn a_snapshot_that_takes_the_place_of_entries_is_a_gap() {
        let ring = Arc::new(Ring::default());
        ring.push(&batch(1, 1));
        let mut reader = ring.read(1).unwrap();
        reader.take_ready();
        ring.skip_to(50);
        ring.push(&batch(51, 1));
        let gone = reader.next().await.unwrap_err();
        assert_eq!((gone.asked, gone.first), (2, 51));
        assert_eq!(indexes(&ring.read(51).unwrap().take_ready()), [51]);
        assert!(ring.read(50).is_err());
    }
}
