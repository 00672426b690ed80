//! Whether a node suits a service: what the service asks of a node, read once for a pass.

use model::constraint::{self, Constraint};
use model::task::Platform;
use model::{Node, TaskSpec};

/// Constraints and platforms of a template.
pub(crate) struct Needs<'a> {
    /// Absent when they cannot be read: then no node satisfies them.
    constraints: Option<Vec<Constraint>>,
    platforms: &'a [Platform],
}

impl<'a> Needs<'a> {
    pub(crate) fn of(spec: &'a TaskSpec) -> Needs<'a> {
        let placement = spec.placement.as_ref();
        Needs {
            constraints: constraint::parse_all(placement.map_or(&[], |p| &p.constraints)).ok(),
            platforms: placement.map_or(&[], |p| &p.platforms),
        }
    }

    /// The node satisfies the constraints.
    pub(crate) fn allow(&self, node: &Node) -> bool {
        let all = self.constraints.as_ref();
        all.is_some_and(|all| all.iter().all(|c| c.matches(node)))
    }

    /// The node breaks a constraint that could be read.
    pub(crate) fn forbid(&self, node: &Node) -> bool {
        self.constraints.is_some() && !self.allow(node)
    }

    /// The node satisfies the constraints, and the image runs on it.
    pub(crate) fn suit(&self, node: &Node) -> bool {
        let has = node.description.as_ref().map(|d| &d.platform);
        let runs = |platform: &Platform| has.is_some_and(|has| platform.runs_on(has));
        self.allow(node) && (self.platforms.is_empty() || self.platforms.iter().any(runs))
    }
}
