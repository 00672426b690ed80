//! Nodes (`swarmkit/manager/controlapi/node.go`). Roles are only wished for here: the leader's role loop follows.

use super::{Desk, Planned, Rejected, in_sequence, not_found, precondition};
use model::control::Written;
use model::{Change, Node, NodeId, NodeSpec, NodeState, Role, TaskState, TaskStatus, validate};
use store::Store;

pub(super) fn update(desk: &Desk<'_>, id: NodeId, version: u64, spec: NodeSpec) -> Planned {
    let Some(node) = desk.view.node(&id) else {
        return not_found("node", id.as_str());
    };
    validate::node(&spec)?;
    in_sequence(node.meta.version, version)?;
    if node.spec.role == Role::Manager && spec.role == Role::Worker {
        may_be_demoted(desk.view, node)?;
    }
    let change = Change::UpdateNodeSpec {
        id,
        if_version: version,
        spec,
    };
    Ok((vec![change], Written::Done))
}

/// What the state can tell. Whether the rest is reachable at the moment, Raft says when it is done.
fn may_be_demoted(view: &Store, node: &Node) -> Result<(), Rejected> {
    let others = || view.nodes().filter(|other| other.id != node.id);
    if !others().any(|other| other.spec.role == Role::Manager) {
        return precondition("attempting to demote the last manager of the swarm");
    }
    if node.manager.is_none() {
        return Ok(());
    }
    let members = others().filter(|other| other.manager.is_some()).count();
    if members == 0 {
        // Others are on their way to become managers, and none has arrived.
        return precondition("attempting to demote the last manager of the swarm");
    }
    let up = others().filter(|o| o.manager.is_some() && o.status.state != NodeState::Down);
    if up.count() <= members / 2 {
        return precondition(
            "can't remove member from the raft: this would result in a loss of quorum",
        );
    }
    Ok(())
}

pub(super) fn remove(desk: &Desk<'_>, id: NodeId, force: bool) -> Planned {
    let Some(node) = desk.view.node(&id) else {
        return not_found("node", id.as_str());
    };
    if node.manager.is_some() {
        return precondition(format!(
            "node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
        ));
    }
    if !force && node.status.state == NodeState::Ready {
        return precondition(format!("node {id} is not down and can't be removed"));
    }
    let tasks = desk.view.tasks_on_node(&id).filter(|t| t.may_run());
    let orphaned = tasks.map(|task| {
        let mut status = TaskStatus::new(TaskState::Orphaned, desk.now, "node was removed");
        status.error.clone_from(&status.message);
        status.container.clone_from(&task.status.container);
        Change::SetTaskStatus {
            id: task.id.clone(),
            status,
        }
    });
    let mut changes: Vec<Change> = orphaned.collect();
    changes.push(Change::RemoveNode { id });
    Ok((changes, Written::Done))
}
