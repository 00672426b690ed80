use super::modes::favourites;
use super::*;
use crate::board::tests::Shared;
use crate::client::{Client, Host};
use crate::console::Console;
use api_types::service::{ReplicatedService, UpdateConfig, UpdateStatus};
use api_types::task::TaskStatus;

fn task(slot: i64, desired: &str, state: &str, err: &str) -> Task {
    let status = TaskStatus {
        state: state.into(),
        err: err.into(),
        ..TaskStatus::default()
    };
    Task {
        slot,
        desired_state: desired.into(),
        status,
        node_id: "n1".into(),
        ..Task::default()
    }
}

fn seen(replicas: u64, tasks: Vec<Task>, update: Option<(&str, &str)>) -> Look {
    let mut service = Service::default();
    service.spec.mode.replicated = Some(ReplicatedService {
        replicas: Some(replicas),
    });
    service.spec.update_config = Some(UpdateConfig {
        monitor: 1,
        ..UpdateConfig::default()
    });
    service.update_status = update.map(|(state, message)| UpdateStatus {
        state: state.into(),
        message: message.into(),
        ..UpdateStatus::default()
    });
    Look {
        service,
        tasks,
        active: ["n1".to_owned()].into(),
    }
}

fn play(looks: &[Look]) -> (String, Option<Result<()>>) {
    let out = Shared::default();
    let mut session = Session {
        client: Client::new(Host::parse("/nowhere").unwrap(), None),
        console: Console::new(out.clone(), std::io::sink()),
        config: None,
    };
    let mut watch = Watch::new(Wait::new("web", false));
    let mut end = None;
    for look in looks {
        end = watch.judge(&mut session, look).unwrap();
    }
    (out.text(), end)
}

#[test]
fn until_it_stays_up() {
    let up = || seen(1, vec![task(1, "running", "running", "")], None);
    let (text, end) = play(&[
        seen(1, vec![], None),
        seen(1, vec![task(1, "running", "preparing", "")], None),
        up(),
        up(),
    ]);
    assert!(matches!(end, Some(Ok(()))), "{text}");
    // Whether there is still something to wait for depends on the clock.
    let told: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("Waiting"))
        .collect();
    assert_eq!(
        told,
        [
            "overall progress: 0 out of 1 tasks",
            "1/1: preparing",
            "1/1: running",
            "overall progress: 1 out of 1 tasks",
            "verify: Service web converged"
        ]
    );
}

#[test]
fn failures_are_shown_and_a_pause_ends_it() {
    let (text, end) = play(&[
        seen(
            2,
            vec![
                task(1, "running", "running", ""),
                task(
                    2,
                    "ready",
                    "pending",
                    "no suitable node (1 node not available for new tasks)",
                ),
            ],
            None,
        ),
        seen(
            2,
            vec![],
            Some((
                "paused",
                "update paused due to failure or early termination of task x",
            )),
        ),
    ]);
    assert!(
        text.contains("2/2: no suitable node (1 node not available for new tasks)\n"),
        "{text}"
    );
    assert_eq!(
        end.unwrap().unwrap_err().to_string(),
        "service update paused: update paused due to failure or early termination of task x"
    );
}

#[test]
fn of_two_tasks_in_a_slot_the_new_one_counts() {
    let tasks = [
        task(1, "running", "running", ""),
        task(1, "running", "starting", ""),
        task(1, "shutdown", "shutdown", ""),
        task(2, "remove", "running", ""),
    ];
    let all: Vec<&Task> = tasks.iter().collect();
    let chosen = favourites(&all, |task| task.slot, |_| true);
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[&1].status.state, "starting");
    let (_, end) = play(&[seen(1, tasks.to_vec(), None)]);
    assert!(end.is_none());
}

#[test]
fn tasks_on_lost_nodes_do_not_count() {
    let mut lost = task(1, "running", "running", "");
    lost.node_id = "gone".into();
    let (text, end) = play(&[seen(1, vec![lost], None)]);
    assert!(
        end.is_none() && text.ends_with("overall progress: 0 out of 1 tasks\n"),
        "{text}"
    );
}

#[test]
fn an_update_that_was_done_before_we_looked() {
    assert!(matches!(
        play(&[seen(1, vec![], Some(("completed", "update completed")))]).1,
        Some(Ok(()))
    ));
}
