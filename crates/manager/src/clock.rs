//! The leader's clock: the wall's time when it began to lead, and from there on only forward.

use model::Timestamp;
use std::time::{Duration, Instant, SystemTime};

/// A clock that a step of the wall's clock does not move: a jump of an hour would make every node look silent.
pub(crate) struct Clock {
    started: Timestamp,
    since: Instant,
}

impl Clock {
    /// Starts at the wall's time.
    pub(crate) fn start() -> Clock {
        Clock {
            started: wall(),
            since: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.started + self.since.elapsed()
    }

    /// How long until `at`; zero when it is past.
    pub(crate) fn until(&self, at: Timestamp) -> Duration {
        at.since(self.now())
    }
}

/// The wall's time.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or_default()
}
