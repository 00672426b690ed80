//! The nodes as they will be when the assignments decided so far are applied.

use model::Node;
use model::task::Resources;
use store::{Store, Usage};

/// One node with what is placed there, in the view and by this decision.
pub(crate) struct Host<'a> {
    pub(crate) node: &'a Node,
    pub(crate) usage: Usage,
}

/// All nodes, by id.
pub(crate) struct Hosts<'a>(pub(crate) Vec<Host<'a>>);

impl<'a> Hosts<'a> {
    pub(crate) fn new(view: &'a Store) -> Hosts<'a> {
        let host = |node: &'a std::sync::Arc<Node>| Host {
            node,
            usage: view.node_usage(&node.id),
        };
        Hosts(view.nodes().map(host).collect())
    }
}

impl Host<'_> {
    /// Counts a task that this decision places here.
    pub(crate) fn take(&mut self, asked: Resources) {
        self.usage.reserved.nano_cpus += asked.nano_cpus;
        self.usage.reserved.memory_bytes += asked.memory_bytes;
        self.usage.active += 1;
    }

    pub(crate) fn fits(&self, asked: Resources) -> bool {
        store::fits(self.node, self.usage.reserved, asked)
    }
}
