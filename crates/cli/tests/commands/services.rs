//! What Docker's services do not have, and secrets and configs.

use super::daemon::{Answer, error, json, start};
use super::{SERVICE, ok, run};

const PLAN: &str = r#"{"Version":11,"Diff":[{"Path":"TaskTemplate.ContainerSpec.Image","Old":"nginx:1","New":"nginx:2"}],"Start":[{"Service":"s1","ServiceName":"web","Slot":3,"NodeID":"n2"}],"Stop":[],"Replace":[{"Old":{"Service":"s1","ServiceName":"web","Slot":1,"TaskID":"t1","NodeID":"n1"},"NewNodeID":"n1"},{"Old":{"Service":"s1","ServiceName":"web","Slot":2,"TaskID":"t2","NodeID":"n1"},"NewNodeID":"n2"}],"Unplaced":[{"ServiceName":"web","Slot":4,"Reason":"no suitable node (insufficient resources on 2 nodes)"}],"Unchanged":2,"Notes":["the update would pause"]}"#;

fn node(id: &str) -> Answer {
    json(&format!(
        r#"{{"ID":"{id}","Description":{{"Hostname":"host-{id}"}}}}"#
    ))
}

#[test]
fn a_plan_changes_nothing_and_says_everything() {
    let daemon = start("plan", |request| match request.path.as_str() {
        "/services/web?insertDefaults=false" => json(SERVICE),
        "/nodes/n1" => node("n1"),
        "/nodes/n2" => node("n2"),
        path if path.contains("dryRun=1") => json(PLAN),
        other => error(500, other),
    });
    let args = ["service", "update", "--env-add", "A=1", "--dry-run", "web"];
    let ran = run(&daemon, &args);
    ok(&ran);
    let expected = [
        "Plan for an update of web; nothing was changed.",
        "",
        "Spec:",
        r#"  ~ TaskTemplate.ContainerSpec.Image: "nginx:1" -> "nginx:2""#,
        "",
        "Tasks:",
        "  replace   web.1     host-n1 -> host-n1",
        "  move      web.2     host-n1 -> host-n2",
        "  start     web.3     on host-n2",
        "  no node   web.4     no suitable node (insufficient resources on 2 nodes)",
        "  1 to replace, 1 to move, 1 to start, 0 to stop, 1 without a node, 2 unchanged",
        "",
        "Notes:",
        "  the update would pause",
        "",
        "To do this unless the service was changed meanwhile: the same command with --if-version 11 in place of --dry-run. Where tasks go also depends on nodes and other services, which may change.",
        "",
    ];
    assert_eq!(ran.out, expected.join("\n"));
    assert_eq!(
        daemon.asked()[1],
        "POST /services/s1/update?registryAuthFrom=spec&dryRun=1&version=11"
    );
    let ran = run(
        &daemon,
        &[&args[..5], &["--format", "json", "web"]].concat(),
    );
    assert_eq!(ran.out, format!("{PLAN}\n"));
    let ran = run(
        &daemon,
        &[
            &args[..5],
            &["--format", "{{len .Replace}} {{.Unchanged}}", "web"],
        ]
        .concat(),
    );
    assert_eq!(ran.out, "2 2\n");
    let create = ["service", "create", "--dry-run", "--no-resolve-image", "a"];
    let ran = run(&daemon, &create);
    assert!(
        ran.out.starts_with("Plan for a new service;"),
        "{}",
        ran.out
    );
    assert!(
        daemon
            .asked()
            .contains(&"POST /services/create?dryRun=1".to_owned())
    );
}

#[test]
fn an_update_that_comes_too_late_does_nothing() {
    let daemon = start("if-version", |request| match request.method.as_str() {
        "GET" => json(SERVICE),
        _ => json(r#"{"Warnings":null}"#),
    });
    let ran = run(
        &daemon,
        &["service", "update", "-d", "--if-version", "10", "web"],
    );
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.starts_with(
            "service web changed since version 10, it is at version 11 now: nothing was done"
        ),
        "{}",
        ran.err
    );
    assert_eq!(daemon.asked().len(), 1);
    ok(&run(
        &daemon,
        &["service", "update", "-d", "--if-version", "11", "web"],
    ));
}

#[test]
fn own_flags_become_our_part_of_the_spec() {
    let daemon = start("own", |request| match request.path.as_str() {
        r#"/secrets?filters={"name":{"db":true}}"# => {
            json(r#"[{"ID":"x1","Spec":{"Name":"db2"}},{"ID":"x2","Spec":{"Name":"db"}}]"#)
        }
        path if path.starts_with("/secrets?") => json("[]"),
        _ => json(r#"{"ID":"s1","Warnings":null}"#),
    });
    let create = |more: &[&'static str]| {
        [
            &["service", "create", "-d", "--no-resolve-image"],
            more,
            &["a"],
        ]
        .concat()
    };
    let flags = [
        "--device",
        "/dev/fuse:/dev/f:rw",
        "--privileged",
        "--secret-env",
        "db=PGPASSWORD",
        "--progress-deadline",
        "2m",
        "--auto-rebalance",
    ];
    ok(&run(&daemon, &create(&flags)));
    let body = daemon.last_body("POST");
    let ours = r#""Starling":{"ProgressDeadline":120000000000,"AutoRebalance":true,"Devices":[{"HostPath":"/dev/fuse","ContainerPath":"/dev/f","Permissions":"rw"}],"Privileged":true,"SecretEnv":[{"SecretID":"x2","SecretName":"db","Variable":"PGPASSWORD"}]}}"#;
    assert!(body.ends_with(ours), "{body}");
    ok(&run(&daemon, &create(&["--secret", "db"])));
    let file = r#""Secrets":[{"File":{"Name":"db","UID":"0","GID":"0","Mode":292},"SecretID":"x2","SecretName":"db"}]"#;
    assert!(daemon.last_body("POST").contains(file));
    let ran = run(&daemon, &create(&["--secret", "nothing"]));
    assert!(
        ran.err.starts_with("secret not found: nothing"),
        "{}",
        ran.err
    );
    let ran = run(
        &daemon,
        &create(&[
            "--secret",
            "source=db,target=a",
            "--secret",
            "source=db,target=a",
        ]),
    );
    assert_eq!(ran.err, "duplicate secret target for db not allowed\n");
    let ran = run(&daemon, &create(&["--credential-spec", "file://x"]));
    assert!(ran.err.contains("account of Windows"), "{}", ran.err);
}

#[test]
fn back_to_any_revision() {
    let daemon = start("revisions", |request| match request.path.as_str() {
        "/services/web/history" => json(
            r#"[{"Number":1,"CreatedAt":"2026-11-21T10:00:00Z","Cause":"create","Spec":{"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1@sha256:aa"}}}},{"Number":2,"CreatedAt":"2026-11-21T10:05:00Z","Cause":"failed update","Spec":{"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1"}}}}]"#,
        ),
        "/services/web?insertDefaults=false" => json(SERVICE),
        path if path.contains("dryRun=1") => json(r#"{"Version":11}"#),
        _ => json(r#"{"Warnings":null}"#),
    });
    let format = "{{.Number}}{{if .Current}}*{{end}} {{.Cause}} {{.Image}}";
    let ran = run(&daemon, &["service", "history", "--format", format, "web"]);
    ok(&ran);
    assert_eq!(ran.out, "1 create nginx:1\n2* failed update nginx:1\n");
    ok(&run(
        &daemon,
        &["service", "rollback", "-d", "--to", "1", "web"],
    ));
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /services/s1/update?rollback=previous&revision=1&version=11"
    );
    let ran = run(&daemon, &["service", "rollback", "--dry-run", "web"]);
    assert!(
        ran.out
            .starts_with("Plan for a rollback of web; nothing was changed.\n"),
        "{}",
        ran.out
    );
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /services/s1/update?rollback=previous&dryRun=1&version=11"
    );
}

#[test]
fn stopped_and_started() {
    let stopped = SERVICE.replace(
        r#""Mode":{"Replicated":{"Replicas":2}}"#,
        r#""Mode":{"Replicated":{"Replicas":0}},"Starling":{"Stopped":{"Replicas":2}}"#,
    );
    let daemon = start("stop", move |request| match request.path.as_str() {
        "/services/web?insertDefaults=false" => json(SERVICE),
        "/services/off?insertDefaults=false" => json(&stopped),
        r#"/tasks?filters={"service":{"s1":true}}"# => json(
            r#"[{"ID":"t1","Status":{"State":"shutdown"}},{"ID":"t2","Status":{"State":"complete"}}]"#,
        ),
        _ => json(r#"{"Warnings":null}"#),
    });
    let ran = run(&daemon, &["service", "stop", "web"]);
    ok(&ran);
    assert_eq!(ran.out, "web\nstopping: 0 tasks left\n");
    let body = daemon.last_body("POST");
    let ends = r#""Mode":{"Replicated":{"Replicas":0}},"Starling":{"Stopped":{"Replicas":2}}}"#;
    assert!(body.ends_with(ends), "{body}");
    let ran = run(&daemon, &["service", "stop", "off"]);
    assert_eq!(ran.out, "off is stopped already\n");
    ok(&run(&daemon, &["service", "start", "-d", "off"]));
    let body = daemon.last_body("POST");
    let ends = r#""Mode":{"Replicated":{"Replicas":2}},"Starling":{"Stopped":null}}"#;
    assert!(body.ends_with(ends), "{body}");
    let ran = run(&daemon, &["service", "start", "web"]);
    assert_eq!(ran.out, "web is not stopped\n");
    ok(&run(&daemon, &["service", "scale", "-d", "off=5"]));
    let body = daemon.last_body("POST");
    let ends = r#""Mode":{"Replicated":{"Replicas":5}},"Starling":{"Stopped":null}}"#;
    assert!(body.ends_with(ends), "{body}");
}

#[test]
fn single_tasks_are_replaced() {
    let mut looks = 0;
    let daemon = start("restart", move |request| {
        let path = request.path.as_str();
        match () {
            () if path == "/tasks/t1" => json(r#"{"ID":"t1","ServiceID":"s1"}"#),
            () if request.method == "POST" => json(""),
            // The status of an update that paused long ago says nothing of this.
            () if path.starts_with("/services/s1") => json(
                r#"{"ID":"s1","Spec":{"Name":"web","Mode":{"Replicated":{"Replicas":1}},"UpdateConfig":{"Monitor":1}},"UpdateStatus":{"State":"paused","Message":"old"}}"#,
            ),
            () if path.starts_with("/tasks?") => {
                looks += 1;
                let id = if looks < 3 { "t1" } else { "t2" };
                json(&format!(
                    r#"[{{"ID":"{id}","Slot":1,"NodeID":"n1","DesiredState":"running","Status":{{"State":"running"}}}}]"#
                ))
            }
            () => json(r#"[{"ID":"n1","Status":{"State":"ready"}}]"#),
        }
    });
    let ran = run(&daemon, &["service", "restart", "--task", "t1"]);
    ok(&ran);
    assert_eq!(daemon.asked()[1], "POST /services/s1/restart");
    assert_eq!(daemon.last_body("POST"), r#"{"Tasks":["t1"]}"#);
    let asked = daemon.asked();
    let looks = asked.iter().filter(|asked| asked.contains("/tasks?"));
    assert!(looks.count() >= 3, "{asked:?}");
}

#[test]
fn rebalance_shows_what_moves() {
    let daemon = start("rebalance", |request| match request.path.as_str() {
        "/services/web?insertDefaults=false" => json(SERVICE),
        "/nodes/n1" => node("n1"),
        "/nodes/n2" => node("n2"),
        "/services/rebalance?dryRun=1" => json(
            r#"{"Moves":[{"ServiceName":"web","TaskID":"t1","Slot":1,"FromNodeID":"n1","ToNodeID":"n2"}]}"#,
        ),
        _ => json(r#"{"Moves":[]}"#),
    });
    let ran = run(&daemon, &["service", "rebalance", "--dry-run", "web"]);
    ok(&ran);
    assert_eq!(
        ran.out,
        "TASK      ID        FROM      TO\nweb.1     t1        host-n1   host-n2\nNothing was moved.\n"
    );
    assert_eq!(daemon.last_body("POST"), r#"{"Services":["s1"]}"#);
    let ran = run(&daemon, &["service", "rebalance"]);
    assert!(ran.out.starts_with("Nothing to move"), "{}", ran.out);
}

#[test]
fn an_update_that_was_rolled_back_has_failed() {
    let service = |status: &str| {
        format!(
            r#"{{"ID":"s1","Version":{{"Index":1}},"Spec":{{"Name":"web","TaskTemplate":{{"ForceUpdate":0}},"Mode":{{"Replicated":{{"Replicas":1}}}},"UpdateConfig":{{"Monitor":1}}}},"UpdateStatus":{status}}}"#
        )
    };
    let mut looks = 0;
    let daemon = start("rolled-back", move |request| {
        let path = request.path.as_str();
        match () {
            () if request.method == "POST" => json(r#"{"Warnings":null}"#),
            () if path.starts_with("/services/") => {
                looks += 1;
                json(&service(if looks < 4 {
                    r#"{"State":"rollback_started","Message":"update rolled back due to failure or early termination of task t1"}"#
                } else {
                    r#"{"State":"rollback_completed","Message":"rollback completed"}"#
                }))
            }
            () if path.starts_with("/tasks") => json(
                r#"[{"ID":"t2","Slot":1,"NodeID":"n1","DesiredState":"running","Status":{"State":"running"}}]"#,
            ),
            () => json(r#"[{"ID":"n1","Status":{"State":"ready"}}]"#),
        }
    });
    let ran = run(&daemon, &["service", "update", "--env-add", "A=1", "web"]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "service update rolled back: update rolled back due to failure or early termination of task t1 (the spec that failed: starling service history web)\n"
    );
    assert!(
        ran.out
            .contains("rollback: update rolled back due to failure")
            && ran.out.contains("overall progress: rolling back update: "),
        "{}",
        ran.out
    );
    // Whoever asks for a rollback and gets one is content.
    ok(&run(&daemon, &["service", "rollback", "web"]));
}

#[test]
fn secrets_and_configs() {
    let daemon = start("secrets", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/secrets/create" | "/configs/create") => Answer {
                status: 201,
                ..json(r#"{"ID":"x1"}"#)
            },
            ("GET", "/secrets") => json(
                r#"[{"ID":"x2","Spec":{"Name":"s10","Labels":{}}},{"ID":"x1","Spec":{"Name":"s9","Labels":{"a":"b"}}}]"#,
            ),
            ("GET", "/secrets/s9") => json(
                r#"{"ID":"x1","Version":{"Index":7},"Spec":{"Name":"s9","Labels":{"a":"b","old":"x"}}}"#,
            ),
            ("GET", "/configs/c") => {
                json(r#"{"ID":"c1","Spec":{"Name":"c","Labels":{},"Data":"aGVsbG8="}}"#)
            }
            ("DELETE", "/secrets/s9") => error(
                400,
                "rpc error: code = InvalidArgument desc = secret 's9' is in use by the following service: web",
            ),
            ("DELETE", _) => Answer {
                status: 204,
                ..json("")
            },
            ("POST", _) => json(""),
            (_, other) => error(404, other),
        }
    });
    let file = daemon.socket.with_file_name("content");
    std::fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    let ran = run(&daemon, &["secret", "create", "-l", "a=b", "s9", file]);
    ok(&ran);
    assert_eq!(ran.out, "x1\n");
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"s9","Labels":{"a":"b"},"Data":"aGVsbG8="}"#
    );
    let create = ["config", "create", "--template-driver", "golang", "c", file];
    ok(&run(&daemon, &create));
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"c","Labels":{},"Data":"aGVsbG8=","Templating":{"Name":"golang"}}"#
    );
    assert_eq!(run(&daemon, &["secret", "ls", "-q"]).out, "x1\nx2\n");
    let update = [
        "secret",
        "update",
        "--label-add",
        "n=1",
        "--label-rm",
        "old",
        "s9",
    ];
    ok(&run(&daemon, &update));
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /secrets/x1/update?version=7"
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"s9","Labels":{"a":"b","n":"1"}}"#
    );
    let ran = run(&daemon, &["secret", "rm", "s9", "s10"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "s10\n"));
    assert!(ran.err.contains("secret 's9' is in use by"), "{}", ran.err);
    let ran = run(&daemon, &["config", "inspect", "--pretty", "c"]);
    ok(&ran);
    assert!(ran.out.contains("Name:\t\t\tc\n") && ran.out.contains("Data:\nhello\n"));
    let ran = run(&daemon, &["secret", "create", "s"]);
    assert!(
        ran.err.starts_with("secret file is required"),
        "{}",
        ran.err
    );
}
