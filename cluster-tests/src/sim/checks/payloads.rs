//! What nodes are sent: secrets and configs before the tasks that use them, and nothing that no task uses.

use super::super::events::Id;
use super::super::world::World;
use super::Rule;
use model::assignment::{AssignmentChange, Assignments};
use model::{NodeId, PayloadId, payload};
use std::collections::BTreeSet;
use store::Store;

impl World {
    /// A leader sends a node its assignments, as its state is now.
    pub(crate) fn check_assignments(
        &mut self,
        manager: Id,
        node: &NodeId,
        session: usize,
        assignments: &Assignments,
    ) {
        let view = &self.managers[manager].store;
        let told = &mut self.sessions[session].payloads;
        if let Err(what) = follow(view, told, node, assignments) {
            self.fail(|| format!("assignments of {node}: {what}"));
        }
    }
}

fn follow(
    view: &Store,
    told: &mut BTreeSet<PayloadId>,
    node: &NodeId,
    assignments: &Assignments,
) -> Rule {
    if assignments.complete {
        told.clear();
    }
    for change in &assignments.changes {
        match change {
            AssignmentChange::PutPayload(payload) => {
                told.insert(payload.id.clone());
            }
            AssignmentChange::RemovePayload(id) if !told.remove(id) => {
                return Err(format!("{id} is taken back, which was never sent"));
            }
            AssignmentChange::Put(task) if view.task(&task.id).is_some_and(|t| t.may_run()) => {
                let used = payload::used_by(&task.spec.container);
                let is_missing =
                    |id: &&PayloadId| view.payload(id).is_some() && !told.contains(*id);
                if let Some(missing) = used.iter().find(is_missing) {
                    return Err(format!("task {} comes before {missing}", task.id));
                }
                let service = view.service(&task.service);
                if service.is_some_and(|s| s.spec.registry_auth != task.registry_auth) {
                    return Err(format!("task {} has other credentials", task.id));
                }
            }
            _ => {}
        }
    }
    let needed = needed(view, node);
    if let Some(id) = told.iter().find(|id| !needed.contains(*id)) {
        return Err(format!("it has {id}, which no task of it uses"));
    }
    let is_missing = |id: &&PayloadId| view.payload(id).is_some() && !told.contains(*id);
    match needed.iter().find(is_missing) {
        Some(id) => Err(format!("it has not {id}, which a task of it uses")),
        None => Ok(()),
    }
}

/// Secrets and configs that tasks use which may run on a node.
pub(super) fn needed(view: &Store, node: &NodeId) -> BTreeSet<PayloadId> {
    let tasks = view.tasks_on_node(node).filter(|t| t.holds_resources());
    tasks
        .flat_map(|t| payload::used_by(&t.spec.container))
        .collect()
}
