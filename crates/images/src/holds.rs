//! Who needs which blob or layer just now: pulls before their image is recorded, containers, archives being saved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;

/// A thing of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Held {
    Blob(Digest),
    /// By chain ID.
    Layer(Digest),
}

type Counts = BTreeMap<Held, usize>;

/// All holds of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<Counts>>);

/// Some holds, given up when this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    holds: Holds,
    held: Vec<Held>,
}

impl Holds {
    /// Takes the things, whether they are there yet or not. To be taken *before* looking whether they are.
    pub(crate) fn take(&self, held: impl IntoIterator<Item = Held>) -> Hold {
        let held: Vec<Held> = held.into_iter().collect();
        let mut counts = self.counts();
        for thing in &held {
            *counts.entry(thing.clone()).or_default() += 1;
        }
        drop(counts);
        Hold {
            holds: self.clone(),
            held,
        }
    }

    /// Calls `remove` for each of `things` that nobody holds; nobody can take one meanwhile.
    pub(crate) fn remove_free<E>(
        &self,
        things: impl IntoIterator<Item = Held>,
        mut remove: impl FnMut(Held) -> Result<(), E>,
    ) -> Result<(), E> {
        let counts = self.counts();
        for thing in things {
            if !counts.contains_key(&thing) {
                remove(thing)?;
            }
        }
        Ok(())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.holds.counts();
        for thing in &self.held {
            if let Some(count) = counts.get_mut(thing) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(thing);
                }
            }
        }
    }
}
