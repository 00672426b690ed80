//! Nodes become managers and workers as the operator wishes. The leader decides when; each node then asks for a
//! certificate of its new role: see [`crate::swarm`].

use crate::control::{Failed, Here};
use crate::driver::ProposalError;
use crate::membership::member_error;
use consensus::MembershipError;
use model::control::{ControlError, Write};
use model::{Change, NodeId, Role};
use std::time::Duration;
use store::{Event, Store};
use tokio::sync::broadcast::error::RecvError;

/// Pause before a change of role that could not be made is tried again. Docker's.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// A node whose role is not what the operator wishes, or a worker that is a member of the Raft group all the same: it
/// was on its way in when it was demoted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mismatch {
    node: NodeId,
    wished: Role,
    /// Its id in the Raft group while it is a member.
    member: Option<u64>,
}

fn mismatches(view: &Store) -> Vec<Mismatch> {
    let differs = view.nodes().filter(|node| {
        node.spec.role != node.role || (node.role == Role::Worker && node.manager.is_some())
    });
    let mismatch = differs.map(|node| Mismatch {
        node: node.id.clone(),
        wished: node.spec.role,
        member: node.manager.as_ref().map(|manager| manager.raft_id),
    });
    mismatch.collect()
}

/// Changes roles while this manager leads; never ends by itself.
pub(crate) async fn reconcile(here: Here, me: NodeId) {
    let mut leadership = here.raft.leadership();
    let mut events = here.machine.events();
    loop {
        if leadership.wait_for(|state| state.i_lead).await.is_err() {
            return;
        }
        let open = settle_all(&here, &me).await;
        let again = tokio::time::sleep(TRY_AGAIN);
        tokio::pin!(again);
        loop {
            tokio::select! {
                () = &mut again, if open => break,
                changed = leadership.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                batch = events.recv() => match batch {
                    Ok(batch) if batch.events.iter().any(|e| matches!(e, Event::Node { .. })) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }
}

/// Returns whether something has to be tried again.
async fn settle_all(here: &Here, me: &NodeId) -> bool {
    let mut mismatches = mismatches(&here.machine.view());
    // This manager comes last: it leads until the others are done.
    mismatches.sort_by_key(|mismatch| mismatch.node == *me);
    let mut open = false;
    for mismatch in mismatches {
        if let Err(error) = settle(here, me, &mismatch).await {
            tracing::warn!(node = %mismatch.node, role = mismatch.wished.name(), %error, "the role of a node is not changed yet");
            open = true;
        }
    }
    open
}

async fn settle(here: &Here, me: &NodeId, mismatch: &Mismatch) -> Result<(), ControlError> {
    if mismatch.wished == Role::Worker && mismatch.node == *me {
        // Whoever leads next goes on.
        here.raft.step_down().await;
        return Ok(());
    }
    if let (Role::Worker, Some(member)) = (mismatch.wished, mismatch.member) {
        match here.raft.remove_member(member).await {
            Ok(()) | Err(MembershipError::NotFound(_)) => {}
            Err(error) => return Err(refusal(error)),
        }
    }
    let id = mismatch.node.clone();
    let role = mismatch.wished;
    let mut changes = vec![Change::SetNodeRole {
        id: id.clone(),
        role,
    }];
    if role == Role::Worker {
        changes.push(Change::SetNodeManager { id, manager: None });
    }
    let proposed = here.driver.propose(changes).await;
    proposed.map_err(|error| match error {
        ProposalError::Lost => ControlError::Unavailable(error.to_string()),
        ProposalError::Refused(_) => ControlError::FailedPrecondition(error.to_string()),
    })
}

fn refusal(error: MembershipError) -> ControlError {
    match member_error(error) {
        Failed::Again(text) => ControlError::Unavailable(text),
        Failed::Final(error) => error,
    }
}

/// Refuses at once what [`reconcile`] could never do: a demotion that would cost the quorum.
///
/// # Errors
/// With Docker's text.
pub(crate) async fn may_change(here: &Here, write: &Write) -> Result<(), ControlError> {
    let Write::UpdateNode { id, spec, .. } = write else {
        return Ok(());
    };
    let member = {
        let view = here.machine.view();
        let demoted = view
            .node(id)
            .filter(|node| spec.role == Role::Worker && node.spec.role == Role::Manager);
        let Some(manager) = demoted.and_then(|node| node.manager.as_ref()) else {
            return Ok(());
        };
        manager.raft_id
    };
    match here.raft.may_remove(member).await {
        Ok(()) | Err(MembershipError::NotFound(_)) => Ok(()),
        Err(MembershipError::LastMember) => Err(ControlError::FailedPrecondition(
            "attempting to demote the last manager of the swarm".into(),
        )),
        Err(error) => Err(refusal(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::node::{ManagerStatus, NodeSpec, NodeStatus};
    use model::{Meta, Node, Proposal, Timestamp};

    /// What is to be done for a node with this wished role, this role, and this id in the Raft group.
    fn mismatch(wished: Role, role: Role, member: Option<u64>) -> Option<Role> {
        let node = Node {
            id: "n".into(),
            meta: Meta::default(),
            spec: NodeSpec {
                role: wished,
                ..NodeSpec::default()
            },
            role,
            description: None,
            status: NodeStatus::default(),
            manager: member.map(|raft_id| ManagerStatus {
                raft_id,
                addr: "10.0.0.1:2377".into(),
            }),
        };
        let mut store = Store::default();
        let proposal = Proposal {
            request: None,
            at: Timestamp(1),
            changes: vec![Change::CreateNode(Box::new(node))],
        };
        let applied = store.apply(1, &[proposal]);
        assert_eq!(applied.outcomes, [Ok(())]);
        let found = mismatches(&store).pop()?;
        assert_eq!(found.member, member);
        Some(found.wished)
    }

    #[test]
    fn roles_follow_the_wish_and_workers_leave_the_group() {
        use Role::{Manager, Worker};
        assert_eq!(mismatch(Worker, Worker, None), None);
        assert_eq!(mismatch(Manager, Manager, Some(1)), None);
        assert_eq!(mismatch(Manager, Worker, None), Some(Manager));
        assert_eq!(mismatch(Worker, Manager, Some(1)), Some(Worker));
        // On its way into the group when it was demoted.
        assert_eq!(mismatch(Manager, Manager, None), None);
        assert_eq!(mismatch(Worker, Manager, None), Some(Worker));
        assert_eq!(mismatch(Worker, Worker, Some(1)), Some(Worker));
    }
}
