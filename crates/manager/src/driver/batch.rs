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

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Change, ServiceId, Timestamp};

    fn push(batch: &mut Batch, token: u64, letters: usize) {
        let id = ServiceId::from("x".repeat(letters));
        let proposal = Proposal {
            request: None,
            at: Timestamp(0),
            changes: vec![Change::RemoveService { id }],
        };
        batch.push(Origin::Leader(ProposalToken(token)), proposal);
    }

    #[test]
    fn what_waits_shares_entries_up_to_their_limit_and_keeps_its_order() {
        let mut batch = Batch::default();
        assert!(batch.take(1000).is_none());
        for (token, letters) in [(1, 300), (2, 300), (3, 2000), (4, 10), (5, 10)] {
            push(&mut batch, token, letters);
        }
        let mut entries = Vec::new();
        while let Some((in_flight, entry)) = batch.take(1000) {
            let decoded = wire::log::decode_entry(&entry).unwrap();
            assert_eq!(decoded.batch, in_flight.batch);
            assert_eq!(decoded.proposals.len(), in_flight.origins.len());
            // Only a proposal that is too large by itself makes an entry that is; Raft refuses it.
            assert!(entry.len() <= 1000 || in_flight.origins.len() == 1);
            let settled = in_flight
                .origins
                .into_iter()
                .filter_map(|o| o.settle(Ok(())));
            entries.push(settled.map(|(token, _)| token.0).collect::<Vec<_>>());
        }
        assert_eq!(entries, [vec![1, 2], vec![3], vec![4, 5]]);
    }

    #[test]
    fn whoever_waits_is_told_when_leadership_is_lost() {
        let (reply, mut answer) = oneshot::channel();
        Origin::Manager(Some(reply)).abandon();
        assert!(matches!(answer.try_recv(), Ok(Err(ProposalError::Lost))));
    }
}
