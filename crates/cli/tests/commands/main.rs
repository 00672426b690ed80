//! Whole commands against a daemon that answers what the test tells it to: what is asked, what is printed, how it ends.

mod bodies;
mod daemon;
mod nodes;
mod services;
mod slots;
mod waits;

use cli::client::Environment;
use cli::console::Console;
use daemon::{Answer, Daemon, Request, error, json, start};
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run_at(host: &str, args: &[&str]) -> Ran {
    let (out, err) = (Output::default(), Output::default());
    let environment = Environment {
        starling_host: Some(host.to_owned()),
        ..Environment::default()
    };
    let matches = cli::command()
        .try_get_matches_from(std::iter::once(&"starling").chain(args))
        .unwrap();
    let code = cli::run_in(
        &matches,
        &environment,
        Console::new(out.clone(), err.clone()),
    );
    Ran {
        code,
        out: out.text(),
        err: err.text(),
    }
}

fn run(daemon: &Daemon, args: &[&str]) -> Ran {
    run_at(daemon.socket.to_str().unwrap(), args)
}

fn ok(ran: &Ran) {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
}

const SERVICE: &str = r#"{"ID":"s1","Version":{"Index":11},"Spec":{"Name":"web","Labels":{"keep":"me"},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1@sha256:aa","Init":false},"ForceUpdate":4},"Mode":{"Replicated":{"Replicas":2}}},"Endpoint":{"Spec":{}}}"#;

#[test]
fn create_pins_the_image_and_prints_the_id() {
    let daemon = start("create", |request| match request.path.as_str() {
        "/distribution/nginx:latest/json" => json(
            r#"{"Descriptor":{"mediaType":"x","digest":"sha256:bb","size":1},"Platforms":[{"architecture":"amd64","os":"linux"}]}"#,
        ),
        "/networks/host?scope=swarm" => json(r#"{"Name":"host","Id":"h0st"}"#),
        "/services/create" => Answer {
            status: 201,
            ..json(r#"{"ID":"s1","Warnings":["careful"]}"#)
        },
        other => error(500, other),
    });
    let ran = run(
        &daemon,
        &[
            "service",
            "create",
            "-d",
            "--name",
            "web",
            "--network",
            "host",
            "nginx",
        ],
    );
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (0, "s1\n", "careful\n")
    );
    assert_eq!(
        daemon.asked(),
        [
            "GET /networks/host?scope=swarm",
            "GET /distribution/nginx:latest/json",
            "POST /services/create"
        ]
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:latest@sha256:bb","Init":false,"DNSConfig":{}},"Resources":{"Limits":{},"Reservations":{}},"Placement":{"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"Networks":[{"Target":"h0st"}],"ForceUpdate":0},"Mode":{"Replicated":{}},"EndpointSpec":{"Mode":"vip"}}"#
    );
}

#[test]
fn a_registry_that_does_not_answer_is_only_a_warning() {
    let daemon = start("unpinned", |request| match request.path.as_str() {
        "/services/create" => Answer {
            status: 201,
            ..json(r#"{"ID":"s1","Warnings":null}"#)
        },
        _ => error(404, "no such manifest"),
    });
    let ran = run(&daemon, &["service", "create", "-d", "nginx"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "s1\n"));
    assert!(ran.err.contains("nginx:latest could not be pinned to a digest (Error response from daemon: no such manifest)"), "{}", ran.err);
    let asked = daemon.asked().len();
    ok(&run(
        &daemon,
        &["service", "create", "-d", "--no-resolve-image", "nginx"],
    ));
    assert_eq!(daemon.asked().len(), asked + 1);
}

#[test]
fn credentials_go_only_where_they_are_asked_for() {
    let daemon = start("auth", |request| match request.method.as_str() {
        "GET" if request.path == "/services/web?insertDefaults=false" => json(SERVICE),
        "GET" => error(404, "no such manifest"),
        _ => json(r#"{"ID":"s1","Warnings":null}"#),
    });
    ok(&run(&daemon, &["service", "update", "-d", "web"]));
    assert!(daemon.with_credentials().is_empty());
    run(
        &daemon,
        &["service", "create", "-d", "--with-registry-auth", "nginx"],
    );
    assert_eq!(
        daemon.with_credentials(),
        [
            "GET /distribution/nginx:latest/json e30=",
            "POST /services/create e30="
        ]
    );
    ok(&run(
        &daemon,
        &["service", "update", "-d", "--with-registry-auth", "web"],
    ));
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /services/s1/update?version=11"
    );
}

#[test]
fn force_reads_counts_up_and_writes_back() {
    let daemon = start("force", |request| match request.method.as_str() {
        "GET" => json(SERVICE),
        _ => json(r#"{"Warnings":null}"#),
    });
    let ran = run(&daemon, &["service", "update", "-f", "-d", "web"]);
    ok(&ran);
    assert_eq!(ran.out, "web\n");
    assert_eq!(
        daemon.asked(),
        [
            "GET /services/web?insertDefaults=false",
            "POST /services/s1/update?registryAuthFrom=spec&version=11"
        ]
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Name":"web","Labels":{"keep":"me"},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1@sha256:aa","Init":false},"ForceUpdate":5},"Mode":{"Replicated":{"Replicas":2}}}"#
    );
}

#[test]
fn scale_and_rollback() {
    let daemon = start("scale", |request| match request.method.as_str() {
        "GET" => json(SERVICE),
        _ => json(r#"{"Warnings":null}"#),
    });
    let ran = run(
        &daemon,
        &["service", "scale", "-d", "web=5", "web=x", "web"],
    );
    assert_eq!((ran.code, ran.out.as_str()), (1, "web scaled to 5\n"));
    assert!(
        ran.err.contains("invalid replicas value x")
            && ran.err.contains("invalid scale specifier 'web'"),
        "{}",
        ran.err
    );
    assert_eq!(daemon.asked()[1], "POST /services/s1/update?version=11");
    assert!(daemon.last_body("POST").contains(r#""Replicas":5"#));
    ok(&run(
        &daemon,
        &["service", "update", "--rollback", "-d", "web"],
    ));
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /services/s1/update?rollback=previous&version=11"
    );
    let ran = run(
        &daemon,
        &["service", "update", "--rollback", "--replicas", "3", "web"],
    );
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "other flags may not be combined with --rollback\n")
    );
}

fn converging(
    states: &'static [&'static str],
    last: &'static str,
) -> impl FnMut(&Request) -> Answer + Send + 'static {
    let turn = AtomicUsize::new(0);
    move |request| {
        let path = request.path.as_str();
        match () {
            () if request.method == "POST" => json(r#"{"ID":"s1","Warnings":null}"#),
            () if path.starts_with("/services/") => {
                let status = if turn.load(Ordering::SeqCst) >= states.len() {
                    last
                } else {
                    ""
                };
                json(&format!(
                    r#"{{"ID":"s1","Version":{{"Index":1}},"Spec":{{"Name":"web","TaskTemplate":{{"ForceUpdate":0}},"Mode":{{"Replicated":{{"Replicas":1}}}},"UpdateConfig":{{"Monitor":1000000}}}}{status}}}"#
                ))
            }
            () if path.starts_with("/tasks") => {
                assert_eq!(
                    path,
                    r#"/tasks?filters={"_up-to-date":{"true":true},"service":{"s1":true}}"#
                );
                let state = states[turn.fetch_add(1, Ordering::SeqCst).min(states.len() - 1)];
                json(&format!(
                    r#"[{{"ID":"t1","Slot":1,"NodeID":"n1","DesiredState":"running","Status":{{"State":"{state}"}}}}]"#
                ))
            }
            () => json(r#"[{"ID":"n1","Status":{"State":"ready"}}]"#),
        }
    }
}

#[test]
fn create_waits_until_the_service_runs() {
    let daemon = start(
        "wait",
        converging(&["pending", "running", "running", "running"], ""),
    );
    let ran = run(
        &daemon,
        &["service", "create", "--no-resolve-image", "nginx"],
    );
    ok(&ran);
    let lines: Vec<&str> = ran
        .out
        .lines()
        .filter(|line| !line.contains("Waiting"))
        .collect();
    assert_eq!(
        lines,
        [
            "s1",
            "overall progress: 0 out of 1 tasks",
            "1/1: pending",
            "1/1: running",
            "overall progress: 1 out of 1 tasks",
            "verify: Service s1 converged"
        ]
    );
    let quiet = start("quiet", converging(&["running"], ""));
    let ran = run(
        &quiet,
        &["service", "create", "-q", "--no-resolve-image", "nginx"],
    );
    ok(&ran);
    assert_eq!(ran.out, "s1\n");
}

#[test]
fn an_update_that_paused_fails() {
    let daemon = start(
        "paused",
        converging(
            &["failed"],
            r#","UpdateStatus":{"State":"paused","Message":"update paused due to failure"}"#,
        ),
    );
    let ran = run(&daemon, &["service", "update", "--env-add", "A=1", "web"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "service update paused: update paused due to failure\n")
    );
}

#[test]
fn a_wait_outlives_a_change_of_leader() {
    let failures = AtomicUsize::new(0);
    let mut inner = converging(&["running"], "");
    let daemon = start("leader", move |request| {
        if request.path.starts_with("/tasks") && failures.fetch_add(1, Ordering::SeqCst) < 3 {
            return error(
                500,
                "rpc error: code = Unknown desc = The swarm does not have a leader.",
            );
        }
        inner(request)
    });
    ok(&run(
        &daemon,
        &["service", "create", "-q", "--no-resolve-image", "nginx"],
    ));
}

fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![stream, 0, 0, 0];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[test]
fn logs_say_whose_they_are() {
    let daemon = start("logs", |request| {
        match request.path.split('?').next().unwrap() {
            "/services/web" => json(&SERVICE.replace("\"Replicas\":2", "\"Replicas\":12")),
            "/services/s1" => json(SERVICE),
            "/services/web/logs" if request.path.contains("details=1") => {
                let details = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1 ";
                let body = [
                    frame(1, &format!("{details}hello world\n")),
                    frame(2, &format!("{details}oh\n")),
                ]
                .concat();
                Answer { body, ..json("") }
            }
            "/services/web/logs" => Answer {
                body: frame(1, "raw\n"),
                ..json("")
            },
            "/nodes/n1" => json(r#"{"ID":"n1","Description":{"Hostname":"h1"}}"#),
            "/tasks/t1" => json(r#"{"ID":"t1234567890123456","Slot":3}"#),
            other => error(404, other),
        }
    });
    let ran = run(&daemon, &["service", "logs", "--tail", "5", "web"]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (
            0,
            "web.3.t12345678901@h1     | hello world\n",
            "web.3.t12345678901@h1     | oh\n"
        )
    );
    assert!(
        daemon
            .asked()
            .contains(&"GET /services/web/logs?stdout=1&stderr=1&tail=5&details=1".to_owned()),
        "{:?}",
        daemon.asked()
    );
    let ran = run(&daemon, &["service", "logs", "--raw", "web"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "raw\n"));
    let points = [
        "service", "logs", "--raw", "--since", "5", "--until", "9", "web",
    ];
    ok(&run(&daemon, &points));
    assert!(
        daemon.asked().contains(
            &"GET /services/web/logs?stdout=1&stderr=1&tail=all&since=5&until=9".to_owned()
        )
    );
    let ran = run(&daemon, &["service", "logs", "nothing"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "no such task or service: nothing\n")
    );
}

#[test]
fn nodes() {
    let daemon = start("nodes", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/nodes") => json(
                r#"[{"ID":"n2","Spec":{"Role":"worker","Availability":"drain"},"Description":{"Hostname":"w10","Engine":{"EngineVersion":"28.2.2"}},"Status":{"State":"down"}},{"ID":"n1","Version":{"Index":9},"Spec":{"Labels":{},"Role":"manager","Availability":"active"},"Description":{"Hostname":"w9","Engine":{"EngineVersion":"28.2.2"}},"Status":{"State":"ready"},"ManagerStatus":{"Leader":true,"Reachability":"reachable"}}]"#,
            ),
            ("GET", "/info") => json(r#"{"Swarm":{"NodeID":"n1","ControlAvailable":true}}"#),
            ("GET", "/nodes/w9") => json(
                r#"{"ID":"n1","Version":{"Index":9},"Spec":{"Role":"manager","Availability":"active"}}"#,
            ),
            ("POST", _) => json(""),
            (_, other) => error(404, &format!("node {other} not found")),
        }
    });
    let ran = run(&daemon, &["node", "ls"]);
    ok(&ran);
    let expected = [
        "ID        HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION",
        "n1 *      w9         Ready     Active         Leader           28.2.2",
        "n2        w10        Down      Drain                           28.2.2",
        "",
    ];
    assert_eq!(ran.out, expected.join("\n"));
    ok(&run(
        &daemon,
        &["node", "update", "--label-add", "a=b", "w9"],
    ));
    assert_eq!(
        daemon.asked().last().unwrap(),
        "POST /nodes/n1/update?version=9"
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"Labels":{"a":"b"},"Role":"manager","Availability":"active"}"#
    );
    let ran = run(&daemon, &["node", "rm", "-f", "x", "y"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "Error response from daemon: node /nodes/x?force=1 not found\nError response from daemon: node /nodes/y?force=1 not found\n"
        )
    );
}

#[test]
fn tasks_of_a_service() {
    let daemon = start("ps", |request| match request.path.as_str() {
        r#"/services?filters={"id":{"web":true}}"# => json("[]"),
        r#"/services?filters={"name":{"web":true}}"#
        | r#"/services?filters={"name":{"we":true}}"# => json(&format!("[{SERVICE}]")),
        path if path.starts_with("/services?") => json("[]"),
        r#"/tasks?filters={"desired-state":{"running":true},"service":{"s1":true}}"# => json(
            r#"[{"ID":"old","CreatedAt":"2026-11-21T10:00:00Z","Slot":1,"ServiceID":"s1","NodeID":"n1","DesiredState":"shutdown","Spec":{"ContainerSpec":{"Image":"nginx:1@sha256:aa"}},"Status":{"State":"failed","Err":"task: non-zero exit (1)"}},{"ID":"new","CreatedAt":"2026-11-21T10:00:05Z","Slot":1,"ServiceID":"s1","NodeID":"n1","DesiredState":"running","Spec":{"ContainerSpec":{"Image":"nginx:1@sha256:aa"}},"Status":{"State":"running"}}]"#,
        ),
        "/services/s1" => json(SERVICE),
        "/nodes/n1" => json(r#"{"ID":"n1","Description":{"Hostname":"h1"}}"#),
        other => error(404, other),
    });
    let ran = run(
        &daemon,
        &[
            "service",
            "ps",
            "--filter",
            "desired-state=running",
            "--format",
            r"{{.ID}}|{{.Name}}|{{.Image}}|{{.Node}}|{{.Error}}",
            "web",
        ],
    );
    ok(&ran);
    assert_eq!(
        ran.out,
        "new|web.1|nginx:1|h1|\nold|web.1|nginx:1|h1|\"task: non-zero exit (1)\"\n"
    );
    assert_eq!(
        daemon
            .asked()
            .iter()
            .filter(|asked| asked.contains("/nodes/n1"))
            .count(),
        1
    );
    let ran = run(&daemon, &["service", "ps", "we"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "no such service: we\n"));
}

#[test]
fn a_cluster_begins_and_grows() {
    let daemon = start("swarm", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/swarm/init") => json("\"n1\"\n"),
            ("POST", "/swarm/join") => error(503, "Timeout was reached before node joined."),
            ("POST", _) => json(""),
            ("GET", "/nodes/n1") => json(r#"{"ID":"n1","ManagerStatus":{"Addr":"10.0.0.1:2377"}}"#),
            ("GET", "/info") => json(r#"{"Swarm":{"NodeID":"n1"}}"#),
            ("GET", "/swarm") => json(
                r#"{"ID":"c","Version":{"Index":7},"Spec":{"Name":"default","Labels":{}},"JoinTokens":{"Worker":"SWMTKN-1-w","Manager":"SWMTKN-1-m"}}"#,
            ),
            (_, other) => error(404, other),
        }
    });
    let ran = run(&daemon, &["swarm", "init", "--advertise-addr", "10.0.0.1"]);
    ok(&ran);
    assert!(ran.out.starts_with("Swarm initialized: current node (n1) is now a manager.\n\nTo add a worker to this swarm, run the following command:\n\n    starling swarm join --token SWMTKN-1-w 10.0.0.1:2377\n\n"), "{}", ran.out);
    assert_eq!(
        daemon.asked(),
        ["POST /swarm/init", "GET /nodes/n1", "GET /swarm"]
    );
    let ran = run(
        &daemon,
        &["swarm", "join-token", "-q", "--rotate", "manager"],
    );
    ok(&ran);
    assert_eq!(ran.out, "SWMTKN-1-m\n");
    assert!(daemon.asked().contains(&"POST /swarm/update?rotateManagerToken=true&rotateManagerUnlockKey=false&rotateWorkerToken=false&version=7".to_owned()));
    let ran = run(&daemon, &["swarm", "update", "--task-history-limit", "3"]);
    assert_eq!(ran.out, "Swarm updated.\n");
    assert!(
        daemon
            .last_body("POST")
            .contains(r#""Orchestration":{"TaskHistoryRetentionLimit":3}"#)
    );
    let ran = run(&daemon, &["swarm", "join", "--token", "x", "1.2.3.4:2377"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "Error response from daemon: Timeout was reached before node joined.\n"
        )
    );
    assert_eq!(
        daemon.last_body("POST"),
        r#"{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"","DataPathAddr":"","RemoteAddrs":["1.2.3.4:2377"],"JoinToken":"x","Availability":""}"#
    );
    assert_eq!(
        run(&daemon, &["swarm", "leave", "--force"]).out,
        "Node left the swarm.\n"
    );
    assert_eq!(daemon.asked().last().unwrap(), "POST /swarm/leave?force=1");
}

#[test]
fn images_come_and_go() {
    let daemon = start("images", |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/images/load?quiet=1") if request.body == b"no tar" => json(
                "{\"errorDetail\":{\"message\":\"archive/tar: invalid tar header\"},\"error\":\"archive/tar: invalid tar header\"}\n",
            ),
            ("POST", "/images/load?quiet=1") => json(&format!(
                "{{\"stream\":\"Loaded image: {} bytes\\n\"}}\r\n",
                request.body.len()
            )),
            ("GET", "/images/get?names=a&names=b:1") => json("the archive"),
            ("POST", "/images/create?fromImage=nginx&tag=latest") => json(
                "{\"status\":\"Pulling\",\"id\":\"latest\"}\n{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1,\"total\":2},\"id\":\"l1\"}\n{\"status\":\"Status: done\"}\n",
            ),
            ("DELETE", "/images/a?force=1") => {
                json(r#"[{"Untagged":"a:latest"},{"Deleted":"sha256:aa"}]"#)
            }
            ("POST", "/images/a/tag?repo=localhost:5000/b&tag=2") => Answer {
                status: 201,
                ..json("")
            },
            (_, other) => error(404, &format!("No such image: {other}")),
        }
    });
    let file = daemon.socket.with_file_name("archive.tar");
    // More than one chunk.
    std::fs::write(&file, vec![7u8; 200_000]).unwrap();
    let ran = run(&daemon, &["image", "load", "-i", file.to_str().unwrap()]);
    ok(&ran);
    assert_eq!(ran.out, "Loaded image: 200000 bytes\n");
    std::fs::write(&file, "no tar").unwrap();
    let ran = run(&daemon, &["load", "-i", file.to_str().unwrap()]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (1, "archive/tar: invalid tar header\n")
    );
    ok(&run(
        &daemon,
        &["save", "-o", file.to_str().unwrap(), "a", "b:1"],
    ));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the archive");
    let ran = run(&daemon, &["save", "-o", file.to_str().unwrap(), "nothing"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "Error response from daemon: No such image: /images/get?names=nothing\n"
        )
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the archive");
    assert_eq!(
        run(&daemon, &["pull", "nginx"]).out,
        "Using default tag: latest\nlatest: Pulling\nl1: Downloading\nStatus: done\nnginx:latest\n"
    );
    assert_eq!(
        run(&daemon, &["rmi", "-f", "a"]).out,
        "Untagged: a:latest\nDeleted: sha256:aa\n"
    );
    ok(&run(&daemon, &["tag", "a", "localhost:5000/b:2"]));
    assert_eq!(run(&daemon, &["load", "-i", "/does/not/exist"]).code, 1);
}

#[test]
fn inspect_prints_as_it_came() {
    let daemon = start("inspect", |request| match request.path.as_str() {
        "/services/web?insertDefaults=true" => {
            json("{\"ID\":\"s1\",\"Spec\":{\"Name\":\"web\",\"Labels\":{}}}\n")
        }
        "/tasks/t1" => json(r#"{"ID":"t1"}"#),
        path if path.starts_with("/nodes") || path.starts_with("/services") => {
            error(503, "This node is not a swarm manager.")
        }
        other => error(404, &format!("{other} not found")),
    });
    let ran = run(&daemon, &["service", "inspect", "web"]);
    ok(&ran);
    assert_eq!(
        ran.out,
        "[\n    {\n        \"ID\": \"s1\",\n        \"Spec\": {\n            \"Name\": \"web\",\n            \"Labels\": {}\n        }\n    }\n]\n"
    );
    assert_eq!(
        run(
            &daemon,
            &[
                "service",
                "inspect",
                "-f",
                "{{.Spec.Name}}: {{json .Spec.Labels}}",
                "web"
            ]
        )
        .out,
        "web: {}\n"
    );
    let ran = run(
        &daemon,
        &["service", "inspect", "-f", "{{.Spec.Nmae}}", "web"],
    );
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("map has no entry for key \"Nmae\""),
        "{}",
        ran.err
    );
    assert_eq!(
        run(&daemon, &["inspect", "-f", "{{.ID}}", "t1"]).out,
        "t1\n"
    );
    let ran = run(&daemon, &["inspect", "nothing"]);
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (1, "[]\n", "Error: No such object: nothing\n")
    );
}

#[test]
fn events_are_lines() {
    let daemon = start("events", |_| {
        json(
            "{\"Type\":\"node\",\"Action\":\"update\",\"Actor\":{\"ID\":\"n1\",\"Attributes\":{\"name\":\"h1\"}},\"time\":1}\n{\"Type\":\"node\",\"Action\":\"remove\",\"Actor\":{\"ID\":\"n1\",\"Attributes\":{}},\"time\":2}",
        )
    });
    let ran = run(
        &daemon,
        &["events", "--filter", "type=node", "--until", "5"],
    );
    ok(&ran);
    assert_eq!(
        ran.out,
        "1970-01-01T00:00:01.000000000Z node update n1 (name=h1)\n1970-01-01T00:00:02.000000000Z node remove n1\n"
    );
    assert_eq!(
        daemon.asked(),
        [r#"GET /events?filters={"type":{"node":true}}&until=5"#]
    );
}

#[test]
fn a_connection_that_was_closed_is_opened_again() {
    let daemon = start("hangup", |request| match request.path.as_str() {
        "/nodes" => Answer {
            hang_up: true,
            ..json(r#"[{"ID":"n1"}]"#)
        },
        _ => Answer {
            hang_up: true,
            ..json(r#"{"Swarm":{"NodeID":"n1"}}"#)
        },
    });
    let ran = run(&daemon, &["node", "ls", "--format", "{{.ID}} {{.Self}}"]);
    ok(&ran);
    assert_eq!(ran.out, "n1 true\n");
}

#[test]
fn without_a_daemon() {
    let ran = run_at("unix:///does/not/exist.sock", &["service", "ls"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("Cannot connect to the Starling daemon at unix:///does/not/exist.sock. Is `starling daemon` running?"), "{}", ran.err);
    let ran = run_at(
        "unix:///does/not/exist.sock",
        &["version", "--format", "{{.Client.DefaultAPIVersion}}"],
    );
    assert_eq!((ran.code, ran.out.as_str()), (1, "1.50\n"));
    assert!(
        run_at("tcp://1.2.3.4:2375", &["ps"])
            .err
            .contains("not available yet")
    );
}

#[test]
fn refusals_are_passed_on() {
    let daemon = start("refusals", |request| match request.method.as_str() {
        "GET" => json("{\"ID\":"),
        _ => error(501, "ContainerSpec.Secrets is not implemented"),
    });
    let ran = run(
        &daemon,
        &["service", "create", "-d", "--no-resolve-image", "nginx"],
    );
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "Error response from daemon: ContainerSpec.Secrets is not implemented\n"
        )
    );
    let ran = run(&daemon, &["service", "ls"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err
            .starts_with("cannot read the daemon's answer to /services: invalid JSON"),
        "{}",
        ran.err
    );
    let ran = run(&daemon, &["service", "inspect", "--pretty", "-f", "x", "x"]);
    assert!(
        ran.err.starts_with("--format is incompatible"),
        "{}",
        ran.err
    );
    assert_eq!(run(&daemon, &["service", "rm", ""]).code, 1);
}

#[test]
fn typing_errors_are_answered_with_what_was_meant() {
    let refused = |args: &[&str]| {
        cli::command()
            .try_get_matches_from(std::iter::once(&"starling").chain(args))
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&["servce", "ls"]).contains("'service'"));
    assert!(refused(&["service", "creat", "x"]).contains("'create'"));
    assert!(refused(&["deamon"]).contains("'daemon'"));
    assert!(refused(&["service", "create", "--replica", "2", "x"]).contains("'--replicas'"));
    let ran = run_at("/nowhere", &["daemon", "--data-root", "/x"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("flags come behind its name"),
        "{}",
        ran.err
    );
}
