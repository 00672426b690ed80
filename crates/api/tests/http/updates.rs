//! Updates of services: versions, what stays, rollback, revisions.

use crate::{Fake, spec, start};
use model::control::Write;
use serde_json::{Value, json};

fn path(fake: &Fake, query: &str) -> String {
    let version = fake.service("web").meta.version;
    format!("/v1.50/services/web/update?version={version}{query}")
}

#[tokio::test]
async fn versions_are_checked_with_dockers_words() {
    let (server, fake) = start();
    server
        .post("/services/create", spec("web", json!({})))
        .await
        .expect(201);
    let body = spec("web", json!({}));
    let stale = server
        .post("/services/web/update?version=1", body.clone())
        .await
        .expect(500);
    assert_eq!(
        stale.message(),
        "rpc error: code = Unknown desc = update out of sequence"
    );
    for bad in ["", "?version=x", "?version=-1"] {
        let answer = server
            .post(&format!("/services/web/update{bad}"), body.clone())
            .await
            .expect(400);
        assert!(
            answer.message().starts_with("invalid service version"),
            "{}",
            answer.message()
        );
    }
    let answer = server
        .post("/services/nope/update?version=1", body)
        .await
        .expect(404);
    assert_eq!(answer.message(), "service nope not found");
    server
        .send("POST", &path(&fake, ""), &[], None)
        .await
        .expect(400);
    server.post(&path(&fake, ""), json!([])).await.expect(400);
}

#[tokio::test]
async fn a_client_that_knows_less_loses_nothing() {
    let (server, fake) = start();
    let mut rich = spec("web", json!({"Replicated": {"Replicas": 3}}));
    rich["TaskTemplate"]["ForceUpdate"] = json!(4);
    rich["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] = json!(["CAP_KILL"]);
    rich["Starling"] = json!({"ProgressDeadline": 60_000_000_000_u64, "Privileged": true});
    server.post("/services/create", rich).await.expect(201);
    let before = fake.service("web").spec.clone();
    // A version without capabilities, a client without types for the rest: only the label is new.
    let poor = json!({
        "Name": "web",
        "Labels": {"new": "1"},
        "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1"}},
        "Mode": {"Replicated": {"Replicas": 3}},
    });
    let old = path(&fake, "").replace("v1.50", "v1.40");
    server.post(&old, poor.clone()).await.expect(200);
    let after = fake.service("web").spec.clone();
    assert_eq!(after.task, before.task);
    assert_eq!(after.progress_deadline, before.progress_deadline);
    assert_eq!(after.labels.get("new").map(String::as_str), Some("1"));
    // A version with capabilities: leaving them out takes them away.
    server.post(&path(&fake, ""), poor).await.expect(200);
    assert!(fake.service("web").spec.task.container.cap_add.is_empty());
    // `null` clears what is ours.
    let clear = json!({"Starling": {"ProgressDeadline": null}});
    let mut body = server.get("/services/web").await.expect(200).json()["Spec"].clone();
    body["Starling"] = clear["Starling"].clone();
    server.post(&path(&fake, ""), body).await.expect(200);
    let after = fake.service("web").spec.clone();
    assert_eq!(after.progress_deadline, None);
    assert!(after.task.container.privileged);
}

#[tokio::test]
async fn going_back() {
    let (server, fake) = start();
    server
        .post("/services/create", spec("web", json!({})))
        .await
        .expect(201);
    let none = server
        .post(&path(&fake, "&rollback=previous"), spec("web", json!({})))
        .await
        .expect(400);
    assert!(
        none.message()
            .ends_with("service service1 does not have a previous spec"),
        "{}",
        none.message()
    );
    for image in ["busybox:2", "busybox:3"] {
        let mut body = spec("web", json!({}));
        body["TaskTemplate"]["ContainerSpec"]["Image"] = json!(image);
        server.post(&path(&fake, ""), body).await.expect(200);
    }
    let image = || fake.service("web").spec.task.container.image.clone();
    // Docker's client sends the present spec, which is not looked at.
    let present = server.get("/services/web").await.expect(200).json()["Spec"].clone();
    server
        .post(&path(&fake, "&rollback=previous"), present)
        .await
        .expect(200);
    assert!(matches!(
        fake.last_write(),
        Write::RollbackService { to: None, .. }
    ));
    assert_eq!(image(), "busybox:2");
    server
        .send(
            "POST",
            &path(&fake, "&rollback=previous&revision=1"),
            &[],
            None,
        )
        .await
        .expect(200);
    assert!(matches!(
        fake.last_write(),
        Write::RollbackService { to: Some(1), .. }
    ));
    assert_eq!(image(), "busybox:1");
    let unknown = server
        .send(
            "POST",
            &path(&fake, "&rollback=previous&revision=77"),
            &[],
            None,
        )
        .await
        .expect(404);
    assert_eq!(
        unknown.message(),
        "service web has no revision 77: it has 1, 2, 3, 4, 5"
    );
    server
        .send(
            "POST",
            &path(&fake, "&rollback=previous&revision=x"),
            &[],
            None,
        )
        .await
        .expect(400);
    server
        .send("POST", &path(&fake, "&revision=1"), &[], None)
        .await
        .expect(400);
    server
        .post(&path(&fake, "&rollback=previous"), json!({"Name": 1}))
        .await
        .expect(400);
    let odd = server
        .send("POST", &path(&fake, "&rollback=sideways"), &[], None)
        .await
        .expect(500);
    assert_eq!(odd.message(), "unrecognized rollback option sideways");

    let history = server.get("/services/web/history").await.expect(200).json();
    let history = history.as_array().expect("a list");
    let told: Vec<&Value> = history.iter().map(|r| &r["Cause"]).collect();
    assert_eq!(
        told,
        ["create", "update", "update", "rollback", "rollback to 1"]
    );
    assert_eq!(
        history[1]["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"],
        "busybox:2"
    );
    let shown = server.get("/services/web").await.expect(200).json();
    assert_eq!(shown["Starling"]["Revision"], 5);
    assert_eq!(shown["Starling"]["Revisions"][4]["Image"], "busybox:1");
    assert_eq!(
        shown["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"],
        "busybox:2"
    );
}
