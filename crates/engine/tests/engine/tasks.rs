//! Containers of tasks, by task.

use crate::support::{Host, IMAGE, in_time};
use engine::task::{NodeContext, Payloads, TASK_ID_LABEL};
use engine::{Engine, Phase};
use futures_util::StreamExt;
use model::assignment::AssignedTask;
use model::container::Mount;
use model::logs::LogOptions;
use model::task::Platform;
use model::{DesiredState, TaskId, TaskSpec};
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn task(id: &str, image: &str, script: &str) -> AssignedTask {
    let mut spec = TaskSpec::default();
    spec.container.image = image.into();
    spec.container.command = vec!["sh".into(), "-c".into()];
    spec.container.args = vec![script.into()];
    spec.container.stop_grace_period = Some(Duration::ZERO);
    AssignedTask {
        id: id.into(),
        service: "service1".into(),
        service_name: "web".into(),
        service_labels: Arc::default(),
        slot: 1,
        spec: Arc::new(spec),
        desired: DesiredState::Running,
        generic: vec![],
        registry_auth: None,
    }
}

async fn prepare(engine: &Engine, task: &AssignedTask) -> Result<(), engine::task::TaskError> {
    prepare_with(engine, task, &Payloads::new()).await
}

pub(crate) async fn prepare_with(
    engine: &Engine,
    task: &AssignedTask,
    payloads: &Payloads,
) -> Result<(), engine::task::TaskError> {
    let node = NodeContext {
        id: "node1".into(),
        hostname: "box".into(),
        platform: Platform::default(),
        allows_privileged: false,
    };
    engine.prepare_task(task, &node, payloads, &|_| {}).await
}

#[tokio::test]
async fn a_task_goes_its_way_by_its_id() {
    let mut host = Host::new().await;
    let task = task("t1", IMAGE, "echo hello; exec sleep 1000");
    let id = TaskId::from("t1");
    for _ in 0..2 {
        prepare(host.engine(), &task)
            .await
            .expect("twice is no error");
    }
    let status = host.engine().start_task(&id).await.unwrap();
    assert!(status.pid > 0);
    let view = host.engine().inspect("web.1.t1").unwrap();
    assert_eq!(view.record.id, status.id);
    assert_eq!(view.record.config.labels[TASK_ID_LABEL], "t1");
    // Found again by a new daemon.
    host.close();
    host.open().await;
    let engine = host.engine();
    let found = engine.task_containers();
    assert_eq!((found.len(), &found[0].task), (1, &id));
    assert_eq!(found[0].container.status(), status);
    in_time("the stop", engine.stop_task(&id)).await.unwrap();
    let state = in_time("its end", engine.wait_task(&id)).await.unwrap();
    assert_eq!(state.phase, Phase::Exited);
    engine.remove_task(&id).await.unwrap();
    engine.remove_task(&id).await.expect("twice is no error");
    engine
        .stop_task(&id)
        .await
        .expect("nothing to stop is no error");
    assert!(engine.find_task(&id).is_none());
}

#[tokio::test]
async fn a_start_that_fails_says_so_in_dockers_words() {
    let host = Host::new().await;
    let mut task = task("t1", IMAGE, "");
    Arc::make_mut(&mut task.spec).container.command = vec!["nope".into()];
    prepare(host.engine(), &task).await.expect("it is made");
    let error = host.engine().start_task(&"t1".into()).await.unwrap_err();
    assert!(error.permanent);
    assert_eq!(
        error.message,
        "starting container failed: exec: \"nope\": executable file not found in $PATH"
    );
}

#[tokio::test]
async fn an_image_that_cannot_be_had_is_a_permanent_reason() {
    let host = Host::new().await;
    // Nobody listens on this port.
    let task = task("t1", "127.0.0.1:1/nothere:1", "true");
    let error = in_time("a refusal", prepare(host.engine(), &task))
        .await
        .unwrap_err();
    assert!(error.permanent);
    let expected = "No such image: 127.0.0.1:1/nothere:1: ";
    assert!(error.message.starts_with(expected), "{}", error.message);
    assert!(error.message.len() > expected.len(), "{}", error.message);
}

#[tokio::test]
async fn an_image_that_is_here_is_used_when_its_registry_is_off() {
    let mut host = Host::new().await;
    host.close();
    host.offline = false;
    host.open().await;
    let name = "127.0.0.1:1/here:1";
    host.engine().images().tag(IMAGE, name).unwrap();
    in_time("two tasks", async {
        for id in ["t1", "t2"] {
            prepare(host.engine(), &task(id, name, "true"))
                .await
                .unwrap();
        }
    })
    .await;
    assert_eq!(host.engine().task_containers().len(), 2);
}

#[tokio::test]
async fn logs_of_a_task_may_be_asked_for_before_it_is_there() {
    let host = Host::new().await;
    let engine = host.engine().clone();
    let id = TaskId::from("t1");
    let mut options = LogOptions {
        stdout: true,
        stderr: true,
        ..LogOptions::default()
    };
    assert!(engine.task_logs(&id, &options).await.is_err());
    options.follow = true;
    let reader = tokio::spawn({
        let (engine, id) = (engine.clone(), id.clone());
        async move {
            let lines = engine.task_logs(&id, &options).await.unwrap();
            lines
                .map(|line| line.data)
                .collect::<Vec<_>>()
                .await
                .concat()
        }
    });
    prepare(&engine, &task("t1", IMAGE, "echo one; sleep 0.2; echo two"))
        .await
        .unwrap();
    engine.start_task(&id).await.unwrap();
    let text = in_time("the log", reader).await.unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
}

#[tokio::test]
async fn a_node_that_leaves_its_cluster_keeps_other_containers() {
    let host = Host::new().await;
    let engine = host.engine();
    let own = engine
        .create(host.shell("own", "sleep 1000"))
        .await
        .unwrap();
    engine.start(&own).await.unwrap();
    for id in ["t1", "t2"] {
        prepare(engine, &task(id, IMAGE, "sleep 1000"))
            .await
            .unwrap();
    }
    engine.start_task(&"t1".into()).await.unwrap();
    in_time("all removals", engine.remove_all_tasks()).await;
    let left: Vec<_> = engine
        .list()
        .iter()
        .map(|c| c.record.config.name.clone())
        .collect();
    assert_eq!(left, ["own"]);
}

#[tokio::test]
async fn a_task_asks_in_vain_for_what_the_node_does_not_allow() {
    let host = Host::new().await;
    let mut task = task("t1", IMAGE, "true");
    let mut spec = (*task.spec).clone();
    spec.container.privileged = true;
    task.spec = Arc::new(spec);
    let error = prepare(host.engine(), &task).await.unwrap_err();
    assert!(error.permanent);
    assert!(
        error.message.contains("--allow-privileged-services"),
        "{error}"
    );
}

#[tokio::test]
async fn what_belongs_to_a_task_goes_with_it() {
    let host = Host::new().await;
    let mut task = task("t1", IMAGE, "true");
    let mut spec = (*task.spec).clone();
    let mount = |source: &str, target: &str| Mount {
        kind: model::container::MountKind::Volume(None),
        source: source.into(),
        target: target.into(),
        read_only: false,
        consistency: String::new(),
    };
    spec.container.mounts = vec![mount("", "/own"), mount("data-{{.Task.Slot}}", "/kept")];
    task.spec = Arc::new(spec);
    prepare(host.engine(), &task).await.unwrap();
    assert_eq!(host.engine().volumes().len(), 2);
    host.engine().remove_task(&task.id).await.unwrap();
    let left = host.engine().volumes();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].volume.name, "data-1");
}
