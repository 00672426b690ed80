//! Drains, tokens, volumes, events.

use super::daemon::{Answer, error, json, start};
use super::{ok, run};

const NODE: &str = r#"{"ID":"n1","Version":{"Index":9},"Spec":{"Labels":{},"Role":"worker","Availability":"active"},"Description":{"Hostname":"w1"}}"#;

#[test]
fn a_drain_waits_until_the_tasks_are_gone() {
    let mut looks = 0;
    let daemon = start("drain", move |request| match request.path.as_str() {
        "/nodes/w1" => json(NODE),
        "/services/s1" => json(r#"{"ID":"s1","Spec":{"Name":"web"}}"#),
        r#"/tasks?filters={"node":{"n1":true}}"# => {
            looks += 1;
            let state = if looks < 3 { "running" } else { "shutdown" };
            json(&format!(
                r#"[{{"ID":"t1","ServiceID":"s1","Slot":2,"NodeID":"n1","DesiredState":"running","Status":{{"State":"{state}"}}}}]"#
            ))
        }
        path if path.starts_with("/tasks") => json(
            r#"[{"ID":"t2","ServiceID":"s1","Slot":2,"DesiredState":"running","Status":{"State":"pending","Err":"no suitable node"}}]"#,
        ),
        _ => json(""),
    });
    let args = "node drain --wait --parallelism 1 --order start-first w1";
    let ran = run(&daemon, &args.split(' ').collect::<Vec<_>>());
    ok(&ran);
    assert_eq!(
        ran.out,
        "w1\nw1: 1 tasks left\nweb.2: its successor is pending: no suitable node\nw1: drained\nweb.2: left\n"
    );
    assert_eq!(daemon.asked()[1], "POST /nodes/n1/update?version=9");
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Labels":{},"Role":"worker","Availability":"drain","Starling":{"Drain":{"Parallelism":1,"Order":"start-first"}}}"#
    );
}

#[test]
fn a_drain_that_takes_too_long_says_what_is_left() {
    let daemon = start("slow-drain", |request| match request.path.as_str() {
        "/nodes/w1" => json(NODE),
        "/services/s1" => json(r#"{"ID":"s1","Spec":{"Name":"web"}}"#),
        r#"/tasks?filters={"node":{"n1":true}}"# => json(
            r#"[{"ID":"t1","ServiceID":"s1","Slot":2,"NodeID":"n1","DesiredState":"shutdown","Status":{"State":"running"}}]"#,
        ),
        path if path.starts_with("/tasks") => json("[]"),
        _ => json(""),
    });
    let ran = run(
        &daemon,
        &["node", "drain", "--wait", "--timeout", "1ms", "w1"],
    );
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "the time is up and 1 tasks are still there; the drain goes on\n  web.2: stopping (running)\n"
    );
    // Without flags it is Docker's drain.
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Labels":{},"Role":"worker","Availability":"drain"}"#
    );
}

#[test]
fn nodes_change() {
    let drained = NODE.replace(
        r#""Availability":"active""#,
        r#""Availability":"drain","Starling":{"Drain":{"Parallelism":1}}"#,
    );
    let daemon = start("roles", move |request| match request.path.as_str() {
        "/nodes/w1" => json(NODE),
        "/nodes/w2" => json(&drained),
        "/nodes/n1/update?dryRun=1&version=9" => json(r#"{"Unchanged":4}"#),
        path if path.starts_with("/nodes/n1/update") => json(""),
        other => error(404, other),
    });
    ok(&run(&daemon, &["node", "activate", "w2"]));
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Labels":{},"Role":"worker","Availability":"active","Starling":{"Drain":null}}"#
    );
    let ran = run(&daemon, &["node", "promote", "w1"]);
    assert_eq!(ran.out, "Node w1 promoted to a manager in the swarm.\n");
    let ran = run(&daemon, &["node", "demote", "w1"]);
    assert_eq!(ran.out, "Node w1 is already a worker.\n");
    let ran = run(&daemon, &["node", "drain", "--dry-run", "w1"]);
    ok(&ran);
    assert_eq!(
        ran.out,
        "Plan for a drain of w1; nothing was changed.\n\nTasks:\n  0 to replace, 0 to move, 0 to start, 0 to stop, 0 without a node, 4 unchanged\n"
    );
    let ran = run(&daemon, &["node", "inspect", "--pretty", "w1"]);
    ok(&ran);
    assert!(
        ran.out.contains("\nHostname:              \tw1\n"),
        "{}",
        ran.out
    );
}

#[test]
fn tokens_with_labels() {
    let daemon = start("tokens", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/swarm/tokens") => Answer {
                status: 201,
                ..json(r#"{"Name":"rack7","Token":"SWMTKN-1-x"}"#)
            },
            ("GET", "/info") => json(r#"{"Swarm":{"NodeID":"n1"}}"#),
            ("GET", "/nodes/n1") => json(r#"{"ID":"n1","ManagerStatus":{"Addr":"10.0.0.1:2377"}}"#),
            ("GET", "/swarm") => json(
                r#"{"ID":"c","Starling":{"Tokens":[{"Name":"rack7","Role":"worker","Labels":{"rack":"7"},"Token":"SWMTKN-1-x"}]}}"#,
            ),
            ("DELETE", "/swarm/tokens/rack7") => Answer {
                status: 204,
                ..json("")
            },
            (_, other) => error(404, other),
        }
    });
    let create = "swarm token create rack7 --role worker --label rack=7";
    let ran = run(&daemon, &create.split(' ').collect::<Vec<_>>());
    ok(&ran);
    assert_eq!(
        ran.out,
        "To add a worker to this swarm, run the following command:\n\n    starling swarm join --token SWMTKN-1-x 10.0.0.1:2377\n\n"
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"rack7","Role":"worker","Labels":{"rack":"7"}}"#
    );
    assert_eq!(
        run(&daemon, &["swarm", "token", "ls"]).out,
        "NAME      ROLE      LABELS\nrack7     worker    rack=7\n"
    );
    assert_eq!(
        run(&daemon, &["swarm", "token", "rm", "rack7"]).out,
        "rack7\n"
    );
    let ran = run(&daemon, &["swarm", "update"]);
    assert!(ran.err.starts_with("nothing to change"), "{}", ran.err);
}

#[test]
fn volumes() {
    let daemon = start("volumes", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/volumes/create") => Answer {
                status: 201,
                ..json(
                    r#"{"Name":"data","Driver":"local","Labels":null,"Options":null,"Scope":"local"}"#,
                )
            },
            ("GET", "/volumes") => json(
                r#"{"Volumes":[{"Name":"data","Driver":"local","Labels":null,"Options":null,"Scope":"local"}],"Warnings":null}"#,
            ),
            ("DELETE", "/volumes/data?force=1") => Answer {
                status: 204,
                ..json("")
            },
            ("POST", r#"/volumes/prune?filters={"all":{"true":true}}"#) => {
                json(r#"{"VolumesDeleted":["data"],"SpaceReclaimed":2048}"#)
            }
            (_, other) => error(404, other),
        }
    });
    let create = "volume create -o type=tmpfs --label a=b data";
    assert_eq!(
        run(&daemon, &create.split(' ').collect::<Vec<_>>()).out,
        "data\n"
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Driver":"local","DriverOpts":{"type":"tmpfs"},"Labels":{"a":"b"},"Name":"data"}"#
    );
    assert_eq!(
        run(&daemon, &["volume", "ls"]).out,
        "DRIVER    VOLUME NAME\nlocal     data\n"
    );
    assert_eq!(run(&daemon, &["volume", "ls", "-q"]).out, "data\n");
    assert_eq!(run(&daemon, &["volume", "rm", "-f", "data"]).out, "data\n");
    assert_eq!(
        run(&daemon, &["volume", "prune", "-a", "-f"]).out,
        "Deleted Volumes:\ndata\n\nTotal reclaimed space: 2.048kB\n"
    );
}

#[test]
fn events_go_on_at_an_index() {
    let daemon = start("index", |request| match request.path.as_str() {
        "/events?sinceIndex=7" => json(
            r#"{"Type":"node","Action":"update","Actor":{"ID":"n1","Attributes":{}},"time":1,"Starling":{"Index":8}}"#,
        ),
        _ => error(410, "events before index 4000 are gone: begin at 4000"),
    });
    let format = "{{.Starling.Index}} {{.Action}}";
    let ran = run(
        &daemon,
        &["events", "--since-index", "7", "--format", format],
    );
    ok(&ran);
    assert_eq!(ran.out, "8 update\n");
    let ran = run(&daemon, &["events", "--since-index", "1"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("begin at 4000"), "{}", ran.err);
}
