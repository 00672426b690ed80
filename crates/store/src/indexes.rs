//! Indexes over the tables: all of them follow from the objects, so a snapshot does not carry them.

use crate::{GenericUse, Usage};
use model::{
    NodeId, Payload, PayloadId, PayloadKind, Service, ServiceId, SlotKey, Task, TaskId, TaskState,
    payload,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Indexes {
    /// Services by lower-case name.
    pub(crate) names: BTreeMap<String, ServiceId>,
    /// Services that have nodes for slots.
    pub(crate) global: BTreeSet<ServiceId>,
    /// Secrets and configs by lower-case name.
    pub(crate) payload_names: BTreeMap<(PayloadKind, String), PayloadId>,
    /// Services whose present specification uses a secret or config; no entry is none.
    pub(crate) payload_users: BTreeMap<PayloadId, BTreeSet<ServiceId>>,
    /// Tasks by service, also of services that are gone.
    pub(crate) services: BTreeMap<ServiceId, OfService>,
    /// Tasks by node, also of nodes that are gone.
    pub(crate) nodes: BTreeMap<NodeId, OnNode>,
    /// Wanted tasks in state NEW.
    pub(crate) new: BTreeMap<TaskId, Arc<Task>>,
    /// Wanted tasks in state PENDING, by service and spec version.
    pub(crate) pending: BTreeMap<(ServiceId, u64), Group>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OfService {
    /// Per slot, oldest first.
    pub(crate) slots: BTreeMap<SlotKey, Vec<Arc<Task>>>,
    /// Active tasks per node; no entry is none.
    pub(crate) active: BTreeMap<NodeId, u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OnNode {
    pub(crate) tasks: BTreeMap<TaskId, Arc<Task>>,
    pub(crate) usage: Usage,
    pub(crate) generic: GenericUse,
}

/// Tasks of one service and spec version, by slot and id.
pub(crate) type Group = BTreeMap<(u64, TaskId), Arc<Task>>;

fn age(task: &Task) -> (u64, &TaskId) {
    (task.meta.version, &task.id)
}

impl Indexes {
    pub(crate) fn service_changed(&mut self, old: Option<&Service>, new: Option<&Service>) {
        if let Some(old) = old {
            self.names.remove(&old.spec.name.to_ascii_lowercase());
            self.global.remove(&old.id);
            for id in payload::used_by(&old.spec.task.container) {
                if let Some(users) = self.payload_users.get_mut(&id) {
                    users.remove(&old.id);
                    if users.is_empty() {
                        self.payload_users.remove(&id);
                    }
                }
            }
        }
        if let Some(new) = new {
            self.names
                .insert(new.spec.name.to_ascii_lowercase(), new.id.clone());
            if new.spec.mode.is_global() {
                self.global.insert(new.id.clone());
            }
            for id in payload::used_by(&new.spec.task.container) {
                let users = self.payload_users.entry(id).or_default();
                users.insert(new.id.clone());
            }
        }
    }

    pub(crate) fn payload_changed(&mut self, old: Option<&Payload>, new: Option<&Payload>) {
        let name = |p: &Payload| (p.kind, p.spec.name.to_ascii_lowercase());
        if let Some(old) = old {
            self.payload_names.remove(&name(old));
        }
        if let Some(new) = new {
            self.payload_names.insert(name(new), new.id.clone());
        }
    }

    pub(crate) fn task_changed(&mut self, old: Option<&Arc<Task>>, new: Option<&Arc<Task>>) {
        if let Some(old) = old {
            self.leave_queues(old);
            self.leave_node(old, new.and_then(|n| n.node.as_ref()));
            if new.is_none() {
                self.leave_slot(old);
            }
        }
        if let Some(new) = new {
            self.enter_slot(new);
            self.enter_node(new);
            self.enter_queues(new);
        }
    }

    fn enter_slot(&mut self, task: &Arc<Task>) {
        let of_service = self.services.entry(task.service.clone()).or_default();
        let slot = of_service.slots.entry(task.slot_key()).or_default();
        match slot.binary_search_by(|t| age(t).cmp(&age(task))) {
            Ok(at) => slot[at] = task.clone(),
            Err(at) => slot.insert(at, task.clone()),
        }
    }

    fn leave_slot(&mut self, task: &Task) {
        let Some(of_service) = self.services.get_mut(&task.service) else {
            return;
        };
        let key = task.slot_key();
        if let Some(slot) = of_service.slots.get_mut(&key) {
            slot.retain(|t| t.id != task.id);
            if slot.is_empty() {
                of_service.slots.remove(&key);
            }
        }
        if of_service.slots.is_empty() {
            self.services.remove(&task.service);
        }
    }

    fn enter_node(&mut self, task: &Arc<Task>) {
        let Some(node) = &task.node else { return };
        let on_node = self.nodes.entry(node.clone()).or_default();
        on_node.tasks.insert(task.id.clone(), task.clone());
        if !task.holds_resources() {
            return;
        }
        on_node.usage.add(task);
        on_node.generic.add(&task.generic);
        if task.is_wanted() {
            let of_service = self.services.entry(task.service.clone()).or_default();
            *of_service.active.entry(node.clone()).or_default() += 1;
        }
    }

    /// Takes the task off its node's sums, and off its list unless it stays there.
    fn leave_node(&mut self, task: &Task, next: Option<&NodeId>) {
        let Some(node) = &task.node else { return };
        if let Some(on_node) = self.nodes.get_mut(node) {
            if task.holds_resources() {
                on_node.usage.subtract(task);
                on_node.generic.subtract(&task.generic);
            }
            if next != Some(node) {
                on_node.tasks.remove(&task.id);
                if on_node.tasks.is_empty() {
                    self.nodes.remove(node);
                }
            }
        }
        if task.holds_resources()
            && task.is_wanted()
            && let Some(of_service) = self.services.get_mut(&task.service)
            && let Some(active) = of_service.active.get_mut(node)
        {
            *active -= 1;
            if *active == 0 {
                of_service.active.remove(node);
            }
        }
    }

    fn enter_queues(&mut self, task: &Arc<Task>) {
        if !task.is_wanted() {
            return;
        }
        match task.status.state {
            TaskState::New => {
                self.new.insert(task.id.clone(), task.clone());
            }
            TaskState::Pending => {
                let group = (task.service.clone(), task.spec_version);
                let place = (task.slot, task.id.clone());
                self.pending
                    .entry(group)
                    .or_default()
                    .insert(place, task.clone());
            }
            _ => {}
        }
    }

    fn leave_queues(&mut self, task: &Task) {
        if !task.is_wanted() {
            return;
        }
        match task.status.state {
            TaskState::New => {
                self.new.remove(&task.id);
            }
            TaskState::Pending => {
                let group = (task.service.clone(), task.spec_version);
                if let Some(tasks) = self.pending.get_mut(&group) {
                    tasks.remove(&(task.slot, task.id.clone()));
                    if tasks.is_empty() {
                        self.pending.remove(&group);
                    }
                }
            }
            _ => {}
        }
    }
}
