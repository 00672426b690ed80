//! Linearizable reads: all that wait share one round of confirmations.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::error::{CheckIsLeaderError, RaftError};
use tokio::sync::{mpsc, oneshot};

use crate::ProposeError;
use crate::inner::Inner;

/// Who waits for a barrier.
pub(crate) type Waiter = oneshot::Sender<Result<u64, ProposeError>>;

/// Pause before a round that found no quorum is repeated.
const AGAIN: Duration = Duration::from_millis(20);

/// Serves the waiting readers, round by round. Who comes during a round waits for the next: a confirmation that
/// began before a read proves nothing for it. Ends with the node.
pub(crate) async fn serve(inner: Arc<Inner>, mut waiting: mpsc::UnboundedReceiver<Waiter>) {
    while let Some(first) = waiting.recv().await {
        let mut readers = vec![first];
        while let Ok(next) = waiting.try_recv() {
            readers.push(next);
        }
        let result = confirm(&inner).await;
        for reader in readers {
            // A reader may have given up.
            let _ = reader.send(result.clone());
        }
    }
}

/// Proves leadership now and waits until everything committed by then is applied.
async fn confirm(inner: &Inner) -> Result<u64, ProposeError> {
    let deadline = Instant::now() + inner.config.election_max;
    let read = loop {
        let leadership = inner.leadership.borrow().clone();
        if !leadership.i_lead {
            return Err(not_serving(inner));
        }
        match inner.raft.get_read_log_id().await {
            Ok((read, _)) => break read.map_or(0, |id| id.index),
            Err(RaftError::Fatal(_)) => {
                return Err(ProposeError::Stopped {
                    reason: inner.stop_reason(),
                });
            }
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => {
                return Err(ProposeError::NotLeader { leader: None });
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                if Instant::now() >= deadline {
                    return Err(ProposeError::NotLeader { leader: None });
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    };
    let mut metrics = inner.raft.metrics();
    while inner.applied_index.load(Ordering::Acquire) < read {
        let ended =
            metrics.changed().await.is_err() || metrics.borrow_and_update().running_state.is_err();
        if ended {
            return Err(ProposeError::Stopped {
                reason: inner.stop_reason(),
            });
        }
    }
    Ok(inner.applied_index.load(Ordering::Acquire))
}

/// The error for a call to a member that does not serve.
pub(crate) fn not_serving(inner: &Inner) -> ProposeError {
    let leadership = inner.leadership.borrow().clone();
    match leadership.halted {
        Some(halt) => ProposeError::Stopped {
            reason: halt.to_string(),
        },
        None => ProposeError::NotLeader {
            leader: leadership.leader,
        },
    }
}
