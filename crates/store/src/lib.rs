//! Replicated tables with indexes: applies changes at a log index, emits events, gives read views. Pure.
//!
//! One [`Store`] per manager. [`Store::apply`] is its only writer: it takes what the log says, applies each
//! proposal whole or refuses it alone, and gives the same result on every manager, since it reads no clock,
//! makes no ids and keeps only ordered maps. Objects are shared ([`std::sync::Arc`]) and never changed in place.
#![forbid(unsafe_code)]

mod apply;
mod dirty;
mod event;
mod failures;
mod find;
mod guard;
mod indexes;
mod read;
mod requests;
mod snapshot;
mod tables;
mod touched;
mod usage;

pub use apply::Applied;
pub use dirty::Dirty;
pub use event::{Event, Kind};
pub use failures::MAX_FAILURES_PER_NODE;
pub use find::FindError;
pub use guard::MAX_WANTED_PER_SLOT;
pub use model::snapshot::{AppliedRequest, NodeFailures, Snapshot};
pub use requests::MAX_REQUESTS;
pub use touched::MAX_TOUCHED;
pub use usage::{GenericUse, Usage, fits, leaves_room};

use failures::Failures;
use requests::Requests;
use tables::Tables;
use touched::Touched;

/// The replicated state of a cluster as of one log index.
#[derive(Clone, Debug, Default)]
pub struct Store {
    index: u64,
    tables: Tables,
    requests: Requests,
    failures: Failures,
    touched: Touched,
}

impl Store {
    /// A store to which nothing has been applied.
    pub fn new() -> Store {
        Store::default()
    }

    /// Log index of the last applied entry; 0 before the first.
    pub fn index(&self) -> u64 {
        self.index
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
