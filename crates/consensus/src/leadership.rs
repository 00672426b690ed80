//! Who leads, as this node knows it.

use crate::Member;

/// The state of leadership, published through [`crate::Raft::leadership`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term that this node is in.
    pub term: u64,
    /// The leader, when one is known.
    pub leader: Option<Member>,
    /// This node leads, has applied every entry of earlier terms, and a quorum acknowledged it within the longest
    /// election time-out.
    pub i_lead: bool,
    /// Set once, when this member takes part no longer.
    pub halted: Option<Halt>,
}

/// Why a member takes part no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It was removed from the group.
    Removed,
    /// [`crate::Raft::shutdown`] was called.
    ShutDown,
    /// The disk or the state machine failed; the text tells how.
    Failed(String),
}

impl std::fmt::Display for Halt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => f.write_str("this manager was removed from the cluster"),
            Self::ShutDown => f.write_str("the manager is shutting down"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}
