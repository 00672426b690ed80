//! Placing one group of tasks after the other.

use crate::class::HostNo;
use crate::explain::{Reasons, piece};
use crate::filter::{Demand, Filter, Seen, Wishes};
use crate::index::Index;
use crate::ranking::Ranking;
use crate::search::{Others, Search};
use crate::standing::{Past, Standings};
use crate::tree::Shape;
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
    pub(crate) wishes: Arc<Wishes>,
    /// By slot.
    pub(crate) tasks: &'a [&'a Arc<Task>],
}

/// What is remembered from one decision to the next, besides the index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) standings: Standings,
    reasons: Reasons,
    /// Used again for each group that has no standing.
    scratch: Ranking,
}

/// One decision in the making.
pub(crate) struct Placer<'a> {
    view: &'a Store,
    index: &'a mut Index,
    memory: &'a mut Memory,
    now: Timestamp,
    /// The service of the last group, and where this decision has placed its tasks: another version of it may be next.
    last: Option<&'a ServiceId>,
    placed: BTreeMap<HostNo, u32>,
    pub(crate) changes: Vec<Change>,
}

impl<'a> Placer<'a> {
    pub(crate) fn new(
        view: &'a Store,
        index: &'a mut Index,
        memory: &'a mut Memory,
        now: Timestamp,
    ) -> Placer<'a> {
        Placer {
            view,
            index,
            memory,
            now,
            last: None,
            placed: BTreeMap::new(),
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
        for task in group.tasks.iter().filter(|t| t.node.is_some()) {
            self.place_bound(task, &demand);
        }
        if group.tasks.iter().any(|t| t.node.is_none()) {
            self.place_free(group, &demand);
        }
    }

    fn place_free(&mut self, group: &Group<'a>, demand: &Demand<'_>) {
        let mut left = group.tasks.iter().filter(|t| t.node.is_none());
        if let Some(text) = self.memory.reasons.known(self.index, demand) {
            let text = text.to_owned();
            return left.for_each(|task| self.say(task, &text));
        }
        let shape = self.index.shape(demand);
        let past = Past {
            view: self.view,
            service: group.service,
            placed: &self.placed,
            failing: self.failing_hosts(group),
        };
        let memory = &mut *self.memory;
        let version = group.spec_version;
        let (ranking, others) = rank(memory, self.index, &shape, demand, &past, version);
        let mut search = Search::new(self.view, self.index, demand, &shape, ranking, others);
        let mut given_to = Vec::new();
        let mut homeless = None;
        for task in left.by_ref() {
            let Some((host, given)) = search.next() else {
                homeless = Some(task);
                break;
            };
            if !given.is_empty() {
                given_to.push((host.place.host, given.clone()));
            }
            let change = assign(task, &host.node, given, self.now);
            self.changes.push(change);
        }
        let taken = search.into_taken();
        self.count(demand, &taken, &given_to);
        if let Some(first) = homeless {
            self.explain(group, demand, std::iter::once(first).chain(left));
        }
    }

    /// Counts what was taken.
    fn count(
        &mut self,
        demand: &Demand<'_>,
        taken: &[(HostNo, u32)],
        given: &[(HostNo, Vec<GenericResource>)],
    ) {
        for (no, tasks) in taken {
            self.index.take(*no, demand.asked, u64::from(*tasks));
            *self.placed.entry(*no).or_default() += tasks;
        }
        for (no, given) in given {
            self.index.give(self.view, *no, given);
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

    /// In order.
    fn failing_hosts(&self, group: &Group<'a>) -> Vec<HostNo> {
        let failures = self.view.failures_of(group.service, group.spec_version);
        let recent = |at: &&Timestamp| self.now.since(**at) < FAILURE_WINDOW;
        let failing = failures.filter(|(_, times)| {
            times.len() >= MAX_FAILURES && times.iter().filter(recent).count() >= MAX_FAILURES
        });
        let mut hosts: Vec<HostNo> = failing.filter_map(|(id, _)| self.index.find(id)).collect();
        hosts.sort_unstable();
        hosts
    }

    fn explain<'t>(
        &mut self,
        group: &Group<'_>,
        demand: &Demand<'_>,
        tasks: impl Iterator<Item = &'t &'t Arc<Task>>,
    ) {
        let (view, placed) = (self.view, &self.placed);
        let of_service = |no: HostNo, id: &NodeId| {
            let placed = placed.get(&no).copied().unwrap_or(0);
            view.active_on(group.service, id) + u64::from(placed)
        };
        let reasons = &mut self.memory.reasons;
        let text = reasons.explain(view, self.index, demand, of_service);
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

/// The hosts of a group in their order, and which ones a search has to look at besides.
fn rank<'m>(
    memory: &'m mut Memory,
    index: &Index,
    shape: &Arc<Shape>,
    demand: &Demand<'_>,
    past: &Past<'_>,
    spec_version: u64,
) -> (&'m mut Ranking, Others) {
    let Memory {
        standings, scratch, ..
    } = memory;
    let group = (past, spec_version);
    if let Some(name) = demand.names_node() {
        past.mark(index, &mut scratch.own);
        scratch.begin(shape);
        for no in index.named(name) {
            scratch.add(index, shape, demand, no);
        }
    } else if standings.follow(index, shape, demand, group) {
        return (standings.ranking(group), Others::None);
    } else {
        past.mark(index, &mut scratch.own);
        if standings.begin(index, shape, demand, group, &mut scratch.own) {
            return (standings.ranking(group), Others::None);
        }
        scratch.begin(shape);
        scratch.add_own(index, shape, demand);
    }
    scratch.count_all(index, shape);
    let others = match demand.names_node() {
        Some(_) => Others::None,
        None => Others::All,
    };
    (scratch, others)
}

fn assign(task: &Task, node: &Node, generic: Vec<GenericResource>, now: Timestamp) -> Change {
    Change::AssignTask {
        id: task.id.clone(),
        node: node.id.clone(),
        generic,
        status: TaskStatus::new(TaskState::Assigned, now, ASSIGNED_MESSAGE),
    }
}
