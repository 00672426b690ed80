//! `swarm leave`. The texts are Docker's.

use super::place::Place;
use super::state::{self, State};
use super::{Phase, Swarm, SwarmError};
use crate::manager::Manager;
use model::Role;
use model::control::{Query, Selector};
use std::time::Duration;

/// Time for the leader to say which managers are reachable, for a warning.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);

const MANAGER: &str =
    "You are attempting to leave the swarm on a node that is participating as a manager. ";
const LAST: &str = "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ";
const MAY_LOSE: &str = "Doing so may lose the consensus of your cluster. ";
const RESTORE: &str = "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message.";

impl Swarm {
    /// Leaves the swarm: a manager takes itself out of the group if it can. All that this node has of the swarm is
    /// removed; its tasks are the agent's business, which hears of it through [`Swarm::membership`].
    ///
    /// # Errors
    /// A manager without `force` is refused and told what it would mean. Nothing is changed then.
    pub async fn leave(&self, force: bool) -> Result<(), SwarmError> {
        let swarm = self.clone();
        Self::uninterrupted(async move { swarm.leave_now(force).await }).await
    }

    async fn leave_now(&self, force: bool) -> Result<(), SwarmError> {
        let _turn = self.inner.changing.lock().await;
        let paths = self.inner.config.paths();
        let phase = self.inner.phase.borrow().clone();
        let place = match phase {
            Phase::Outside | Phase::Pending => {
                return Err(SwarmError::Refused(SwarmError::NOT_PART.into()));
            }
            Phase::Inside(place) => Some(place),
            Phase::Failed { place, .. } => place,
        };
        if !force {
            self.check_leave(place.as_deref()).await?;
        }
        // First of all the agent stops: what it starts now nobody wants.
        self.inner.membership.send_replace(None);
        self.inner.role.send_replace(None);
        if let Some(place) = &place {
            if let Err(error) = place.leave_group().await {
                tracing::warn!(%error, "leaving by force: the other managers still count on this one");
            }
            place.stop().await;
        }
        state::wipe(&paths).map_err(SwarmError::refused)?;
        self.inner.phase.send_replace(Phase::Outside);
        Ok(())
    }

    async fn check_leave(&self, place: Option<&Place>) -> Result<(), SwarmError> {
        match place {
            Some(place) if place.role() == Role::Worker => Ok(()),
            Some(Place {
                manager: Some(manager),
                ..
            }) => Err(SwarmError::Refused(warning(manager).await)),
            // It cannot be taken up: what is on disk says whether it is a manager's.
            _ => match State::load(&self.inner.config.paths()) {
                Ok(Some(State { raft: None, .. })) => Ok(()),
                _ => Err(SwarmError::Refused(format!("{MANAGER}{MAY_LOSE}{RESTORE}"))),
            },
        }
    }
}

/// What it means when this manager leaves.
async fn warning(manager: &Manager) -> String {
    let asked = manager.query(Query::Nodes(Selector::All));
    let Ok(Ok(found)) = tokio::time::timeout(ASK_TIMEOUT, asked).await else {
        return format!("{MANAGER}{MAY_LOSE}{RESTORE}");
    };
    let managers = found.nodes.iter().filter(|n| n.node.manager.is_some());
    let (reachable, unreachable): (Vec<_>, Vec<_>) = managers.partition(|n| n.reachable);
    let (reachable, all) = (reachable.len(), reachable.len() + unreachable.len());
    if reachable <= 1 && unreachable.is_empty() {
        return format!("{MANAGER}{LAST}");
    }
    let consequence = if loses_quorum(reachable, all) {
        format!(
            "Removing this node leaves {} managers out of {all}. Without a Raft quorum your swarm will be inaccessible. ",
            reachable - 1
        )
    } else {
        MAY_LOSE.to_owned()
    };
    format!("{MANAGER}{consequence}{RESTORE}")
}

/// Whether the group cannot go on when one reachable manager of `all` goes without being taken out first.
fn loses_quorum(reachable: usize, all: usize) -> bool {
    reachable > 0 && reachable - 1 < all / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_all_managers_must_remain() {
        assert!(loses_quorum(2, 2));
        assert!(!loses_quorum(3, 3));
        assert!(loses_quorum(2, 3));
        assert!(!loses_quorum(4, 5));
        assert!(loses_quorum(3, 5));
    }
}
