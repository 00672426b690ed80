//! What a loop has to look at again: a hint gathered from events.

use crate::Event;
use model::{NodeId, ServiceId, Task, TaskId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What changed since a loop last ran. Only a hint: a loop reads the state from the store, and must come to
/// the same end when more than necessary is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Look at all objects: a new leader, or events that were missed.
    pub everything: bool,
    /// The cluster object changed (the history limit is there).
    pub cluster: bool,
    /// Services that changed, were removed, or of which a task changed.
    pub services: BTreeSet<ServiceId>,
    /// Nodes that changed or were removed (not those of which only a task changed). They concern all services
    /// that have nodes for slots ([`crate::Store::global_services`]).
    pub nodes: BTreeSet<NodeId>,
    /// Tasks that changed or were removed.
    pub tasks: BTreeSet<TaskId>,
    /// A task gave up its place on some node: a task that found no node may find one now.
    pub room: bool,
}

impl Dirty {
    /// Everything has to be looked at.
    pub fn everything() -> Dirty {
        Dirty {
            everything: true,
            ..Dirty::default()
        }
    }

    /// Nothing has to be looked at.
    pub fn is_empty(&self) -> bool {
        *self == Dirty::default()
    }

    /// Takes what is marked, and leaves nothing marked.
    pub fn take(&mut self) -> Dirty {
        std::mem::take(self)
    }

    /// Adds what `other` marks.
    pub fn merge(&mut self, other: Dirty) {
        self.everything |= other.everything;
        self.cluster |= other.cluster;
        self.room |= other.room;
        self.services.extend(other.services);
        self.nodes.extend(other.nodes);
        self.tasks.extend(other.tasks);
    }

    /// Marks what `event` touched.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Cluster { .. } => self.cluster = true,
            Event::Service { id, .. } => {
                self.services.insert(id.clone());
            }
            Event::Node { id, .. } => {
                self.nodes.insert(id.clone());
            }
            // Services are checked for their secrets and configs when they are written; a loop needs none of them.
            Event::Payload { .. } => {}
            Event::Task { id, old, new, .. } => {
                self.tasks.insert(id.clone());
                if let Some(task) = new.as_ref().or(old.as_ref()) {
                    self.services.insert(task.service.clone());
                }
                self.room |= places(old.as_ref()) > places(new.as_ref());
            }
        }
    }
}

/// What a task takes on its node, as numbers that fall when it gives something up: its resources, and its
/// place among the tasks that the scheduler spreads.
fn places(task: Option<&Arc<Task>>) -> u8 {
    task.map_or(0, |t| {
        u8::from(t.holds_resources()) + u8::from(t.holds_resources() && t.is_wanted())
    })
}
