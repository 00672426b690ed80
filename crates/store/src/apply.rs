//! Applying log entries: proposals whole or not at all. What a change does to each kind of object is below.

mod cluster;
mod node;
mod payload;
mod service;
mod task;

use crate::guard::slot_key;
use crate::tables::Tables;
use crate::{AppliedRequest, Event, Store};
use model::change::{Change, Proposal, Refusal};
use model::control::Written;
use model::{Cluster, Meta, Node, Payload, Service, Task, Timestamp};
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
                Change::CreateService { id, .. } => Some(Written::Service(id.clone())),
                Change::CreatePayload(payload) => Some(Written::Payload(payload.id.clone())),
                _ => None,
            });
            let written = created.unwrap_or(Written::Done);
            self.requests.insert(AppliedRequest { id, written });
        }
        for event in events {
            self.touched.note(self.index, event);
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
                let slot = slot_key(new);
                self.tables.slot_is_not_crowded(&new.service, &slot)?;
            }
        }
        Ok(())
    }

    fn one(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateCluster(_) | Change::UpdateCluster { .. } | Change::SetTokens { .. } => {
                self.change_cluster(change)
            }
            Change::CreateService { .. }
            | Change::UpdateService { .. }
            | Change::SetUpdateStatus { .. }
            | Change::RemoveService { .. } => self.change_service(change),
            Change::CreateTask(_)
            | Change::SetDesired { .. }
            | Change::SetReplace { .. }
            | Change::AssignTask { .. }
            | Change::SetTaskStatus { .. }
            | Change::SetFailureCounted { .. }
            | Change::RemoveTask { .. } => self.change_task(change),
            Change::CreateNode(_)
            | Change::UpdateNodeSpec { .. }
            | Change::SetNodeDescription { .. }
            | Change::SetNodeStatus { .. }
            | Change::SetNodeRole { .. }
            | Change::SetNodeManager { .. }
            | Change::RemoveNode { .. } => self.change_node(change),
            Change::CreatePayload(_)
            | Change::UpdatePayload { .. }
            | Change::RemovePayload { .. } => self.change_payload(change),
        }
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
    fn put_payload(&mut self, mut new: Payload) {
        new.meta.changed = self.index;
        let event = self.tables.set_payload(new.id.clone(), Some(Arc::new(new)));
        self.events.push(event);
    }
}
