//! Filters: whether a node can take a task of a group. The first one that says no is the reason.

use crate::labels::LabelKey;
use model::Node;
use model::constraint::{self, Constraint};
use model::node::{Availability, NodeState};
use model::task::{GenericResource, Platform, Resources, TaskSpec};
use std::sync::Arc;
use store::GenericUse;

/// Filters in the order in which they are asked, which is Docker's; the policy is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    Ready,
    Resources,
    Constraint,
    Platform,
    Policy,
    MaxReplicas,
}

impl Filter {
    pub(crate) const ALL: [Filter; 6] = [
        Filter::Ready,
        Filter::Resources,
        Filter::Constraint,
        Filter::Platform,
        Filter::Policy,
        Filter::MaxReplicas,
    ];
}

/// What a group asks of a node.
#[derive(Debug)]
pub(crate) struct Demand<'a> {
    pub(crate) asked: Resources,
    pub(crate) generic: &'a [GenericResource],
    wishes: Arc<Wishes>,
    platforms: &'a [Platform],
    /// It asks for devices or all rights, which a node has to allow.
    needs_privileges: bool,
    /// 0 is no bound.
    pub(crate) max_replicas: u64,
}

/// Constraints and preferences, read once for all services that have the same.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// Stands for all that decides which classes of nodes suit, and how they are spread over.
    number: u64,
    /// Absent when they cannot be read: then no node satisfies them.
    constraints: Option<Constraints>,
    /// Labels that it spreads over, outer to inner.
    pub(crate) preferred: Vec<LabelKey>,
    /// Labels that its constraints look at.
    labels: Vec<LabelKey>,
}

impl Wishes {
    /// Only specs that agree in all that `number` stands for may have the same.
    pub(crate) fn new(spec: &TaskSpec, number: u64) -> Wishes {
        let placement = spec.placement.as_ref();
        let constraints = placement.map_or(&[][..], |p| &p.constraints);
        let constraints = constraint::parse_all(constraints).ok().map(|all| {
            let is_own = |c: &Constraint| {
                ["node.id", "node.hostname", "node.ip"]
                    .iter()
                    .any(|key| key.eq_ignore_ascii_case(c.key()))
            };
            let (own, shared) = all.into_iter().partition(is_own);
            Constraints { shared, own }
        });
        let shared = constraints.iter().flat_map(|c| &c.shared);
        Wishes {
            number,
            labels: shared
                .filter_map(|c| LabelKey::of_constraint(c.key()))
                .collect(),
            constraints,
            preferred: LabelKey::preferred(placement),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// All labels that it asks about.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &LabelKey> + Clone {
        self.labels.iter().chain(&self.preferred)
    }
}

/// Constraints by what can tell whether they hold.
#[derive(Debug, Default)]
struct Constraints {
    /// Of roles, platforms and labels, which many nodes share.
    shared: Vec<Constraint>,
    /// Of ids, host names and addresses.
    own: Vec<Constraint>,
}

/// A node with what is placed there.
pub(crate) struct Seen<'a> {
    pub(crate) node: &'a Node,
    pub(crate) reserved: Resources,
    pub(crate) generic: Option<&'a GenericUse>,
    /// Active tasks of the service.
    pub(crate) of_service: u64,
}

impl<'a> Demand<'a> {
    /// A demand that nothing is remembered for.
    pub(crate) fn new(spec: &'a TaskSpec) -> Demand<'a> {
        Demand::with(spec, Arc::new(Wishes::new(spec, 0)))
    }

    /// The number of its wishes.
    pub(crate) fn number(&self) -> u64 {
        self.wishes.number()
    }

    /// `wishes` are those of `spec`.
    pub(crate) fn with(spec: &'a TaskSpec, wishes: Arc<Wishes>) -> Demand<'a> {
        let placement = spec.placement.as_ref();
        Demand {
            asked: spec.reservations(),
            generic: spec.generic_reservations(),
            wishes,
            platforms: placement.map_or(&[], |p| &p.platforms),
            needs_privileges: needs_privileges(spec),
            max_replicas: placement.map_or(0, |p| p.max_replicas),
        }
    }

    /// The filter that refuses it.
    pub(crate) fn refused_by(&self, seen: &Seen<'_>) -> Option<Filter> {
        Filter::ALL
            .into_iter()
            .find(|filter| !self.passes(*filter, seen))
    }

    fn passes(&self, filter: Filter, seen: &Seen<'_>) -> bool {
        let node = seen.node;
        match filter {
            Filter::Ready => takes_tasks(node),
            Filter::Resources => {
                store::fits(node, seen.reserved, self.asked) && self.gets_generic(seen)
            }
            Filter::Constraint => self.wishes.constraints.as_ref().is_some_and(|c| {
                let all = c.shared.iter().chain(&c.own);
                all.into_iter().all(|c| c.matches(node))
            }),
            Filter::Platform => self.runs_on(node),
            Filter::Policy => self.is_allowed_on(node),
            Filter::MaxReplicas => self.leaves_place(seen.of_service),
        }
    }

    fn gets_generic(&self, seen: &Seen<'_>) -> bool {
        self.generic.is_empty() || self.claim(seen.node, seen.generic).is_some()
    }

    /// The generic resources that a task gets on `node`, beside what is in use.
    pub(crate) fn claim(
        &self,
        node: &Node,
        in_use: Option<&GenericUse>,
    ) -> Option<Vec<GenericResource>> {
        match in_use {
            _ if self.generic.is_empty() => Some(Vec::new()),
            Some(in_use) => in_use.claim(node, self.generic),
            None => GenericUse::default().claim(node, self.generic),
        }
    }

    /// Whether `node` passes by what it shares with others of its class; `kinds` are the generic resources that
    /// it has at all.
    pub(crate) fn suits_class_of(&self, node: &Node, kinds: &[String]) -> bool {
        let constraints = self.wishes.constraints.as_ref();
        let has_kind = |g: &GenericResource| kinds.contains(&g.kind);
        constraints.is_some_and(|c| c.shared.iter().all(|c| c.matches(node)))
            && self.runs_on(node)
            && self.is_allowed_on(node)
            && self.generic.iter().all(|g| is_nothing(g) || has_kind(g))
    }

    /// Whether `node` passes by what is its own alone.
    pub(crate) fn suits_itself(&self, node: &Node) -> bool {
        let constraints = self.wishes.constraints.as_ref();
        constraints.is_some_and(|c| c.own.iter().all(|c| c.matches(node)))
    }

    /// Whether there is something to ask in [`Demand::suits_itself`].
    pub(crate) fn asks_for_own(&self) -> bool {
        let constraints = self.wishes.constraints.as_ref();
        constraints.is_none_or(|c| !c.own.is_empty())
    }

    /// Whether `node` passes all filters but those of what is placed there.
    pub(crate) fn suits(&self, node: &Node) -> bool {
        [Filter::Constraint, Filter::Platform, Filter::Policy]
            .into_iter()
            .all(|filter| {
                let seen = Seen {
                    node,
                    reserved: Resources::default(),
                    generic: None,
                    of_service: 0,
                };
                self.passes(filter, &seen)
            })
    }

    /// A service with `of_service` active tasks on a node may have one more there.
    pub(crate) fn leaves_place(&self, of_service: u64) -> bool {
        self.max_replicas == 0 || of_service < self.max_replicas
    }

    /// The id, or else the host name, of the only nodes that can pass.
    pub(crate) fn names_node(&self) -> Option<Named<'_>> {
        let own = self.wishes.constraints.as_ref().map_or(&[][..], |c| &c.own);
        let wanted = |key: &str| {
            let with_key = own.iter().filter(|c| c.key().eq_ignore_ascii_case(key));
            with_key.filter_map(|c| c.wanted()).next()
        };
        let id = wanted("node.id").map(Named::Id);
        id.or_else(|| wanted("node.hostname").map(Named::Host))
    }

    /// Labels that it spreads over, outer to inner.
    pub(crate) fn preferred(&self) -> &[LabelKey] {
        &self.wishes.preferred
    }

    /// Labels that have to have a value, without case.
    pub(crate) fn label_values(&self) -> impl Iterator<Item = (LabelKey, String)> {
        let shared = self
            .wishes
            .constraints
            .as_ref()
            .map_or(&[][..], |c| &c.shared);
        shared.iter().filter_map(|c| {
            let key = LabelKey::of_constraint(c.key())?;
            Some((key, c.wanted()?.to_ascii_lowercase()))
        })
    }

    fn runs_on(&self, node: &Node) -> bool {
        let has = node.description.as_ref().map(|d| &d.platform);
        let suits = |wanted: &Platform| has.is_some_and(|has| wanted.runs_on(has));
        self.platforms.is_empty() || self.platforms.iter().any(suits)
    }

    fn is_allowed_on(&self, node: &Node) -> bool {
        let allows = || {
            node.description
                .as_ref()
                .is_some_and(|d| d.allows_privileged)
        };
        !self.needs_privileges || allows()
    }
}

/// How a constraint names a node; compared without case.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    Id(&'a str),
    Host(&'a str),
}

/// Whether it takes new tasks at all.
pub(crate) fn takes_tasks(node: &Node) -> bool {
    node.status.state == NodeState::Ready && node.spec.availability == Availability::Active
}

/// It asks for devices or all rights.
pub(crate) fn needs_privileges(spec: &TaskSpec) -> bool {
    spec.container.privileged || !spec.container.devices.is_empty()
}

fn is_nothing(asked: &GenericResource) -> bool {
    matches!(asked.value, model::task::GenericValue::Discrete(n) if n <= 0)
}
