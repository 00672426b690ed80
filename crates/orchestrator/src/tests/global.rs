//! Global services: a task on each node that suits.

use super::world::{constraints, image, reserve};
use super::{SECOND, World, config, force, restart};
use model::service::{FailureAction, UpdateOrder, UpdateState};
use model::task::{Placement, Platform, RestartCondition};
use model::{Availability, Mode, NodeId, NodeState, SlotKey, TaskState};
use std::sync::Arc;

fn world() -> World {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |_| {});
    world
}

fn at(node: &str) -> SlotKey {
    SlotKey::Node(NodeId::from(node))
}

#[test]
fn each_node_has_a_task_also_one_that_joins_later() {
    let mut world = world();
    world.check("n1:running n2:running n3:running");
    assert!(world.store.tasks().all(|t| t.slot == 0));
    world.join("n4");
    world.check("n1:running n2:running n3:running n4:running");
    world.remove_node("n2");
    world.check("n1:running n3:running n4:running");
    assert_eq!(world.update_state(), None);
}

#[test]
fn a_drained_node_has_no_task_and_a_paused_one_keeps_its_own() {
    let mut world = world();
    world.node("n1", NodeState::Ready, Availability::Drain);
    world.check("n1:shutdown n2:running n3:running");
    world.node("n1", NodeState::Ready, Availability::Active);
    world.check("n1:shutdown,running n2:running n3:running");
    world.node("n2", NodeState::Ready, Availability::Pause);
    world.check("n1:shutdown,running n2:running n3:running");
    world.end_at(&at("n2"), TaskState::Failed);
    world.pass(60 * SECOND);
    world.check("n1:shutdown,running n2:failed(shutdown) n3:running");
    world.node("n2", NodeState::Ready, Availability::Active);
    world.check("n1:shutdown,running n2:failed(shutdown),running n3:running");
    world.update(force);
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn a_node_that_is_down_loses_its_task_and_gets_another_when_it_returns() {
    let mut world = world();
    for state in [NodeState::Disconnected, NodeState::Unknown] {
        world.node_state("n1", state);
        world.check("n1:running n2:running n3:running");
    }
    world.node_state("n1", NodeState::Down);
    world.check("n1:running(shutdown) n2:running n3:running");
    world.silent = vec![NodeId::from("n1")];
    world.node_state("n1", NodeState::Ready);
    world.check("n1:running(shutdown),assigned(ready) n2:running n3:running");
    world.silent.clear();
    world.settle();
    world.check("n1:shutdown,running n2:running n3:running");
}

#[test]
fn labels_decide() {
    let mut world = World::with_nodes(&["n1 disk=ssd", "n2", "n3 disk=ssd"]);
    world.create_as("s", Mode::Global, |s| {
        constraints(s, &["node.labels.disk==ssd"])
    });
    world.check("n1:running n3:running");
    world.label("n2", "disk=ssd");
    world.label("n1", "disk=");
    world.check("n1:shutdown n2:running n3:running");
    world.update(|s| constraints(s, &["node.labels.disk!=ssd"]));
    world.pass(60 * SECOND);
    world.check("n1:shutdown,running n2:shutdown n3:shutdown");
}

#[test]
fn platforms_decide() {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |s| {
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            platforms: vec![Platform {
                architecture: "amd64".into(),
                os: "linux".into(),
            }],
            ..Default::default()
        });
    });
    world.check("");
    let node = world.store.node(&NodeId::from("n2")).expect("node");
    let mut description = node.description.clone().expect("a description");
    description.platform = Platform {
        architecture: "x86_64".into(),
        os: "linux".into(),
    };
    world.commit(vec![model::Change::SetNodeDescription {
        id: NodeId::from("n2"),
        description: Box::new(description),
    }]);
    world.settle();
    world.check("n2:running");
}

#[test]
fn a_node_without_room_has_a_pending_task() {
    let mut world = World::with_nodes(&["n1 mem:8", "n2 mem:2"]);
    world.create_as("s", Mode::Global, |s| reserve(s, 5, &[]));
    world.check("n1:running n2:pending(running)");
    world.describe("n2", "mem:8");
    world.check("n1:running n2:running");
}

#[test]
fn updates_roll_over_the_nodes() {
    for (order, fewest) in [(UpdateOrder::StopFirst, 2), (UpdateOrder::StartFirst, 3)] {
        let mut world = World::new();
        world.create_as("s", Mode::Global, |s| {
            s.update = config(|c| {
                c.order = order;
                c.delay = 10 * SECOND;
            });
        });
        world.fewest_running = Some(usize::MAX);
        let before = world.ids();
        world.update(force);
        let left = |world: &World| world.ids().iter().filter(|id| before.contains(id)).count();
        assert_eq!(left(&world), 2);
        world.change_leader();
        world.pass(10 * SECOND);
        assert_eq!(left(&world), 1);
        world.pass(60 * SECOND);
        assert_eq!((left(&world), world.fewest_running), (0, Some(fewest)));
        assert_eq!(world.update_state(), Some(UpdateState::Completed));
    }
}

#[test]
fn a_bad_update_goes_back() {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |s| {
        s.update = config(|c| c.failure_action = FailureAction::Rollback);
    });
    world.update(|s| image(s, "bad"));
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackCompleted));
    assert_eq!(world.running(), 3);
}

#[test]
fn a_paused_node_does_not_hold_up_an_update_and_is_not_updated() {
    let mut world = world();
    world.node("n2", NodeState::Ready, Availability::Pause);
    let kept = world.live_at(&at("n2")).id.clone();
    world.update(force);
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
    assert!(world.ids().contains(&kept), "{}", world.show());
    world.node("n2", NodeState::Ready, Availability::Active);
    world.pass(60 * SECOND);
    assert!(!world.ids().contains(&kept), "{}", world.show());
    assert_eq!(world.running(), 3);
}

#[test]
fn restarts_stay_on_the_node_and_follow_the_policy() {
    let mut world = world();
    for wait in [5, 5, 5, 10, 20] {
        world.end_at(&at("n2"), TaskState::Failed);
        let task = world.live_at(&at("n2"));
        let until = task.start_after.expect("a delay");
        assert_eq!(until.since(world.now), wait * SECOND);
        world.pass(wait * SECOND);
        assert_eq!(world.running(), 3);
    }
    let mut world = World::new();
    world.create_as("s", Mode::Global, |s| restart(s, RestartCondition::None, 0));
    world.end_at(&at("n1"), TaskState::Complete);
    world.pass(60 * SECOND);
    world.check("n1:complete(shutdown) n2:running n3:running");
    // It was drained while it ran, which is no end of its own.
    world.node("n2", NodeState::Ready, Availability::Drain);
    world.node("n2", NodeState::Ready, Availability::Active);
    world.check("n1:complete(shutdown) n2:shutdown,running n3:running");
}

#[test]
fn a_stopped_service_has_no_tasks() {
    let mut world = world();
    world.update(|s| s.stopped = Some(0));
    world.check("");
    world.join("n4");
    world.check("");
    world.update(|s| s.stopped = None);
    world.check("n1:running n2:running n3:running n4:running");
}

#[test]
fn a_task_that_waits_for_its_node_gets_the_new_constraints() {
    let mut world = World::with_nodes(&["n1 mem:1"]);
    world.create_as("s", Mode::Global, |s| {
        reserve(s, 5, &[]);
        constraints(s, &["node.labels.zone!=b"]);
    });
    world.check("n1:pending(running)");
    world.update(|s| constraints(s, &["node.labels.zone!=c"]));
    world.label("n1", "zone=b");
    world.describe("n1", "mem:10");
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 1, "{}", world.show());
}

#[test]
fn a_crash_loop_goes_on_after_a_pause_of_its_node() {
    let mut world = world();
    for wait in [5, 5, 5, 10] {
        world.end_at(&at("n2"), TaskState::Failed);
        world.pass(wait * SECOND);
    }
    world.node("n2", NodeState::Ready, Availability::Pause);
    world.end_at(&at("n2"), TaskState::Failed);
    world.pass(SECOND);
    world.node("n2", NodeState::Ready, Availability::Active);
    let task = world.live_at(&at("n2"));
    let wait = task.start_after.map(|until| until.since(world.now));
    assert_eq!((task.restarts.len(), wait), (5, Some(19 * SECOND)));
    world.pass(19 * SECOND);
    assert_eq!(world.running(), 3);
}

#[test]
fn a_global_update_replaces_what_ended_for_good() {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |s| restart(s, RestartCondition::None, 0));
    world.end_at(&at("n1"), TaskState::Failed);
    world.pass(60 * SECOND);
    world.update(force);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3)
    );
}

#[test]
fn a_bound_per_node_means_nothing_to_a_global_service() {
    let mut world = World::new();
    world.create_as("s", Mode::Global, |s| {
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            max_replicas: 1,
            ..Default::default()
        });
        s.update = config(|c| c.order = UpdateOrder::StartFirst);
    });
    world.update(force);
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3)
    );
}
