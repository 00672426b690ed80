//! Which running tasks would have to move so that each service is spread as if it were placed now.

use crate::filter::{Demand, Seen, takes_tasks};
use crate::labels::LabelKey;
use model::task::Resources;
use model::{Mode, Node, NodeId, Service, ServiceId, Task, TaskId, TaskState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use store::{Store, Usage};

/// Difference of two neighbouring branches or nodes from which on a move makes them more equal.
const UNEVEN: u64 = 2;

/// A host as a service sees it.
struct Host<'a> {
    node: &'a Node,
    /// Values of the labels that the service spreads over, outer to inner.
    path: Vec<&'a str>,
    of_service: u64,
    in_all: u64,
    /// Tasks that may move away, the first one first. Empty where tasks have to stay.
    movable: VecDeque<&'a Arc<Task>>,
    /// It can take a task of the service.
    takes: bool,
}

/// Tasks that decided moves bring to nodes, over all services.
type Coming<'a> = BTreeMap<&'a NodeId, (Resources, u64)>;

/// Moves that even out the tasks of each of `services` over the nodes that can have them, at most `limit` in all:
/// task, from where, to where. Afterwards neighbouring branches of the preferences, and nodes of a branch, differ
/// by one task at most as far as filters and room allow, and no move could be left out. Only running tasks of
/// replicated services move, and none that is marked to be replaced already. A node has to have room for what
/// comes before anything has left.
pub fn rebalance(
    view: &Store,
    services: &[ServiceId],
    limit: usize,
) -> Vec<(TaskId, NodeId, NodeId)> {
    let mut moves = Vec::new();
    let mut coming = Coming::new();
    for id in services {
        if let Some(service) = view.service(id)
            && moves.len() < limit
        {
            rebalance_one(view, service, limit, &mut coming, &mut moves);
        }
    }
    moves
}

fn rebalance_one<'a>(
    view: &'a Store,
    service: &'a Service,
    limit: usize,
    coming: &mut Coming<'a>,
    moves: &mut Vec<(TaskId, NodeId, NodeId)>,
) {
    let labels = LabelKey::preferred(service.spec.task.placement.as_ref());
    if !matches!(service.spec.mode, Mode::Replicated { .. }) || is_even(view, service, &labels) {
        return;
    }
    let demand = Demand::new(&service.spec.task);
    let mut hosts = hosts(view, service, &demand, &labels, coming);
    while moves.len() < limit {
        let all: Vec<usize> = (0..hosts.len()).collect();
        let Some((from, to)) = find(&hosts, &all, 0, labels.len()) else {
            return;
        };
        let Some(task) = hosts[from].movable.pop_front() else {
            return;
        };
        hosts[from].of_service -= 1;
        let target = &mut hosts[to];
        target.of_service += 1;
        target.in_all += 1;
        let (reserved, tasks) = coming.entry(&target.node.id).or_default();
        reserved.nano_cpus += demand.asked.nano_cpus;
        reserved.memory_bytes += demand.asked.memory_bytes;
        *tasks += 1;
        moves.push((
            task.id.clone(),
            hosts[from].node.id.clone(),
            hosts[to].node.id.clone(),
        ));
        hosts[to].takes = takes(view, &demand, &hosts[to], coming);
    }
}

/// Whether no node has two tasks of it, so that there is nothing to even out over nodes.
fn is_even(view: &Store, service: &Service, labels: &[LabelKey]) -> bool {
    labels.is_empty() && view.active_nodes(&service.id).all(|(_, n)| n < UNEVEN)
}

fn hosts<'a>(
    view: &'a Store,
    service: &'a Service,
    demand: &Demand<'_>,
    labels: &[LabelKey],
    coming: &Coming<'_>,
) -> Vec<Host<'a>> {
    let host = |node: &'a Arc<Node>| {
        let more = coming.get(&node.id).map_or(0, |(_, tasks)| *tasks);
        Host {
            node,
            path: labels.iter().map(|label| label.value(node)).collect(),
            of_service: view.active_on(&service.id, &node.id),
            in_all: view.node_usage(&node.id).active + more,
            movable: VecDeque::new(),
            takes: false,
        }
    };
    let mut hosts: Vec<Host<'a>> = view.nodes().map(host).collect();
    for host in &mut hosts {
        host.takes = takes(view, demand, host, coming);
    }
    let tasks: u64 = hosts.iter().map(|h| h.of_service).sum();
    keep_best_empty(&mut hosts, usize::try_from(tasks).unwrap_or(usize::MAX));
    let at: BTreeMap<&NodeId, usize> = (0..).zip(&hosts).map(|(i, h)| (&h.node.id, i)).collect();
    let mut movable: Vec<(usize, &'a Arc<Task>)> = Vec::new();
    for task in view.tasks_of_service(&service.id) {
        let host = task.placed_on().and_then(|id| at.get(id));
        let Some(host) = host.filter(|_| task.is_wanted() && task.may_run()) else {
            continue;
        };
        // What is on its way somewhere else is left alone, and what has to stay where it is as well.
        let node = hosts[*host].node;
        if task.status.state == TaskState::Running
            && task.replace.is_none()
            && takes_tasks(node)
            && demand.suits(node)
        {
            movable.push((*host, task));
        }
    }
    movable.sort_by_key(|(_, task)| std::cmp::Reverse((task.meta.version, &task.id)));
    let marked = view.tasks_of_service(&service.id);
    let marked = marked.filter(|t| t.is_wanted() && t.may_run() && t.replace.is_some());
    let leaving: Vec<usize> = marked
        .filter_map(|t| at.get(t.placed_on()?).copied())
        .collect();
    drop(at);
    for (host, task) in movable {
        hosts[host].movable.push_back(task);
    }
    settle_leaving(&mut hosts, &leaving);
    hosts
}

/// Counts tasks that are to be replaced where the scheduler would put them.
fn settle_leaving(hosts: &mut [Host<'_>], leaving: &[usize]) {
    for from in leaving {
        hosts[*from].of_service = hosts[*from].of_service.saturating_sub(1);
        let all: Vec<usize> = (0..hosts.len()).collect();
        let to = emptiest(hosts, &all, 0).unwrap_or(*from);
        hosts[to].of_service += 1;
    }
}

/// Of hosts without a task of the service only the best ones of each branch matter: as many as there are tasks.
fn keep_best_empty(hosts: &mut Vec<Host<'_>>, tasks: usize) {
    let empty = |h: &Host<'_>| h.of_service == 0;
    let mut order: Vec<usize> = (0..hosts.len()).filter(|i| empty(&hosts[*i])).collect();
    order.sort_by_key(|i| (hosts[*i].in_all, &hosts[*i].node.id));
    let mut kept: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
    let mut keep = vec![true; hosts.len()];
    for i in order {
        let count = kept.entry(hosts[i].path.clone()).or_default();
        keep[i] = hosts[i].takes && *count < tasks;
        *count += usize::from(keep[i]);
    }
    let mut keep = keep.into_iter();
    hosts.retain(|_| keep.next().unwrap_or(false));
}

fn takes(view: &Store, demand: &Demand<'_>, host: &Host<'_>, coming: &Coming<'_>) -> bool {
    let id = &host.node.id;
    let Usage { mut reserved, .. } = view.node_usage(id);
    let (more, tasks) = coming.get(id).copied().unwrap_or_default();
    reserved.nano_cpus += more.nano_cpus;
    reserved.memory_bytes += more.memory_bytes;
    let seen = Seen {
        node: host.node,
        reserved,
        generic: view.generic_use(id),
        of_service: host.of_service,
    };
    // Which generic resources a task gets is only known when it is placed: one that comes is enough.
    demand.refused_by(&seen).is_none() && (demand.generic.is_empty() || tasks == 0)
}

/// The move that is needed most, among hosts that share the values of the first `level` labels.
fn find(hosts: &[Host<'_>], among: &[usize], level: usize, depth: usize) -> Option<(usize, usize)> {
    if level == depth {
        let from = fullest(hosts, among, level)?;
        let to = emptiest(hosts, among, level)?;
        return (hosts[from].of_service >= hosts[to].of_service + UNEVEN).then_some((from, to));
    }
    let branches = branches(hosts, among, level);
    let count = |b: &&Vec<usize>| tasks_of(hosts, b);
    let has_movable = |b: &&Vec<usize>| b.iter().any(|i| !hosts[*i].movable.is_empty());
    let has_taker = |b: &&Vec<usize>| b.iter().any(|i| hosts[*i].takes);
    let full = branches.values().filter(has_movable).max_by_key(count)?;
    let empty = branches.values().filter(has_taker).min_by_key(count)?;
    if count(&full) >= count(&empty) + UNEVEN {
        let from = fullest(hosts, full, level + 1)?;
        let to = emptiest(hosts, empty, level + 1)?;
        return Some((from, to));
    }
    let mut inner = branches.values();
    inner.find_map(|branch| find(hosts, branch, level + 1, depth))
}

fn branches<'a>(
    hosts: &[Host<'a>],
    among: &[usize],
    level: usize,
) -> BTreeMap<&'a str, Vec<usize>> {
    let mut branches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for i in among {
        branches.entry(hosts[*i].path[level]).or_default().push(*i);
    }
    branches
}

fn tasks_of(hosts: &[Host<'_>], among: &[usize]) -> u64 {
    among.iter().map(|i| hosts[*i].of_service).sum()
}

/// The host to move a task away from: down the fullest branches.
fn fullest(hosts: &[Host<'_>], among: &[usize], level: usize) -> Option<usize> {
    let movable = |i: &&usize| !hosts[**i].movable.is_empty();
    if hosts.first()?.path.len() > level {
        let branches = branches(hosts, among, level);
        let usable = branches.values().filter(|b| b.iter().any(|i| movable(&i)));
        let fullest_branch = usable.max_by_key(|b| tasks_of(hosts, b))?;
        return fullest(hosts, fullest_branch, level + 1);
    }
    let rank = |i: &&usize| {
        (
            hosts[**i].of_service,
            hosts[**i].in_all,
            &hosts[**i].node.id,
        )
    };
    among.iter().filter(movable).max_by_key(rank).copied()
}

/// The host that the scheduler would take: down the emptiest branches.
fn emptiest(hosts: &[Host<'_>], among: &[usize], level: usize) -> Option<usize> {
    if hosts.first()?.path.len() > level {
        let branches = branches(hosts, among, level);
        let usable = branches
            .values()
            .filter(|b| b.iter().any(|i| hosts[*i].takes));
        let best = |b: &&Vec<usize>| {
            let best = emptiest(hosts, b, level + 1);
            (
                tasks_of(hosts, b),
                best.map(|i| (hosts[i].of_service, hosts[i].in_all)),
            )
        };
        let emptiest_branch = usable.min_by_key(best)?;
        return emptiest(hosts, emptiest_branch, level + 1);
    }
    let rank = |i: &&usize| {
        (
            hosts[**i].of_service,
            hosts[**i].in_all,
            &hosts[**i].node.id,
        )
    };
    among
        .iter()
        .filter(|i| hosts[**i].takes)
        .min_by_key(rank)
        .copied()
}
