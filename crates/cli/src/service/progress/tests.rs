use super::modes::favourites;
use super::*;
use crate::board::tests::Shared;
use crate::client::{Client, Host};
use crate::console::Console;
use api_types::service::{
    GlobalService, ReplicatedService, ServiceMode, UpdateConfig, UpdateStatus,
};
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
        given_up: None,
    }
}

fn session(out: &Shared) -> Session {
    Session {
        client: Client::new(Host::parse("/nowhere").unwrap(), None),
        console: Console::new(out.clone(), std::io::sink()),
        config: None,
    }
}

fn play(looks: &[Look]) -> (String, Option<Result<()>>) {
    let out = Shared::default();
    let mut session = session(&out);
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
fn without_tasks_there_is_nothing_to_verify() {
    let look = || {
        let mut look = seen(0, vec![], None);
        look.service.spec.update_config = None;
        look
    };
    let (text, end) = play(&[look(), look()]);
    assert!(matches!(end, Some(Ok(()))), "{text}");
    assert!(!text.contains("Waiting"), "{text}");
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

fn job_look(mode: api_types::service::ServiceMode, tasks: Vec<Task>) -> Look {
    let mut look = seen(1, tasks, None);
    look.service.spec.mode = mode;
    look.service.job_status = Some(Default::default());
    for task in &mut look.tasks {
        task.job_iteration = Some(Default::default());
    }
    look
}

fn replicated_job(total: u64, concurrent: u64) -> api_types::service::ServiceMode {
    let job = api_types::service::ReplicatedJob {
        max_concurrent: Some(concurrent),
        total_completions: Some(total),
    };
    api_types::service::ServiceMode {
        replicated_job: Some(job),
        ..Default::default()
    }
}

#[test]
fn a_job_ends_when_all_its_tasks_did() {
    // Wherever the counting of slots begins.
    for first in [0, 1] {
        let look = |tasks| job_look(replicated_job(2, 1), tasks);
        let (text, end) = play(&[
            look(vec![]),
            look(vec![task(first, "complete", "running", "")]),
            look(vec![
                task(first, "complete", "complete", ""),
                task(first + 1, "complete", "failed", "task: non-zero exit (1)"),
                task(first + 1, "complete", "preparing", ""),
            ]),
            look(vec![
                task(first, "complete", "complete", ""),
                task(first + 1, "complete", "complete", ""),
            ]),
        ]);
        assert!(matches!(end, Some(Ok(()))), "{text}");
        let expected = [
            "job progress: 0 out of 2 complete",
            "active tasks: 0 out of 1 tasks",
            "1/2: running",
            "active tasks: 1 out of 1 tasks",
            "1/2: complete",
            "2/2: preparing",
            "job progress: 1 out of 2 complete",
            "2/2: complete",
            "job progress: 2 out of 2 complete",
            "active tasks: 0 out of 0 tasks",
            "job complete",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}

#[test]
fn a_slot_that_is_given_up_ends_the_wait_at_the_second_look() {
    let last = |id: &str| Task {
        id: id.into(),
        ..task(1, "shutdown", "failed", "task: non-zero exit (1)")
    };
    let look = |id: &str| Look {
        given_up: Some(last(id)),
        ..seen(1, vec![last(id)], None)
    };
    let other = || seen(1, vec![task(1, "running", "starting", "")], None);
    let end = |looks: &[Look]| play(looks).1;
    assert!(end(&[look("a")]).is_none());
    assert!(end(&[look("a"), look("b")]).is_none());
    assert!(end(&[look("a"), other(), look("a")]).is_none());
    let why = end(&[look("a"), look("a")]).unwrap().unwrap_err();
    assert!(
        why.to_string().ends_with(
            "a failed and will not be started again (restart policy): task: non-zero exit (1)"
        ),
        "{why}"
    );
}

#[test]
fn a_slot_that_is_given_up_after_a_rollback_ends_the_wait() {
    let last = || Task {
        id: "a".into(),
        ..task(1, "shutdown", "failed", "")
    };
    let look = |state: &str| Look {
        given_up: (state == "rollback_completed").then(last),
        ..seen(1, vec![last()], Some((state, "because of b")))
    };
    let (_, end) = play(&[
        look("rollback_started"),
        look("rollback_completed"),
        look("rollback_completed"),
    ]);
    let why = end.unwrap().unwrap_err().to_string();
    assert!(
        why.starts_with("service update rolled back: because of b; task "),
        "{why}"
    );
    assert!(
        why.ends_with("a failed and will not be started again (restart policy)"),
        "{why}"
    );
}

#[test]
fn a_global_job_waits_for_the_nodes_of_its_beginning() {
    let mode = || api_types::service::ServiceMode {
        global_job: Some(Default::default()),
        ..Default::default()
    };
    let on = |node: &str, state: &str| Task {
        node_id: node.into(),
        ..task(0, "complete", state, "")
    };
    let (text, end) = play(&[
        job_look(mode(), vec![]),
        job_look(mode(), vec![on("n1", "running")]),
        job_look(mode(), vec![on("n1", "complete"), on("n2", "running")]),
    ]);
    assert!(matches!(end, Some(Ok(()))), "{text}");
    let expected = [
        "job progress: waiting for tasks",
        "job progress: 0 out of 1 complete",
        "n1: running",
        "n1: complete",
        "job progress: 1 out of 1 complete",
        "job complete",
        "",
    ];
    assert_eq!(text, expected.join("\n"));
}

#[test]
fn a_global_service_is_shown_node_by_node() {
    let mut look = seen(1, vec![], None);
    look.service.spec.mode = api_types::service::ServiceMode {
        global: Some(Default::default()),
        ..Default::default()
    };
    let empty = || Look {
        service: look.service.clone(),
        tasks: vec![],
        active: look.active.clone(),
        given_up: None,
    };
    let with = |state: &str| Look {
        tasks: vec![task(0, "running", state, "")],
        ..empty()
    };
    let (text, _) = play(&[empty(), with("preparing"), with("running")]);
    let told: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("Waiting"))
        .collect();
    let expected = [
        "overall progress: waiting for new tasks",
        "overall progress: 0 out of 1 tasks",
        "n1: preparing",
        "n1: running",
        "overall progress: 1 out of 1 tasks",
    ];
    assert_eq!(told, expected);
}

#[test]
fn many_tasks_are_only_counted() {
    let tasks = |state: &str| {
        (1..=21)
            .map(|slot| task(slot, "running", state, ""))
            .collect()
    };
    let (text, _) = play(&[
        seen(21, tasks("starting"), None),
        seen(21, tasks("running"), None),
    ]);
    let told: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("Waiting"))
        .collect();
    let expected = [
        "overall progress: 0 out of 21 tasks",
        "overall progress: 21 out of 21 tasks",
    ];
    assert_eq!(told, expected);
}

#[test]
fn tasks_that_are_replaced_do_not_count() {
    let mut watch = Watch::new(Wait::new("web", true).replacing(vec!["old".into()]));
    let out = Shared::default();
    let mut session = Session {
        client: Client::new(Host::parse("/nowhere").unwrap(), None),
        console: Console::new(out, std::io::sink()),
        config: None,
    };
    let named = |id: &str| Task {
        id: id.into(),
        ..task(1, "running", "running", "")
    };
    // The paused update of long ago is none of our business.
    let look = |id: &str| seen(1, vec![named(id)], Some(("paused", "long ago")));
    assert!(watch.judge(&mut session, &look("old")).unwrap().is_none());
    assert!(!watch.converged);
    assert!(watch.judge(&mut session, &look("new")).unwrap().is_none());
    assert!(watch.converged);
}

#[test]
fn a_stopped_service_is_not_waited_for() {
    let mut look = seen(0, vec![], None);
    look.service.spec.starling.get_or_insert_default().stopped =
        api_types::starling::Change::Set(Default::default());
    let (text, end) = play(&[look]);
    assert!(matches!(end, Some(Ok(()))));
    assert_eq!(
        text,
        "stopped: nothing runs until 'starling service start web'\n"
    );
}

#[test]
fn a_global_service_without_tasks_asks_why_after_some_time() {
    let mut look = seen(0, vec![], None);
    look.service.spec.mode = ServiceMode {
        global: Some(GlobalService {}),
        ..ServiceMode::default()
    };
    let out = Shared::default();
    let mut session = session(&out);
    let mut watch = Watch::new(Wait::new("web", false));
    watch.judge(&mut session, &look).unwrap();
    assert!(!watch.lacks_tasks(), "the orchestrator has its time");
    let before = Instant::now().checked_sub(NO_TASK_PATIENCE).unwrap();
    watch.no_task_since = Some(before);
    watch.judge(&mut session, &look).unwrap();
    assert!(watch.lacks_tasks());
    watch.judge(&mut session, &look).unwrap();
    assert!(!watch.lacks_tasks(), "asked again at once");
    watch.no_task_since = Some(before);
    look.tasks = vec![task(0, "running", "preparing", "")];
    watch.judge(&mut session, &look).unwrap();
    assert!(!watch.lacks_tasks(), "there is a task");
}
