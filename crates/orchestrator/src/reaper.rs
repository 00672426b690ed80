//! Forgets tasks: of removed services, of removed slots, and what exceeds the history limit.

use crate::plan::{Member, Place, Plan};
use crate::{Context, Decision};
use model::{Change, ClusterSpec, DesiredState, NodeState, ServiceId, Task};
use store::Store;

/// The service is gone: its tasks are stopped and forgotten.
pub(crate) fn bury(view: &Store, service: &ServiceId, decision: &mut Decision) {
    for task in view.tasks_of_service(service) {
        if may_be_forgotten(view, task) {
            decision.changes.push(Change::RemoveTask {
                id: task.id.clone(),
            });
        } else if task.desired != DesiredState::Remove {
            decision.changes.push(Change::SetDesired {
                id: task.id.clone(),
                desired: DesiredState::Remove,
            });
        }
    }
}

/// No process of it is there to be stopped. A node that is down learns of it when it comes back: a task that
/// its assignments do not name is stopped and removed there.
fn may_be_forgotten(view: &Store, task: &Task) -> bool {
    let Some(node) = &task.node else { return true };
    task.status.state.is_terminal()
        || view
            .node(node)
            .is_none_or(|n| n.status.state == NodeState::Down)
}

/// Forgets tasks of removed slots and the oldest of each slot beyond the history limit.
pub(crate) fn trim(_ctx: &mut Context<'_>, plan: &mut Plan<'_>) {
    let limit = plan
        .view
        .cluster()
        .map_or(ClusterSpec::default().task_history_limit, |c| {
            c.spec.task_history_limit
        });
    let mut forget = Vec::new();
    for members in plan.slots.values() {
        let known = |m: &&Member| m.task.is_some();
        let over = |m: &&Member| m.is_over() || matches!(plan.place(m), Place::None | Place::Lost);
        let (removed, kept): (Vec<&Member>, Vec<&Member>) = members
            .iter()
            .partition(|m| m.desired == DesiredState::Remove);
        forget.extend(
            removed
                .into_iter()
                .filter(known)
                .filter(over)
                .map(|m| m.id.clone()),
        );
        let Ok(limit) = usize::try_from(limit) else {
            continue;
        };
        // The youngest stays whatever the limit is: it says whether the slot is done.
        let surplus = kept.len().saturating_sub(limit.max(1));
        let youngest = kept.last().map(|m| m.id.clone());
        let history = kept
            .into_iter()
            .filter(|m| !m.is_wanted() && Some(&m.id) != youngest.as_ref());
        forget.extend(
            history
                .filter(known)
                .filter(over)
                .take(surplus)
                .map(|m| m.id.clone()),
        );
    }
    plan.decision
        .changes
        .extend(forget.into_iter().map(|id| Change::RemoveTask { id }));
}
