//! What tasks take on a node.

use model::task::Resources;
use model::{Node, Task};

/// What the tasks on a node take together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the reservations of all tasks that are placed there and not over.
    pub reserved: Resources,
    /// Tasks that are placed there, not over, and still wanted: what the scheduler spreads.
    pub active: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, task: &Task) {
        let asked = task.spec.reservations();
        self.reserved.nano_cpus += asked.nano_cpus;
        self.reserved.memory_bytes += asked.memory_bytes;
        self.active += u64::from(task.is_wanted());
    }

    pub(crate) fn subtract(&mut self, task: &Task) {
        let asked = task.spec.reservations();
        self.reserved.nano_cpus -= asked.nano_cpus;
        self.reserved.memory_bytes -= asked.memory_bytes;
        self.active -= u64::from(task.is_wanted());
    }
}

/// Whether `node` can set aside `asked` beside what is `reserved` there. What is not asked for always fits,
/// also on a node that has come back smaller than what was set aside on it.
pub fn fits(node: &Node, reserved: Resources, asked: Resources) -> bool {
    let has = node
        .description
        .as_ref()
        .map(|d| d.resources)
        .unwrap_or_default();
    let one = |has: i64, reserved: i64, asked: i64| asked <= 0 || asked <= has - reserved;
    one(has.nano_cpus, reserved.nano_cpus, asked.nano_cpus)
        && one(has.memory_bytes, reserved.memory_bytes, asked.memory_bytes)
}
