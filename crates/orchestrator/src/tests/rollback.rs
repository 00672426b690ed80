//! Updates that fail: deadlines, and the way back.

use super::world::image;
use super::{Behaviour, SECOND, World, config, restart};
use model::service::{FailureAction, MAX_REVISIONS, RevisionCause, UpdateOrder, UpdateState};
use model::task::RestartCondition;
use model::{Change, Mode, TaskState, TaskStatus};
use std::time::Duration;

fn back(action: FailureAction) -> impl FnOnce(&mut model::ServiceSpec) {
    move |s| {
        s.update = config(|c| c.failure_action = action);
        s.rollback = config(|c| c.delay = 10 * SECOND);
    }
}

#[test]
fn a_failed_update_goes_back_under_the_rollback_configuration() {
    let mut world = World::new();
    world.create(3, |s| {
        back(FailureAction::Rollback)(s);
        if let Some(update) = &mut s.update {
            update.parallelism = 0;
        }
    });
    world.update(|s| image(s, "other"));
    world.pass(2 * SECOND);
    world.end(1, TaskState::Failed);
    let status = world.status().clone();
    assert_eq!(status.state, UpdateState::RollbackStarted);
    let told = "update rolled back due to failure or early termination of task ";
    assert!(status.message.starts_with(told), "{}", status.message);
    assert_eq!(status.total_slots, 3);
    let service = world.service();
    assert_eq!(service.spec.task.container.image, "good");
    let failed = service
        .previous_spec
        .as_ref()
        .expect("the failed one is kept");
    assert_eq!(failed.task.container.image, "other");
    let causes: Vec<RevisionCause> = service.history.iter().map(|r| r.cause).collect();
    assert_eq!(
        causes,
        [
            RevisionCause::Create,
            RevisionCause::Update,
            RevisionCause::FailedUpdate
        ]
    );
    let back = |world: &World| {
        let wanted = world.store.tasks().filter(|t| t.is_wanted());
        wanted.filter(|t| t.spec.container.image == "good").count()
    };
    assert_eq!(back(&world), 1, "the delay of the rollback configuration");
    assert_eq!(world.running(), 3);
    world.change_leader();
    world.pass(10 * SECOND);
    assert_eq!(back(&world), 2);
    world.pass(60 * SECOND);
    let status = world.status();
    assert_eq!(
        (status.state, status.message.as_str()),
        (UpdateState::RollbackCompleted, "rollback completed")
    );
    assert_eq!(world.running(), 3);
}

#[test]
fn a_rolled_back_update_can_be_tried_again() {
    let mut world = World::new();
    world.create(2, back(FailureAction::Rollback));
    world.update(|s| image(s, "bad"));
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackCompleted));
    world.behaviours.remove("bad");
    world.roll_back();
    world.pass(60 * SECOND);
    assert_eq!(world.service().spec.task.container.image, "bad");
    let status = world.status();
    assert_eq!(status.state, UpdateState::RollbackCompleted);
    let images = world.store.tasks().filter(|t| t.is_wanted());
    assert!(images.into_iter().all(|t| t.spec.container.image == "bad"));
}

#[test]
fn a_rollback_that_fails_pauses() {
    for action in [FailureAction::Pause, FailureAction::Rollback] {
        let mut world = World::new();
        world.create(2, |s| {
            image(s, "bad");
            s.rollback = config(|c| c.failure_action = action);
        });
        world.update(|s| image(s, "good"));
        world.pass(60 * SECOND);
        world.roll_back();
        world.pass(60 * SECOND);
        let status = world.status().clone();
        assert_eq!(status.state, UpdateState::RollbackPaused);
        let told = "rollback paused due to failure or early termination of task ";
        assert!(status.message.starts_with(told), "{}", status.message);
        assert_eq!(
            world.running(),
            1,
            "only one slot was tried: {}",
            world.show()
        );
        world.change_leader();
        world.pass(3600 * SECOND);
        assert_eq!(world.update_state(), Some(UpdateState::RollbackPaused));
    }
}

#[test]
fn a_rollback_may_go_on_though_it_fails() {
    let mut world = World::new();
    world.create(2, |s| {
        image(s, "bad");
        s.rollback = config(|c| c.failure_action = FailureAction::Continue);
    });
    world.update(|s| image(s, "good"));
    world.pass(60 * SECOND);
    world.roll_back();
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackStarted));
    world.behaviours.remove("bad");
    world.pass(600 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::RollbackCompleted), 2)
    );
}

#[test]
fn scaling_in_the_middle_does_not_hide_where_to_go_back_to() {
    let mut world = World::new();
    world.create(3, back(FailureAction::Rollback));
    world.update(|s| {
        image(s, "hung");
        s.labels.insert("a".into(), "b".into());
    });
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(4) });
    world.behaviours.insert("hung", Behaviour::Fails);
    world.settle();
    world.pass(120 * SECOND);
    let service = world.service();
    assert_eq!(service.spec.task.container.image, "good");
    assert_eq!(service.spec.replicas(), 4, "the scale stays");
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::RollbackCompleted), 4)
    );
}

#[test]
fn without_an_older_specification_a_failed_update_pauses() {
    let mut world = World::new();
    world.create(1, |s| {
        back(FailureAction::Rollback)(s);
        if let Some(update) = &mut s.update {
            update.order = UpdateOrder::StartFirst;
        }
    });
    world.update(|s| image(s, "hung"));
    for parallelism in 0..MAX_REVISIONS as u64 {
        world.update(|s| {
            if let Some(update) = &mut s.update {
                update.parallelism = parallelism;
            }
        });
    }
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.update(|s| {
        s.labels.insert("a".into(), "b".into());
        image(s, "hung");
    });
    world.behaviours.insert("hung", Behaviour::Fails);
    world.settle();
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
    let told = " (there is no older specification to go back to)";
    assert!(
        world.status().message.ends_with(told),
        "{}",
        world.status().message
    );
    assert_eq!(world.running(), 1, "the old one");
}

#[test]
fn a_failed_task_of_the_failed_spec_does_not_delay_the_way_back() {
    let mut world = World::new();
    world.create(4, |s| {
        back(FailureAction::Rollback)(s);
        if let Some(update) = &mut s.update {
            update.parallelism = 0;
        }
    });
    world.update(|s| image(s, "bad"));
    assert_eq!(world.update_state(), Some(UpdateState::RollbackStarted));
    assert_eq!(world.running(), 4, "what is out comes back at once");
}

#[test]
fn an_update_without_progress_fails_after_its_deadline() {
    for (action, state) in [
        (FailureAction::Pause, UpdateState::Paused),
        (FailureAction::Rollback, UpdateState::RollbackCompleted),
        (FailureAction::Continue, UpdateState::Paused),
    ] {
        let mut world = World::new();
        world.create(3, |s| {
            s.update = config(|c| {
                c.failure_action = action;
                c.order = UpdateOrder::StartFirst;
            });
            s.progress_deadline = Some(120 * SECOND);
        });
        world.update(|s| image(s, "hung"));
        world.pass(119 * SECOND);
        assert_eq!(world.update_state(), Some(UpdateState::Updating));
        let id = world.ids().into_iter().max().expect("a task");
        world.change_leader();
        world.pass(SECOND);
        assert_eq!(
            world.status().message,
            format!("no progress for 2m0s: task {id} is STARTING (unhealthy)")
        );
        world.pass(60 * SECOND);
        assert_eq!(world.update_state(), Some(state));
        assert_eq!(world.running(), 3, "the old ones ran all the time");
    }
}

#[test]
fn the_way_back_has_the_deadline_of_the_update_that_failed() {
    let mut world = World::new();
    world.create(2, |s| {
        s.update = config(|c| c.failure_action = FailureAction::Rollback);
    });
    world.update(|s| {
        image(s, "hung");
        s.progress_deadline = Some(60 * SECOND);
    });
    world.behaviours.insert("good", Behaviour::Hangs);
    world.pass(61 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackStarted));
    world.pass(55 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackStarted));
    world.pass(10 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackPaused));
    let message = &world.status().message;
    assert!(message.starts_with("no progress for 1m0s"), "{message}");
}

#[test]
fn without_a_deadline_an_update_waits_for_ever_as_in_docker() {
    let mut world = World::new();
    world.create(1, |s| {
        s.update = config(|c| c.order = UpdateOrder::StartFirst)
    });
    world.update(|s| image(s, "hung"));
    world.pass(Duration::from_secs(48 * 3600));
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
}

#[test]
fn the_deadline_counts_from_the_last_slot_and_allows_for_pauses() {
    let mut world = World::new();
    world.create(4, |s| {
        s.update = config(|c| c.delay = 50 * SECOND);
        s.progress_deadline = Some(30 * SECOND);
    });
    world.update(super::force);
    world.pass(300 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Completed));
    let status = world.status().clone();
    let ran = world.store.tasks().filter_map(|t| t.running_at).max();
    assert_eq!(status.progressed_at, ran);
}

#[test]
fn a_task_that_finds_no_node_is_named_with_its_reason() {
    let mut world = World::new();
    world.create(1, |s| s.progress_deadline = Some(60 * SECOND));
    world.update(|s| super::world::constraints(s, &["node.labels.gone==1"]));
    world.pass(61 * SECOND);
    let message = &world.status().message;
    assert!(
        message.starts_with("no progress for 1m0s: task "),
        "{message}"
    );
    assert!(message.ends_with(" is PENDING"), "{message}");
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
}

#[test]
fn a_rollback_by_hand_runs_under_its_own_configuration() {
    let mut world = World::new();
    world.create(6, |s| {
        restart(s, RestartCondition::Any, 0);
        s.rollback = config(|c| c.parallelism = 3);
    });
    world.update(|s| image(s, "other"));
    world.pass(60 * SECOND);
    world.fewest_running = Some(usize::MAX);
    world.roll_back();
    assert_eq!(world.fewest_running, Some(3), "three at a time");
    assert_eq!(world.status().message, "manually requested rollback");
    assert_eq!(world.status().total_slots, 6);
    world.pass(60 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackCompleted));
}

#[test]
fn a_task_that_moves_while_the_update_is_monitored_has_its_own_time() {
    let mut world = World::new();
    world.create(3, |s| {
        s.update = config(|c| {
            c.parallelism = 0;
            c.monitor = Some(600 * SECOND);
        });
        s.progress_deadline = Some(30 * SECOND);
    });
    world.update(super::force);
    world.pass(300 * SECOND);
    let node = world.live(1).node.clone().expect("placed");
    world.behaviours.insert("good", Behaviour::Hangs);
    world.node_state(node.as_str(), model::NodeState::Down);
    world.pass(29 * SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Updating));
    world.pass(SECOND);
    assert_eq!(world.update_state(), Some(UpdateState::Paused));
}

#[test]
fn the_deadline_tells_of_the_health_check_and_not_of_the_state_twice() {
    let mut world = World::new();
    world.create(1, |s| s.progress_deadline = Some(60 * SECOND));
    world.behaviours.insert("quiet", Behaviour::Hangs);
    world.update(|s| image(s, "quiet"));
    let id = world.live(1).id.clone();
    let why = "health check failed in the start period";
    world.commit(vec![Change::SetTaskStatus {
        id: id.clone(),
        status: TaskStatus::new(TaskState::Starting, world.now, &format!("starting: {why}")),
    }]);
    world.pass(61 * SECOND);
    let expected = format!("no progress for 1m0s: task {id} is STARTING ({why})");
    assert_eq!(world.status().message, expected);
}

#[test]
fn a_rollback_is_monitored_as_its_own_configuration_says() {
    for (after, state) in [
        (39, UpdateState::RollbackPaused),
        (41, UpdateState::RollbackCompleted),
    ] {
        let mut world = World::new();
        world.create(1, |s| {
            s.update = config(|c| c.monitor = Some(SECOND));
            s.rollback = config(|c| c.monitor = Some(40 * SECOND));
        });
        world.update(|s| image(s, "other"));
        world.pass(60 * SECOND);
        world.roll_back();
        world.pass(after * SECOND);
        world.end(1, TaskState::Failed);
        world.pass(600 * SECOND);
        assert_eq!(world.update_state(), Some(state), "{after}");
    }
}

#[test]
fn a_rollback_in_the_middle_touches_only_what_was_updated() {
    let mut world = World::new();
    world.create(4, |s| s.update = config(|c| c.delay = 60 * SECOND));
    let before = world.ids();
    world.update(|s| image(s, "other"));
    world.pass(61 * SECOND);
    world.roll_back();
    world.pass(600 * SECOND);
    let kept = before.iter().filter(|id| world.ids().contains(id)).count();
    assert_eq!(
        kept,
        2,
        "two were replaced, there and back: {}",
        world.show()
    );
    assert_eq!(world.status().total_slots, 2);
    assert_eq!(world.update_state(), Some(UpdateState::RollbackCompleted));
}

#[test]
fn a_slot_that_ended_for_good_under_the_failed_spec_goes_back_too() {
    let mut world = World::new();
    world.create(1, |s| {
        restart(s, RestartCondition::None, 0);
        s.update = config(|c| c.failure_action = FailureAction::Rollback);
    });
    world.update(|s| image(s, "bad"));
    world.pass(60 * SECOND);
    assert_eq!(
        (world.update_state(), world.running()),
        (Some(UpdateState::RollbackCompleted), 1),
        "{}",
        world.show()
    );
}
