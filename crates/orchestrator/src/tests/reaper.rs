//! What is forgotten, and what is not.

use super::{SECOND, World, force, restart};
use model::task::RestartCondition;
use model::{Availability, Change, ClusterSpec, NodeId, NodeState, ServiceId, TaskState};
use std::sync::Arc;
use std::time::Duration;

/// Tasks that a slot keeps in history.
fn limit(world: &mut World, limit: i64) {
    let cluster = world.store.cluster().expect("cluster").clone();
    let spec = ClusterSpec {
        task_history_limit: limit,
        ..cluster.spec.clone()
    };
    world.commit(vec![Change::UpdateCluster {
        if_version: cluster.meta.version,
        spec,
        worker_token: None,
        manager_token: None,
    }]);
    world.settle();
}

#[test]
fn a_removed_service_leaves_nothing() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.silent = vec![NodeId::from("n1")];
    world.commit(vec![Change::RemoveService {
        id: ServiceId::from("s"),
    }]);
    world.settle();
    assert_eq!(
        world.store.tasks().count(),
        1,
        "what may still run is not forgotten"
    );
    world.node("n1", NodeState::Down, Availability::Active);
    assert_eq!(
        world.store.tasks().count(),
        0,
        "a node that is down learns of it when it returns"
    );
}

#[test]
fn history_is_kept_to_the_limit() {
    let mut world = World::new();
    world.create(1, |_| {});
    let force_often = |world: &mut World| {
        for _ in 0..8 {
            world.update(force);
            world.pass(10 * SECOND);
        }
        world.store.tasks().count()
    };
    assert_eq!(
        force_often(&mut world),
        5,
        "the live one and four of history"
    );
    for (number, left) in [(1, 1), (0, 1), (3, 3)] {
        limit(&mut world, number);
        assert_eq!(force_often(&mut world), left);
    }
    limit(&mut world, -1);
    assert_eq!(force_often(&mut world), 11, "a negative limit keeps all");
}

#[test]
fn a_bound_on_attempts_keeps_all_of_them() {
    let mut world = World::new();
    limit(&mut world, 1);
    world.create(1, |s| restart(s, RestartCondition::Any, 3));
    for _ in 0..3 {
        world.end(1, TaskState::Failed);
        world.pass(60 * SECOND);
    }
    world.check("1:failed(shutdown),failed(shutdown),failed(shutdown),running");
    world.end(1, TaskState::Failed);
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 0);
    world.update(force);
    world.pass(60 * SECOND);
    assert_eq!(world.store.tasks().count(), 4, "{}", world.show());
}

#[test]
fn history_is_bounded_though_attempts_are_many() {
    for max_attempts in [5_000, u64::MAX] {
        let mut world = World::new();
        world.create(1, |s| {
            restart(s, RestartCondition::Any, max_attempts);
            let policy = Arc::make_mut(&mut s.task).restart.as_mut();
            policy.expect("a policy").delay = Some(Duration::ZERO);
        });
        for _ in 0..110 {
            world.end(1, TaskState::Complete);
            world.pass(SECOND);
        }
        assert_eq!(world.store.tasks().count(), 101);
        assert_eq!(world.live(1).restarts.len(), 110);
    }
}

#[test]
fn what_never_got_a_node_is_closed_and_forgotten() {
    let mut world = World::with_nodes(&[]);
    world.create(2, |_| {});
    world.check("1:pending(running) 2:pending(running)");
    world.update(force);
    world.check("1:shutdown,pending(running) 2:pending(running)");
    world.commit(vec![Change::RemoveService {
        id: ServiceId::from("s"),
    }]);
    world.settle();
    assert_eq!(world.store.tasks().count(), 0);
}
