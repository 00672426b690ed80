//! Tasks that are moved for the sake of an even spread: only as many as that takes.

use super::placement::{most_per_node, satisfies, takes};
use super::{Rule, Step};
use model::service::{Mode, Service};
use model::task::ReplaceReason;
use model::{Change, Node, NodeId, ServiceId, Task};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::Store;

/// From this difference on, a move makes two nodes or branches more equal.
const UNEVEN: u64 = 2;

/// How the tasks of a service are spread.
struct Spread<'a> {
    view: &'a Store,
    service: &'a Service,
    /// Per node: the values of the labels that the service is spread over, outer to inner, and the node itself.
    paths: BTreeMap<&'a NodeId, Vec<&'a str>>,
    counts: BTreeMap<&'a NodeId, u64>,
}

impl<'a> Spread<'a> {
    fn of(view: &'a Store, service: &'a Service) -> Spread<'a> {
        let placement = service.spec.task.placement.as_ref();
        let labels = placement.map_or(&[][..], |p| &p.preferences);
        let path = |node: &'a Node| {
            let values = labels.iter().map(|label| value(node, label));
            values.chain([node.id.as_str()]).collect()
        };
        Spread {
            view,
            service,
            paths: view.nodes().map(|n| (&n.id, path(n))).collect(),
            counts: view.active_nodes(&service.id).collect(),
        }
    }

    /// Tasks on nodes that share the first `depth` values with `node`.
    fn tasks(&self, node: &NodeId, depth: usize) -> u64 {
        let branch = &self.paths[node][..depth];
        let counts = self.counts.iter().filter(|(id, _)| {
            let path = self.paths.get(*id);
            path.is_some_and(|path| path[..depth] == *branch)
        });
        counts.map(|(_, count)| count).sum()
    }

    /// How many more tasks are where `from` is than where `to` is, where their paths part.
    fn difference(&self, from: &NodeId, to: &NodeId) -> u64 {
        let (a, b) = (&self.paths[from], &self.paths[to]);
        let Some(parting) = a.iter().zip(b).position(|(a, b)| a != b) else {
            return 0;
        };
        let (more, less) = (self.tasks(from, parting + 1), self.tasks(to, parting + 1));
        more.saturating_sub(less)
    }

    /// A node that should have a task of `from` instead: that would be more even.
    fn better_than(&self, from: &NodeId) -> Option<&'a NodeId> {
        if !self.paths.contains_key(from) {
            return None;
        }
        let spec = &self.service.spec.task;
        let most = most_per_node(spec);
        let can_take = |node: &&'a Arc<Node>| {
            let copies = self.counts.get(&node.id).copied().unwrap_or(0);
            node.id != *from && takes(self.view, spec, node) && (most == 0 || copies < most)
        };
        let others = self.view.nodes().filter(can_take).map(|node| &node.id);
        let best = others.max_by_key(|to| self.difference(from, to))?;
        (self.difference(from, best) >= UNEVEN).then_some(best)
    }

    fn moves(&mut self, from: &'a NodeId, to: &'a NodeId) {
        if let Some(count) = self.counts.get_mut(from) {
            *count = count.saturating_sub(1);
        }
        *self.counts.entry(to).or_default() += 1;
    }
}

fn value<'a>(node: &'a Node, label: &str) -> &'a str {
    let labels = match label.split_once(".labels.") {
        Some(("node", key)) => node.spec.labels.get(key),
        Some(("engine", key)) => node
            .description
            .as_ref()
            .and_then(|d| d.engine_labels.get(key)),
        _ => None,
    };
    labels.map_or("", String::as_str)
}

/// Each task that is to move has somewhere to go where fewer are.
pub(super) fn check(step: &Step<'_>) -> Rule {
    let mut moved: BTreeMap<&ServiceId, Vec<&Arc<Task>>> = BTreeMap::new();
    for change in step.changes {
        let Change::SetReplace {
            id,
            reason: Some(ReplaceReason::Rebalance),
        } = change
        else {
            continue;
        };
        if let Some(task) = step.view.task(id) {
            moved.entry(&task.service).or_default().push(task);
        }
    }
    for (id, tasks) in moved {
        let Some(service) = step.view.service(id).filter(|s| is_as_it_was(step, s)) else {
            continue;
        };
        let mut spread = Spread::of(step.view, service);
        for task in tasks {
            let Some(from) = task.placed_on() else {
                return Err(format!("task {} is to move from nowhere", task.id));
            };
            let Some(to) = spread.better_than(from) else {
                let counts = &spread.counts;
                return Err(format!(
                    "task {} is to leave {from} though that is not more even: {counts:?}",
                    task.id
                ));
            };
            spread.moves(from, to);
        }
    }
    Ok(())
}

/// Whoever decided saw what is here now, and no other move was under way.
fn is_as_it_was(step: &Step<'_>, service: &Service) -> bool {
    let marked_now = |task: &Task| {
        let marks =
            |change: &Change| matches!(change, Change::SetReplace { id, .. } if *id == task.id);
        step.changes.iter().any(marks)
    };
    let tasks = step.view.tasks();
    let mut others = tasks.filter(|t| !marked_now(t));
    let quiet = others.all(|t| !step.is_fresh(t.meta.changed));
    let mut own = step.view.tasks_of_service(&service.id);
    quiet
        && own.all(|t| t.replace.is_none() || marked_now(t))
        && !step.is_fresh(service.meta.changed)
        && step.view.nodes().all(|n| !step.is_fresh(n.meta.changed))
}

/// A service that is kept even is even, or nothing more can be done about it.
pub(super) fn is_even(view: &Store, service: &Service) -> Rule {
    if !service.spec.auto_rebalance || !matches!(service.spec.mode, Mode::Replicated { .. }) {
        return Ok(());
    }
    let spread = Spread::of(view, service);
    for task in view.tasks_of_service(&service.id) {
        let node = task.placed_on().and_then(|id| view.node(id));
        let Some(node) = node.filter(|_| task.is_wanted()) else {
            continue;
        };
        if satisfies(&service.spec.task, node)
            && let Some(to) = spread.better_than(&node.id)
        {
            let counts = &spread.counts;
            return Err(format!(
                "{to} should have a task of {}: {counts:?}",
                node.id
            ));
        }
    }
    Ok(())
}
