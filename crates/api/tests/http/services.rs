//! Services: creation, lists, plans, restart, rebalance, history, logs.

use crate::{spec, start};
use model::control::Write;
use model::{DesiredState, TaskState};
use serde_json::{Value, json};

#[tokio::test]
async fn creation_checks_everything_and_writes_nothing_bad() {
    let (server, fake) = start();
    let created = server
        .post("/v1.50/services/create", spec("web", json!({})))
        .await
        .expect(201);
    assert_eq!(created.json(), json!({"ID": "service1", "Warnings": null}));
    let again = server
        .post("/services/create", spec("web", json!({})))
        .await
        .expect(409);
    assert_eq!(
        again.message(),
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists"
    );
    let writes = fake.state().writes.len();
    let with = |path: &str, value: Value| {
        let mut spec = spec("bad", json!({}));
        let parent = path.rsplit_once('/').expect("a path").0;
        spec.pointer_mut(parent).expect("the parent")[path.rsplit('/').next().expect("a key")] =
            value;
        spec
    };
    for (body, text) in [
        (
            with("/Mode", json!({"Global": {}, "GlobalJob": {}})),
            "must specify only one service mode",
        ),
        (
            with("/Name", json!("a.b")),
            "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component",
        ),
        (
            with("/TaskTemplate/ContainerSpec/Image", json!("")),
            "ContainerSpec: image reference must be provided",
        ),
        (
            with(
                "/TaskTemplate/ContainerSpec/CapabilityAdd",
                json!(["CAP_X"]),
            ),
            "invalid capability: \"CAP_X\"",
        ),
        (
            with(
                "/TaskTemplate/Resources",
                json!({"Limits": {"MemoryBytes": 1}}),
            ),
            "invalid memory value 1: Must be at least 4MiB",
        ),
        (
            with("/TaskTemplate/ForceUpdate", json!("1")),
            "cannot unmarshal string into Go struct field",
        ),
        (
            with("/Mode", json!({"Replicated": {"Replicas": -1}})),
            "cannot unmarshal number -1",
        ),
    ] {
        let answer = server.post("/services/create", body).await.expect(400);
        assert!(answer.message().contains(text), "{}", answer.message());
    }
    let mut job = spec("job", json!({"ReplicatedJob": {}}));
    job["UpdateConfig"] = json!({"Parallelism": 1});
    let answer = server.post("/services/create", job).await.expect(400);
    assert_eq!(
        answer.message(),
        "rpc error: code = InvalidArgument desc = Jobs may not have an update config"
    );
    let network = with("/TaskTemplate/Networks", json!([{"Target": "front"}]));
    server.post("/services/create", network).await.expect(404);
    server
        .send("POST", "/services/create", &[], Some("{".into()))
        .await
        .expect(400);
    server
        .send("POST", "/services/create", &[], None)
        .await
        .expect(400);
    assert_eq!(fake.state().writes.len(), writes);
}

#[tokio::test]
async fn credentials_are_kept_and_never_given_back() {
    let (server, fake) = start();
    let auth = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InB3MTIzIn0=";
    let body = spec("web", json!({})).to_string();
    let post = async |path: &str, auth: &str, body: &str| {
        server
            .send(
                "POST",
                path,
                &[("X-Registry-Auth", auth)],
                Some(body.into()),
            )
            .await
    };
    post("/services/create", "not base64!", &body)
        .await
        .expect(400);
    post("/services/create", auth, &body).await.expect(201);
    let kept = |spec: &model::ServiceSpec| spec.registry_auth.as_ref().map(|auth| auth.0.clone());
    assert_eq!(kept(&fake.service("web").spec).as_deref(), Some(auth));
    let shown = server.get("/services/web").await.expect(200).text();
    assert!(!shown.contains("pw123") && !shown.contains(auth), "{shown}");

    let version = |fake: &crate::Fake| fake.service("web").meta.version;
    let update = |query: &str| format!("/services/web/update?version={}&{query}", version(&fake));
    // Without the header, the present ones stay.
    server
        .send(
            "POST",
            &update("registryAuthFrom=spec"),
            &[],
            Some(body.clone()),
        )
        .await
        .expect(200);
    assert_eq!(kept(&fake.service("web").spec).as_deref(), Some(auth));
    // Docker's CLI has none: `{}`.
    post(&update(""), "e30=", &body).await.expect(200);
    assert_eq!(kept(&fake.service("web").spec), None);
    server
        .send(
            "POST",
            &update("registryAuthFrom=previous-spec"),
            &[],
            Some(body.clone()),
        )
        .await
        .expect(200);
    assert_eq!(kept(&fake.service("web").spec).as_deref(), Some(auth));
    let answer = server
        .send("POST", &update("registryAuthFrom=moon"), &[], Some(body))
        .await
        .expect(500);
    assert!(answer.message().contains("registryAuthFrom"));
}

#[tokio::test]
async fn lists_are_filtered_and_counted() {
    let (server, fake) = start();
    for (name, mode) in [
        ("web", json!({"Replicated": {"Replicas": 3}})),
        ("agent", json!({"Global": {}})),
        (
            "job",
            json!({"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}),
        ),
        ("each", json!({"GlobalJob": {}})),
    ] {
        server
            .post("/services/create", spec(name, mode))
            .await
            .expect(201);
    }
    let (running, complete, shutdown) =
        (TaskState::Running, TaskState::Complete, TaskState::Shutdown);
    fake.add_task("t1", "web", 1, "n1", running, DesiredState::Running);
    fake.add_task("t2", "web", 2, "n2", running, DesiredState::Running);
    fake.add_task("t3", "web", 3, "n2", shutdown, DesiredState::Shutdown);
    fake.add_task("t4", "agent", 0, "n1", running, DesiredState::Running);
    fake.add_task("t5", "job", 1, "n1", complete, DesiredState::Complete);
    fake.add_task("t6", "job", 2, "n1", running, DesiredState::Complete);
    fake.add_task("t7", "each", 0, "n2", complete, DesiredState::Complete);

    let names = async |query: &str| -> Vec<String> {
        let answer = server
            .get(&format!("/v1.45/services?{query}"))
            .await
            .expect(200)
            .json();
        let services = answer.as_array().expect("a list").iter();
        services
            .map(|s| s["Spec"]["Name"].as_str().expect("a name").to_owned())
            .collect()
    };
    for (mode, name) in [
        ("replicated", "web"),
        ("global", "agent"),
        ("replicated-job", "job"),
        ("global-job", "each"),
    ] {
        assert_eq!(
            names(&format!(r#"filters={{"mode":["{mode}"]}}"#)).await,
            [name]
        );
    }
    assert_eq!(
        names(r#"filters={"name":["j","we"]}"#).await,
        ["web", "job"]
    );
    assert_eq!(names(r#"filters={"label":["tier=front"]}"#).await.len(), 4);
    assert!(names(r#"filters={"label":["tier=back"]}"#).await.is_empty());
    server
        .get(r#"/services?filters={"mode":["odd"]}"#)
        .await
        .expect(400);
    let bad = server
        .get(r#"/services?filters={"colour":["red"]}"#)
        .await
        .expect(400);
    assert_eq!(bad.message(), "invalid filter 'colour'");

    let listed = server.get("/services?status=true").await.expect(200).json();
    let status = |name: &str| {
        let found = listed
            .as_array()
            .expect("a list")
            .iter()
            .find(|s| s["Spec"]["Name"] == name);
        found.expect("the service")["ServiceStatus"].clone()
    };
    let counts = |running, desired, completed| json!({"RunningTasks": running, "DesiredTasks": desired, "CompletedTasks": completed});
    assert_eq!(status("web"), counts(2, 3, 0));
    assert_eq!(status("agent"), counts(1, 1, 0));
    assert_eq!(status("job"), counts(1, 2, 1));
    assert_eq!(status("each"), counts(0, 0, 1));
    let job = server.get("/services/job").await.expect(200).json();
    assert!(
        job["JobStatus"]["JobIteration"]["Index"]
            .as_u64()
            .is_some_and(|index| index > 0)
    );
    assert!(job.get("ServiceStatus").is_none());

    let tasks = async |filters: &str| -> Vec<String> {
        let answer = server
            .get(&format!("/tasks?filters={filters}"))
            .await
            .expect(200)
            .json();
        let tasks = answer.as_array().expect("a list").iter();
        tasks
            .map(|t| t["ID"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(
        tasks(r#"{"service":["web"],"_up-to-date":["true"]}"#).await,
        ["t1", "t3"]
    );
    assert_eq!(
        tasks(r#"{"service":["web"],"desired-state":["running"]}"#).await,
        ["t1", "t2"]
    );
    assert_eq!(
        tasks(r#"{"desired-state":["complete"]}"#).await,
        ["t5", "t6", "t7"]
    );
    assert_eq!(tasks(r#"{"node":["beta"]}"#).await, ["t2", "t3", "t7"]);
    assert_eq!(tasks(r#"{"name":["agent"]}"#).await, ["t4"]);
    server
        .get(r#"/tasks?filters={"desired-state":["odd"]}"#)
        .await
        .expect(400);
    server
        .get(r#"/tasks?filters={"service":["nope"]}"#)
        .await
        .expect(404);
    let task = server.get("/tasks/t4").await.expect(200).json();
    assert!(task.get("Slot").is_none());
    assert!(server.get("/tasks/t5").await.expect(200).json()["JobIteration"]["Index"].is_u64());
}

#[tokio::test]
async fn dry_runs_write_nothing_and_show_the_plan() {
    let (server, fake) = start();
    let planned = server
        .post("/services/create?dryRun=1", spec("web", json!({})))
        .await
        .expect(200)
        .json();
    assert!(fake.state().writes.is_empty());
    assert_eq!(planned["Version"], 42);
    assert_eq!(
        planned["Start"][0],
        json!({"Service": "service1", "ServiceName": "web", "Slot": 3, "NodeID": "n1"})
    );
    assert_eq!(planned["Replace"][0]["NewNodeID"], "n2");
    assert_eq!(planned["Unplaced"][0]["Reason"], "no suitable node");
    assert_eq!(planned["Unchanged"], 4);
    assert_eq!(planned["Notes"], json!(["it pauses"]));
    let image =
        json!({"Path": "TaskTemplate.ContainerSpec.Image", "Old": null, "New": "busybox:1"});
    assert!(
        planned["Diff"].as_array().expect("a list").contains(&image),
        "{planned}"
    );

    server.create("web").await;
    let version = fake.service("web").meta.version;
    let mut changed = spec("web", json!({"Replicated": {"Replicas": 4}}));
    changed["TaskTemplate"]["ContainerSpec"]["Image"] = json!("busybox:2");
    let path = format!("/services/web/update?version={version}&dryRun=true");
    let planned = server.post(&path, changed.clone()).await.expect(200).json();
    assert_eq!(
        planned["Diff"],
        json!([
            {"Path": "Mode.Replicated.Replicas", "Old": 1, "New": 4},
            {"Path": "TaskTemplate.ContainerSpec.Image", "Old": "busybox:1", "New": "busybox:2"},
        ])
    );
    assert_eq!(fake.state().writes.len(), 1);
    server
        .post(&format!("/services/web/update?version={version}"), changed)
        .await
        .expect(200);
    // A rollback can be looked at beforehand, too.
    let version = fake.service("web").meta.version;
    let path =
        format!("/services/web/update?version={version}&rollback=previous&revision=1&dryRun=1");
    let planned = server
        .send("POST", &path, &[], None)
        .await
        .expect(200)
        .json();
    assert_eq!(planned["Diff"][0]["New"], "busybox:1");
    assert_eq!(planned["Diff"].as_array().expect("a list").len(), 1);
    let body = json!({"Role": "worker", "Availability": "drain"});
    let planned = server
        .post("/nodes/beta/update?version=5&dryRun=1", body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        planned["Diff"],
        json!([{"Path": "Availability", "Old": "active", "New": "drain"}])
    );
    assert_eq!(fake.state().writes.len(), 2);
}

#[tokio::test]
async fn switches_are_go_s() {
    let (server, fake) = start();
    server.create("web").await;
    for path in [
        "/services?status=maybe",
        "/services/web?insertDefaults=maybe",
    ] {
        let answer = server.get(path).await.expect(400);
        assert!(
            answer.message().starts_with("invalid value for "),
            "{}",
            answer.message()
        );
    }
    // A dry run that is not understood must not become a real one.
    server
        .post("/services/create?dryRun=maybe", spec("db", json!({})))
        .await
        .expect(400);
    server
        .send("POST", "/services/rebalance?dryRun=maybe", &[], None)
        .await
        .expect(400);
    assert_eq!(fake.state().writes.len(), 1);
    server
        .get("/services/web?insertDefaults=false")
        .await
        .expect(200);
}

#[tokio::test]
async fn restart_of_all_and_of_some() {
    let (server, fake) = start();
    server.create("web").await;
    server.create("db").await;
    fake.run_task("t1", "web");
    fake.run_task("t2", "db");
    server
        .send("POST", "/services/web/restart", &[], None)
        .await
        .expect(200);
    assert_eq!(fake.service("web").spec.task.force_update, 1);
    // Somebody else may be faster: it is tried again with what there is then.
    fake.state().conflicts = 2;
    server
        .post("/services/web/restart", json!({"Tasks": []}))
        .await
        .expect(200);
    assert_eq!(fake.service("web").spec.task.force_update, 2);
    server
        .post("/services/web/restart", json!({"Tasks": ["t1"]}))
        .await
        .expect(200);
    assert!(matches!(fake.last_write(), Write::RestartTasks(tasks) if tasks.len() == 1));
    let other = server
        .post("/services/web/restart", json!({"Tasks": ["t2"]}))
        .await
        .expect(400);
    assert_eq!(other.message(), "task t2 is of service db, not of web");
    server
        .post("/services/web/restart", json!({"Tasks": ["t9"]}))
        .await
        .expect(404);
    server
        .post("/services/web/restart", json!({"Tasks": "t1"}))
        .await
        .expect(400);
}

#[tokio::test]
async fn rebalance_tells_the_moves() {
    let (server, fake) = start();
    server.create("web").await;
    server
        .post("/services/create", spec("agent", json!({"Global": {}})))
        .await
        .expect(201);
    let moves = json!({"Moves": [{"ServiceName": "web", "TaskID": "t1", "Slot": 1, "FromNodeID": "n1", "ToNodeID": "n2"}]});
    let body = json!({"Services": ["web"]});
    let answer = server
        .post("/services/rebalance?dryRun=1", body.clone())
        .await
        .expect(200);
    assert_eq!(answer.json(), moves);
    assert_eq!(fake.state().writes.len(), 2);
    assert_eq!(
        server
            .post("/services/rebalance", body)
            .await
            .expect(200)
            .json(),
        moves
    );
    assert!(matches!(fake.last_write(), Write::Rebalance(ids) if ids.len() == 1));
    server
        .send("POST", "/services/rebalance", &[], None)
        .await
        .expect(200);
    assert!(matches!(fake.last_write(), Write::Rebalance(ids) if ids.is_empty()));
    server
        .post("/services/rebalance", json!({"Services": ["agent"]}))
        .await
        .expect(400);
    server
        .post("/services/rebalance", json!({"Services": ["nope"]}))
        .await
        .expect(404);
}

#[tokio::test]
async fn logs_are_framed_unless_a_terminal_wrote_them() {
    let (server, _fake) = start();
    server.create("web").await;
    let mut terminal = spec("tty", json!({}));
    terminal["TaskTemplate"]["ContainerSpec"]["TTY"] = json!(true);
    server.post("/services/create", terminal).await.expect(201);
    let query = "stdout=1&stderr=1&details=1&timestamps=1&tail=all";
    let logs = server
        .get(&format!("/v1.50/services/web/logs?{query}"))
        .await
        .expect(200);
    assert_eq!(
        logs.content_type,
        "application/vnd.docker.multiplexed-stream"
    );
    let attributes = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=service1,com.docker.swarm.task.id=t1";
    let line = format!("2023-11-14T22:13:20.000000000Z {attributes} hello\n");
    let mut expected = vec![
        1,
        0,
        0,
        0,
        0,
        0,
        0,
        u8::try_from(line.len()).expect("a short line"),
    ];
    expected.extend_from_slice(line.as_bytes());
    let notice = "node n2 is not available\n";
    expected.extend_from_slice(&[
        3,
        0,
        0,
        0,
        0,
        0,
        0,
        u8::try_from(notice.len()).expect("short"),
    ]);
    expected.extend_from_slice(notice.as_bytes());
    assert_eq!(logs.body, expected);
    let logs = server
        .get("/v1.50/services/tty/logs?stdout=1")
        .await
        .expect(200);
    assert_eq!(logs.content_type, "application/vnd.docker.raw-stream");
    assert_eq!(logs.text(), format!("hello\n{notice}"));
    let none = server.get("/services/web/logs").await.expect(500);
    assert_eq!(
        none.message(),
        "Bad parameters: you must choose at least one stream"
    );
    server
        .get("/services/web/logs?stdout=1&tail=x")
        .await
        .expect(400);
}
