//! Nodes that change so that they no longer suit.

use super::world::{constraints, reserve};
use super::{World, config, force};
use model::service::UpdateOrder;
use model::{Availability, Change, Mode, NodeId, NodeState, Role, TaskState};

fn with_ssd() -> World {
    World::with_nodes(&["n1 disk=ssd", "n2 disk=ssd", "n3"])
}

#[test]
fn a_label_that_goes_takes_the_tasks_with_it_at_once() {
    let mut world = with_ssd();
    world.create(4, |s| constraints(s, &["node.labels.disk==ssd"]));
    world.create_as("other", Mode::Replicated { replicas: Some(3) }, |_| {});
    world.silent = vec![NodeId::from("n1")];
    world.label("n1", "disk=");
    assert_eq!(
        world.on("n2"),
        2 + 2 + 1,
        "replacements are prepared: {}",
        world.show()
    );
    let told = world.store.tasks_on_node(&NodeId::from("n1"));
    let told = told.filter(|t| t.status.error == "assigned node no longer meets constraints");
    assert_eq!(told.count(), 2);
    world.silent.clear();
    world.settle();
    assert_eq!((world.on("n1"), world.on("n2"), world.running()), (1, 5, 7));
    assert!(
        world
            .store
            .tasks()
            .all(|t| t.restarts.is_empty() && t.start_after.is_none())
    );
    assert_eq!(world.update_state(), None);
}

#[test]
fn only_nodes_that_take_tasks_are_looked_at() {
    let mut world = with_ssd();
    world.create(2, |s| constraints(s, &["node.labels.disk==ssd"]));
    world.node("n1", NodeState::Ready, Availability::Pause);
    world.label("n1", "disk=");
    assert_eq!(world.on("n1"), 1);
    world.node("n1", NodeState::Ready, Availability::Active);
    assert_eq!(world.on("n1"), 0);
}

#[test]
fn a_role_is_what_its_certificate_says() {
    let mut world = World::new();
    world.create(3, |s| constraints(s, &["node.role==worker"]));
    assert_eq!(world.on("n3"), 1);
    world.node_spec("n3", |spec| spec.role = Role::Manager);
    assert_eq!(world.on("n3"), 1, "it is not one yet");
    world.commit(vec![Change::SetNodeRole {
        id: NodeId::from("n3"),
        role: Role::Manager,
    }]);
    world.settle();
    assert_eq!(world.on("n3"), 0);
}

#[test]
fn a_change_of_the_service_is_the_updaters_business() {
    let mut world = World::new();
    world.create(6, |s| {
        s.update = config(|c| c.order = UpdateOrder::StartFirst)
    });
    world.fewest_running = Some(usize::MAX);
    world.update(|s| constraints(s, &["node.id!=n2"]));
    assert_eq!((world.on("n2"), world.fewest_running), (0, Some(6)));
}

#[test]
fn the_old_tasks_of_an_update_leave_when_their_own_constraints_break() {
    let mut world = with_ssd();
    world.create(2, |s| {
        constraints(s, &["node.labels.disk==ssd"]);
        s.update = config(|c| c.delay = 3600 * super::SECOND);
    });
    world.update(force);
    world.label("n1", "disk=");
    assert_eq!((world.on("n1"), world.on("n2")), (0, 2), "{}", world.show());
}

/// A service that got its constraint while every node satisfied it, so that its tasks are of the spec before.
fn kept_by_a_constraint(world: &mut World, replicas: u64) {
    world.create(replicas, |_| {});
    let before = world.ids();
    world.update(|s| constraints(s, &["node.labels.disk!=hdd"]));
    assert_eq!(world.ids(), before, "a constraint that all satisfy");
    assert_eq!(world.update_state(), None);
}

#[test]
fn tasks_that_were_kept_by_new_constraints_leave_together() {
    let mut world = World::new();
    kept_by_a_constraint(&mut world, 9);
    world.change_leader();
    world.silent = vec![NodeId::from("n1")];
    world.label("n1", "disk=hdd");
    let leaving = world.store.tasks_on_node(&NodeId::from("n1"));
    let wanted = leaving.filter(|t| t.is_wanted()).count();
    assert_eq!(wanted, 0, "all at once: {}", world.show());
    world.silent.clear();
    world.settle();
    assert_eq!((world.on("n1"), world.running()), (0, 9));
    assert_eq!(world.update_state(), None, "it is no update");
}

#[test]
fn they_leave_though_no_node_takes_them() {
    let mut world = World::new();
    kept_by_a_constraint(&mut world, 6);
    for node in ["n2", "n3"] {
        world.node(node, NodeState::Ready, Availability::Pause);
    }
    world.label("n1", "disk=hdd");
    assert_eq!(world.on("n1"), 0, "{}", world.show());
    assert_eq!(world.store.pending_tasks().count(), 2);
    world.label("n1", "disk=ssd");
    assert_eq!((world.on("n1"), world.running()), (2, 6));
}

#[test]
fn they_leave_in_the_middle_of_an_update_and_when_it_is_paused() {
    for image in ["hung", "bad"] {
        let mut world = World::new();
        world.create(6, |_| {});
        world.update(|s| {
            super::world::image(s, image);
            constraints(s, &["node.labels.disk!=hdd"]);
        });
        let node = world.live(6).node.clone().expect("placed");
        world.label(node.as_str(), "disk=hdd");
        assert_eq!(world.on(node.as_str()), 0, "{}", world.show());
    }
}

#[test]
fn a_change_of_a_node_before_the_constraints_is_the_updaters_business() {
    let mut world = World::new();
    world.create(6, |_| {});
    world.label("n2", "disk=hdd");
    world.fewest_running = Some(usize::MAX);
    world.update(|s| constraints(s, &["node.labels.disk!=hdd"]));
    assert_eq!((world.on("n2"), world.fewest_running), (0, Some(5)));
}

#[test]
fn what_a_node_says_of_itself_is_obeyed_too() {
    let mut world = World::new();
    world.create(6, |_| {});
    world.update(|s| constraints(s, &["engine.labels.rack!=a"]));
    world.describe("n1", "rack=a");
    assert_eq!(
        (world.on("n1"), world.running()),
        (0, 6),
        "{}",
        world.show()
    );
}

#[test]
fn a_node_that_shrinks_keeps_its_oldest_tasks() {
    let mut world = World::with_nodes(&["n1 mem:10", "n2 mem:4"]);
    world.create_as("old", Mode::Replicated { replicas: Some(2) }, |s| {
        reserve(s, 3, &[])
    });
    world.create(2, |s| reserve(s, 2, &[]));
    let before = world.on("n1") + world.on("n2");
    assert_eq!(before, 4);
    world.describe("n1", "mem:3");
    let old = world.store.tasks_on_node(&NodeId::from("n1"));
    let old = old
        .filter(|t| t.may_run())
        .map(|t| t.service.as_str().to_owned());
    assert_eq!(
        old.collect::<Vec<_>>(),
        ["old"],
        "{} {}",
        world.show_as("old"),
        world.show()
    );
    let pending = world.store.pending_tasks().count();
    assert_eq!(pending, 2, "{} {}", world.show_as("old"), world.show());
    world.describe("n2", "mem:100");
    assert_eq!(world.running(), 4);
}

#[test]
fn a_generic_resource_that_goes_takes_its_task_with_it() {
    let mut world = World::with_nodes(&["n1 gpu:a,b disks:2", "n2"]);
    world.create(2, |s| reserve(s, 0, &["gpu", "disks"]));
    assert_eq!(world.on("n1"), 2);
    let kept = world.store.tasks().find(|t| {
        let named = |g: &model::task::GenericResource| format!("{:?}", g.value).contains("\"b\"");
        t.generic.iter().any(named)
    });
    let kept = kept.expect("a task with b").id.clone();
    world.describe("n1", "gpu:b disks:2");
    assert_eq!(world.on("n1"), 1);
    let task = world.store.task(&kept).expect("the task with b");
    assert_eq!(task.status.state, TaskState::Running);
    world.describe("n1", "gpu:a,b disks:2");
    assert_eq!(world.on("n1"), 2);
    world.describe("n1", "gpu:a,b disks:1");
    assert_eq!(world.on("n1"), 1);
}

#[test]
fn jobs_and_waiting_tasks_are_looked_at_too() {
    let mut world = with_ssd();
    let mode = Mode::ReplicatedJob {
        max_concurrent: Some(2),
        total_completions: Some(2),
    };
    world.create_as("s", mode, |s| constraints(s, &["node.labels.disk==ssd"]));
    world.label("n1", "disk=");
    assert_eq!((world.on("n1"), world.on("n2")), (0, 2), "{}", world.show());
    assert!(world.store.tasks().all(|t| t.start_after.is_none()));
}
