//! What is known of the log without reading it: its ends, where each entry lies, and the newest entries themselves.

use std::collections::VecDeque;

use crate::types::{Entry, LogId, Vote};

/// Bytes of entries kept in memory. Followers in good health and the state machine read only these.
const CACHE_BYTES: usize = 4 << 20;
/// What an entry occupies besides its data, in bytes.
const ENTRY_OVERHEAD: usize = 64;

/// Where an entry's record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

#[derive(Debug)]
struct Slot {
    id: LogId,
    bytes: usize,
    /// Absent until it is written.
    place: Option<Place>,
    /// Absent when it was dropped from the cache; then it has a place.
    entry: Option<Entry>,
}

/// An entry as the reader finds it.
pub(crate) enum Found {
    Cached(Entry),
    OnDisk(LogId, Place),
}

/// The log in memory. Indexes are consecutive: an empty log continues after what was purged.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    slots: VecDeque<Slot>,
    first: u64,
    /// Bytes of the cached entries.
    cached: usize,
    /// All entries before this position (counted from `first`) are out of the cache.
    evicted: usize,
}

impl Memory {
    pub(crate) fn last(&self) -> Option<LogId> {
        self.slots.back().map(|slot| slot.id).or(self.purged)
    }

    /// The id of the entry before index `since`, or of what was purged.
    pub(crate) fn id_before(&self, since: u64) -> Option<LogId> {
        let position = since
            .checked_sub(1)?
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        position
            .and_then(|at| self.slots.get(at))
            .map(|slot| slot.id)
            .or(self.purged)
    }

    pub(crate) fn push(&mut self, entry: Entry, place: Option<Place>) {
        if self.slots.is_empty() {
            self.first = entry.log_id.index;
        }
        let bytes = entry_bytes(&entry);
        self.cached += bytes;
        self.slots.push_back(Slot {
            id: entry.log_id,
            bytes,
            place,
            entry: Some(entry),
        });
        if place.is_some() {
            self.evict();
        }
    }

    /// Notes where an entry was written, unless it is gone by now.
    pub(crate) fn placed(&mut self, id: LogId, place: Place) {
        if let Some(slot) = self.slot_mut(id.index).filter(|slot| slot.id == id) {
            slot.place = Some(place);
        }
        self.evict();
    }

    pub(crate) fn truncate(&mut self, since: u64) {
        while self.slots.back().is_some_and(|slot| slot.id.index >= since) {
            let slot = self.slots.pop_back().expect("checked by the condition");
            self.forget(&slot);
        }
        self.evicted = self.evicted.min(self.slots.len());
    }

    pub(crate) fn purge(&mut self, upto: LogId) {
        while self
            .slots
            .front()
            .is_some_and(|slot| slot.id.index <= upto.index)
        {
            let slot = self.slots.pop_front().expect("checked by the condition");
            self.forget(&slot);
            self.first = slot.id.index + 1;
            self.evicted = self.evicted.saturating_sub(1);
        }
        self.purged = self.purged.max(Some(upto));
    }

    /// The entries of `range` that exist, until their data exceed `max_bytes`; at least one.
    pub(crate) fn find(&self, start: u64, end: u64, max_bytes: usize) -> Vec<Found> {
        let end = end.min(self.first + self.slots.len() as u64);
        let mut bytes = 0;
        let mut found = Vec::new();
        for index in start.max(self.first)..end {
            let slot = &self.slots[(index - self.first) as usize];
            bytes += slot.bytes;
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            found.push(match (&slot.entry, slot.place) {
                (Some(entry), _) => Found::Cached(entry.clone()),
                (None, Some(place)) => Found::OnDisk(slot.id, place),
                (None, None) => unreachable!("only entries that have a place leave the cache"),
            });
        }
        found
    }

    /// The segment of the oldest entry; entries that are not written yet lie in none.
    pub(crate) fn oldest_segment(&self) -> Option<u64> {
        self.slots
            .front()
            .and_then(|slot| slot.place)
            .map(|place| place.segment)
    }

    /// The first index that should be there and is not. Indexes are consecutive behind the first entry, so that one
    /// alone can be wrong.
    pub(crate) fn hole(&self) -> Option<u64> {
        let expected = self.purged.map_or(0, |purged| purged.index + 1);
        (!self.slots.is_empty() && self.first != expected).then_some(expected)
    }

    fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(position)
    }

    fn forget(&mut self, slot: &Slot) {
        if slot.entry.is_some() {
            self.cached -= slot.bytes;
        }
    }

    fn evict(&mut self) {
        while self.cached > CACHE_BYTES && self.evicted < self.slots.len() {
            let slot = &mut self.slots[self.evicted];
            if slot.place.is_none() {
                return;
            }
            if slot.entry.take().is_some() {
                self.cached -= slot.bytes;
            }
            self.evicted += 1;
        }
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    ENTRY_OVERHEAD
        + match &entry.payload {
            openraft::EntryPayload::Normal(proposal) => proposal.data.len(),
            _ => 0,
        }
}
