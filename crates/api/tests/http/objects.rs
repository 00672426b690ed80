//! Nodes, the cluster and its tokens, secrets and configs, volumes, containers.

use crate::start;
use model::control::Write;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn secrets_and_configs() {
    let (server, fake) = start();
    for kind in ["secret", "config"] {
        let all = format!("/{kind}s");
        let create = format!("{all}/create");
        let body =
            |name: &str, data: &str| json!({"Name": name, "Labels": {"a": "b"}, "Data": data});
        let id = server
            .post(&create, body("st_one", "aGVsbG8="))
            .await
            .expect(201)
            .json()["ID"]
            .clone();
        let id = id.as_str().expect("an id").to_owned();
        let templated = json!({"Name": "two", "Data": "aGk=", "Templating": {"Name": "golang"}});
        server.post(&create, templated).await.expect(201);

        let shown = server.get(&format!("{all}/st_one")).await.expect(200);
        let text = shown.text();
        assert_eq!(shown.json()["Spec"]["Labels"]["a"], "b");
        assert_eq!(text.contains("aGVsbG8="), kind == "config", "{text}");
        assert_eq!(
            server.get(&format!("{all}/two")).await.expect(200).json()["Spec"]["Templating"]["Name"],
            "golang"
        );
        let none = server.get(&format!("{all}/nope")).await.expect(404);
        assert_eq!(none.message(), format!("{kind} nope not found"));

        let count = async |filters: &str| {
            let path = format!("{all}?filters={filters}");
            let found = server.get(&path).await.expect(200).json();
            found.as_array().expect("a list").len()
        };
        assert_eq!(count("{}").await, 2);
        assert_eq!(count(r#"{"name":["st"]}"#).await, 1);
        assert_eq!(count(r#"{"names":["st"]}"#).await, 0);
        assert_eq!(count(r#"{"names":["st_one","two"]}"#).await, 2);
        assert_eq!(count(r#"{"label":["a=b"]}"#).await, 1);
        assert_eq!(count(r#"{"label":["a=c"]}"#).await, 0);
        assert_eq!(count(&format!(r#"{{"id":["{id}"]}}"#)).await, 1);
        server
            .get(&format!(r#"{all}?filters={{"mode":["x"]}}"#))
            .await
            .expect(400);

        let update = json!({"Name": "st_one", "Labels": {"c": "d"}});
        server
            .post(&format!("{all}/st_one/update?version=7"), update.clone())
            .await
            .expect(200);
        match fake.last_write() {
            Write::UpdatePayload {
                id: of,
                version,
                spec,
                ..
            } => {
                assert_eq!((of.to_string(), version), (id.clone(), 7));
                assert!(spec.data.0.is_empty() && spec.labels.contains_key("c"));
            }
            other => panic!("{other:?}"),
        }
        let bad = server
            .post(&format!("{all}/st_one/update"), update)
            .await
            .expect(400);
        assert!(
            bad.message()
                .starts_with(&format!("invalid {kind} version"))
        );

        let writes = fake.state().writes.len();
        let big = "AAAA".repeat(512 * 1024);
        for (name, data, text) in [
            ("", "aGk=", "name must be provided"),
            (
                "a b",
                "aGk=",
                "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed",
            ),
            ("ok", "", "data must be larger than 0 and less than"),
            ("ok", &big, "data must be larger than 0 and less than"),
            ("ok", "!", "not base64"),
        ] {
            let answer = server.post(&create, body(name, data)).await.expect(400);
            assert!(answer.message().contains(text), "{}", answer.message());
        }
        let odd = json!({"Name": "ok", "Data": "aGk=", "Templating": {"Name": "jinja"}});
        server.post(&create, odd).await.expect(400);
        server.post(&create, json!({"Name": 1})).await.expect(400);
        assert_eq!(fake.state().writes.len(), writes);

        server.delete(&format!("{all}/{id}")).await.expect(204);
        server.delete(&format!("{all}/{id}")).await.expect(404);
    }
    let driver = json!({"Name": "ok", "Data": "aGk=", "Driver": {"Name": "vault"}});
    server.post("/secrets/create", driver).await.expect(501);
}

#[tokio::test]
async fn nodes() {
    let (server, fake) = start();
    let names = async |filters: &str| -> Vec<String> {
        let answer = server
            .get(&format!("/nodes?filters={filters}"))
            .await
            .expect(200)
            .json();
        let nodes = answer.as_array().expect("a list").iter();
        nodes
            .map(|n| {
                n["Description"]["Hostname"]
                    .as_str()
                    .expect("a name")
                    .to_owned()
            })
            .collect()
    };
    assert_eq!(names(r#"{"role":["manager"]}"#).await, ["alpha"]);
    assert_eq!(names(r#"{"node.label":["rack=beta"]}"#).await, ["beta"]);
    assert_eq!(names(r#"{"membership":["accepted"]}"#).await.len(), 2);
    assert!(names(r#"{"membership":["pending"]}"#).await.is_empty());
    assert_eq!(names(r#"{"name":["al"]}"#).await, ["alpha"]);
    server
        .get(r#"/nodes?filters={"role":["boss"]}"#)
        .await
        .expect(400);
    let node = server.get("/nodes/beta").await.expect(200).json();
    assert_eq!(
        node["Description"]["Resources"]["GenericResources"],
        json!([{"NamedResourceSpec": {"Kind": "gpu", "Value": "gpu0"}}])
    );

    let update = async |body: Value| server.post("/nodes/beta/update?version=5", body).await;
    let drain = json!({"Role": "Manager", "Availability": "drain", "Labels": {"x": "y"}, "Starling": {"Drain": {"Parallelism": 2, "Order": "start-first"}}});
    update(drain).await.expect(200);
    let spec = match fake.last_write() {
        Write::UpdateNode {
            spec, version: 5, ..
        } => spec,
        other => panic!("{other:?}"),
    };
    assert_eq!(spec.role, model::Role::Manager);
    assert_eq!(spec.drain.map(|d| d.parallelism), Some(2));
    assert_eq!(spec.labels.keys().collect::<Vec<_>>(), ["x"]);
    // What is not mentioned at all stays.
    update(json!({"Role": "worker", "Availability": "pause"}))
        .await
        .expect(200);
    let Write::UpdateNode { spec, .. } = fake.last_write() else {
        panic!("no update")
    };
    assert_eq!(spec.labels.keys().collect::<Vec<_>>(), ["rack"]);

    // How a drain goes is forgotten when the drain ends, and not before.
    let gentle = model::node::DrainConfig {
        parallelism: 1,
        order: model::service::UpdateOrder::StartFirst,
    };
    {
        let mut kept = fake.state();
        let mut node = (*kept.nodes[1].node).clone();
        (node.spec.availability, node.spec.drain) = (model::Availability::Drain, Some(gentle));
        kept.nodes[1].node = Arc::new(node);
    }
    for (availability, drain) in [("drain", Some(gentle)), ("active", None), ("pause", None)] {
        update(json!({"Role": "worker", "Availability": availability}))
            .await
            .expect(200);
        let Write::UpdateNode { spec, .. } = fake.last_write() else {
            panic!("no update")
        };
        assert_eq!(spec.drain, drain, "{availability}");
    }

    let writes = fake.state().writes.len();
    for (body, text) in [
        (json!({"Availability": "active"}), "invalid Role: \"\""),
        (json!({"Role": "worker"}), "invalid Availability: \"\""),
        (
            json!({"Role": "boss", "Availability": "active"}),
            "invalid Role: \"boss\"",
        ),
        (
            json!({"Role": "worker", "Availability": "gone"}),
            "invalid Availability: \"gone\"",
        ),
        (
            json!({"Role": "worker", "Availability": "drain", "Starling": {"Drain": {"Order": "odd"}}}),
            "Starling.Drain.Order",
        ),
        (
            json!({"Role": "worker", "Availability": "active", "Labels": {"": "x"}}),
            "no key",
        ),
        (
            json!({"Role": "worker", "Availability": "active", "Labels": []}),
            "cannot unmarshal array",
        ),
    ] {
        let answer = update(body).await.expect(400);
        assert!(answer.message().contains(text), "{}", answer.message());
    }
    let bad = server
        .post("/nodes/beta/update", json!({}))
        .await
        .expect(400);
    assert!(bad.message().starts_with("invalid node version"));
    assert_eq!(fake.state().writes.len(), writes);
}

#[tokio::test]
async fn the_cluster_and_its_tokens() {
    let (server, fake) = start();
    let mut spec = server.get("/swarm").await.expect(200).json()["Spec"].clone();
    assert!(!spec.to_string().contains("key"));
    spec["Orchestration"]["TaskHistoryRetentionLimit"] = json!(3);
    spec["Raft"] = json!({"KeepOldSnapshots": 2, "ElectionTick": 20, "HeartbeatTick": 2});
    spec["TaskDefaults"] =
        json!({"LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}}});
    let path = "/swarm/update?version=3&rotateWorkerToken=true&rotateManagerToken=false&rotateManagerUnlockKey=false";
    server.post(path, spec.clone()).await.expect(200);
    let Write::UpdateCluster {
        spec: wished,
        version: 3,
        rotate_worker_token: true,
        rotate_manager_token: false,
    } = fake.last_write()
    else {
        panic!("{:?}", fake.last_write());
    };
    assert_eq!(
        (wished.task_history_limit, wished.keep_old_snapshots),
        (3, 2)
    );
    assert_eq!(
        (
            wished.election_tick,
            wished.heartbeat_tick,
            wished.snapshot_interval
        ),
        (20, 2, 10_000)
    );
    assert_eq!(wished.log_driver.expect("a driver").name, "json-file");
    let writes = fake.state().writes.len();
    for (field, value, status, text) in [
        (
            "Name",
            json!("x"),
            400,
            "swarm spec must be named \"default\"",
        ),
        (
            "CAConfig",
            json!({"NodeCertExpiry": 1}),
            400,
            "minimum certificate expiry time is: 1h0m0s",
        ),
        (
            "CAConfig",
            json!({"ForceRotate": 1}),
            501,
            "CAConfig.ForceRotate",
        ),
        (
            "CAConfig",
            json!({"ExternalCAs": [{}]}),
            501,
            "CAConfig.ExternalCAs",
        ),
        (
            "EncryptionConfig",
            json!({"AutoLockManagers": true}),
            501,
            "EncryptionConfig.AutoLockManagers",
        ),
        (
            "Dispatcher",
            json!({"HeartbeatPeriod": -1}),
            400,
            "heartbeat time period cannot be a negative duration",
        ),
        ("Raft", json!({"ElectionTick": -1}), 400, "ElectionTick"),
        (
            "TaskDefaults",
            json!({"LogDriver": {"Name": "gelf"}}),
            501,
            "TaskDefaults.LogDriver gelf",
        ),
        (
            "Orchestration",
            json!({"TaskHistoryRetentionLimit": "5"}),
            400,
            "cannot unmarshal string",
        ),
    ] {
        let mut spec = spec.clone();
        spec[field] = value;
        let answer = server.post(path, spec).await.expect(status);
        assert!(answer.message().contains(text), "{}", answer.message());
    }
    assert_eq!(fake.state().writes.len(), writes);

    let body = json!({"Name": "rack1", "Role": "worker", "Labels": {"rack": "1"}});
    let made = server.post("/swarm/tokens", body).await.expect(201).json();
    assert_eq!(
        made,
        json!({"Name": "rack1", "Token": "SWMTKN-secret-of-rack1"})
    );
    let swarm = server.get("/swarm").await.expect(200).json();
    assert_eq!(
        swarm["Starling"]["Tokens"],
        json!([{"Name": "rack1", "Role": "worker", "Labels": {"rack": "1"}, "Token": "SWMTKN-secret-of-rack1"}])
    );
    server
        .post("/swarm/tokens", json!({"Name": "a b", "Role": "worker"}))
        .await
        .expect(400);
    server
        .post("/swarm/tokens", json!({"Name": "a", "Role": "boss"}))
        .await
        .expect(400);
    server.delete("/swarm/tokens/rack1").await.expect(204);
    assert!(
        server
            .get("/swarm")
            .await
            .expect(200)
            .json()
            .get("Starling")
            .is_none()
    );
}

#[tokio::test]
async fn volumes() {
    let (server, _fake) = start();
    for (name, labels) in [
        ("data", json!({"a": "b"})),
        ("used", json!({})),
        ("anon", json!({"com.docker.volume.anonymous": ""})),
    ] {
        let body = json!({"Name": name, "Labels": labels, "Driver": "local"});
        let made = server
            .post("/volumes/create", body)
            .await
            .expect(201)
            .json();
        assert_eq!(made["Name"], name);
    }
    let names = async |filters: &str| -> Vec<String> {
        let answer = server
            .get(&format!("/volumes?filters={filters}"))
            .await
            .expect(200)
            .json();
        let volumes = answer["Volumes"].as_array().expect("a list").clone();
        volumes
            .iter()
            .map(|v| v["Name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(names("{}").await, ["anon", "data", "used"]);
    assert_eq!(names(r#"{"dangling":["false"]}"#).await, ["used"]);
    assert_eq!(names(r#"{"name":["at"]}"#).await, ["data"]);
    assert_eq!(names(r#"{"label":["a=b"]}"#).await, ["data"]);
    assert_eq!(
        server.get("/volumes/data").await.expect(200).json()["Scope"],
        "local"
    );
    let none = server.get("/volumes/nope").await.expect(404);
    assert_eq!(none.message(), "get nope: no such volume");
    server.delete("/volumes/used").await.expect(409);
    let pruned = server
        .post("/v1.50/volumes/prune", json!(null))
        .await
        .expect(200)
        .json();
    assert_eq!(
        pruned,
        json!({"VolumesDeleted": ["anon"], "SpaceReclaimed": 7})
    );
    let kept = server
        .send(
            "POST",
            r#"/volumes/prune?filters={"all":["1"],"label!":["a"]}"#,
            &[],
            None,
        )
        .await;
    assert_eq!(kept.expect(200).json()["VolumesDeleted"], json!([]));
    let pruned = server
        .send("POST", "/v1.41/volumes/prune", &[], None)
        .await
        .expect(200)
        .json();
    assert_eq!(pruned["VolumesDeleted"], json!(["data"]));
    server.delete("/volumes/data").await.expect(404);
    server.delete("/volumes/data?force=1").await.expect(204);
    server
        .post("/volumes/create", json!({"Name": "v", "Driver": "nfs"}))
        .await
        .expect(501);
    server
        .post(
            "/volumes/create",
            json!({"Name": "v", "ClusterVolumeSpec": {}}),
        )
        .await
        .expect(501);
}

#[tokio::test]
async fn this_host_tells_its_generic_resources() {
    let (server, _fake) = start();
    let info = server.get("/info").await.expect(200).json();
    let gpus = json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]);
    assert_eq!(info["GenericResources"], gpus);
    assert_eq!(info["Swarm"]["Nodes"], 2);
}

#[tokio::test]
async fn containers_have_their_health() {
    let (server, _fake) = start();
    let container = server.get("/containers/c1/json").await.expect(200).json();
    assert_eq!(container["State"]["Health"]["Status"], "healthy");
    let listed = server
        .get(r#"/containers/json?filters={"health":["healthy"]}"#)
        .await
        .expect(200)
        .json();
    assert_eq!(listed.as_array().expect("a list").len(), 1);
    server
        .get(r#"/containers/json?filters={"health":["fine"]}"#)
        .await
        .expect(400);
}
