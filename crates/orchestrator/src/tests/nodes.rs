//! Nodes that are lost, silent, drained and paused.

use super::{SECOND, World};
use model::{Availability, NodeId, NodeState, TaskState};

#[test]
fn tasks_of_a_lost_node_move_at_once_and_stop_when_it_returns() {
    let mut world = World::new();
    world.create(3, |_| {});
    let lost = world.live(1).node.clone().expect("placed");
    world.silent = vec![lost.clone()];
    world.node(lost.as_str(), NodeState::Down, Availability::Active);
    world.check("1:running(shutdown),running 2:running 3:running");
    world.silent.clear();
    world.node(lost.as_str(), NodeState::Ready, Availability::Active);
    world.check("1:shutdown,running 2:running 3:running");
}

#[test]
fn a_disconnected_or_unknown_node_keeps_its_tasks() {
    for state in [NodeState::Disconnected, NodeState::Unknown] {
        let mut world = World::new();
        world.create(3, |_| {});
        world.node("n1", state, Availability::Active);
        world.check("1:running 2:running 3:running");
    }
}

#[test]
fn a_drained_node_loses_its_tasks_and_a_paused_one_keeps_them() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.node("n2", NodeState::Ready, Availability::Pause);
    world.check("1:running 2:running 3:running");
    world.node("n2", NodeState::Ready, Availability::Drain);
    assert_eq!(world.running(), 3);
    assert_eq!(
        world
            .store
            .tasks_on_node(&NodeId::from("n2"))
            .filter(|t| t.may_run())
            .count(),
        0
    );
    assert!(
        world.store.tasks().all(|t| t.restarts.is_empty()),
        "a move is no restart"
    );
}

#[test]
fn tasks_of_a_node_that_stays_away_are_orphaned() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.silent = vec![NodeId::from("n1")];
    world.node("n1", NodeState::Down, Availability::Active);
    world.pass(23 * 3600 * SECOND);
    assert!(
        world
            .store
            .tasks()
            .all(|t| t.status.state != TaskState::Orphaned)
    );
    world.pass(2 * 3600 * SECOND);
    assert_eq!(
        world
            .store
            .tasks()
            .filter(|t| t.status.state == TaskState::Orphaned
                && t.status.error == "node is down for too long")
            .count(),
        1
    );
}
