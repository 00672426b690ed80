//! `/events`: what is kept, by time and by index, with Docker's attributes.

use crate::fake::NOW;
use crate::{Fake, start_with_events};
use api::events::{event, of_leader, of_node, of_payload, of_service, of_task};
use model::TaskState;
use model::service::{UpdateState, UpdateStatus};
use serde_json::{Value, json};
use std::sync::Arc;

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// A service that is scaled, updated and removed, and a task of it.
async fn happen(server: &crate::Server, fake: &Fake, hub: &api::events::EventHub) {
    server.create("web").await;
    let old = fake.service("web");
    let mut new = (*old).clone();
    let changed = Arc::make_mut(&mut new.spec);
    changed.mode = model::Mode::Replicated { replicas: Some(3) };
    Arc::make_mut(&mut changed.task).container.image = "busybox:2".into();
    new.meta.version += 1;
    new.update_status = Some(UpdateStatus {
        state: UpdateState::RollbackStarted,
        started_at: None,
        completed_at: None,
        message: String::new(),
        total_slots: 0,
        failures: 0,
        replaced_at: None,
        progressed_at: None,
    });
    fake.run_task("t1", "web");
    let task = fake.state().tasks[0].task.clone();
    hub.begin_after(9);
    let all = [
        of_service(None, Some(&old), 10, NOW),
        of_task(None, Some(&task), 11, NOW + 1),
        of_service(Some(&old), Some(&new), 12, NOW + 2),
        of_service(Some(&new), Some(&new), 13, NOW + 3),
        of_service(Some(&new), None, 14, NOW + 4),
    ];
    all.into_iter()
        .flatten()
        .for_each(|event| hub.publish(event));
    hub.publish(event(
        "container",
        "health_status: healthy",
        "c1",
        Default::default(),
        "local",
        NOW + 5,
    ));
}

#[tokio::test]
async fn attributes_are_dockers() {
    let (server, fake, hub) = start_with_events();
    happen(&server, &fake, &hub).await;
    let until = NOW / 1_000_000_000;
    let all = server
        .get(&format!("/events?since={until}&until={}", until + 1))
        .await;
    // Its end is past the present by a second: what is kept comes first.
    let all = lines(&all.expect(200).text());
    let told: Vec<_> = all
        .iter()
        .map(|e| format!("{} {}", e["Type"], e["Action"]).replace('"', ""))
        .collect();
    assert_eq!(
        told,
        [
            "service create",
            "service update",
            "service remove",
            "container health_status: healthy"
        ]
    );
    assert_eq!(
        all[1],
        json!({
            "Type": "service",
            "Action": "update",
            "Actor": {"ID": "service1", "Attributes": {
                "name": "web",
                "replicas.old": "1", "replicas.new": "3",
                "image.old": "busybox:1", "image.new": "busybox:2",
                "updatestate.new": "rollback_started",
            }},
            "scope": "swarm",
            "time": NOW / 1_000_000_000,
            "timeNano": NOW + 2,
            "Starling": {"Index": 12},
        })
    );
    assert!(all[3].get("Starling").is_none());
}

#[tokio::test]
async fn what_is_to_come_is_told_when_it_comes() {
    let (server, fake, hub) = start_with_events();
    server.create("web").await;
    fake.run_task("t1", "web");
    let (service, task) = (fake.service("web"), fake.state().tasks[0].task.clone());
    let read = server.get("/events?until=1700000001");
    let publish = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        hub.publish(of_task(None, Some(&task), 1, NOW).expect("an event"));
        hub.publish(of_service(None, Some(&service), 2, NOW).expect("an event"));
    };
    let (answer, ()) = tokio::join!(read, publish);
    let told = lines(&answer.expect(200).text());
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["Starling"]["Index"], 2);
}

#[tokio::test]
async fn readers_go_on_by_index() {
    let (server, fake, hub) = start_with_events();
    happen(&server, &fake, &hub).await;
    let until = NOW / 1_000_000_000;
    let read = async |query: &str| {
        server
            .get(&format!("/events?until={until}.000000009&{query}"))
            .await
    };
    let indexes = async |query: &str| -> Vec<u64> {
        let events = lines(&read(query).await.expect(200).text());
        events
            .iter()
            .map(|e| e["Starling"]["Index"].as_u64().unwrap_or(0))
            .collect()
    };
    assert_eq!(indexes("sinceIndex=9").await, [10, 12, 14]);
    assert_eq!(indexes("sinceIndex=12").await, [14]);
    assert_eq!(
        indexes(r#"sinceIndex=10&filters={"type":["task","service"]}"#).await,
        [11, 12, 14]
    );
    assert_eq!(indexes(r#"filters={"type":["task"]}"#).await, [11]);
    assert_eq!(indexes(r#"filters={"event":["update"]}"#).await, [12]);
    assert_eq!(
        indexes(r#"filters={"service":["web"],"event":["remove"]}"#).await,
        [14]
    );
    assert_eq!(indexes(r#"filters={"event":["health_status"]}"#).await, [0]);
    assert_eq!(indexes(r#"filters={"scope":["local"]}"#).await, [0]);
    let gone = read("sinceIndex=3").await.expect(410);
    assert!(
        gone.message().contains("from index 10 on") && gone.message().contains("sinceIndex=9"),
        "{}",
        gone.message()
    );
    read("sinceIndex=x").await.expect(400);
    read("sinceIndex=9&since=1").await.expect(400);
    server.get("/events?since=2&until=1").await.expect(400);
    server
        .get(r#"/events?filters={"colour":["red"]}"#)
        .await
        .expect(400);
}

#[tokio::test]
async fn tasks_nodes_secrets_and_configs() {
    let (server, fake, _) = start_with_events();
    server
        .post("/secrets/create", json!({"Name": "s", "Data": "aGk="}))
        .await
        .expect(201);
    let secret = fake.state().payloads[0].clone();
    let made = of_payload(None, Some(&secret), 1, NOW).expect("an event");
    assert_eq!(
        (made.kind.as_str(), made.action.as_str()),
        ("secret", "create")
    );
    assert_eq!(made.actor.attributes["name"], "s");
    let old = fake.state().nodes[0].node.clone();
    let leads = of_leader(&old, true, NOW).actor.attributes;
    assert_eq!(
        (leads["leader.old"].as_str(), leads["leader.new"].as_str()),
        ("false", "true")
    );
    let mut new = (*old).clone();
    assert_eq!(of_node(Some(&old), Some(&new), 1, NOW), None);
    new.spec.role = model::Role::Worker;
    new.spec.availability = model::Availability::Drain;
    new.status.state = model::NodeState::Down;
    let changed = of_node(Some(&old), Some(&new), 1, NOW)
        .expect("an event")
        .actor
        .attributes;
    for (name, text) in [
        ("name", "alpha"),
        ("role.old", "manager"),
        ("role.new", "worker"),
        ("availability.new", "drain"),
        ("state.old", "ready"),
        ("state.new", "down"),
    ] {
        assert_eq!(changed.get(name).map(String::as_str), Some(text), "{name}");
    }
    server.create("web").await;
    fake.run_task("t1", "web");
    let old = fake.state().tasks[0].task.clone();
    let mut new = (*old).clone();
    assert_eq!(of_task(Some(&old), Some(&new), 1, NOW), None);
    new.status.state = TaskState::Failed;
    let changed = of_task(Some(&old), Some(&new), 1, NOW).expect("an event");
    assert_eq!(changed.actor.attributes["state.old"], "running");
    assert_eq!(changed.actor.attributes["state.new"], "failed");
}
