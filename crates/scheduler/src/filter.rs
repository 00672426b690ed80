//! Filters: whether a node can take a task of a group. The first one that says no is the reason.

use crate::hosts::Host;
use model::constraint::{self, Constraint};
use model::node::{Availability, NodeState};
use model::task::{Platform, Resources, TaskSpec};

/// Filters in the order in which they are asked, which is Docker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Ready,
    Resources,
    Constraint,
    Platform,
    MaxReplicas,
}

impl Filter {
    pub(crate) const ALL: [Filter; 5] = [
        Filter::Ready,
        Filter::Resources,
        Filter::Constraint,
        Filter::Platform,
        Filter::MaxReplicas,
    ];
}

/// What a group asks of a node.
pub(crate) struct Demand<'a> {
    pub(crate) asked: Resources,
    /// Absent when they cannot be read: then no node satisfies them.
    constraints: Option<Vec<Constraint>>,
    platforms: &'a [Platform],
    /// 0 is no bound.
    max_replicas: u64,
}

impl<'a> Demand<'a> {
    pub(crate) fn new(spec: &'a TaskSpec) -> Demand<'a> {
        let placement = spec.placement.as_ref();
        let constraints = placement.map_or(&[][..], |p| &p.constraints);
        Demand {
            asked: spec.reservations(),
            constraints: constraint::parse_all(constraints).ok(),
            platforms: placement.map_or(&[], |p| &p.platforms),
            max_replicas: placement.map_or(0, |p| p.max_replicas),
        }
    }

    /// The filter that refuses `host`, on which `active` tasks of the service are.
    pub(crate) fn refused_by(&self, host: &Host<'_>, active: u64) -> Option<Filter> {
        Filter::ALL
            .into_iter()
            .find(|filter| !self.passes(*filter, host, active))
    }

    /// As [`Demand::refused_by`], for a host that passed and has only got fuller since.
    pub(crate) fn now_refused_by(&self, host: &Host<'_>, active: u64) -> Option<Filter> {
        [Filter::Resources, Filter::MaxReplicas]
            .into_iter()
            .find(|filter| !self.passes(*filter, host, active))
    }

    fn passes(&self, filter: Filter, host: &Host<'_>, active: u64) -> bool {
        let node = host.node;
        match filter {
            Filter::Ready => {
                node.status.state == NodeState::Ready
                    && node.spec.availability == Availability::Active
            }
            Filter::Resources => host.fits(self.asked),
            Filter::Constraint => {
                let constraints = self.constraints.as_ref();
                constraints.is_some_and(|all| all.iter().all(|c| c.matches(node)))
            }
            Filter::Platform => {
                let has = node.description.as_ref().map(|d| &d.platform);
                let suits = |wanted| has.is_some_and(|has| runs_on(wanted, has));
                self.platforms.is_empty() || self.platforms.iter().any(suits)
            }
            Filter::MaxReplicas => self.max_replicas == 0 || active < self.max_replicas,
        }
    }
}

/// Whether an image for `wanted` runs on `has`; what is empty in `wanted` does not matter.
fn runs_on(wanted: &Platform, has: &Platform) -> bool {
    let same = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
    same(&wanted.os, &has.os)
        && same(
            architecture(&wanted.architecture),
            architecture(&has.architecture),
        )
}

/// The name that images use for an architecture; nodes use uname's.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
