//! Restart policies and back-off.

use super::{SECOND, World, config, force, restart};
use crate::{restart as rules, waiting_reason};
use model::task::{RestartCondition, RestartPolicy};
use model::{Availability, DesiredState, NodeState, Task, TaskState, Timestamp};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_failed_task_is_replaced_after_the_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Failed);
    world.check("1:failed(shutdown),ready");
    world.pass(4 * SECOND);
    world.check("1:failed(shutdown),ready");
    world.pass(SECOND);
    world.check("1:failed(shutdown),running");
    assert_eq!(world.live(1).restarts.len(), 1);
}

#[test]
fn a_new_leader_keeps_the_restart_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Failed);
    world.due.clear();
    world.pass(2 * SECOND);
    world.change_leader();
    world.check("1:failed(shutdown),ready");
    world.pass(3 * SECOND);
    world.check("1:failed(shutdown),running");
}

#[test]
fn conditions_and_attempts_of_the_restart_policy() {
    for (condition, end, restarted) in [
        (RestartCondition::None, TaskState::Failed, false),
        (RestartCondition::OnFailure, TaskState::Complete, false),
        (RestartCondition::OnFailure, TaskState::Failed, true),
        (RestartCondition::Any, TaskState::Complete, true),
        (RestartCondition::Any, TaskState::Rejected, true),
    ] {
        let mut world = World::new();
        world.create(1, |s| restart(s, condition, 0));
        world.end(1, end);
        world.pass(6 * SECOND);
        assert_eq!(
            world.running() == 1,
            restarted,
            "{condition:?} {end:?}: {}",
            world.show()
        );
    }
    let mut world = World::new();
    world.create(1, |s| restart(s, RestartCondition::Any, 2));
    for _ in 0..2 {
        world.end(1, TaskState::Failed);
        world.pass(6 * SECOND);
        assert_eq!(world.running(), 1);
    }
    world.end(1, TaskState::Failed);
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 0, "two restarts are used up");
    world.update(force);
    assert_eq!(world.running(), 1, "a new spec begins anew");
}

#[test]
fn tasks_that_cannot_be_prepared_are_tried_once_a_delay() {
    let mut world = World::new();
    world.create(1, |_| {});
    world.end(1, TaskState::Rejected);
    for _ in 0..4 {
        // The replacement is prepared while it waits, and rejected at once.
        world.end(1, TaskState::Rejected);
        let tasks = world.store.tasks().count();
        world.pass(4 * SECOND);
        assert_eq!(world.store.tasks().count(), tasks, "{}", world.show());
        world.pass(SECOND);
        assert!(world.live(1).start_after.is_some(), "{}", world.show());
    }
    assert_eq!(world.store.tasks().count(), 5, "{}", world.show());
}

/// Waits before the next restarts of slot 1, each task failing `after` its start.
fn waits(world: &mut World, restarts: usize, after: Duration) -> Vec<u64> {
    let mut waits = Vec::new();
    for _ in 0..restarts {
        world.pass(after);
        world.end(1, TaskState::Failed);
        let task = world.live(1).clone();
        let wait = task
            .start_after
            .map_or(Duration::ZERO, |at| at.since(world.now));
        waits.push(wait.as_secs());
        world.change_leader();
        world.pass(wait);
        assert_eq!(world.running(), 1, "{}", world.show());
    }
    waits
}

#[test]
fn a_crash_loop_waits_longer_each_time_up_to_a_bound() {
    let mut world = World::new();
    world.create(1, |_| {});
    assert_eq!(
        waits(&mut world, 12, SECOND),
        [5, 5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]
    );
}

#[test]
fn backoff_begins_at_a_second_and_does_not_shorten_the_policys_delay() {
    let with_delay = |delay: Duration| {
        let mut world = World::new();
        world.create(1, |s| {
            Arc::make_mut(&mut s.task).restart = Some(RestartPolicy {
                delay: Some(delay),
                ..Default::default()
            });
        });
        waits(&mut world, 6, SECOND)
    };
    assert_eq!(with_delay(Duration::ZERO), [0, 0, 0, 2, 4, 8]);
    assert_eq!(with_delay(600 * SECOND), [600; 6]);
}

#[test]
fn a_stable_run_ends_the_backoff() {
    let mut world = World::new();
    world.create(1, |_| {});
    assert_eq!(waits(&mut world, 5, SECOND), [5, 5, 5, 10, 20]);
    assert_eq!(waits(&mut world, 1, 599 * SECOND), [40]);
    assert_eq!(waits(&mut world, 4, 600 * SECOND), [5, 5, 5, 5]);
    assert_eq!(world.live(1).restarts.len(), 1);
}

#[test]
fn attempts_are_counted_for_ever_though_backoff_is_not() {
    let mut world = World::new();
    world.create(1, |s| restart(s, RestartCondition::Any, 7));
    assert_eq!(waits(&mut world, 5, SECOND), [5, 5, 5, 10, 20]);
    assert_eq!(waits(&mut world, 2, 3600 * SECOND), [5, 5]);
    world.end(1, TaskState::Failed);
    world.pass(3600 * SECOND);
    assert_eq!(world.running(), 0, "seven restarts are used up");
}

#[test]
fn attempts_within_a_window() {
    let mut world = World::new();
    world.create(1, |s| {
        restart(s, RestartCondition::Any, 2);
        let policy = Arc::make_mut(&mut s.task).restart.as_mut();
        policy.expect("a policy").window = 100 * SECOND;
    });
    waits(&mut world, 4, 60 * SECOND);
    assert_eq!(
        world.running(),
        1,
        "never two within 100 s before the third"
    );
    world.pass(SECOND);
    world.end(1, TaskState::Failed);
    world.pass(600 * SECOND);
    assert_eq!(world.running(), 0, "{}", world.show());
}

/// A task that failed now, after as many restarts, one each minute.
fn failed_after(restarts: u64, max_attempts: u64, window: Duration) -> Task {
    let minutes = |count: u64| Timestamp::default() + 60 * SECOND * count as u32;
    let mut world = World::new();
    world.create(1, |s| {
        restart(s, RestartCondition::Any, max_attempts);
        let policy = Arc::make_mut(&mut s.task).restart.as_mut();
        policy.expect("a policy").window = window;
    });
    let mut task = Task::clone(world.live(1));
    task.restarts = (0..restarts).map(minutes).collect();
    task.running_at = None;
    task.status.state = TaskState::Failed;
    task.status.applied_at = minutes(restarts);
    task
}

#[test]
fn memory_is_bounded_whatever_number_of_attempts_is_asked_for() {
    for (restarts, max_attempts, window, remembered) in [
        (999, 1_000, 0, 1_000),
        (1_000, u64::MAX, 0, 1_000),
        (1_000, 5_000, 1_000_000, 1_000),
        // Ten minutes hold eleven of them, the back-off asks for more.
        (900, 5_000, 600, 16),
        (900, 5_000, 1_800, 31),
        (900, 0, 0, 16),
    ] {
        let task = failed_after(restarts, max_attempts, window * SECOND);
        let rules::Verdict::Replace(retry) = rules::judge(&task) else {
            panic!("{restarts} of {max_attempts} are used up");
        };
        assert_eq!(
            retry.restarts.len(),
            remembered,
            "{restarts} {max_attempts}"
        );
        assert_eq!(retry.restarts.last(), Some(&task.status.applied_at));
    }
    for (restarts, max_attempts, window) in [(1_000, 1_000, 0), (31, 31, 1_860), (500, 30, 1_800)] {
        let task = failed_after(restarts, max_attempts, window * SECOND);
        assert!(rules::is_final(&task), "{restarts} of {max_attempts}");
    }
}

#[test]
fn what_is_forgotten_outside_the_window_is_not_taken_for_known() {
    let mut task = failed_after(20, 50, 600 * SECOND);
    task.restarts.truncate(16);
    task.status.state = TaskState::Ready;
    task.desired = DesiredState::Ready;
    let now = task.status.applied_at;
    task.start_after = Some(now + 5 * SECOND);
    let reason = waiting_reason(&task, now).unwrap_or_default();
    assert!(
        reason.starts_with("restart 16+ of this replica"),
        "{reason}"
    );
}

#[test]
fn ends_without_an_error_are_no_crash_loop() {
    let mut world = World::new();
    world.create(1, |_| {});
    for _ in 0..10 {
        world.end(1, TaskState::Complete);
        assert_eq!(world.running(), 0);
        world.pass(5 * SECOND);
        assert_eq!(world.running(), 1);
    }
    assert_eq!(world.live(1).restarts.len(), 1);
}

#[test]
fn what_waits_says_so() {
    let mut world = World::new();
    world.create(1, |_| {});
    assert_eq!(waiting_reason(world.live(1), world.now), None);
    world.end(1, TaskState::Failed);
    let reason = |world: &World| waiting_reason(world.live(1), world.now).unwrap_or_default();
    assert_eq!(
        reason(&world),
        "restart 1 of this replica waits 5s (restart delay)"
    );
    world.pass(5 * SECOND);
    assert_eq!(reason(&world), "");
    waits(&mut world, 4, SECOND);
    world.end(1, TaskState::Failed);
    assert_eq!(
        reason(&world),
        "restart 6 of this replica waits 40s (back-off after repeated failures)"
    );
    world.pass(38 * SECOND);
    assert_eq!(
        reason(&world),
        "restart 6 of this replica waits 2s (back-off after repeated failures)"
    );
    world.pass(2 * SECOND);
    waits(&mut world, 14, SECOND);
    world.end(1, TaskState::Failed);
    assert_eq!(
        reason(&world),
        "restart 16+ of this replica waits 5m0s (back-off after repeated failures)"
    );
    world.pass(600 * SECOND);
    let node = world.live(1).node.clone().expect("placed");
    world.node(node.as_str(), NodeState::Ready, Availability::Pause);
    world.silent = vec![node];
    world.update(force);
    assert_eq!(
        waiting_reason(world.live(1), world.now),
        Some("waits until the task that it replaces has stopped".into()),
        "{}",
        world.show()
    );
}

#[test]
fn a_task_ends_under_the_policy_that_it_was_created_with() {
    let mut world = World::new();
    world.create(2, |s| s.update = config(|c| c.delay = 3600 * SECOND));
    world.update(|s| restart(s, RestartCondition::None, 0));
    let old = (1..=2).find(|slot| world.live(*slot).spec.restart.is_none());
    let old = old.expect("a task of the older spec");
    for slot in [old, 3 - old] {
        world.end(slot, TaskState::Failed);
    }
    world.pass(60 * SECOND);
    assert_eq!(world.running(), 1, "{}", world.show());
    let running = world.live(old);
    assert!(running.spec.restart.is_some(), "it is of the present spec");
}
