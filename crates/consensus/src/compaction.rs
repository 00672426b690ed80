//! When the log is cut: a snapshot after so many entries, and what stays in the log behind it.
//!
//! openraft's own policy is fixed when a member starts. The cluster's settings change while it runs, so its policy is
//! off and this task asks for snapshots and purges instead, woken by the engine's metrics.

use std::sync::Arc;

use crate::inner::Inner;
use crate::types::Metrics;

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compaction {
    /// Entries between two snapshots; 0 counts as 1.
    pub snapshot_every: u64,
    /// Entries kept in the log after a snapshot, so that a member that was away for a moment catches up by log.
    pub keep_entries: u64,
}

/// What to ask of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    snapshot: bool,
    /// Up to and including this index.
    purge: Option<u64>,
}

/// What was asked of the engine last. Each is asked once: the engine does it as soon as it can, and its answer to
/// every question is another round of metrics.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    /// The applied index at which a snapshot was asked for.
    snapshot: u64,
    purge: Option<u64>,
}

/// Indexes of the log, as the metrics tell them.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    applied: u64,
    snapshot: Option<u64>,
    purged: Option<u64>,
}

impl Standing {
    fn of(metrics: &Metrics) -> Self {
        Self {
            applied: metrics.last_applied.map_or(0, |id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
        }
    }

    fn wanted(self, compaction: Compaction, asked: Asked) -> Wanted {
        let since = self.snapshot.unwrap_or(0).max(asked.snapshot);
        let purge = self
            .snapshot
            .and_then(|index| index.checked_sub(compaction.keep_entries));
        Wanted {
            snapshot: self.applied.saturating_sub(since) >= compaction.snapshot_every.max(1),
            purge: purge.filter(|index| Some(*index) > self.purged.max(asked.purge)),
        }
    }
}

/// Runs until the engine ends.
pub(crate) async fn serve(inner: Arc<Inner>) {
    let mut metrics = inner.raft.metrics();
    let mut settings = inner.compaction.subscribe();
    let mut asked = Asked::default();
    loop {
        let standing = Standing::of(&metrics.borrow_and_update());
        let compaction = *settings.borrow_and_update();
        let wanted = standing.wanted(compaction, asked);
        let trigger = inner.raft.trigger();
        if wanted.snapshot {
            asked.snapshot = standing.applied;
            if trigger.snapshot().await.is_err() {
                return;
            }
        }
        if let Some(index) = wanted.purge {
            asked.purge = Some(index);
            if trigger.purge_log(index).await.is_err() {
                return;
            }
        }
        let alive = tokio::select! {
            changed = metrics.changed() => changed.is_ok(),
            // The sender lives as long as `inner`, which this task holds.
            changed = settings.changed() => changed.is_ok(),
        };
        if !alive {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN_AND_THREE: Compaction = Compaction {
        snapshot_every: 10,
        keep_entries: 3,
    };

    fn at(applied: u64, snapshot: Option<u64>, purged: Option<u64>) -> Standing {
        Standing {
            applied,
            snapshot,
            purged,
        }
    }

    fn asks_for_snapshot(standing: Standing, asked: u64) -> bool {
        let asked = Asked {
            snapshot: asked,
            purge: None,
        };
        standing.wanted(TEN_AND_THREE, asked).snapshot
    }

    fn purge(snapshot: Option<u64>, purged: Option<u64>, asked: Option<u64>) -> Option<u64> {
        let asked = Asked {
            snapshot: 0,
            purge: asked,
        };
        at(9, snapshot, purged).wanted(TEN_AND_THREE, asked).purge
    }

    #[test]
    fn a_snapshot_is_asked_for_once_after_so_many_entries() {
        assert!(!asks_for_snapshot(at(9, None, None), 0));
        assert!(asks_for_snapshot(at(10, None, None), 0));
        // It is being written.
        assert!(!asks_for_snapshot(at(15, None, None), 10));
        assert!(!asks_for_snapshot(at(19, Some(10), None), 10));
        assert!(asks_for_snapshot(at(20, Some(10), None), 10));
        // One that came from the leader counts, too.
        assert!(!asks_for_snapshot(at(41, Some(40), None), 10));
    }

    #[test]
    fn what_a_snapshot_covers_is_purged_but_for_the_last_entries() {
        assert_eq!(purge(None, None, None), None);
        assert_eq!(purge(Some(2), None, None), None);
        assert_eq!(purge(Some(8), None, None), Some(5));
        assert_eq!(purge(Some(8), Some(4), None), Some(5));
        assert_eq!(purge(Some(8), Some(5), None), None);
        // The engine waits until no follower reads these entries.
        assert_eq!(purge(Some(8), Some(4), Some(5)), None);
        assert_eq!(purge(Some(9), Some(4), Some(5)), Some(6));
    }

    #[test]
    fn zero_entries_are_one() {
        let zero = Compaction {
            snapshot_every: 0,
            keep_entries: 0,
        };
        let wanted = |applied| at(applied, None, None).wanted(zero, Asked::default());
        assert!(!wanted(0).snapshot);
        assert!(wanted(1).snapshot);
    }
}
