//! Rolling updates, and replacements that somebody asked for.

use super::world::{constraints, image};
use super::{Behaviour, SECOND, World, config, force, restart};
use model::service::{FailureAction, UpdateOrder, UpdateState};
use model::task::{Placement, ReplaceReason, RestartCondition};
use model::{Change, Mode, NodeId, TaskId, TaskState};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn force_replaces_every_task_and_nothing_else_does() {
    let mut world = World::new();
    world.create(3, |_| {});
    let before = world.ids();
    world.update(|s| {
        s.labels.insert("a".into(), "b".into());
    });
    world.update(|s| s.update = config(|c| c.parallelism = 2));
    world.update(|_| {});
    assert_eq!(world.ids(), before);
    assert_eq!(world.update_state(), None);
    world.update(force);
    assert!(world.ids().iter().all(|id| !before.contains(id)));
    assert_eq!(
        world.update_state(),
        Some(UpdateState::Updating),
        "it is still being watched"
    );
    world.pass(5 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn stop_first_takes_parallelism_slots_out_and_start_first_none() {
    for (parallelism, order, fewest) in [
        (1, UpdateOrder::StopFirst, 5),
        (2, UpdateOrder::StopFirst, 4),
        (0, UpdateOrder::StopFirst, 0),
        (1, UpdateOrder::StartFirst, 6),
        (0, UpdateOrder::StartFirst, 6),
    ] {
        let mut world = World::new();
        world.create(6, |s| {
            s.update = config(|c| {
                c.parallelism = parallelism;
                c.order = order;
            });
        });
        world.fewest_running = Some(usize::MAX);
        let before = world.ids();
        world.update(force);
        assert_eq!(
            world.fewest_running,
            Some(fewest),
            "{parallelism} {order:?}"
        );
        assert!(
            world.ids().iter().all(|id| !before.contains(id)),
            "{}",
            world.show()
        );
        world.pass(6 * SECOND);
        assert_eq!(
            (world.update_state(), world.running()),
            (Some(UpdateState::Completed), 6)
        );
    }
}

#[test]
fn the_delay_lies_between_slots_and_outlives_a_leader() {
    let mut world = World::new();
    world.create(3, |s| s.update = config(|c| c.delay = 10 * SECOND));
    let before = world.ids();
    let replaced = |world: &World| world.ids().iter().filter(|id| !before.contains(id)).count();
    world.update(force);
    assert_eq!(replaced(&world), 1);
    world.pass(9 * SECOND);
    world.change_leader();
    assert_eq!(replaced(&world), 1);
    world.pass(SECOND);
    assert_eq!(replaced(&world), 2);
    world.pass(10 * SECOND);
    assert_eq!(replaced(&world), 3);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.pass(25 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn a_bad_update_pauses_and_the_next_one_goes_on() {
    let mut world = World::new();
    world.create(4, |_| {});
    world.update(|s| image(s, "bad"));
    let status = world.service().update_status.clone().expect("status");
    assert_eq!(status.state, UpdateState::Paused);
    assert!(
        status
            .message
            .starts_with("update paused due to failure or early termination of task "),
        "{}",
        status.message
    );
    assert_eq!(world.running(), 3, "only one slot was tried");
    world.pass(60 * SECOND);
    assert_eq!(
        world.running(),
        3,
        "the others are left alone: {}",
        world.show()
    );
    world.update(|s| image(s, "good"));
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 4)
    );
}

#[test]
fn a_bad_start_first_update_keeps_all_old_tasks() {
    let mut world = World::new();
    world.create(3, |s| {
        s.update = config(|c| c.order = UpdateOrder::StartFirst)
    });
    world.fewest_running = Some(usize::MAX);
    world.update(|s| image(s, "bad"));
    world.pass(60 * SECOND);
    assert_eq!(world.fewest_running, Some(3));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
}

#[test]
fn the_failure_ratio_and_continue() {
    let mut world = World::new();
    world.create(4, |s| {
        s.update = config(|c| {
            c.max_failure_ratio = 0.5;
            c.parallelism = 1;
        });
    });
    world.update(|s| image(s, "bad"));
    world.pass(30 * SECOND);
    let status = world.service().update_status.clone().expect("status");
    assert_eq!(
        (status.state, status.failures),
        (UpdateState::Paused, 3),
        "3 of 4 are more than half"
    );

    let mut world = World::new();
    world.create(2, |s| {
        s.update = config(|c| c.failure_action = FailureAction::Continue)
    });
    world.update(|s| image(s, "bad"));
    world.pass(30 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.behaviours.remove("bad");
    world.pass(30 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 2)
    );
}

#[test]
fn an_update_in_the_middle_of_another_takes_over() {
    let mut world = World::new();
    world.create(3, |s| s.update = config(|c| c.delay = 60 * SECOND));
    world.update(force);
    world.update(|s| {
        force(s);
        s.update = config(|c| c.parallelism = 0);
    });
    world.pass(6 * SECOND);
    assert!(
        world
            .store
            .tasks()
            .filter(|t| t.is_wanted())
            .all(|t| t.spec.force_update == 2)
    );
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3)
    );
}

#[test]
fn a_placement_change_moves_only_what_no_longer_fits() {
    let mut world = World::new();
    world.create(3, |_| {});
    let before = world.ids();
    world.update(|s| {
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            max_replicas: 5,
            ..Default::default()
        });
    });
    assert_eq!(world.ids(), before);
    world.update(|s| {
        let constraints = vec!["node.id!=n1".to_owned()];
        Arc::make_mut(&mut s.task).placement = Some(Placement {
            constraints,
            ..Default::default()
        });
    });
    let kept = world.ids().iter().filter(|id| before.contains(id)).count();
    assert_eq!(kept, 2);
}

#[test]
fn success_needs_a_running_task_of_the_new_spec_in_every_slot() {
    let mut world = World::new();
    world.create(2, |s| {
        s.update = config(|c| {
            c.order = UpdateOrder::StartFirst;
            c.parallelism = 0;
        });
    });
    world.update(|s| image(s, "hung"));
    world.pass(3600 * SECOND);
    assert_eq!(world.running(), 2, "the old ones");
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.behaviours.remove("hung");
    world.settle();
    world.pass(6 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
    assert_eq!(world.ids().len(), 2);
}

#[test]
fn slots_that_are_out_already_are_replaced_first() {
    let mut world = World::new();
    world.create(3, |s| restart(s, RestartCondition::Any, 0));
    world.end(3, TaskState::Failed);
    let kept = [world.live(1).id.clone(), world.live(2).id.clone()];
    world.update(|s| image(s, "hung"));
    world.pass(30 * SECOND);
    assert!(
        kept.iter().all(|id| world.ids().contains(id)),
        "{}",
        world.show()
    );
}

#[test]
fn a_start_first_update_that_may_not_be_tried_again_leaves_the_old_tasks() {
    let mut world = World::new();
    world.create(2, |s| {
        restart(s, RestartCondition::None, 0);
        s.update = config(|c| {
            c.order = UpdateOrder::StartFirst;
            c.failure_action = FailureAction::Continue;
        });
    });
    let old = world.ids();
    world.update(|s| image(s, "bad"));
    world.pass(60 * SECOND);
    assert_eq!(world.ids(), old, "{}", world.show());
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn an_update_that_goes_on_after_failures_does_not_try_without_end_at_once() {
    let mut world = World::new();
    world.create(1, |s| {
        s.update = config(|c| {
            c.order = UpdateOrder::StartFirst;
            c.failure_action = FailureAction::Continue;
        });
    });
    world.update(|s| image(s, "bad"));
    let mut waits = Vec::new();
    for _ in 0..6 {
        let task = world.store.tasks().max_by_key(|t| t.start_after).cloned();
        let task = task.expect("a task");
        let wait = task
            .start_after
            .map_or(0, |at| at.since(world.now).as_secs());
        waits.push(wait);
        world.pass(Duration::from_secs(wait));
    }
    assert_eq!(waits, [5, 5, 5, 10, 20, 40]);
}

/// Marks a task as the API and the rebalancer do.
fn mark(world: &mut World, slots: &[u64], reason: ReplaceReason) -> Vec<TaskId> {
    let ids: Vec<TaskId> = slots
        .iter()
        .map(|slot| world.live(*slot).id.clone())
        .collect();
    let reason = Some(reason);
    let changes = ids.iter().cloned();
    world.commit(
        changes
            .map(|id| Change::SetReplace { id, reason })
            .collect(),
    );
    world.settle();
    ids
}

#[test]
fn marked_tasks_are_replaced_as_in_an_update_that_nobody_sees() {
    for (order, fewest) in [(UpdateOrder::StopFirst, 3), (UpdateOrder::StartFirst, 4)] {
        let mut world = World::new();
        world.create(4, |s| {
            s.update = config(|c| {
                c.order = order;
                c.delay = 10 * SECOND;
            });
        });
        world.pass(60 * SECOND);
        let before = world.ids();
        world.fewest_running = Some(usize::MAX);
        let marked = mark(&mut world, &[2, 3], ReplaceReason::Restart);
        let left = |world: &World| world.ids().iter().filter(|id| before.contains(id)).count();
        assert_eq!(left(&world), 3, "one at a time: {}", world.show());
        world.change_leader();
        world.pass(9 * SECOND);
        assert_eq!(left(&world), 3);
        world.pass(SECOND);
        assert_eq!(left(&world), 2);
        assert!(marked.iter().all(|id| !world.ids().contains(id)));
        assert_eq!(
            (world.fewest_running, world.update_state()),
            (Some(fewest), None)
        );
    }
}

#[test]
fn a_paused_update_does_not_stop_a_replacement() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.behaviours.remove("bad");
    world.pass(20 * SECOND);
    let marked = mark(&mut world, &[3], ReplaceReason::Restart);
    assert!(!world.ids().contains(&marked[0]), "{}", world.show());
    assert_eq!(world.running(), 3);
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    let old = world
        .store
        .tasks()
        .filter(|t| t.is_wanted() && t.spec.container.image == "good");
    assert_eq!(old.count(), 1, "the others are left alone");
}

#[test]
fn failures_of_replacements_are_nobodys_update() {
    let mut world = World::new();
    world.create(2, |_| {});
    world.behaviours.insert("good", Behaviour::Fails);
    mark(&mut world, &[1], ReplaceReason::Restart);
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), None);
    assert!(world.store.tasks().all(|t| !t.failure_counted));
}

#[test]
fn a_restart_by_hand_does_not_wait_for_the_backoff_and_a_rebalance_does() {
    for (reason, state) in [
        (ReplaceReason::Restart, "running"),
        (ReplaceReason::Rebalance, "ready"),
    ] {
        let mut world = World::new();
        world.create(1, |_| {});
        for _ in 0..6 {
            world.end(1, TaskState::Failed);
            world.pass(if world.live(1).restarts.len() < 6 {
                60 * SECOND
            } else {
                SECOND
            });
        }
        mark(&mut world, &[1], reason);
        assert_eq!(world.live(1).status.state.name(), state, "{}", world.show());
    }
}

#[test]
fn a_change_of_the_order_in_the_middle_counts_the_slot_that_it_stops() {
    let mut world = World::new();
    world.create(3, |s| {
        s.update = config(|c| {
            c.order = UpdateOrder::StartFirst;
            c.parallelism = 0;
        });
    });
    world.update(|s| image(s, "hung"));
    assert_eq!(world.ids().len(), 6, "old and new in every slot");
    world.fewest_running = Some(usize::MAX);
    world.update(|s| s.update = config(|c| c.parallelism = 1));
    world.pass(60 * SECOND);
    assert_eq!(world.fewest_running, Some(2), "{}", world.show());
}

#[test]
fn updates_into_updates_leave_at_most_two_tasks_in_a_slot() {
    let mut world = World::new();
    world.create(2, |s| {
        s.update = config(|c| {
            c.order = UpdateOrder::StartFirst;
            c.parallelism = 0;
        });
    });
    for _ in 0..4 {
        world.update(|s| {
            image(s, "hung");
            force(s);
        });
        assert_eq!(world.ids().len(), 4, "{}", world.show());
        assert_eq!(world.running(), 2);
    }
    world.update(|s| image(s, "good"));
    world.pass(60 * SECOND);
    assert_eq!((world.ids().len(), world.running()), (2, 2));
}

#[test]
fn age_is_by_log_index_and_not_by_the_leaders_clock() {
    let mut world = World::new();
    world.create(1, |s| restart(s, RestartCondition::None, 0));
    world.update(force);
    // The next leader's clock is behind.
    world.now = model::Timestamp(1);
    world.update(force);
    world.end(1, TaskState::Failed);
    world.change_leader();
    world.pass(60 * SECOND);
    assert_eq!(
        world.ids().len(),
        0,
        "the youngest one ended for good: {}",
        world.show()
    );
}

#[test]
fn a_change_of_constraints_rolls() {
    let mut world = World::new();
    world.create(6, |_| {});
    world.fewest_running = Some(usize::MAX);
    world.update(|s| constraints(s, &["node.id!=n1"]));
    assert_eq!(world.on("n1"), 0, "{}", world.show());
    assert_eq!(
        world.fewest_running,
        Some(5),
        "one at a time, as the service says"
    );
    assert_eq!(world.store.tasks_on_node(&NodeId::from("n1")).count(), 2);
}

#[test]
fn scaling_in_the_middle_keeps_the_update_going() {
    let mut world = World::new();
    world.create(3, |s| s.update = config(|c| c.delay = 10 * SECOND));
    world.update(force);
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(5) });
    world.pass(90 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 5)
    );
    assert!(
        world
            .store
            .tasks()
            .filter(|t| t.is_wanted())
            .all(|t| t.spec.force_update == 1)
    );
}

#[test]
fn a_task_that_hangs_can_be_restarted_by_hand() {
    let mut world = World::new();
    world.create(2, |s| image(s, "hung"));
    let marked = mark(&mut world, &[1], ReplaceReason::Restart);
    assert!(!world.ids().contains(&marked[0]), "{}", world.show());
}

#[test]
fn a_slot_that_is_out_for_another_reason_counts() {
    let mut world = World::new();
    world.create(3, |_| {});
    let marked = mark(&mut world, &[1], ReplaceReason::Restart);
    assert!(!world.ids().contains(&marked[0]));
    world.end(1, TaskState::Failed);
    let marked = mark(&mut world, &[2], ReplaceReason::Restart);
    assert!(
        world.ids().contains(&marked[0]),
        "slot 1 is out: {}",
        world.show()
    );
    world.pass(5 * SECOND);
    assert!(!world.ids().contains(&marked[0]), "{}", world.show());
}

#[test]
fn what_failed_before_an_update_begins_is_not_its_failure() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.update(|s| constraints(s, &["engine.labels.x!=1"]));
    world.end(1, TaskState::Failed);
    world.pass(5 * SECOND);
    assert_eq!(world.update_state(), None, "all suit");
    world.end(1, TaskState::Failed);
    let node = world.live(2).node.clone().expect("placed");
    world.describe(node.as_str(), "x=1");
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3)
    );
}

#[test]
fn what_ended_for_good_is_replaced_by_the_next_update() {
    for replicas in [1, 3] {
        let mut world = World::new();
        world.create(replicas, |s| restart(s, RestartCondition::None, 0));
        world.end(1, TaskState::Failed);
        world.pass(60 * SECOND);
        world.update(|s| {
            s.labels.insert("a".into(), "b".into());
        });
        assert_eq!(world.update_state(), None, "nothing to replace");
        world.update(force);
        let status = world.status();
        assert_eq!(
            (status.state, status.total_slots),
            (UpdateState::Updating, replicas)
        );
        world.pass(5 * SECOND);
        assert_eq!(
            (world.update_state(), world.running() as u64),
            (Some(UpdateState::Completed), replicas),
            "{}",
            world.show()
        );
    }
}

#[test]
fn a_replacement_of_what_ended_for_good_can_fail_the_update() {
    let mut world = World::new();
    world.create(1, |s| restart(s, RestartCondition::None, 0));
    world.end(1, TaskState::Complete);
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.pass(60 * SECOND);
    world.check("1:complete(shutdown),failed(shutdown)");
}

#[test]
fn what_ends_for_good_while_the_update_is_paused_waits_for_the_next_one() {
    let mut world = World::new();
    world.create(3, |s| restart(s, RestartCondition::None, 0));
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.end(3, TaskState::Failed);
    world.pass(60 * SECOND);
    world.check("1:shutdown,failed(shutdown) 2:running 3:failed(shutdown)");
    world.update(|s| image(s, "other"));
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 3),
        "{}",
        world.show()
    );
}

#[test]
fn slots_that_ended_for_good_are_replaced_so_many_at_once() {
    let mut world = World::new();
    world.create(4, |s| {
        restart(s, RestartCondition::None, 0);
        s.update = config(|c| {
            c.parallelism = 2;
            c.delay = 10 * SECOND;
        });
    });
    for slot in 1..=4 {
        world.end(slot, TaskState::Failed);
    }
    world.update(force);
    assert_eq!(world.running(), 2, "{}", world.show());
    world.pass(10 * SECOND);
    assert_eq!(world.running(), 4, "{}", world.show());
}

#[test]
fn failures_count_until_the_end_of_the_monitoring_time() {
    for (monitor, after, state) in [
        (20, 19, UpdateState::Paused),
        (20, 21, UpdateState::Completed),
        (0, 1, UpdateState::Completed),
    ] {
        let mut world = World::new();
        world.create(1, |s| {
            s.update = config(|c| c.monitor = Some(monitor * SECOND))
        });
        world.update(force);
        world.pass(after * SECOND);
        world.end(1, TaskState::Failed);
        world.pass(60 * SECOND);
        assert_eq!(world.update_state(), Some(state), "{monitor} {after}");
    }
}

#[test]
fn a_delay_longer_than_the_monitoring_time_is_monitored() {
    let mut world = World::new();
    world.create(1, |s| s.update = config(|c| c.delay = 30 * SECOND));
    world.update(force);
    world.pass(30 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.pass(31 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
}

#[test]
fn any_write_of_a_paused_service_takes_the_update_up_again() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.behaviours.remove("bad");
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(4) });
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::Completed), 4)
    );
    let tasks = || world.store.tasks().filter(|t| t.is_wanted());
    assert!(tasks().all(|t| t.spec.container.image == "bad"));
}

#[test]
fn scaling_down_in_the_middle_removes_what_does_not_run() {
    let mut world = World::new();
    world.create(4, |_| {});
    world.update(|s| image(s, "hung"));
    let running = world.running();
    assert_eq!(running, 3);
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(3) });
    let old = world
        .store
        .tasks()
        .filter(|t| t.is_wanted() && t.status.state == TaskState::Running);
    assert_eq!(old.count(), 2, "the update goes on: {}", world.show());
    assert_eq!(world.ids().len(), 3, "{}", world.show());
}
