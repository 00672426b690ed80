use super::*;
use api_types::service::{ReplicatedJob, ReplicatedService, ServiceMode, UpdateStatus};
use api_types::task::{RestartPolicy, TaskStatus};
use api_types::{Timestamp, Version};

/// A task that ended in slot 1 and is given up; created at the second of its number.
fn ended(number: i64, state: &str, policy: RestartPolicy) -> Task {
    let mut task = Task {
        id: format!("t{number}"),
        slot: 1,
        node_id: "n1".into(),
        created_at: Timestamp::new(number, 0),
        desired_state: "shutdown".into(),
        status: TaskStatus {
            state: state.into(),
            ..TaskStatus::default()
        },
        ..Task::default()
    };
    task.spec.restart_policy = Some(policy);
    task
}

fn policy(condition: &str, attempts: u64) -> RestartPolicy {
    RestartPolicy {
        condition: condition.into(),
        max_attempts: Some(attempts),
        ..RestartPolicy::default()
    }
}

fn failed(number: i64) -> Task {
    ended(number, "failed", policy("none", 0))
}

fn of_mode(mode: ServiceMode) -> Service {
    let mut service = Service::default();
    service.spec.name = "web".into();
    service.spec.mode = mode;
    service
}

fn replicated(replicas: u64) -> Service {
    of_mode(ServiceMode {
        replicated: Some(ReplicatedService {
            replicas: Some(replicas),
        }),
        ..ServiceMode::default()
    })
}

fn job() -> Service {
    let mut service = of_mode(ServiceMode {
        replicated_job: Some(ReplicatedJob::default()),
        ..ServiceMode::default()
    });
    service
        .job_status
        .get_or_insert_default()
        .job_iteration
        .index = 7;
    service
}

fn node(availability: &str, state: &str) -> Node {
    let mut node = Node {
        id: "n1".into(),
        ..Node::default()
    };
    node.spec.availability = availability.into();
    node.status.state = state.into();
    node
}

fn found(service: &Service, tasks: &[Task]) -> Option<String> {
    let nodes = [node("active", "ready")];
    find(service, &nodes, tasks, tasks).map(|task| task.id.clone())
}

#[test]
fn the_restart_policy_must_be_one_that_gives_up() {
    let given_up = |state, condition, attempts| {
        let task = ended(1, state, policy(condition, attempts));
        found(&replicated(1), &[task]).is_some()
    };
    assert!(given_up("failed", "none", 0));
    assert!(given_up("rejected", "any", 2));
    assert!(given_up("complete", "on-failure", 0));
    assert!(!given_up("failed", "on-failure", 0));
    assert!(!given_up("complete", "any", 0));
    assert!(!given_up("shutdown", "none", 0));
    let mut unlimited = failed(1);
    unlimited.spec.restart_policy = None;
    assert_eq!(found(&replicated(1), &[unlimited]), None);
}

#[test]
fn a_slot_with_a_task_that_is_wanted_is_not_given_up() {
    let service = replicated(1);
    for desired in ["ready", "running", "complete"] {
        let mut other = failed(2);
        other.desired_state = desired.into();
        assert_eq!(found(&service, &[failed(1), other.clone()]), None);
        other.created_at = Timestamp::new(0, 0);
        assert_eq!(found(&service, &[failed(1), other]), None);
    }
    assert_eq!(
        found(&service, &[failed(2), failed(1)]).as_deref(),
        Some("t2")
    );
    let mut removed = failed(1);
    removed.desired_state = "remove".into();
    assert_eq!(found(&service, &[removed]), None);
}

#[test]
fn only_the_present_spec_counts() {
    let all = [failed(1), failed(2)];
    assert!(find(&replicated(1), &[], &all, &all).is_some());
    // The newest task of the slot is of another spec, so the slot is still to be updated.
    assert!(find(&replicated(1), &[], &all, &all[..1]).is_none());
}

#[test]
fn what_is_stopped_scaled_down_or_updated_is_not_given_up() {
    let mut other = failed(2);
    other.slot = 2;
    let both = [failed(1), other];
    assert!(found(&replicated(2), &both).is_some());
    assert_eq!(found(&replicated(1), &both), None);

    let mut service = replicated(1);
    for (state, expected) in [
        ("updating", false),
        ("paused", false),
        ("rollback_started", false),
        ("rollback_paused", false),
        ("rollback_completed", true),
        ("completed", true),
    ] {
        service.update_status = Some(UpdateStatus {
            state: state.into(),
            ..UpdateStatus::default()
        });
        assert_eq!(found(&service, &[failed(1)]).is_some(), expected, "{state}");
    }
    let ours = service.spec.starling.get_or_insert_default();
    ours.stopped = api_types::starling::Change::Set(Default::default());
    assert_eq!(found(&service, &[failed(1)]), None);
}

#[test]
fn a_job_is_done_when_it_completes_and_lost_when_its_present_run_failed() {
    let of_run = |run, state| Task {
        job_iteration: Some(Version { index: run }),
        ..ended(1, state, policy("any", 2))
    };
    assert!(found(&job(), &[of_run(7, "failed")]).is_some());
    assert_eq!(found(&job(), &[of_run(7, "complete")]), None);
    assert_eq!(found(&job(), &[of_run(6, "failed")]), None);
}

#[test]
fn a_global_service_is_lost_on_nodes_that_would_take_a_task() {
    let service = of_mode(ServiceMode {
        global: Some(Default::default()),
        ..ServiceMode::default()
    });
    let mut task = failed(1);
    task.slot = 0;
    let tasks = [task];
    let on = |node: Node| find(&service, &[node], &tasks, &tasks).is_some();
    assert!(on(node("active", "ready")));
    assert!(!on(node("pause", "ready")));
    assert!(!on(node("drain", "ready")));
    assert!(!on(node("active", "down")));
}

#[test]
fn the_reason_names_the_task() {
    let mut task = failed(1);
    task.id = "0123456789abcdef".into();
    task.status.err = "task: non-zero exit (1)".into();
    assert_eq!(
        reason(&replicated(1), &task),
        "task web.1.0123456789ab failed and will not be started again (restart policy): task: non-zero exit (1)"
    );
    assert!(reason(&job(), &task).starts_with("task web.2.0123456789ab failed "));
    let task = ended(1, "complete", policy("none", 0));
    assert_eq!(
        reason(&replicated(1), &task),
        "task web.1.t1 is complete and will not be started again (restart policy)"
    );
}
