//! Why no node was found, in Docker's words.

use crate::class::HostNo;
use crate::filter::{Demand, Filter, Seen};
use crate::index::Index;
use model::NodeId;
use model::task::{GenericValue, Resources};
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

/// Explanations that still hold. Looking at all nodes takes time, and when the cluster is full many services are told
/// the same, again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reasons {
    told: BTreeMap<Question, String>,
    /// What room there was when they were made.
    room: u64,
}

/// Explanations that are kept: more than a decision makes, at about 200 bytes each.
const MAX_REASONS: usize = 16_384;

/// All of a demand that matters as long as no node changes: number of the wishes, processors, memory, generic
/// resources.
type Question = (u64, i64, i64, Vec<(String, Amount)>);

/// How much of a generic resource is asked for: a number, or by name.
type Amount = (i64, Option<String>);

fn question(demand: &Demand<'_>) -> Question {
    let generic = demand.generic.iter().map(|asked| {
        let amount = match &asked.value {
            GenericValue::Discrete(count) => (*count, None),
            GenericValue::Named(name) => (1, Some(name.clone())),
        };
        (asked.kind.clone(), amount)
    });
    let Resources {
        nano_cpus,
        memory_bytes,
    } = demand.asked;
    (demand.number(), nano_cpus, memory_bytes, generic.collect())
}

impl Reasons {
    /// What was said to others that demand the same and found no node, if it still holds.
    pub(crate) fn known(&mut self, index: &Index, demand: &Demand<'_>) -> Option<&str> {
        let room = index.journal().room();
        if self.room != room {
            self.told.clear();
            self.room = room;
        }
        if self.told.is_empty() || demand.max_replicas > 0 {
            return None;
        }
        self.told.get(&question(demand)).map(String::as_str)
    }

    /// Why no node takes a task that demands `demand`, of a service with `of_service` active tasks on each.
    pub(crate) fn explain(
        &mut self,
        view: &Store,
        index: &Index,
        demand: &Demand<'_>,
        of_service: impl Fn(HostNo, &NodeId) -> u64,
    ) -> String {
        if let Some(known) = self.known(index, demand) {
            return known.into();
        }
        let text = tally(view, index, demand, of_service).explain();
        if demand.max_replicas == 0 && self.told.len() < MAX_REASONS {
            self.told.insert(question(demand), text.clone());
        }
        text
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
