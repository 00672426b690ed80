//! Drains in turns.

use super::{SECOND, World, config, force};
use model::node::DrainConfig;
use model::service::{UpdateOrder, UpdateState};
use model::{Availability, Mode, NodeId, NodeState, TaskState};

fn two_services(world: &mut World) {
    for name in ["a", "b"] {
        let replicas = Some(6);
        world.create_as(name, Mode::Replicated { replicas }, |_| {});
    }
}

#[test]
fn so_many_tasks_of_all_services_are_on_the_move_at_once() {
    for (order, parallelism, fewest) in [
        (UpdateOrder::StopFirst, 1, 11),
        (UpdateOrder::StopFirst, 3, 9),
        (UpdateOrder::StartFirst, 1, 12),
        (UpdateOrder::StartFirst, 0, 12),
        (UpdateOrder::StopFirst, 0, 8),
    ] {
        let mut world = World::new();
        two_services(&mut world);
        assert_eq!(world.on("n2"), 4);
        world.fewest_running = Some(usize::MAX);
        world.most_moving = Some(0);
        world.drain("n2", parallelism, order);
        assert_eq!(
            (world.on("n2"), world.running()),
            (0, 12),
            "{order:?} {parallelism}"
        );
        let bound = if parallelism == 0 {
            4
        } else {
            parallelism as usize
        };
        assert_eq!(
            (world.fewest_running, world.most_moving),
            (Some(fewest), Some(bound)),
            "{order:?} {parallelism}"
        );
    }
}

#[test]
fn without_turns_all_go_at_once() {
    let mut world = World::new();
    two_services(&mut world);
    world.fewest_running = Some(usize::MAX);
    world.node("n2", NodeState::Ready, Availability::Drain);
    assert_eq!((world.on("n2"), world.fewest_running), (0, Some(8)));
}

#[test]
fn a_replacement_that_does_not_run_keeps_the_others_where_they_are() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    two_services(&mut world);
    assert_eq!(world.on("n2"), 6);
    world.silent = vec![NodeId::from("n1")];
    world.drain("n2", 2, UpdateOrder::StartFirst);
    assert_eq!(world.on("n2"), 6);
    assert_eq!(world.running(), 12);
    world.change_leader();
    assert_eq!(
        world.ids().len(),
        14,
        "two replacements, also for a new leader"
    );
    world.silent.clear();
    world.settle();
    assert_eq!((world.on("n2"), world.running()), (0, 12));
}

#[test]
fn a_turn_is_not_forgotten_with_the_history() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    let cluster = world.store.cluster().expect("cluster").clone();
    world.commit(vec![model::Change::UpdateCluster {
        if_version: cluster.meta.version,
        spec: model::ClusterSpec {
            task_history_limit: 1,
            ..cluster.spec.clone()
        },
        worker_token: None,
        manager_token: None,
    }]);
    two_services(&mut world);
    world.silent = vec![NodeId::from("n1")];
    world.drain("n2", 2, UpdateOrder::StopFirst);
    assert_eq!(
        world.on("n2"),
        4,
        "{} {}",
        world.show_as("a"),
        world.show_as("b")
    );
    world.change_leader();
    assert_eq!(world.on("n2"), 4);
    world.silent.clear();
    world.settle();
    assert_eq!((world.on("n2"), world.running()), (0, 12));
    assert_eq!(world.store.tasks().count(), 12, "then it is");
}

#[test]
fn a_drain_that_is_taken_back_leaves_what_runs() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    two_services(&mut world);
    let before = world.ids();
    world.silent = vec![NodeId::from("n1")];
    world.drain("n2", 2, UpdateOrder::StartFirst);
    world.node("n2", NodeState::Ready, Availability::Active);
    world.silent.clear();
    world.settle();
    assert_eq!(world.ids(), before);
}

#[test]
fn a_node_that_dies_while_it_is_drained_is_lost() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    two_services(&mut world);
    world.silent = vec![NodeId::from("n1")];
    world.drain("n2", 1, UpdateOrder::StartFirst);
    world.node_state("n2", NodeState::Down);
    assert_eq!(world.ids().len(), 12);
    world.silent.clear();
    world.settle();
    let alive = world.store.tasks_on_node(&NodeId::from("n1"));
    assert_eq!(
        alive
            .filter(|t| t.status.state == TaskState::Running)
            .count(),
        12
    );
}

#[test]
fn a_replacement_that_fails_waits_for_its_delay_and_the_turn_stays() {
    let mut world = World::with_nodes(&["n1"]);
    world.create(2, |s| super::world::image(s, "frail"));
    world.pass(700 * SECOND);
    world.join("n2");
    world.behaviours.insert("frail", super::Behaviour::Fails);
    world.drain("n1", 1, UpdateOrder::StartFirst);
    assert_eq!(world.running(), 2);
    let tried = |world: &World| {
        world
            .store
            .tasks()
            .filter(|t| t.status.state == TaskState::Failed)
            .count()
    };
    assert_eq!(tried(&world), 1, "{}", world.show());
    world.pass(12 * SECOND);
    assert_eq!((tried(&world), world.running()), (3, 2), "{}", world.show());
    world.behaviours.remove("frail");
    world.pass(60 * SECOND);
    assert_eq!((world.on("n1"), world.running()), (0, 2));
}

#[test]
fn what_leaves_does_so_with_the_new_specification() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    world.create(4, |s| s.update = config(|c| c.delay = 10 * SECOND));
    world.silent = vec![NodeId::from("n1")];
    world.drain("n2", 1, UpdateOrder::StartFirst);
    world.update(force);
    world.silent.clear();
    world.settle();
    world.pass(120 * SECOND);
    assert_eq!((world.on("n2"), world.running()), (0, 4));
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
    let wanted = world.store.tasks().filter(|t| t.is_wanted());
    assert!(wanted.into_iter().all(|t| t.spec.force_update == 1));
}

#[test]
fn a_global_service_leaves_at_once_and_comes_back() {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |_| {});
    world.create_as("a", Mode::Replicated { replicas: Some(6) }, |_| {});
    world.drain("n1", 1, UpdateOrder::StartFirst);
    world.check("n1:shutdown n2:running n3:running");
    assert_eq!(world.on("n1"), 0);
    world.node("n1", NodeState::Ready, Availability::Active);
    world.check("n1:shutdown,running n2:running n3:running");
}

#[test]
fn jobs_move_too() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    let mode = Mode::ReplicatedJob {
        max_concurrent: Some(4),
        total_completions: Some(4),
    };
    world.create_as("s", mode, |_| {});
    world.most_moving = Some(0);
    world.drain("n1", 1, UpdateOrder::StopFirst);
    assert_eq!(
        (world.on("n1"), world.running(), world.most_moving),
        (0, 4, Some(1))
    );
}

/// A paused start-first update has left two running tasks in a slot, and both have to go: the one leaves its node, and
/// the other one is of a specification that was taken back.
#[test]
fn of_two_old_tasks_the_one_stays_whose_node_keeps_it() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    world.create(1, |spec| {
        spec.update = config(|c| c.order = UpdateOrder::StartFirst);
        spec.rollback.clone_from(&spec.update);
        spec.progress_deadline = Some(5 * SECOND);
    });
    let (old, other) = match world.on("n1") {
        1 => ("n1", "n2"),
        _ => ("n2", "n1"),
    };
    world.silent = vec![NodeId::from(other)];
    world.update(force);
    world.pass(10 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.silent.clear();
    world.settle();
    world.check("1:running,running");

    world.fewest_running = Some(usize::MAX);
    world.write_node_spec(old, |spec| {
        spec.availability = Availability::Drain;
        spec.drain = Some(DrainConfig {
            parallelism: 1,
            order: UpdateOrder::StopFirst,
        });
    });
    let service = world.service().clone();
    let previous = service.previous_spec.clone().expect("a previous spec");
    world.go_back(&service, previous);
    world.settle();
    assert_eq!((world.on(old), world.running()), (0, 1));
    assert_eq!(world.fewest_running, Some(1));
}
