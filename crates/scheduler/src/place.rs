//! Placing one group of tasks after the other.

use crate::class::HostNo;
use crate::explain::{Reasons, piece};
use crate::filter::{Demand, Filter, Seen, Wishes};
use crate::index::Index;
use crate::marks::Marks;
use crate::search::{Past, Search};
use crate::{ASSIGNED_MESSAGE, FAILURE_WINDOW, MAX_FAILURES};
use model::task::GenericResource;
use model::{Change, Node, NodeId, ServiceId, Task, TaskState, TaskStatus, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// Tasks of one service and spec version: they ask for the same.
pub(crate) struct Group<'a> {
    pub(crate) service: &'a ServiceId,
    pub(crate) spec_version: u64,
    /// What stands for its demand but for amounts and bounds.
    pub(crate) key: String,
    pub(crate) wishes: Arc<Wishes>,
    /// By slot.
    pub(crate) tasks: Vec<&'a Arc<Task>>,
}

/// One decision in the making.
pub(crate) struct Placer<'a> {
    view: &'a Store,
    index: &'a mut Index,
    now: Timestamp,
    /// The service of the last group, and where this decision has placed its tasks: another version of it may be next.
    last: Option<&'a ServiceId>,
    placed: BTreeMap<HostNo, u64>,
    marks: &'a mut Marks,
    reasons: Reasons,
    pub(crate) changes: Vec<Change>,
}

impl<'a> Placer<'a> {
    pub(crate) fn new(
        view: &'a Store,
        index: &'a mut Index,
        marks: &'a mut Marks,
        now: Timestamp,
    ) -> Placer<'a> {
        Placer {
            view,
            index,
            now,
            last: None,
            placed: BTreeMap::new(),
            marks,
            reasons: Reasons::default(),
            changes: Vec::new(),
        }
    }

    /// Places the tasks as long as there is room; the rest is told why.
    pub(crate) fn place(&mut self, group: &Group<'a>) {
        let Some(first) = group.tasks.first() else {
            return;
        };
        if self.last.replace(group.service) != Some(group.service) {
            self.placed.clear();
        }
        let demand = Demand::with(&first.spec, group.wishes.clone());
        let (bound, free): (Vec<&Arc<Task>>, Vec<&Arc<Task>>) =
            group.tasks.iter().copied().partition(|t| t.node.is_some());
        for task in bound {
            self.place_bound(task, &demand);
        }
        self.place_free(group, &demand, &free);
    }

    fn place_free(&mut self, group: &Group<'a>, demand: &Demand<'_>, tasks: &[&'a Arc<Task>]) {
        if tasks.is_empty() {
            return;
        }
        let shape = self.index.shape(&group.key, demand);
        let past = Past {
            active: self.view.active_nodes(group.service),
            placed: &self.placed,
            failing: self.failing_nodes(group),
        };
        let mut search = Search::new(self.view, self.index, demand, &shape, self.marks, past);
        let mut given_to = Vec::new();
        let mut left = tasks.iter();
        for task in left.by_ref() {
            let Some((host, no, given)) = search.next() else {
                let rest = std::iter::once(task).chain(left);
                let rest: Vec<&Arc<Task>> = rest.copied().collect();
                let taken = search.into_taken();
                self.count(demand, &taken, &given_to);
                return self.explain(group, demand, &rest);
            };
            if !given.is_empty() {
                given_to.push((no, given.clone()));
            }
            let change = assign(task, &host.node, given, self.now);
            self.changes.push(change);
        }
        let taken = search.into_taken();
        self.count(demand, &taken, &given_to);
    }

    /// Counts what a search took as taken.
    fn count(
        &mut self,
        demand: &Demand<'_>,
        taken: &[(HostNo, u64)],
        given: &[(HostNo, Vec<GenericResource>)],
    ) {
        for (no, tasks) in taken {
            self.index.take(*no, demand.asked, *tasks);
            *self.placed.entry(*no).or_default() += tasks;
        }
        for (no, given) in given {
            self.index.give(self.view, *no, given);
        }
        if !taken.is_empty() {
            self.reasons.forget();
        }
    }

    /// A task that can only go to one node: the number of replicas there is not asked, since its predecessor counts.
    fn place_bound(&mut self, task: &Task, demand: &Demand<'_>) {
        let no = task.node.as_ref().and_then(|id| self.index.find(id));
        let Some((no, host)) = no.and_then(|no| Some((no, self.index.host(no)?))) else {
            return self.say(task, &piece(Filter::Ready, 1));
        };
        let in_use = self.index.generic_use(self.view, no);
        let seen = Seen {
            node: &host.node,
            reserved: host.usage.reserved,
            generic: in_use,
            of_service: 0,
        };
        if let Some(filter) = demand.refused_by(&seen) {
            return self.say(task, &piece(filter, 1));
        }
        let given = demand.claim(&host.node, in_use).unwrap_or_default();
        let change = assign(task, &host.node, given.clone(), self.now);
        self.changes.push(change);
        self.count(demand, &[(no, 1)], &[(no, given)]);
    }

    fn failing_nodes(&self, group: &Group<'a>) -> impl Iterator<Item = &'a NodeId> + use<'a> {
        let now = self.now;
        let failures = self.view.failures_of(group.service, group.spec_version);
        failures
            .filter(move |(_, times)| {
                let recent = |at: &&Timestamp| now.since(**at) < FAILURE_WINDOW;
                times.iter().filter(recent).count() >= MAX_FAILURES
            })
            .map(|(node, _)| node)
    }

    fn explain(&mut self, group: &Group<'a>, demand: &Demand<'_>, tasks: &[&Arc<Task>]) {
        let (view, placed) = (self.view, &self.placed);
        let of_service = |no: HostNo, id: &NodeId| {
            view.active_on(group.service, id) + placed.get(&no).copied().unwrap_or(0)
        };
        let text = self.reasons.explain(view, self.index, demand, of_service);
        for task in tasks {
            self.say(task, &text);
        }
    }

    /// Says why, unless the task says so already.
    fn say(&mut self, task: &Task, text: &str) {
        if task.status.error == text {
            return;
        }
        self.changes.push(Change::SetTaskStatus {
            id: task.id.clone(),
            status: TaskStatus {
                timestamp: self.now,
                error: text.into(),
                ..task.status.clone()
            },
        });
    }
}

fn assign(task: &Task, node: &Node, generic: Vec<GenericResource>, now: Timestamp) -> Change {
    Change::AssignTask {
        id: task.id.clone(),
        node: node.id.clone(),
        generic,
        status: TaskStatus::new(TaskState::Assigned, now, ASSIGNED_MESSAGE),
    }
}
