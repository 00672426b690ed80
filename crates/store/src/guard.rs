//! The conditions under which changes are refused: small predicates, used by `apply`.

use crate::tables::Tables;
use crate::usage::{GenericUse, covers, fits};
use model::cluster::{LabelledToken, MAX_LABELLED_TOKENS};
use model::node::{Availability, NodeState};
use model::task::GenericResource;
use model::{
    Cluster, DesiredState, NewTask, Node, NodeId, Payload, PayloadId, Refusal, Service, ServiceId,
    ServiceSpec, SlotKey, Task, TaskId, TaskState, payload,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Wanted tasks that a slot may have at the end of a proposal: the old one and its replacement under start-first.
pub const MAX_WANTED_PER_SLOT: usize = 2;

pub(crate) fn not_found(kind: &'static str, id: &str) -> Refusal {
    Refusal::NotFound {
        kind,
        id: id.into(),
    }
}

pub(crate) fn exists(kind: &'static str, id: &str) -> Refusal {
    Refusal::Exists {
        kind,
        id: id.into(),
    }
}

/// Refuses with `text` unless `holds`.
pub(crate) fn ensure(holds: bool, text: &'static str) -> Result<(), Refusal> {
    holds.then_some(()).ok_or(Refusal::Invariant(text))
}

/// The client read the version that is there.
pub(crate) fn version(is: u64, read: u64) -> Result<(), Refusal> {
    if is == read {
        Ok(())
    } else {
        Err(Refusal::OutOfSequence)
    }
}

/// The slot that a new task fills.
pub(crate) fn slot_key(new: &NewTask) -> SlotKey {
    match &new.node {
        Some(node) if new.slot == 0 => SlotKey::Node(node.clone()),
        _ => SlotKey::Replica(new.slot),
    }
}

/// Labelled join tokens have names of their own, and are not too many.
pub(crate) fn tokens_are_sound(tokens: &[LabelledToken]) -> Result<(), Refusal> {
    ensure(
        tokens.len() <= MAX_LABELLED_TOKENS,
        "there are too many join tokens: remove those that are not used any more",
    )?;
    let names: BTreeSet<&str> = tokens.iter().map(|t| t.name.as_str()).collect();
    ensure(
        names.len() == tokens.len(),
        "two join tokens have the same name",
    )
}

impl Tables {
    pub(crate) fn known_cluster(&self) -> Result<Arc<Cluster>, Refusal> {
        let cluster = self.cluster.clone();
        cluster.ok_or_else(|| not_found("cluster", model::cluster::CLUSTER_NAME))
    }
    pub(crate) fn known_service(&self, id: &ServiceId) -> Result<Arc<Service>, Refusal> {
        let service = self.services.get(id).cloned();
        service.ok_or_else(|| not_found("service", id.as_str()))
    }
    pub(crate) fn known_task(&self, id: &TaskId) -> Result<Arc<Task>, Refusal> {
        let task = self.tasks.get(id).cloned();
        task.ok_or_else(|| not_found("task", id.as_str()))
    }
    pub(crate) fn known_node(&self, id: &NodeId) -> Result<Arc<Node>, Refusal> {
        let node = self.nodes.get(id).cloned();
        node.ok_or_else(|| not_found("node", id.as_str()))
    }
    pub(crate) fn known_payload(&self, id: &PayloadId) -> Result<Arc<Payload>, Refusal> {
        let payload = self.payloads.get(id).cloned();
        payload.ok_or_else(|| not_found("secret or config", id.as_str()))
    }

    pub(crate) fn payload_name_is_free(&self, payload: &Payload) -> Result<(), Refusal> {
        let name = payload.spec.name.to_ascii_lowercase();
        if self
            .indexes
            .payload_names
            .contains_key(&(payload.kind, name))
        {
            return Err(Refusal::NameTaken {
                kind: payload.kind.name(),
                name: payload.spec.name.clone(),
            });
        }
        Ok(())
    }

    /// All secrets and configs that tasks of `spec` need exist.
    pub(crate) fn payloads_are_there(&self, spec: &ServiceSpec) -> Result<(), Refusal> {
        let used = payload::used_by(&spec.task.container);
        used.iter().try_for_each(|id| {
            self.known_payload(id)?;
            Ok(())
        })
    }

    pub(crate) fn payload_is_unused(&self, id: &PayloadId) -> Result<(), Refusal> {
        ensure(
            !self.indexes.payload_users.contains_key(id),
            "a secret or config that a service uses cannot be removed",
        )
    }

    pub(crate) fn name_is_free(&self, spec: &ServiceSpec) -> Result<(), Refusal> {
        let name = spec.name.to_ascii_lowercase();
        if self.indexes.names.contains_key(&name) {
            return Err(Refusal::NameTaken {
                kind: "service",
                name: spec.name.clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn task_may_be_created(&self, new: &NewTask) -> Result<Arc<Service>, Refusal> {
        if self.tasks.contains_key(&new.id) {
            return Err(exists("task", new.id.as_str()));
        }
        let service = self.known_service(&new.service)?;
        ensure(
            service.spec_version == new.spec_version,
            "a task was decided for a specification that its service no longer has",
        )?;
        if service.spec.mode.is_global() {
            ensure(
                new.slot == 0,
                "a task of a global service has a node for its slot",
            )?;
            let node = new.node.as_ref();
            let node = node.ok_or(Refusal::Invariant(
                "a task of a global service needs a node",
            ))?;
            self.known_node(node)?;
        } else {
            ensure(new.slot > 0, "slots are counted from 1")?;
            ensure(
                new.node.is_none(),
                "only a task of a global service has a node before it is scheduled",
            )?;
        }
        ensure(
            new.desired <= DesiredState::Complete,
            "a task that nobody wants is not created",
        )?;
        ensure(
            new.desired != DesiredState::Complete || service.spec.mode.is_job(),
            "only a task of a job is to run to its end",
        )?;
        Ok(service)
    }

    pub(crate) fn task_may_be_assigned(
        &self,
        task: &Task,
        node: &NodeId,
        generic: &[GenericResource],
    ) -> Result<Arc<Node>, Refusal> {
        ensure(
            task.status.state == TaskState::Pending,
            "only a pending task can be assigned to a node",
        )?;
        ensure(
            task.is_wanted(),
            "a task that is not wanted any more is not assigned to a node",
        )?;
        ensure(
            task.node.as_ref().is_none_or(|own| own == node),
            "a task that has to go to one node is not assigned to another one",
        )?;
        let node = self.known_node(node)?;
        ensure(
            node.status.state == NodeState::Ready,
            "the node of an assignment is not ready",
        )?;
        ensure(
            node.spec.availability == Availability::Active,
            "the node of an assignment takes no new tasks",
        )?;
        let on_node = self.indexes.nodes.get(&node.id);
        let reserved = on_node.map(|n| n.usage.reserved).unwrap_or_default();
        ensure(
            fits(&node, reserved, task.spec.reservations()),
            "the node of an assignment has not enough resources left",
        )?;
        ensure(
            covers(generic, task.spec.generic_reservations()),
            "the generic resources of an assignment are not those that the task asks for",
        )?;
        let free = match on_node {
            Some(on_node) => on_node.generic.is_free(&node, generic),
            None => GenericUse::default().is_free(&node, generic),
        };
        ensure(
            free,
            "the generic resources of an assignment are not there, or another task has them",
        )?;
        Ok(node)
    }

    /// A node that is down learns of it when it returns: a task that its assignments do not name is stopped.
    pub(crate) fn task_may_be_removed(&self, task: &Task) -> Result<(), Refusal> {
        let is_down = |id: &NodeId| {
            let node = self.nodes.get(id);
            node.is_none_or(|n| n.status.state == NodeState::Down)
        };
        ensure(
            task.status.state.is_terminal() || task.placed_on().is_none_or(is_down),
            "a task that may run on its node cannot be forgotten",
        )
    }

    pub(crate) fn node_may_be_removed(&self, node: &Node) -> Result<(), Refusal> {
        ensure(
            node.manager.is_none(),
            "a member of the Raft group cannot be removed from the nodes",
        )?;
        let on_node = self.indexes.nodes.get(&node.id);
        ensure(
            on_node.is_none_or(|n| n.tasks.values().all(|t| !t.may_run())),
            "a node with tasks that are not over cannot be removed",
        )
    }

    /// No slot has more wanted tasks than an update in the order start-first needs.
    pub(crate) fn slot_is_not_crowded(
        &self,
        service: &ServiceId,
        slot: &SlotKey,
    ) -> Result<(), Refusal> {
        let of_service = self.indexes.services.get(service);
        let tasks = of_service.and_then(|s| s.slots.get(slot));
        let wanted = tasks.map_or(0, |tasks| tasks.iter().filter(|t| t.is_wanted()).count());
        ensure(
            wanted <= MAX_WANTED_PER_SLOT,
            "a slot would have more tasks than one and its replacement",
        )
    }
}
