//! What a follower knows of its leader's health.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The newest sign of life of the leader, and what speaks against it.
pub(crate) struct Contact {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Clone, Copy)]
struct State {
    /// The last message of a leader.
    heard: Instant,
    /// The last event after which a new election would be premature: a vote given, or an own candidacy.
    election: Instant,
    /// The term whose leader was found to be gone, and when.
    gone: Option<(u64, Instant)>,
}

/// A message of a leader that comes this long after it was found to be gone proves that it is back; before, it may
/// have been on its way.
const BACK_AFTER: Duration = Duration::from_millis(100);

impl Contact {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                heard: now,
                election: now,
                gone: None,
            }),
            changed: Notify::new(),
        }
    }

    /// A leader's message arrived. It is noted on arrival, so that a slow disk here is not taken for a dead leader.
    pub(crate) fn note_leader(&self) {
        self.with(|state| {
            state.heard = Instant::now();
            state.gone = state.gone.filter(|(_, found)| found.elapsed() < BACK_AFTER);
        });
    }

    /// This member voted or became a candidate.
    pub(crate) fn note_election(&self) {
        self.with(|state| state.election = Instant::now());
    }

    /// The leader of `term` has ended, or hands over.
    pub(crate) fn note_gone(&self, term: u64) {
        self.with(|state| state.gone = Some((term, Instant::now())));
        self.changed.notify_one();
    }

    /// Whether the leader of `term` is known to be gone.
    pub(crate) fn is_gone(&self, term: u64) -> bool {
        self.state().gone.is_some_and(|(gone, _)| gone == term)
    }

    /// When the leader of `term` was last heard, if it is gone and its succession has not begun: a vote given or an own
    /// candidacy begins it.
    pub(crate) fn vacant_since(&self, term: u64) -> Option<Instant> {
        let state = self.state();
        let (gone, found) = state.gone?;
        (gone == term && state.election <= found).then_some(state.heard)
    }

    /// Time since the last message of a leader.
    pub(crate) fn silence(&self) -> Duration {
        self.state().heard.elapsed()
    }

    /// The last message of a leader or event of an election.
    pub(crate) fn quiet_since(&self) -> Instant {
        let state = self.state();
        state.heard.max(state.election)
    }

    /// Waits for [`note_gone`](Self::note_gone).
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> State {
        *self.state.lock().expect("no panic while it is locked")
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no panic while it is locked"));
    }
}
