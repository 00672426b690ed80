//! Proposals that wait for the next entry, and those under way.

use super::ProposalError;
use crate::leader::ProposalToken;
use crate::random;
use model::{Proposal, Refusal};
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Whose proposal it is.
pub(super) enum Origin {
    /// The leader's.
    Leader(ProposalToken),
    /// This manager's own; somebody may wait for the outcome.
    Manager(Option<oneshot::Sender<Result<(), ProposalError>>>),
}

impl Origin {
    /// Tells whoever waits; the leader's outcome is returned.
    pub(super) fn settle(
        self,
        outcome: Result<(), Refusal>,
    ) -> Option<(ProposalToken, Result<(), Refusal>)> {
        match self {
            Origin::Leader(token) => Some((token, outcome)),
            Origin::Manager(reply) => {
                match (reply, outcome) {
                    (Some(reply), outcome) => {
                        // Whoever asked may be gone.
                        let _ = reply.send(outcome.map_err(ProposalError::Refused));
                    }
                    (None, Err(refusal)) => {
                        tracing::warn!(%refusal, "a change of this manager was refused");
                    }
                    (None, Ok(())) => {}
                }
                None
            }
        }
    }

    /// Leadership was lost. The leader knows by itself.
    pub(super) fn abandon(self) {
        if let Origin::Manager(Some(reply)) = self {
            let _ = reply.send(Err(ProposalError::Lost));
        }
    }
}

/// The entry under way.
pub(super) struct InFlight {
    pub(super) batch: u64,
    /// In the order of its proposals.
    pub(super) origins: Vec<Origin>,
}

/// What waits for the next entry.
#[derive(Default)]
pub(super) struct Batch {
    waiting: VecDeque<(Origin, Proposal, usize)>,
}

impl Batch {
    pub(super) fn push(&mut self, origin: Origin, proposal: Proposal) {
        let bytes = wire::log::encoded_len(&proposal);
        self.waiting.push_back((origin, proposal, bytes));
    }

    /// An entry of what waits, as much as fits into `max_bytes` and at least one.
    pub(super) fn take(&mut self, max_bytes: usize) -> Option<(InFlight, Vec<u8>)> {
        /// Bytes of an entry beside its proposals.
        const HEAD: usize = 64;
        let mut bytes = HEAD;
        let (mut origins, mut proposals) = (Vec::new(), Vec::new());
        while let Some((_, _, size)) = self.waiting.front() {
            bytes += size;
            if bytes > max_bytes && !origins.is_empty() {
                break;
            }
            let (origin, proposal, _) = self.waiting.pop_front()?;
            origins.push(origin);
            proposals.push(proposal);
        }
        if origins.is_empty() {
            return None;
        }
        let batch = random::number();
        let entry = wire::log::encode_entry(batch, &proposals);
        Some((InFlight { batch, origins }, entry))
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) -> Vec<Origin> {
        let waiting = self.waiting.drain(..);
        waiting.map(|(origin, _, _)| origin).collect()
    }
}
