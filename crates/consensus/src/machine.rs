//! What is replicated: the interface to the state machine.

use crate::Member;

/// Encodes a view taken earlier; runs on a blocking thread while writes go on.
pub type SnapshotEncoder = Box<dyn FnOnce() -> std::io::Result<Vec<u8>> + Send>;

/// The replicated state machine, held in memory by its owner.
///
/// At start it is empty; then come at most one [`restore`](Self::restore) and the log after it, so it must not load
/// anything by itself.
pub trait StateMachine: Send + Sync + 'static {
    /// Applies one committed entry. Called in log order, exactly once per index and start of the process; indexes of
    /// entries that are Raft's own (elections, membership) are skipped. Returns the reply for the proposer.
    ///
    /// Called on a runtime thread: it must be quick and must not block.
    fn apply(&self, index: u64, entry: &[u8]) -> Vec<u8>;

    /// Takes a consistent view, cheaply; the returned closure encodes it.
    fn snapshot(&self) -> SnapshotEncoder;

    /// Replaces the whole state by a snapshot that covers the log up to `index`. Called on a blocking thread.
    ///
    /// # Errors
    /// When the snapshot cannot be decoded; this node then stops and says so.
    fn restore(&self, index: u64, snapshot: &[u8]) -> std::io::Result<()>;

    /// The members after an applied membership change or a restored snapshot.
    fn members_changed(&self, members: &[Member]);
}
