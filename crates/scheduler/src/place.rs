//! Placing one group of tasks.

use crate::explain::Tally;
use crate::filter::Demand;
use crate::hosts::Hosts;
use crate::{ASSIGNED_MESSAGE, FAILURE_WINDOW, MAX_FAILURES};
use model::{Change, Node, ServiceId, Task, TaskState, TaskStatus, Timestamp};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use store::Store;

/// Tasks of one service and spec version.
pub(crate) struct Group<'a> {
    pub(crate) view: &'a Store,
    pub(crate) now: Timestamp,
    pub(crate) service: &'a ServiceId,
    pub(crate) spec_version: u64,
}

/// How good a host is for the next task; the least is taken. Equal ones are taken in the order of their ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    keeps_failing: bool,
    of_service: u64,
    in_all: u64,
    host: usize,
}

impl Group<'_> {
    /// Places `tasks` on `hosts` as long as there is room; the rest is told why.
    pub(crate) fn place<'t>(
        &self,
        hosts: &mut Hosts<'_>,
        mut tasks: impl Iterator<Item = &'t Arc<Task>>,
        changes: &mut Vec<Change>,
    ) {
        let Some(first) = tasks.next() else { return };
        let demand = Demand::new(&first.spec);
        let mut tally = Tally::default();
        let mut ranking = self.rank(hosts, &demand, &mut tally);
        let mut explanation = None;
        for task in std::iter::once(first).chain(tasks) {
            let Some(mut best) = ranking.peek_mut() else {
                let text = explanation.get_or_insert_with(|| tally.explain());
                self.explain(task, text, changes);
                continue;
            };
            let host = &mut hosts.0[best.0.host];
            changes.push(self.assign(task, host.node));
            host.take(demand.asked);
            best.0.of_service += 1;
            best.0.in_all += 1;
            if let Some(filter) = demand.now_refused_by(host, best.0.of_service) {
                tally.add(filter);
                std::collections::binary_heap::PeekMut::pop(best);
            }
        }
    }

    /// The hosts that pass all filters; `tally` counts the others.
    fn rank(
        &self,
        hosts: &Hosts<'_>,
        demand: &Demand<'_>,
        tally: &mut Tally,
    ) -> BinaryHeap<Reverse<Rank>> {
        let mut ranks = Vec::with_capacity(hosts.0.len());
        for (index, host) in hosts.0.iter().enumerate() {
            let of_service = self.view.active_on(self.service, &host.node.id);
            match demand.refused_by(host, of_service) {
                Some(filter) => tally.add(filter),
                None => ranks.push(Reverse(Rank {
                    keeps_failing: self.keeps_failing_on(host.node),
                    of_service,
                    in_all: host.usage.active,
                    host: index,
                })),
            }
        }
        BinaryHeap::from(ranks)
    }

    fn keeps_failing_on(&self, node: &Node) -> bool {
        let failures = self
            .view
            .failures_on(self.service, self.spec_version, &node.id);
        let recent = |at: &&Timestamp| self.now.since(**at) < FAILURE_WINDOW;
        failures.iter().filter(recent).count() >= MAX_FAILURES
    }

    fn assign(&self, task: &Task, node: &Node) -> Change {
        Change::AssignTask {
            id: task.id.clone(),
            node: node.id.clone(),
            generic: Vec::new(),
            status: TaskStatus::new(TaskState::Assigned, self.now, ASSIGNED_MESSAGE),
        }
    }

    /// Says why, unless the task says so already.
    fn explain(&self, task: &Task, text: &str, changes: &mut Vec<Change>) {
        if task.status.error == text {
            return;
        }
        changes.push(Change::SetTaskStatus {
            id: task.id.clone(),
            status: TaskStatus {
                timestamp: self.now,
                error: text.into(),
                ..task.status.clone()
            },
        });
    }
}
