//! Jobs: tasks that run to their end.

use super::world::{constraints, image};
use super::{SECOND, World, force, restart};
use model::service::{UpdateOrder, UpdateState};
use model::task::{ReplaceReason, RestartCondition};
use model::{Availability, Change, DesiredState, Mode, NodeId, NodeState, SlotKey, TaskState};

fn job(concurrent: u64, total: u64) -> Mode {
    Mode::ReplicatedJob {
        max_concurrent: Some(concurrent),
        total_completions: Some(total),
    }
}

fn at(node: &str) -> SlotKey {
    SlotKey::Node(NodeId::from(node))
}

#[test]
fn so_many_at_a_time_until_so_many_have_completed() {
    let mut world = World::new();
    world.create_as("s", job(2, 3), |_| {});
    world.check("1:running(complete) 2:running(complete)");
    world.end(2, TaskState::Complete);
    world.check("1:running(complete) 2:complete 3:running(complete)");
    world.end(1, TaskState::Complete);
    world.end(3, TaskState::Complete);
    world.check("1:complete 2:complete 3:complete");
    world.change_leader();
    world.pass(48 * 3600 * SECOND);
    world.check("1:complete 2:complete 3:complete");
    assert_eq!(world.update_state(), None);
}

#[test]
fn numbers_have_defaults() {
    let mut world = World::new();
    let mode = Mode::ReplicatedJob {
        max_concurrent: Some(3),
        total_completions: None,
    };
    world.create_as("s", mode, |s| image(s, "short"));
    world.check("1:complete 2:complete 3:complete");
}

#[test]
fn what_fails_is_tried_again_and_what_completes_is_not() {
    for condition in [RestartCondition::Any, RestartCondition::OnFailure] {
        let mut world = World::new();
        world.create_as("s", job(1, 2), |s| restart(s, condition, 0));
        world.end(1, TaskState::Failed);
        world.check("1:failed(shutdown),ready");
        world.pass(4 * SECOND);
        world.change_leader();
        world.check("1:failed(shutdown),ready");
        world.pass(SECOND);
        world.check("1:failed(shutdown),running(complete)");
        world.end(1, TaskState::Complete);
        world.check("1:failed(shutdown),complete 2:running(complete)");
    }
}

#[test]
fn a_job_backs_off_too() {
    let mut world = World::new();
    world.create_as("s", job(1, 1), |_| {});
    for wait in [5, 5, 5, 10, 20, 40] {
        world.end(1, TaskState::Failed);
        let until = world.live(1).start_after.expect("a delay");
        assert_eq!(until.since(world.now), wait * SECOND);
        world.pass(wait * SECOND);
    }
}

#[test]
fn a_spent_slot_stays_so_and_the_others_go_on() {
    let mut world = World::new();
    world.create_as("s", job(1, 2), |s| restart(s, RestartCondition::Any, 1));
    world.end(1, TaskState::Failed);
    world.pass(5 * SECOND);
    world.end(1, TaskState::Failed);
    world.pass(60 * SECOND);
    world.check("1:failed(shutdown),failed(shutdown) 2:running(complete)");
    world.end(2, TaskState::Complete);
    world.change_leader();
    world.pass(60 * SECOND);
    world.check("1:failed(shutdown),failed(shutdown) 2:complete");
}

#[test]
fn every_update_runs_it_again_and_removes_what_was() {
    let mut world = World::new();
    world.create_as("s", job(2, 3), |s| image(s, "short"));
    world.check("1:complete 2:complete 3:complete");
    let before = world.ids();
    world.update(force);
    world.check("1:complete 2:complete 3:complete");
    assert!(world.ids().iter().all(|id| !before.contains(id)));
    world.update(|s| image(s, "good"));
    world.check("1:running(complete) 2:running(complete)");
    world.silent = ["n1", "n2", "n3"].map(NodeId::from).to_vec();
    world.update(force);
    assert_eq!(
        world.ids().len(),
        2,
        "no more than two at a time: {}",
        world.show()
    );
    world.silent.clear();
    world.settle();
    world.check("1:running(complete) 2:running(complete)");
}

#[test]
fn what_an_older_run_leaves_counts_among_what_runs() {
    let mut world = World::new();
    world.create_as("s", job(2, 4), |_| {});
    world.end(1, TaskState::Complete);
    world.end(2, TaskState::Complete);
    world.check("1:complete 2:complete 3:running(complete) 4:running(complete)");
    world.silent = ["n1", "n2", "n3"].map(NodeId::from).to_vec();
    world.update(force);
    assert_eq!(world.ids().len(), 2, "{}", world.show());
    world.silent.clear();
    world.settle();
    world.check("3:running(complete) 4:running(complete)");
}

#[test]
fn a_task_of_a_lost_node_runs_elsewhere_and_its_late_completion_counts() {
    let mut world = World::new();
    world.create_as("s", job(1, 1), |_| {});
    let first = world.live(1).clone();
    let node = first.node.clone().expect("placed");
    world.silent = vec![node.clone()];
    world.node_state(node.as_str(), NodeState::Down);
    world.check("1:running(shutdown),running(complete)");
    world.node_state(node.as_str(), NodeState::Ready);
    world.commit(vec![Change::SetTaskStatus {
        id: first.id.clone(),
        status: model::TaskStatus::new(TaskState::Complete, world.now, ""),
    }]);
    world.silent.clear();
    world.settle();
    world.check("1:complete(shutdown),shutdown");
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 0);
}

#[test]
fn completed_tasks_are_not_trimmed_and_failures_have_a_bound() {
    let mut world = World::new();
    world.create_as("s", job(5, 20), |s| image(s, "short"));
    assert_eq!(world.store.tasks().count(), 20);
    let mut world = World::new();
    world.create_as("s", job(1, 1), |_| {});
    for _ in 0..105 {
        world.end(1, TaskState::Failed);
        world.pass(300 * SECOND);
    }
    assert_eq!(world.store.tasks().count(), 101);
}

#[test]
fn a_global_job_runs_once_on_each_node_also_on_a_late_one() {
    let mut world = World::with_nodes(&["n1", "n2 disk=ssd"]);
    world.create_as("s", Mode::GlobalJob, |s| {
        image(s, "short");
        constraints(s, &["node.labels.disk!=hdd"]);
    });
    world.check("n1:complete n2:complete");
    world.join("n3");
    world.join("n4 disk=hdd");
    world.check("n1:complete n2:complete n3:complete");
    world.label("n4", "disk=ssd");
    world.label("n3", "disk=hdd");
    world.check("n1:complete n2:complete n3:complete n4:complete");
    world.update(force);
    world.check("n1:complete n2:complete n4:complete");
}

#[test]
fn a_global_job_leaves_and_returns_with_its_node() {
    let mut world = World::new();
    world.create_as("s", Mode::GlobalJob, |_| {});
    world.end_at(&at("n2"), TaskState::Complete);
    for node in ["n1", "n2"] {
        world.node(node, NodeState::Ready, Availability::Drain);
    }
    world.check("n1:shutdown n2:complete n3:running(complete)");
    for node in ["n1", "n2"] {
        world.node(node, NodeState::Ready, Availability::Active);
    }
    world.check("n1:shutdown,running(complete) n2:complete n3:running(complete)");
    world.remove_node("n1");
    world.check("n2:complete n3:running(complete)");
    world.node("n3", NodeState::Ready, Availability::Pause);
    world.end_at(&at("n3"), TaskState::Failed);
    world.pass(60 * SECOND);
    world.check("n2:complete n3:failed(shutdown)");
}

#[test]
fn a_stopped_job_does_nothing() {
    for mode in [job(2, 2), Mode::GlobalJob] {
        let mut world = World::new();
        world.create_as("s", mode, |_| {});
        world.update(|s| s.stopped = Some(0));
        world.check("");
        world.join("n4");
        world.check("");
        world.update(|s| s.stopped = None);
        assert!(world.running() >= 2);
    }
}

#[test]
fn a_marked_task_of_a_job_starts_anew() {
    let mut world = World::new();
    world.create_as("s", job(1, 1), |_| {});
    let id = world.live(1).id.clone();
    world.commit(vec![Change::SetReplace {
        id,
        reason: Some(ReplaceReason::Restart),
    }]);
    world.settle();
    world.check("1:shutdown,running(complete)");
}

#[test]
fn a_job_has_no_updates_and_going_back_is_over_at_once() {
    let mut world = World::new();
    world.create_as("s", job(1, 1), |s| image(s, "short"));
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), None);
    world.roll_back();
    assert_eq!(world.update_state(), Some(UpdateState::RollbackCompleted));
    world.check("1:complete");
    assert!(
        world
            .store
            .tasks()
            .all(|t| t.desired == DesiredState::Complete)
    );
}

#[test]
fn a_marked_task_of_a_job_leaves_a_drained_node_in_its_turn() {
    let mut world = World::with_nodes(&["n1", "n2"]);
    world.create_as("s", job(4, 4), |_| {});
    let here: Vec<_> = world
        .store
        .tasks_on_node(&NodeId::from("n1"))
        .map(|t| t.id.clone())
        .collect();
    assert_eq!(here.len(), 2);
    world.silent = vec![NodeId::from("n2")];
    world.drain("n1", 1, UpdateOrder::StopFirst);
    let marks = here.into_iter().filter(|id| world.ids().contains(id));
    let marks: Vec<_> = marks
        .map(|id| Change::SetReplace {
            id,
            reason: Some(ReplaceReason::Restart),
        })
        .collect();
    assert_eq!(marks.len(), 1, "one has left");
    world.commit(marks);
    world.settle();
    assert_eq!(world.on("n1"), 1, "it waits for its turn: {}", world.show());
    world.silent.clear();
    world.settle();
    assert_eq!((world.on("n1"), world.running()), (0, 4));
}

#[test]
fn a_job_that_may_run_nothing_at_a_time_starts_nothing() {
    let mut world = World::new();
    // The API refuses it: as in Docker, no task would ever start.
    world.create_as("s", job(0, 2), |_| {});
    world.check("");
    world.update(|s| s.mode = job(1, 2));
    assert_eq!(world.running(), 1);
}
