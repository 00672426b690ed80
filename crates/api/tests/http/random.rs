//! Random bodies over the socket: a bad one is refused with a reason, and writes nothing.

use crate::{spec, start};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = prop_oneof![
            prop::sample::select(vec![
                "Name",
                "Labels",
                "TaskTemplate",
                "ContainerSpec",
                "Image",
                "Mode",
                "Replicated",
                "Replicas",
                "Data",
                "Role",
                "Availability",
                "Starling",
                "Drain",
                "Tasks",
                "Services",
                "Mounts",
                "Spec",
                "Raft",
                "CAConfig",
                "UpdateConfig",
                "Env",
                "Templating",
            ])
            .prop_map(str::to_owned),
            ".{0,3}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

/// Routes that take a body.
const ROUTES: [&str; 14] = [
    "/services/create",
    "/services/create?dryRun=1",
    "/services/web/update?version=101",
    "/v1.30/services/web/update?version=101",
    "/services/web/update?version=101&rollback=previous",
    "/services/web/restart",
    "/services/rebalance",
    "/nodes/alpha/update?version=5",
    "/swarm/update?version=3",
    "/swarm/tokens",
    "/secrets/create",
    "/configs/create",
    "/volumes/create",
    "/swarm/init",
];

#[test]
fn no_body_makes_it_fall_over() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    let (server, fake) = start();
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let body = (any_json(), 0..ROUTES.len());
    let outcome = runner.run(&body, |(body, route)| {
        runtime.block_on(async {
            fake.state().services.clear();
            server
                .post("/services/create", spec("web", json!({})))
                .await
                .expect(201);
            fake.state().index = 101;
            let writes = fake.state().writes.len();
            let answer = server.post(ROUTES[route], body.clone()).await;
            let status = answer.status.as_u16();
            let is_stale = answer.text().contains("update out of sequence");
            let documented = status == 501 || (status == 500 && is_stale);
            prop_assert!(
                status < 500 || documented,
                "{} {body}: {status} {}",
                ROUTES[route],
                answer.text()
            );
            if status >= 400 {
                prop_assert!(!answer.message().is_empty());
                prop_assert!(is_stale || fake.state().writes.len() == writes, "{body}");
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
