//! Where tasks of a service failed lately, so that the scheduler can try another node.
//!
//! The tasks themselves cannot tell: a slot keeps few of them. Docker's leader remembers this in memory and
//! forgets it when the leader changes; here it is part of the replicated state.

use model::snapshot::NodeFailures;
use model::{NodeId, ServiceId, Task, TaskState, Timestamp};
use std::collections::BTreeMap;

/// Failures remembered per service and node, the newest: the scheduler asks whether there are this many.
pub const MAX_FAILURES_PER_NODE: usize = 5;

#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    by_service: BTreeMap<ServiceId, OfService>,
}

#[derive(Clone, Debug, Default)]
struct OfService {
    spec_version: u64,
    nodes: BTreeMap<NodeId, Vec<Timestamp>>,
}

impl Failures {
    /// Notes that `task`, which was not over before, ended.
    pub(crate) fn note_end(&mut self, task: &Task, at: Timestamp) {
        let failed = matches!(task.status.state, TaskState::Failed | TaskState::Rejected);
        // A task of a global service can only go to its node: its failures say nothing about other tasks.
        let counts = failed && task.slot > 0;
        let Some(node) = task.node.as_ref().filter(|_| counts) else {
            return;
        };
        let entry = self.by_service.entry(task.service.clone()).or_default();
        if entry.spec_version > task.spec_version {
            return;
        }
        if entry.spec_version < task.spec_version {
            entry.spec_version = task.spec_version;
            entry.nodes.clear();
        }
        let times = entry.nodes.entry(node.clone()).or_default();
        if times.len() == MAX_FAILURES_PER_NODE {
            times.remove(0);
        }
        times.push(at);
    }

    pub(crate) fn forget_service(&mut self, id: &ServiceId) {
        self.by_service.remove(id);
    }

    pub(crate) fn forget_node(&mut self, id: &NodeId) {
        // An entry without nodes would remember its spec version, which a snapshot does not carry.
        self.by_service.retain(|_, entry| {
            entry.nodes.remove(id);
            !entry.nodes.is_empty()
        });
    }

    pub(crate) fn at(&self, service: &ServiceId, spec_version: u64, node: &NodeId) -> &[Timestamp] {
        self.by_service
            .get(service)
            .filter(|entry| entry.spec_version == spec_version)
            .and_then(|entry| entry.nodes.get(node))
            .map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of(
        &self,
        service: &ServiceId,
        spec_version: u64,
    ) -> impl Iterator<Item = (&NodeId, &[Timestamp])> {
        let entry = self.by_service.get(service);
        let entry = entry.filter(|entry| entry.spec_version == spec_version);
        let nodes = entry.into_iter().flat_map(|entry| &entry.nodes);
        nodes.map(|(node, times)| (node, times.as_slice()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = NodeFailures> {
        self.by_service.iter().flat_map(|(service, entry)| {
            entry.nodes.iter().map(|(node, at)| NodeFailures {
                service: service.clone(),
                spec_version: entry.spec_version,
                node: node.clone(),
                at: at.clone(),
            })
        })
    }

    pub(crate) fn restore(&mut self, saved: NodeFailures) {
        let entry = self.by_service.entry(saved.service).or_default();
        entry.spec_version = saved.spec_version;
        entry.nodes.insert(saved.node, saved.at);
    }
}
