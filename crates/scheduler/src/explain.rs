//! Why no node was found, in Docker's words.

use crate::class::HostNo;
use crate::filter::{Demand, Filter, Seen};
use crate::index::Index;
use model::NodeId;
use std::collections::BTreeMap;
use store::Store;

/// How many nodes each filter refused.
#[derive(Default)]
pub(crate) struct Tally([u64; Filter::ALL.len()]);

impl Tally {
    pub(crate) fn add(&mut self, filter: Filter) {
        self.0[filter as usize] += 1;
    }

    /// `no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)`:
    /// the filter that refused most comes first.
    pub(crate) fn explain(&self) -> String {
        let mut counts: Vec<(Filter, u64)> = Filter::ALL
            .into_iter()
            .map(|filter| (filter, self.0[filter as usize]))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if counts.is_empty() {
            return "no suitable node".into();
        }
        let pieces: Vec<String> = counts.into_iter().map(|(f, n)| piece(f, n)).collect();
        format!("no suitable node ({})", pieces.join("; "))
    }
}

/// How many nodes a filter refused, in words. A task that can only go to one node is told no more.
pub(crate) fn piece(filter: Filter, count: u64) -> String {
    let nodes = if count == 1 {
        "1 node".into()
    } else {
        format!("{count} nodes")
    };
    match filter {
        Filter::Ready => format!("{nodes} not available for new tasks"),
        Filter::Resources => format!("insufficient resources on {nodes}"),
        Filter::Constraint => format!("scheduling constraints not satisfied on {nodes}"),
        Filter::Platform => format!("unsupported platform on {nodes}"),
        Filter::Policy => format!("devices and privileges not allowed on {nodes}"),
        Filter::MaxReplicas => "max replicas per node limit exceed".into(),
    }
}

/// Explanations of this decision. Looking at all nodes takes time, and when the cluster is full many services are
/// told the same.
#[derive(Default)]
pub(crate) struct Reasons {
    /// By demand, since the last placement.
    told: BTreeMap<String, String>,
}

impl Reasons {
    /// A task was placed: what was said before may not be true any more.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
    }

    /// Why no node takes a task that demands `demand`, of a service with `of_service` active tasks on each.
    pub(crate) fn explain(
        &mut self,
        view: &Store,
        index: &Index,
        demand: &Demand<'_>,
        of_service: impl Fn(HostNo, &NodeId) -> u64,
    ) -> String {
        if demand.max_replicas > 0 {
            return tally(view, index, demand, of_service).explain();
        }
        let told = self.told.entry(format!("{demand:?}"));
        told.or_insert_with(|| tally(view, index, demand, |_, _| 0).explain())
            .clone()
    }
}

fn tally(
    view: &Store,
    index: &Index,
    demand: &Demand<'_>,
    of_service: impl Fn(HostNo, &NodeId) -> u64,
) -> Tally {
    let mut tally = Tally::default();
    for (no, host) in index.hosts() {
        let seen = Seen {
            node: &host.node,
            reserved: host.usage.reserved,
            generic: index.generic_use(view, no),
            of_service: of_service(no, &host.node.id),
        };
        if let Some(filter) = demand.refused_by(&seen) {
            tally.add(filter);
        }
    }
    tally
}
