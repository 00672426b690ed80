//! The plain definition of what the scheduler decides: it looks at all nodes for each task. The real one has to
//! decide the same.

use crate::explain::{Tally, piece};
use crate::filter::{Demand, Filter, Seen};
use crate::labels::LabelKey;
use crate::{ASSIGNED_MESSAGE, FAILURE_WINDOW, MAX_FAILURES};
use model::task::GenericResource;
use model::{Change, Node, NodeId, ServiceId, Task, TaskState, TaskStatus, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{GenericUse, Store, Usage};

struct Plain<'a> {
    view: &'a Store,
    now: Timestamp,
    usage: BTreeMap<NodeId, (Usage, GenericUse)>,
    active: BTreeMap<(ServiceId, NodeId), u64>,
    changes: Vec<Change>,
}

/// All changes for all that waits.
pub(super) fn decide(view: &Store, now: Timestamp) -> Vec<Change> {
    let usage = view.nodes().map(|node| {
        let generic = view.generic_use(&node.id).cloned().unwrap_or_default();
        (node.id.clone(), (view.node_usage(&node.id), generic))
    });
    let mut plain = Plain {
        view,
        now,
        usage: usage.collect(),
        active: BTreeMap::new(),
        changes: Vec::new(),
    };
    for (service, version, tasks) in view.pending_groups() {
        let (bound, free): (Vec<_>, Vec<_>) = tasks.partition(|t| t.node.is_some());
        for task in bound {
            plain.bound(task);
        }
        let mut left = Vec::new();
        for task in free {
            match plain.best(service, version, task) {
                Some(node) => plain.assign(task, &node),
                None => left.push(task),
            }
        }
        for task in left {
            let text = plain.tally(service, task).explain();
            plain.say(task, text);
        }
    }
    plain.changes
}

impl Plain<'_> {
    fn of_service(&self, service: &ServiceId, node: &NodeId) -> u64 {
        let placed = self.active.get(&(service.clone(), node.clone()));
        self.view.active_on(service, node) + placed.copied().unwrap_or(0)
    }

    fn refused_by(&self, service: &ServiceId, task: &Task, node: &Node) -> Option<Filter> {
        let (usage, generic) = &self.usage[&node.id];
        Demand::new(&task.spec).refused_by(&Seen {
            node,
            reserved: usage.reserved,
            generic: Some(generic),
            of_service: self.of_service(service, &node.id),
        })
    }

    fn best(&self, service: &ServiceId, version: u64, task: &Task) -> Option<Arc<Node>> {
        let nodes = self.view.nodes();
        let fit = nodes.filter(|node| self.refused_by(service, task, node).is_none());
        fit.min_by_key(|node| self.rank(service, version, task, node))
            .cloned()
    }

    /// Tasks in the node's branch of each level, then what tells nodes of a branch apart.
    fn rank(
        &self,
        service: &ServiceId,
        version: u64,
        task: &Task,
        node: &Node,
    ) -> (Vec<u64>, bool, u64, u64, NodeId) {
        let labels = LabelKey::preferred(task.spec.placement.as_ref());
        let counts = (1..=labels.len()).map(|level| {
            let labels = &labels[..level];
            let beside =
                |other: &&Arc<Node>| labels.iter().all(|l| l.value(other) == l.value(node));
            let branch = self.view.nodes().filter(beside);
            branch
                .map(|other| self.of_service(service, &other.id))
                .sum()
        });
        let failures = self.view.failures_on(service, version, &node.id);
        let recent = |at: &&Timestamp| self.now.since(**at) < FAILURE_WINDOW;
        (
            counts.collect(),
            failures.iter().filter(recent).count() >= MAX_FAILURES,
            self.of_service(service, &node.id),
            self.usage[&node.id].0.active,
            node.id.clone(),
        )
    }

    fn tally(&self, service: &ServiceId, task: &Task) -> Tally {
        let mut tally = Tally::default();
        for node in self.view.nodes() {
            if let Some(filter) = self.refused_by(service, task, node) {
                tally.add(filter);
            }
        }
        tally
    }

    fn bound(&mut self, task: &Task) {
        let node = task
            .node
            .as_ref()
            .and_then(|id| self.view.node(id))
            .cloned();
        let Some(node) = node else {
            return self.say(task, piece(Filter::Ready, 1));
        };
        match self.refused_by(&task.service, task, &node) {
            None | Some(Filter::MaxReplicas) => self.assign(task, &node),
            Some(filter) => self.say(task, piece(filter, 1)),
        }
    }

    fn assign(&mut self, task: &Task, node: &Node) {
        let demand = Demand::new(&task.spec);
        let (usage, generic) = self.usage.get_mut(&node.id).expect("a node that is there");
        let given: Vec<GenericResource> = demand.claim(node, Some(generic)).expect("it fits");
        generic.add(&given);
        usage.active += 1;
        usage.reserved.nano_cpus += demand.asked.nano_cpus;
        usage.reserved.memory_bytes += demand.asked.memory_bytes;
        let place = (task.service.clone(), node.id.clone());
        *self.active.entry(place).or_default() += 1;
        self.changes.push(Change::AssignTask {
            id: task.id.clone(),
            node: node.id.clone(),
            generic: given,
            status: TaskStatus::new(TaskState::Assigned, self.now, ASSIGNED_MESSAGE),
        });
    }

    fn say(&mut self, task: &Task, error: String) {
        if task.status.error != error {
            self.changes.push(Change::SetTaskStatus {
                id: task.id.clone(),
                status: TaskStatus {
                    timestamp: self.now,
                    error,
                    ..task.status.clone()
                },
            });
        }
    }
}
