//! Tasks from assignment to removal, through restarts of the agent.

use super::dispatcher::{Answer, Manager, Session};
use super::fakes::{Node, task};
use crate::actions::STARTS_PER_CORE;
use crate::worker::Health;
use crate::worker::tests::bench::{payload, task_with};
use model::DesiredState::{Ready, Running, Shutdown};
use model::payload::PayloadData;
use model::service::RegistryAuth;
use model::{Payload, PayloadSpec, TaskState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

async fn until(what: &str, holds: impl Fn() -> bool) {
    super::dispatcher::in_time(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn begin(manager: &Manager) -> Session {
    manager.session().await.0
}

#[tokio::test]
async fn a_task_runs_is_stopped_and_removed() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Ready)]).await;
    session.reaches("a", TaskState::Ready).await;
    assert!(!node.host.called("start a"));
    session.assign(2, false, &[task("a", Running)]).await;
    let status = session.reaches("a", TaskState::Running).await;
    assert_eq!(status.container.unwrap().id, "c-a");
    session.assign(3, false, &[task("a", Shutdown)]).await;
    let status = session.reaches("a", TaskState::Shutdown).await;
    assert_eq!(status.container.unwrap().exit_code, 143);
    session.assign(4, true, &[]).await;
    until("removal", || node.host.called("remove a")).await;
    until("an empty journal", || {
        node.journal.rows.lock().unwrap().len() == 1
    })
    .await;
}

#[tokio::test]
async fn ends_and_rejections_are_reported_with_their_reason() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    node.host.imageless.lock().unwrap().insert("b".into());
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session
        .assign(1, true, &[task("a", Running), task("b", Running)])
        .await;
    let mut seen = vec![];
    while seen.len() < 2 {
        let status = session
            .report(|_, status| status.state >= TaskState::Running)
            .await;
        seen.push((status.state, status.error));
    }
    seen.sort();
    let rejected = (TaskState::Rejected, "No such image: web:9".to_owned());
    assert_eq!(seen, [(TaskState::Running, String::new()), rejected]);
    node.host.ends("a", 3);
    let failed = session.reaches("a", TaskState::Failed).await;
    assert_eq!(failed.error, "task: non-zero exit (3)");
}

#[tokio::test]
async fn a_stop_cancels_a_preparation_that_takes_for_ever() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    node.host.stuck.lock().unwrap().insert("a".into());
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    until("the preparation", || node.host.called("prepare a")).await;
    session.assign(2, true, &[task("a", Shutdown)]).await;
    session.reaches("a", TaskState::Shutdown).await;
}

#[tokio::test]
async fn many_tasks_start_beside_one_another_and_share_journal_writes() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    let tasks: Vec<_> = (0..100)
        .map(|n| task(&format!("t{n:03}"), Running))
        .collect();
    session.assign(1, true, &tasks).await;
    until("all to run", || node.host.running().len() == tasks.len()).await;
    let mut running = std::collections::BTreeSet::new();
    while running.len() < tasks.len() {
        let known = running.clone();
        let fresh = std::cell::RefCell::new(None);
        session
            .report(|id, status| {
                let new = status.state == TaskState::Running && !known.contains(id);
                if new {
                    fresh.replace(Some(id.clone()));
                }
                new
            })
            .await;
        // One report carries many; the rest is found in the node's own words.
        running.extend(fresh.into_inner());
        if running.len() > 1 {
            break;
        }
    }
    let most = node.host.most_starting.load(Ordering::SeqCst);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(
        most > 1 && most <= cores * STARTS_PER_CORE,
        "{most} at once"
    );
    let writes = node.journal.writes.load(Ordering::SeqCst);
    assert!(writes < tasks.len(), "{writes} journal writes");
}

#[tokio::test]
async fn a_restarted_agent_adopts_what_runs() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session
        .assign(7, true, &[task("a", Running), task("b", Running)])
        .await;
    until("both to run", || node.host.running() == ["a", "b"]).await;
    session.reaches("b", TaskState::Running).await;
    agent.shutdown().await;
    drop(session);
    assert_eq!(node.host.running(), ["a", "b"]);
    node.host.ends("a", 1);
    node.host.calls.lock().unwrap().clear();
    let _agent = node.start(&[&manager.addr]).await;
    let (mut session, hello) = manager.session().await;
    assert_eq!(hello.last_index, 7);
    session.reaches("a", TaskState::Failed).await;
    session
        .assign(7, true, &[task("a", Running), task("b", Running)])
        .await;
    node.host.ends("b", 0);
    session.reaches("b", TaskState::Complete).await;
    assert_eq!(node.host.calls.lock().unwrap().as_slice(), [] as [&str; 0]);
}

#[tokio::test]
async fn tasks_live_through_the_loss_of_the_session() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    session.reaches("a", TaskState::Running).await;
    drop(session);
    let mut session = begin(&manager).await;
    // Told again: the new leader may not know.
    session.reaches("a", TaskState::Running).await;
    assert_eq!(node.host.running(), ["a"]);
}

#[tokio::test]
async fn nothing_begins_before_the_journal_is_written() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    node.journal.failures.store(1, Ordering::SeqCst);
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    until("a failed write", || {
        node.journal.failures.load(Ordering::SeqCst) == 0
    })
    .await;
    assert!(!node.host.called("prepare a"));
    session.reaches("a", TaskState::Running).await;
    assert!(node.journal.writes.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn tasks_say_that_the_journal_cannot_be_written() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("old", Running)]).await;
    session.reaches("old", TaskState::Running).await;
    node.journal.failures.store(usize::MAX, Ordering::SeqCst);
    let why = |status: &model::TaskStatus| status.error.ends_with(": disk full");
    let (old, a, b) = (task("old", Running), task("a", Running), task("b", Running));
    session.assign(2, true, &[old.clone(), a.clone()]).await;
    let told = |id: &model::TaskId, status: &model::TaskStatus| id.as_str() == "a" && why(status);
    let status = session.report(told).await;
    assert_eq!(status.state, TaskState::Preparing);
    // It takes in what else comes, and tells the truth: what the manager knows already.
    session.assign(3, true, &[old, a, b]).await;
    let told = |id: &model::TaskId, status: &model::TaskStatus| id.as_str() == "b" && why(status);
    session.report(told).await;
    node.host.ends("old", 1);
    let told = |id: &model::TaskId, status: &model::TaskStatus| id.as_str() == "old" && why(status);
    let status = session.report(told).await;
    assert_eq!(status.state, TaskState::Running);
    assert!(!node.host.called("prepare a"));
    node.journal.failures.store(0, Ordering::SeqCst);
    let last = std::cell::RefCell::new(std::collections::BTreeMap::new());
    let ends = |id: &model::TaskId, status: &model::TaskStatus| {
        let told = (status.state, status.error.clone());
        let mut last = last.borrow_mut();
        last.insert(id.to_string(), told);
        let ran = |id| last.get(id) == Some(&(TaskState::Running, String::new()));
        let failed = (TaskState::Failed, "task: non-zero exit (1)".to_owned());
        ran("a") && ran("b") && last.get("old") == Some(&failed)
    };
    session.report(ends).await;
}

#[tokio::test]
async fn a_task_runs_when_its_health_check_says_so() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let check = watch::Sender::new(Health::Starting(String::new()));
    let checks = || node.host.health.lock().unwrap();
    checks().insert("a".into(), check.clone());
    let agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    let why = "health probe failed 2 of 3 times: no";
    check.send_replace(Health::Starting(why.into()));
    let waits = |_: &model::TaskId, status: &model::TaskStatus| status.error == why;
    let status = session.report(waits).await;
    assert_eq!(status.state, TaskState::Starting);
    check.send_replace(Health::Healthy);
    let status = session.reaches("a", TaskState::Running).await;
    assert_eq!(status.error, "");
    // A new agent goes on watching.
    agent.shutdown().await;
    drop(session);
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    let why = "health probe failed 3 of 3 times: no";
    check.send_replace(Health::Unhealthy(why.into()));
    let status = session.reaches("a", TaskState::Failed).await;
    let text = "task: non-zero exit (143): dockerexec: unhealthy container";
    assert_eq!(
        (status.error.as_str(), status.message.as_str()),
        (text, why)
    );
    assert!(node.host.called("stop a"));
}

#[tokio::test]
async fn secrets_reach_the_executor_and_not_the_journal() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    let secret = Payload {
        spec: Arc::new(PayloadSpec {
            name: "password".into(),
            data: PayloadData(Arc::from(*b"hunter2")),
            ..PayloadSpec::default()
        }),
        ..(*payload("s")).clone()
    };
    let mut task = task_with("a", Running, &["s"]);
    task.registry_auth = Some(RegistryAuth("hunter3".into()));
    session.assign_with(1, &task, Arc::new(secret)).await;
    session.reaches("a", TaskState::Running).await;
    assert!(node.host.called("give s"));
    for (key, value) in node.journal.rows.lock().unwrap().iter() {
        let value = String::from_utf8_lossy(value);
        assert!(!value.contains("hunter"), "{key:?}");
    }
}

#[tokio::test]
async fn a_long_preparation_says_what_it_waits_for() {
    let manager = Manager::start(Answer::Lead).await;
    let node = Node::default();
    node.host.stuck.lock().unwrap().insert("a".into());
    let _agent = node.start(&[&manager.addr]).await;
    let mut session = begin(&manager).await;
    session.assign(1, true, &[task("a", Running)]).await;
    let says = |_: &model::TaskId, status: &model::TaskStatus| status.message.contains("pulling");
    let status = session.report(says).await;
    assert_eq!(status.state, TaskState::Preparing);
    assert_eq!(status.message, "pulling image web:9");
}
