//! Who is to be looked at again, and when.

use super::{SECOND, World, config, force};
use crate::{Context, Limits, reconcile};
use model::{IdSource, Mode, NodeId, ServiceId, TaskState};
use store::Dirty;

struct NoIds;
impl IdSource for NoIds {
    fn next_id(&mut self) -> [u8; model::id::ID_BYTES] {
        unreachable!("nothing is created here")
    }
}

#[test]
fn each_service_has_its_own_time() {
    let mut world = World::new();
    for name in ["a", "b", "s"] {
        world.create_as(name, Mode::Replicated { replicas: Some(1) }, |s| {
            s.update = config(|c| c.monitor = Some(60 * SECOND));
        });
    }
    world.end(1, TaskState::Failed);
    world.update_as("a", force);
    let now = world.now;
    let limits = Limits::default();
    let mut ctx = Context {
        now,
        ids: &mut NoIds,
        limits: &limits,
    };
    let decision = reconcile(&mut ctx, &world.store, &Dirty::everything());
    assert!(decision.changes.is_empty());
    let wake: Vec<(&str, u64)> = decision
        .wake
        .iter()
        .map(|(service, at)| (service.as_str(), at.since(now).as_secs()))
        .collect();
    assert_eq!(wake, [("a", 60), ("s", 5)]);
    assert_eq!(decision.wake_at, Some(now + 5 * SECOND));
    let only = Dirty {
        services: [ServiceId::from("a")].into(),
        ..Dirty::default()
    };
    let decision = reconcile(&mut ctx, &world.store, &only);
    assert_eq!(decision.wake_at, Some(now + 60 * SECOND));
    assert_eq!(decision.wake.len(), 1);
}

#[test]
fn a_node_concerns_the_services_on_it_and_all_global_ones() {
    let mut world = World::with_nodes(&["n1"]);
    world.create_as("here", Mode::Replicated { replicas: Some(1) }, |_| {});
    world.join("n2");
    world.create_as("there", Mode::Replicated { replicas: Some(1) }, |_| {});
    for (name, mode) in [("g", Mode::Global), ("j", Mode::GlobalJob)] {
        world.create_as(name, mode, |_| {});
    }
    let concerned = |node: &str| {
        let dirty = Dirty {
            nodes: [NodeId::from(node)].into(),
            ..Dirty::default()
        };
        let services = crate::dirty::services(&world.store, &dirty).into_iter();
        services
            .map(|s| s.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(concerned("n1"), "g here j");
    assert_eq!(concerned("n2"), "g j there");
    assert_eq!(concerned("n9"), "g j", "one that is new, or gone");
}

#[test]
fn a_full_decision_names_what_it_left_out() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.create_as(name, Mode::Replicated { replicas: Some(2) }, |_| {});
    }
    for name in ["a", "b", "c"] {
        let service = world.service_as(name).clone();
        let mut spec = model::ServiceSpec::clone(&service.spec);
        force(&mut spec);
        world.commit(vec![model::Change::UpdateService {
            id: service.id.clone(),
            if_version: service.meta.version,
            spec: spec.into(),
            cause: model::service::RevisionCause::Update,
            status: None,
        }]);
    }
    struct Zeros(u8);
    impl IdSource for Zeros {
        fn next_id(&mut self) -> [u8; model::id::ID_BYTES] {
            self.0 += 1;
            [self.0; model::id::ID_BYTES]
        }
    }
    let limits = Limits {
        changes_per_decision: 4,
        ..Limits::default()
    };
    let mut ctx = Context {
        now: world.now,
        ids: &mut Zeros(100),
        limits: &limits,
    };
    let decision = reconcile(&mut ctx, &world.store, &Dirty::everything());
    assert_eq!(decision.postponed, [ServiceId::from("c")]);
    let changes = decision.changes.len();
    let parts = decision.into_parts();
    assert_eq!(parts.len(), 2, "one for each service");
    assert_eq!(parts.concat().len(), changes);
}
