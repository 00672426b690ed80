//! The tables: objects by id. Every write goes through one of the `set_…` functions, which keep the indexes.

use crate::indexes::Indexes;
use crate::{Event, event::kind_of};
use model::{Cluster, Node, NodeId, Payload, PayloadId, Service, ServiceId, Task, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) services: BTreeMap<ServiceId, Arc<Service>>,
    pub(crate) tasks: BTreeMap<TaskId, Arc<Task>>,
    pub(crate) nodes: BTreeMap<NodeId, Arc<Node>>,
    pub(crate) payloads: BTreeMap<PayloadId, Arc<Payload>>,
    pub(crate) indexes: Indexes,
}

/// Puts `new` in the place of what is there, and gives back what was there.
fn replace<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, Arc<V>>,
    id: &K,
    new: Option<Arc<V>>,
) -> Option<Arc<V>> {
    match new {
        Some(new) => map.insert(id.clone(), new),
        None => map.remove(id),
    }
}

impl Tables {
    pub(crate) fn set_cluster(&mut self, new: Option<Arc<Cluster>>) -> Event {
        let old = std::mem::replace(&mut self.cluster, new.clone());
        let version = |c: &Arc<Cluster>| c.meta.version;
        Event::Cluster {
            kind: kind_of(old.as_ref().map(version), new.as_ref().map(version)),
            old,
            new,
        }
    }

    pub(crate) fn set_service(&mut self, id: ServiceId, new: Option<Arc<Service>>) -> Event {
        let old = replace(&mut self.services, &id, new.clone());
        self.indexes.service_changed(old.as_deref(), new.as_deref());
        let version = |s: &Arc<Service>| s.meta.version;
        Event::Service {
            kind: kind_of(old.as_ref().map(version), new.as_ref().map(version)),
            id,
            old,
            new,
        }
    }

    pub(crate) fn set_task(&mut self, id: TaskId, new: Option<Arc<Task>>) -> Event {
        let old = replace(&mut self.tasks, &id, new.clone());
        self.indexes.task_changed(old.as_ref(), new.as_ref());
        let version = |t: &Arc<Task>| t.meta.version;
        Event::Task {
            kind: kind_of(old.as_ref().map(version), new.as_ref().map(version)),
            id,
            old,
            new,
        }
    }

    pub(crate) fn set_node(&mut self, id: NodeId, new: Option<Arc<Node>>) -> Event {
        let old = replace(&mut self.nodes, &id, new.clone());
        let version = |n: &Arc<Node>| n.meta.version;
        Event::Node {
            kind: kind_of(old.as_ref().map(version), new.as_ref().map(version)),
            id,
            old,
            new,
        }
    }

    pub(crate) fn set_payload(&mut self, id: PayloadId, new: Option<Arc<Payload>>) -> Event {
        let old = replace(&mut self.payloads, &id, new.clone());
        self.indexes.payload_changed(old.as_deref(), new.as_deref());
        let version = |p: &Arc<Payload>| p.meta.version;
        Event::Payload {
            kind: kind_of(old.as_ref().map(version), new.as_ref().map(version)),
            id,
            old,
            new,
        }
    }

    /// Takes back what `event` says was done. Events are taken back newest first.
    pub(crate) fn undo(&mut self, event: Event) {
        match event {
            Event::Cluster { old, .. } => self.set_cluster(old),
            Event::Service { id, old, .. } => self.set_service(id, old),
            Event::Task { id, old, .. } => self.set_task(id, old),
            Event::Node { id, old, .. } => self.set_node(id, old),
            Event::Payload { id, old, .. } => self.set_payload(id, old),
        };
    }
}
