//! Nodes of which something changed that placement depends on, newest last: whoever keeps an order of all nodes
//! follows it from here instead of looking at all of them again.

use crate::Event;
use model::{NodeId, Task};
use std::collections::VecDeque;
use std::sync::Arc;

/// Changes that are kept: some decisions of the scheduler, which looks after each of them; about 2 MiB.
pub const MAX_TOUCHED: usize = 65_536;

#[derive(Clone, Debug, Default)]
pub(crate) struct Touched {
    /// What happened after this index is here.
    after: u64,
    /// Index, node, and whether the node itself changed.
    ring: VecDeque<(u64, NodeId, bool)>,
}

impl Touched {
    /// Nothing is known of what happened up to `index`.
    pub(crate) fn from(index: u64) -> Touched {
        Touched {
            after: index,
            ring: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, index: u64, event: &Event) {
        match event {
            Event::Node { id, .. } => self.push(index, id, true),
            Event::Task { old, new, .. } => {
                let (before, after) = (load(old.as_ref()), load(new.as_ref()));
                if before == after {
                    return;
                }
                if let Some((node, _)) = before {
                    self.push(index, node, false);
                }
                if let Some((node, _)) = after
                    && before.is_none_or(|(other, _)| other != node)
                {
                    self.push(index, node, false);
                }
            }
            Event::Cluster { .. } | Event::Service { .. } | Event::Payload { .. } => {}
        }
    }

    fn push(&mut self, index: u64, node: &NodeId, itself: bool) {
        self.ring.push_back((index, node.clone(), itself));
        if self.ring.len() > MAX_TOUCHED
            && let Some((lost, ..)) = self.ring.pop_front()
        {
            self.after = lost;
        }
    }

    /// Absent when not all of it is known any more.
    pub(crate) fn since(&self, index: u64) -> Option<impl Iterator<Item = (&NodeId, bool)>> {
        let begin = self.ring.partition_point(|(at, ..)| *at <= index);
        (index >= self.after).then(|| {
            let touched = self.ring.range(begin..);
            touched.map(|(_, node, itself)| (node, *itself))
        })
    }
}

/// What a task takes on its node: where, and whether it is wanted there.
fn load(task: Option<&Arc<Task>>) -> Option<(&NodeId, bool)> {
    let task = task.filter(|t| t.holds_resources())?;
    Some((task.node.as_ref()?, task.is_wanted()))
}
