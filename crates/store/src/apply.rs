//! Applying log entries.

use crate::guard::{ensure, exists, version};
use crate::tables::Tables;
use crate::{AppliedRequest, Event, Store};
use model::change::{Change, NewTask, Proposal, Refusal};
use model::service::ServiceSpec;
use model::{
    Cluster, Meta, Node, NodeId, Service, ServiceId, Task, TaskId, TaskState, TaskStatus, Timestamp,
};
use std::sync::Arc;

/// What applying an entry did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// One per proposal, in order: applied whole, or refused with nothing done.
    pub outcomes: Vec<Result<(), Refusal>>,
    /// What happened to the objects, in order.
    pub events: Vec<Event>,
}

impl Store {
    /// Applies the entry at `index`. Each proposal is applied whole or refused alone.
    ///
    /// A proposal with the id of a request that was applied before is not applied again and counts as applied;
    /// what it was answered with is in [`Store::applied_request`].
    pub fn apply(&mut self, index: u64, proposals: &[Proposal]) -> Applied {
        self.index = index;
        let mut applied = Applied::default();
        for proposal in proposals {
            let outcome = self.apply_proposal(index, proposal);
            applied.outcomes.push(outcome.map(|mut events| {
                applied.events.append(&mut events);
            }));
        }
        applied
    }

    fn apply_proposal(&mut self, index: u64, proposal: &Proposal) -> Result<Vec<Event>, Refusal> {
        if let Some(id) = proposal.request
            && self.requests.get(id).is_some()
        {
            return Ok(Vec::new());
        }
        let mut run = Run {
            tables: &mut self.tables,
            index,
            at: proposal.at,
            events: Vec::new(),
        };
        let outcome = run.all(&proposal.changes);
        let events = run.events;
        if let Err(refusal) = outcome {
            for event in events.into_iter().rev() {
                self.tables.undo(event);
            }
            return Err(refusal);
        }
        self.remember(proposal, &events);
        Ok(events)
    }

    /// Updates what is kept beside the objects. Only for a proposal that was applied.
    fn remember(&mut self, proposal: &Proposal, events: &[Event]) {
        if let Some(id) = proposal.request {
            let created = proposal.changes.iter().find_map(|change| match change {
                Change::CreateService { id, .. } => Some(id.clone()),
                _ => None,
            });
            self.requests.insert(AppliedRequest { id, created });
        }
        for event in events {
            match event {
                Event::Task {
                    old: Some(old),
                    new: Some(new),
                    ..
                } if old.may_run() && !new.may_run() => {
                    self.failures.note_end(new, proposal.at);
                }
                Event::Service { id, new: None, .. } => self.failures.forget_service(id),
                Event::Node { id, new: None, .. } => self.failures.forget_node(id),
                _ => {}
            }
        }
    }
}

/// One proposal being applied; its events are also what takes it back.
struct Run<'a> {
    tables: &'a mut Tables,
    index: u64,
    at: Timestamp,
    events: Vec<Event>,
}

impl Run<'_> {
    fn all(&mut self, changes: &[Change]) -> Result<(), Refusal> {
        for change in changes {
            self.one(change)?;
        }
        for change in changes {
            if let Change::CreateTask(new) = change {
                self.tables.slot_is_not_crowded(&new.service, new.slot)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateCluster(cluster) => self.create_cluster(cluster),
            Change::UpdateCluster {
                if_version,
                spec,
                worker_token,
                manager_token,
            } => {
                let old = self.tables.known_cluster()?;
                version(old.meta.version, *if_version)?;
                let mut new = Cluster::clone(&old);
                new.spec = spec.clone();
                if let Some(token) = worker_token {
                    new.worker_token = token.clone();
                }
                if let Some(token) = manager_token {
                    new.manager_token = token.clone();
                }
                self.write_spec(&mut new.meta);
                self.put_cluster(new);
                Ok(())
            }
            Change::CreateService { id, spec } => self.create_service(id, spec),
            Change::UpdateService {
                id,
                if_version,
                spec,
            } => self.update_service(id, *if_version, spec),
            Change::SetUpdateStatus {
                id,
                if_spec_version,
                status,
            } => {
                let mut new = Service::clone(&*self.tables.known_service(id)?);
                ensure(
                    new.spec_version == *if_spec_version,
                    "the progress is of an update that another one has replaced",
                )?;
                new.update_status = status.clone();
                self.put_service(new);
                Ok(())
            }
            Change::RemoveService { id } => {
                self.tables.known_service(id)?;
                let event = self.tables.set_service(id.clone(), None);
                self.events.push(event);
                Ok(())
            }
            Change::CreateTask(new) => self.create_task(new),
            Change::SetDesired { id, desired } => {
                let old = self.tables.known_task(id)?;
                ensure(
                    *desired >= old.desired,
                    "the desired state of a task never goes back",
                )?;
                if *desired > old.desired {
                    self.put_task(Task {
                        desired: *desired,
                        ..Task::clone(&old)
                    });
                }
                Ok(())
            }
            Change::AssignTask { id, node, status } => self.assign_task(id, node, status),
            Change::SetTaskStatus { id, status } => self.set_task_status(id, status),
            Change::SetFailureCounted { id } => {
                let old = self.tables.known_task(id)?;
                if !old.failure_counted {
                    self.put_task(Task {
                        failure_counted: true,
                        ..Task::clone(&old)
                    });
                }
                Ok(())
            }
            Change::RemoveTask { id } => {
                let old = self.tables.known_task(id)?;
                self.tables.task_may_be_removed(&old)?;
                let event = self.tables.set_task(id.clone(), None);
                self.events.push(event);
                Ok(())
            }
            _ => self.one_of_node(change),
        }
    }

    fn one_of_node(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateNode(node) => {
                if self.tables.nodes.contains_key(&node.id) {
                    return Err(exists("node", node.id.as_str()));
                }
                let mut new = Node::clone(node);
                new.meta = self.new_meta();
                self.put_node(new);
            }
            Change::UpdateNodeSpec {
                id,
                if_version,
                spec,
            } => {
                let mut new = Node::clone(&*self.tables.known_node(id)?);
                version(new.meta.version, *if_version)?;
                new.spec = spec.clone();
                self.write_spec(&mut new.meta);
                self.put_node(new);
            }
            Change::SetNodeDescription { id, description } => {
                let old = self.tables.known_node(id)?;
                if old.description.as_ref() != Some(&**description) {
                    self.put_node(Node {
                        description: Some(model::NodeDescription::clone(description)),
                        ..Node::clone(&old)
                    });
                }
            }
            Change::SetNodeStatus { id, status } => {
                let old = self.tables.known_node(id)?;
                if old.status != *status {
                    self.put_node(Node {
                        status: status.clone(),
                        ..Node::clone(&old)
                    });
                }
            }
            Change::SetNodeManager { id, manager } => {
                let old = self.tables.known_node(id)?;
                if old.manager != *manager {
                    self.put_node(Node {
                        manager: manager.clone(),
                        ..Node::clone(&old)
                    });
                }
            }
            Change::RemoveNode { id } => {
                let old = self.tables.known_node(id)?;
                self.tables.node_may_be_removed(&old)?;
                let event = self.tables.set_node(id.clone(), None);
                self.events.push(event);
            }
            _ => unreachable!("Run::one handles all other changes"),
        }
        Ok(())
    }

    fn create_cluster(&mut self, cluster: &Cluster) -> Result<(), Refusal> {
        if let Some(old) = &self.tables.cluster {
            return Err(exists("cluster", old.id.as_str()));
        }
        let mut new = cluster.clone();
        new.meta = self.new_meta();
        self.put_cluster(new);
        Ok(())
    }

    fn create_service(&mut self, id: &ServiceId, spec: &Arc<ServiceSpec>) -> Result<(), Refusal> {
        if self.tables.services.contains_key(id) {
            return Err(exists("service", id.as_str()));
        }
        self.tables.name_is_free(spec)?;
        let new = Service {
            id: id.clone(),
            meta: self.new_meta(),
            spec: spec.clone(),
            previous_spec: None,
            spec_version: self.index,
            update_status: None,
        };
        self.put_service(new);
        Ok(())
    }

    fn update_service(
        &mut self,
        id: &ServiceId,
        if_version: u64,
        spec: &Arc<ServiceSpec>,
    ) -> Result<(), Refusal> {
        let old = self.tables.known_service(id)?;
        version(old.meta.version, if_version)?;
        ensure(
            old.spec.name == spec.name,
            "renaming services is not supported",
        )?;
        let mut new = Service::clone(&old);
        new.previous_spec = Some(old.spec.clone());
        new.spec = spec.clone();
        new.spec_version = self.index;
        new.update_status = None;
        self.write_spec(&mut new.meta);
        self.put_service(new);
        Ok(())
    }

    fn create_task(&mut self, new: &NewTask) -> Result<(), Refusal> {
        let service = self.tables.task_may_be_created(new)?;
        let (service_name, service_labels) = self.shared_names(&service, new.spec_version);
        self.put_task(Task {
            id: new.id.clone(),
            meta: self.new_meta(),
            service: new.service.clone(),
            slot: new.slot,
            spec: service.spec.task.clone(),
            spec_version: service.spec_version,
            service_name,
            service_labels,
            endpoint: service.spec.endpoint.clone(),
            node: None,
            desired: new.desired,
            start_after: new.start_after,
            restarts: new.restarts.clone(),
            status: TaskStatus::new(TaskState::New, self.at, "created"),
            running_at: None,
            failure_counted: false,
        });
        Ok(())
    }

    /// The service's name and labels as all tasks of one spec version share them.
    fn shared_names(&self, service: &Service, spec_version: u64) -> (Arc<str>, Arc<model::Labels>) {
        let of_service = self.tables.indexes.services.get(&service.id);
        let newest = of_service
            .and_then(|s| s.slots.values().next_back())
            .and_then(|slot| slot.last())
            .filter(|t| t.spec_version == spec_version);
        match newest {
            Some(task) => (task.service_name.clone(), task.service_labels.clone()),
            None => (
                service.spec.name.as_str().into(),
                Arc::new(service.spec.labels.clone()),
            ),
        }
    }

    fn assign_task(
        &mut self,
        id: &TaskId,
        node: &NodeId,
        status: &TaskStatus,
    ) -> Result<(), Refusal> {
        let old = self.tables.known_task(id)?;
        self.tables.task_may_be_assigned(&old, node)?;
        ensure(
            status.state == TaskState::Assigned,
            "an assignment has the state assigned",
        )?;
        let mut new = Task::clone(&old);
        new.node = Some(node.clone());
        self.write_status(&mut new, status);
        self.put_task(new);
        Ok(())
    }

    fn set_task_status(&mut self, id: &TaskId, status: &TaskStatus) -> Result<(), Refusal> {
        let old = self.tables.known_task(id)?;
        ensure(
            status.state >= old.status.state,
            "the state of a task never goes back",
        )?;
        ensure(
            old.node.is_some() || status.state < TaskState::Assigned || status.state.is_terminal(),
            "a task without a node cannot have this state",
        )?;
        let mut new = Task::clone(&old);
        self.write_status(&mut new, status);
        if new.status != old.status {
            self.put_task(new);
        }
        Ok(())
    }

    /// `applied_at` belongs to the state: another message of the same state does not move it.
    fn write_status(&self, task: &mut Task, status: &TaskStatus) {
        let applied_at = if status.state == task.status.state {
            task.status.applied_at
        } else {
            self.at
        };
        if status.state == TaskState::Running && task.running_at.is_none() {
            task.running_at = Some(self.at);
        }
        task.status = TaskStatus {
            applied_at,
            ..status.clone()
        };
    }

    fn new_meta(&self) -> Meta {
        Meta {
            version: self.index,
            changed: self.index,
            created_at: self.at,
            updated_at: self.at,
        }
    }

    fn write_spec(&self, meta: &mut Meta) {
        meta.version = self.index;
        meta.updated_at = self.at;
    }

    fn put_cluster(&mut self, mut new: Cluster) {
        new.meta.changed = self.index;
        let event = self.tables.set_cluster(Some(Arc::new(new)));
        self.events.push(event);
    }
    fn put_service(&mut self, mut new: Service) {
        new.meta.changed = self.index;
        let event = self.tables.set_service(new.id.clone(), Some(Arc::new(new)));
        self.events.push(event);
    }
    fn put_task(&mut self, mut new: Task) {
        new.meta.changed = self.index;
        let event = self.tables.set_task(new.id.clone(), Some(Arc::new(new)));
        self.events.push(event);
    }
    fn put_node(&mut self, mut new: Node) {
        new.meta.changed = self.index;
        let event = self.tables.set_node(new.id.clone(), Some(Arc::new(new)));
        self.events.push(event);
    }
}
