//! Read views. A lookup is O(log n); objects come as shared pointers and are never copied.

use crate::{AppliedRequest, GenericUse, Store, Usage};
use model::change::RequestId;
use model::{
    Cluster, Node, NodeId, Payload, PayloadId, PayloadKind, Service, ServiceId, SlotKey, Task,
    TaskId, Timestamp,
};
use std::sync::Arc;

impl Store {
    /// The cluster object; absent before the first entry of a cluster's life.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.tables.cluster.as_ref()
    }

    /// The service with this id.
    pub fn service(&self, id: &ServiceId) -> Option<&Arc<Service>> {
        self.tables.services.get(id)
    }
    /// All services, by id.
    pub fn services(&self) -> impl ExactSizeIterator<Item = &Arc<Service>> {
        self.tables.services.values()
    }
    /// The service with this name, compared without case.
    pub fn service_by_name(&self, name: &str) -> Option<&Arc<Service>> {
        let id = self.tables.indexes.names.get(&name.to_ascii_lowercase())?;
        self.tables.services.get(id)
    }

    /// Services that have nodes for slots (global services and global jobs), by id: a node that changed concerns
    /// all of them.
    pub fn global_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        let ids = self.tables.indexes.global.iter();
        ids.filter_map(|id| self.tables.services.get(id))
    }

    /// The secret or config with this id.
    pub fn payload(&self, id: &PayloadId) -> Option<&Arc<Payload>> {
        self.tables.payloads.get(id)
    }
    /// All secrets, or all configs, by id.
    pub fn payloads(&self, kind: PayloadKind) -> impl Iterator<Item = &Arc<Payload>> {
        let payloads = self.tables.payloads.values();
        payloads.filter(move |p| p.kind == kind)
    }
    /// The secret or config with this name, compared without case.
    pub fn payload_by_name(&self, kind: PayloadKind, name: &str) -> Option<&Arc<Payload>> {
        let key = (kind, name.to_ascii_lowercase());
        let id = self.tables.indexes.payload_names.get(&key)?;
        self.tables.payloads.get(id)
    }
    /// Services whose present specification uses a secret or config, by id.
    pub fn services_using<'a>(
        &'a self,
        id: &PayloadId,
    ) -> impl Iterator<Item = &'a Arc<Service>> + use<'a> {
        let users = self.tables.indexes.payload_users.get(id);
        let ids = users.into_iter().flatten();
        ids.filter_map(|id| self.tables.services.get(id))
    }

    /// The task with this id.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.tables.tasks.get(id)
    }
    /// All tasks, by id.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> {
        self.tables.tasks.values()
    }
    /// Tasks of a service (also of one that is gone), by slot, oldest first within a slot.
    pub fn tasks_of_service<'a>(
        &'a self,
        id: &ServiceId,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        self.slots_of_service(id).flat_map(|(_, tasks)| tasks)
    }
    /// Slots of a service that have tasks, in order, each with its tasks, oldest first.
    pub fn slots_of_service<'a>(
        &'a self,
        id: &ServiceId,
    ) -> impl Iterator<Item = (SlotKey, &'a [Arc<Task>])> + use<'a> {
        let of_service = self.tables.indexes.services.get(id);
        let slots = of_service.into_iter().flat_map(|s| s.slots.iter());
        slots.map(|(slot, tasks)| (slot.clone(), tasks.as_slice()))
    }
    /// Tasks of one slot, oldest first.
    pub fn tasks_in_slot(&self, id: &ServiceId, slot: &SlotKey) -> &[Arc<Task>] {
        let of_service = self.tables.indexes.services.get(id);
        of_service
            .and_then(|s| s.slots.get(slot))
            .map_or(&[], Vec::as_slice)
    }
    /// Ids of services that have tasks, in order; among them services that are gone.
    pub fn services_with_tasks(&self) -> impl Iterator<Item = &ServiceId> {
        self.tables.indexes.services.keys()
    }
    /// Tasks that are or were placed on a node (also on one that is gone), and those that have to go there, by id.
    pub fn tasks_on_node<'a>(
        &'a self,
        id: &NodeId,
    ) -> impl Iterator<Item = &'a Arc<Task>> + use<'a> {
        let on_node = self.tables.indexes.nodes.get(id);
        on_node.into_iter().flat_map(|n| n.tasks.values())
    }
    /// Wanted tasks in state NEW, by id: the allocator's work.
    pub fn new_tasks(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> {
        self.tables.indexes.new.values()
    }
    /// Wanted tasks in state PENDING, grouped by service and spec version, by slot within a group: the
    /// scheduler's work. Tasks of a group share one spec.
    pub fn pending_groups(
        &self,
    ) -> impl Iterator<Item = (&ServiceId, u64, impl ExactSizeIterator<Item = &Arc<Task>>)> {
        let groups = self.tables.indexes.pending.iter();
        groups.map(|((service, version), tasks)| (service, *version, tasks.values()))
    }
    /// All tasks of [`Store::pending_groups`].
    pub fn pending_tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.pending_groups().flat_map(|(_, _, tasks)| tasks)
    }

    /// The node with this id.
    pub fn node(&self, id: &NodeId) -> Option<&Arc<Node>> {
        self.tables.nodes.get(id)
    }
    /// All nodes, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Arc<Node>> {
        self.tables.nodes.values()
    }
    /// What the tasks on a node take together.
    pub fn node_usage(&self, id: &NodeId) -> Usage {
        let on_node = self.tables.indexes.nodes.get(id);
        on_node.map(|n| n.usage).unwrap_or_default()
    }
    /// Generic resources of a node that its tasks have; absent when they have none.
    pub fn generic_use(&self, id: &NodeId) -> Option<&GenericUse> {
        let on_node = self.tables.indexes.nodes.get(id)?;
        Some(&on_node.generic).filter(|generic| !generic.is_empty())
    }
    /// Tasks of a service that are placed on a node, not over, and still wanted.
    pub fn active_on(&self, service: &ServiceId, node: &NodeId) -> u64 {
        let of_service = self.tables.indexes.services.get(service);
        of_service
            .and_then(|s| s.active.get(node))
            .copied()
            .unwrap_or(0)
    }
    /// Nodes that have tasks of a service as in [`Store::active_on`], by id, each with how many.
    pub fn active_nodes<'a>(
        &'a self,
        service: &ServiceId,
    ) -> impl Iterator<Item = (&'a NodeId, u64)> + use<'a> {
        let of_service = self.tables.indexes.services.get(service);
        let active = of_service.into_iter().flat_map(|s| &s.active);
        active.map(|(node, count)| (node, *count))
    }
    /// Nodes of which something changed after `index` that placement depends on: the object itself, or what is
    /// placed there; with each comes whether it was the object. A node may come more than once. Absent when that is not known any more, or not yet.
    pub fn nodes_touched_since(&self, index: u64) -> Option<impl Iterator<Item = (&NodeId, bool)>> {
        self.touched.since(index).filter(|_| index <= self.index)
    }
    /// Nodes where tasks of this service and spec version failed, with times as in [`Store::failures_on`].
    pub fn failures_of(
        &self,
        service: &ServiceId,
        spec_version: u64,
    ) -> impl Iterator<Item = (&NodeId, &[Timestamp])> {
        self.failures.of(service, spec_version)
    }
    /// When tasks of this service and spec version failed on a node, oldest first: the newest
    /// [`crate::MAX_FAILURES_PER_NODE`] (leader's clock).
    pub fn failures_on(
        &self,
        service: &ServiceId,
        spec_version: u64,
        node: &NodeId,
    ) -> &[Timestamp] {
        self.failures.at(service, spec_version, node)
    }

    /// A client's request that was applied, if it is one of the last [`crate::MAX_REQUESTS`]. Whoever repeats
    /// a request asks here before anything else: it may have been carried out although nobody heard of it.
    pub fn applied_request(&self, id: RequestId) -> Option<&AppliedRequest> {
        self.requests.get(id)
    }
}
