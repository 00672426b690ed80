//! Requests as clients send them that know HTTP less well than we do.

use crate::start;
use serde_json::{Value, json};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Sends bytes as they are and reads until the server closes.
async fn raw(socket: &Path, request: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(socket).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    (status.parse().expect("a number"), body)
}

#[tokio::test]
async fn filters_may_have_their_quotes() {
    let (server, _) = start();
    server.create("web").await;
    server.create("db").await;
    let request = |address: &str| {
        format!("GET {address} HTTP/1.1\r\nHost: d\r\nX-Quoted: \"a\"\r\nConnection: close\r\n\r\n")
    };
    let quoted = request(r#"/v1.45/services?filters={"name":["web"]}"#);
    let (status, found) = raw(&server.socket(), &quoted).await;
    assert_eq!(status, 200, "{found}");
    let names: Vec<_> = found.as_array().expect("a list").iter().collect();
    assert_eq!(names.len(), 1, "{found}");
    assert_eq!(names[0]["Spec"]["Name"], "web");
    let (status, refused) = raw(&server.socket(), &request("/services?filters=a b")).await;
    assert_eq!(status, 400, "{refused}");
    let text = refused["message"].as_str().expect("a message");
    assert!(text.contains("blanks"), "{text}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_read() {
    let (server, _) = start();
    server.create("web").await;
    // More than a socket buffers: a server that does not read it would break the pipe.
    let body = json!({"Name": "web", "Labels": {"long": "x".repeat(2 << 20)}}).to_string();
    let head = format!(
        "POST /services/web/update?version=none HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (status, refused) = raw(&server.socket(), &(head + &body)).await;
    assert_eq!(status, 400, "{refused}");
    let text = refused["message"].as_str().expect("a message");
    assert!(text.contains("invalid service version 'none'"), "{text}");
}

#[tokio::test]
async fn refusals_in_the_words_of_dockers_daemon() {
    let (server, _) = start();
    let refused = async |path: &str, status: u16, text: &str| {
        let answer = server.get(path).await.expect(status).message();
        assert!(answer.starts_with(text), "{path}: {answer}");
    };
    refused(
        r#"/nodes?filters={"role":["boss"]}"#,
        400,
        "Invalid role filter: 'boss'",
    )
    .await;
    refused(
        r#"/nodes?filters={"membership":["new"]}"#,
        400,
        "Invalid membership filter: 'new'",
    )
    .await;
    refused(
        "/events?since=5&until=2",
        400,
        "`since` time (5) cannot be after `until` time (2)",
    )
    .await;
    server.create("web").await;
    refused(
        "/services/web/logs?stdout=1&tail=few",
        400,
        r#"tail value must be a positive integer or "all""#,
    )
    .await;
    let spec = |more: Value| {
        let mut spec = crate::spec("s", json!({}));
        let map = spec.as_object_mut().expect("an object");
        map.extend(more.as_object().expect("an object").clone());
        spec
    };
    let template =
        json!({"ContainerSpec": {"Image": "a"}, "RestartPolicy": {"Condition": "never"}});
    for (more, text) in [
        (
            json!({"TaskTemplate": template}),
            "invalid RestartCondition: \"never\"",
        ),
        (
            json!({"RollbackConfig": {"Delay": -1}}),
            "TaskSpec: rollback-delay cannot be negative",
        ),
        (
            json!({"UpdateConfig": {"Monitor": -1}}),
            "TaskSpec: update-monitor cannot be negative",
        ),
        (
            json!({"RollbackConfig": {"Order": "up"}}),
            "unrecognized update order up",
        ),
        (
            json!({"RollbackConfig": {"MaxFailureRatio": 2}}),
            "TaskSpec: rollback-maxfailureratio cannot be less than 0 or bigger than 1",
        ),
    ] {
        let answer = server.post("/services/create", spec(more)).await;
        let answer = answer.expect(400).message();
        assert!(answer.ends_with(text), "{answer}");
    }
}

#[tokio::test]
async fn there_is_no_lock() {
    let (server, _) = start();
    let key = server.get("/swarm/unlockkey").await.expect(200).json();
    assert_eq!(key, json!({"UnlockKey": ""}));
    let refused = server
        .post("/swarm/unlock", json!({"UnlockKey": "x"}))
        .await;
    assert_eq!(refused.expect(409).message(), "swarm is not locked");
}
