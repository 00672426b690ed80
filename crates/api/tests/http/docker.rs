//! Docker's own command line against the API. Where it is not installed, there is nothing to find out.

use crate::{Server, spec, start};
use model::service::FailureAction;
use model::{DesiredState, Mode, TaskState};
use serde_json::json;
use std::process::{Command, Output};

/// Runs `docker` with these arguments in a thread, so that the server goes on.
async fn docker(server: &Server, args: &[&str]) -> Option<Output> {
    let mut command = Command::new("docker");
    command
        .args(args)
        .env(
            "DOCKER_HOST",
            format!("unix://{}", server.socket().display()),
        )
        .env("DOCKER_CONFIG", server.socket().with_file_name("docker"));
    let run = tokio::task::spawn_blocking(move || command.output()).await;
    run.expect("a thread").ok()
}

async fn succeeds(server: &Server, args: &[&str]) -> String {
    let output = docker(server, args).await.expect("it was there before");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

async fn fails(server: &Server, args: &[&str]) -> String {
    let output = docker(server, args).await.expect("it was there before");
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server, when there is a client for it.
async fn with_docker() -> Option<(Server, crate::Fake)> {
    let (server, fake) = start();
    let Some(output) = docker(&server, &["version"]).await else {
        eprintln!("skipped: there is no docker command line here");
        return None;
    };
    assert!(output.status.success(), "docker version: {output:?}");
    Some((server, fake))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_every_kind() {
    let Some((server, fake)) = with_docker().await else {
        return;
    };
    succeeds(&server, &["config", "create", "conf", "/proc/self/comm"]).await;
    server
        .post("/secrets/create", json!({"Name": "pw", "Data": "aGk="}))
        .await
        .expect(201);
    let create = |name: &'static str, rest: &[&'static str]| {
        let head = [
            "service",
            "create",
            "-d",
            "--no-resolve-image",
            "--name",
            name,
        ];
        let image = ["busybox:1", "sleep", "9"];
        [&head[..], rest, &image[..]].concat()
    };
    // This client sorts mounts with each update: here they are not in its order.
    let all = [
        "--secret",
        "source=pw,target=x,mode=0400",
        "--config",
        "conf",
        "--mount",
        "type=volume,source=data,target=/d,volume-label=a=b",
        "--mount",
        "type=tmpfs,target=/t,tmpfs-size=1000000,tmpfs-mode=1777",
        "--mount",
        "type=bind,source=/srv,target=/s,readonly,bind-propagation=rslave",
        "--health-cmd",
        "true",
        "--health-interval",
        "2s",
        "--health-retries",
        "4",
        "--health-start-interval",
        "1s",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "CHOWN",
        "--ulimit",
        "nofile=10:20",
        "--sysctl",
        "net.core.somaxconn=5",
        "--init",
        "--read-only",
        "--tty",
        "--host",
        "h:1.2.3.4",
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "a.b",
        "--dns-option",
        "ndots:1",
        "--group",
        "7",
        "--user",
        "1:2",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        "--env",
        "N={{.Node.Hostname}}",
        "--stop-signal",
        "SIGINT",
        "--stop-grace-period",
        "3s",
        "--limit-cpu",
        "0.5",
        "--limit-memory",
        "64M",
        "--limit-pids",
        "9",
        "--reserve-memory",
        "32M",
        "--generic-resource",
        "gpu=1",
        "--constraint",
        "node.role==worker",
        "--placement-pref",
        "spread=node.labels.rack",
        "--replicas",
        "3",
        "--replicas-max-per-node",
        "2",
        "--restart-condition",
        "on-failure",
        "--restart-max-attempts",
        "3",
        "--update-failure-action",
        "rollback",
        "--update-order",
        "start-first",
        "--rollback-parallelism",
        "2",
        "--log-opt",
        "max-size=1m",
        "--log-driver",
        "json-file",
        "--network",
        "host",
        "--label",
        "l=1",
        "--container-label",
        "c=1",
        "--oom-score-adj",
        "5",
        "--isolation",
        "default",
        "--endpoint-mode",
        "dnsrr",
        "-w",
        "/w",
    ];
    // Parameters of the network namespace are the host's own here.
    let refused = fails(&server, &create("web", &all)).await;
    assert!(
        refused.contains("not allowed in host network namespace"),
        "{refused}"
    );
    let without: Vec<_> = all
        .into_iter()
        .filter(|a| !["--network", "host"].contains(a))
        .collect();
    succeeds(&server, &create("web", &without)).await;
    let before = fake.service("web").spec.clone();
    assert_eq!(
        before.update_config().failure_action,
        FailureAction::Rollback
    );
    let container = &before.task.container;
    assert_eq!(
        (
            container.mounts.len(),
            container.secrets.len(),
            container.configs.len()
        ),
        (3, 1, 1)
    );
    assert_eq!(container.healthcheck.as_ref().map(|h| h.retries), Some(4));
    assert_eq!(before.task.generic_reservations().len(), 1);

    // A round trip that changes nothing changes nothing.
    for version in ["1.40", "1.43", "1.50"] {
        let args = ["service", "update", "-d", "--label-add", "l=1", "web"];
        let mut command = Command::new("docker");
        command.args(args).env("DOCKER_API_VERSION", version).env(
            "DOCKER_HOST",
            format!("unix://{}", server.socket().display()),
        );
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("a thread");
        let output = output.expect("docker");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(fake.service("web").spec, before, "version {version}");
    }
    succeeds(
        &server,
        &[
            "service",
            "update",
            "-d",
            "--force",
            "--secret-rm",
            "pw",
            "web",
        ],
    )
    .await;
    let after = fake.service("web").spec.clone();
    assert_eq!(after.task.force_update, 1);
    assert!(after.task.container.secrets.is_empty());
    succeeds(&server, &["service", "rollback", "-d", "web"]).await;
    assert_eq!(fake.service("web").spec, before);
    succeeds(&server, &["service", "scale", "-d", "web=5"]).await;
    assert_eq!(fake.service("web").spec.replicas(), 5);

    succeeds(&server, &create("each", &["--mode", "global"])).await;
    succeeds(
        &server,
        &create(
            "job",
            &[
                "--mode",
                "replicated-job",
                "--replicas",
                "4",
                "--max-concurrent",
                "2",
            ],
        ),
    )
    .await;
    succeeds(&server, &create("once", &["--mode", "global-job"])).await;
    assert_eq!(
        fake.service("job").spec.mode,
        Mode::ReplicatedJob {
            max_concurrent: Some(2),
            total_completions: Some(4)
        }
    );
    let fails_with = fails(&server, &create("p", &["-p", "80:80"])).await;
    assert!(
        fails_with.contains("EndpointSpec.Ports (publishing ports) is not built yet"),
        "{fails_with}"
    );
    let list = succeeds(
        &server,
        &[
            "service",
            "ls",
            "--format",
            "{{.Name}} {{.Mode}} {{.Replicas}}",
        ],
    )
    .await;
    for line in [
        "web replicated 0/5 (max 2 per node)",
        "each global 0/0",
        "job replicated job 0/2 (0/4 completed)",
        "once global job 0/0 (0/0 completed)",
    ] {
        assert!(list.lines().any(|l| l == line), "{line}: {list}");
    }
    let pretty = succeeds(&server, &["service", "inspect", "--pretty", "web"]).await;
    for text in ["On failure:\trollback", "Parallelism:\t2", "NET_ADMIN"] {
        assert!(pretty.contains(text), "{text}: {pretty}");
    }
    succeeds(&server, &["service", "rm", "once"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_inspections() {
    let Some((server, fake)) = with_docker().await else {
        return;
    };
    server
        .post("/services/create", spec("web", json!({})))
        .await
        .expect(201);
    fake.add_task(
        "task1",
        "web",
        1,
        "n1",
        TaskState::Running,
        DesiredState::Running,
    );
    let shown = succeeds(
        &server,
        &[
            "service",
            "ps",
            "--format",
            "{{.Name}} {{.Node}} {{.CurrentState}}",
            "web",
        ],
    )
    .await;
    assert!(shown.starts_with("web.1 alpha Running"), "{shown}");
    let shown = succeeds(
        &server,
        &["node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}}"],
    )
    .await;
    assert_eq!(shown, "alpha Leader\nbeta \n");
    succeeds(
        &server,
        &[
            "node",
            "update",
            "--label-add",
            "a=b",
            "--availability",
            "drain",
            "beta",
        ],
    )
    .await;
    succeeds(&server, &["node", "promote", "beta"]).await;
    let output = std::process::Command::new("sh")
        .args(["-c", "printf hi | docker secret create -l a=b pw -"])
        .env(
            "DOCKER_HOST",
            format!("unix://{}", server.socket().display()),
        )
        .output();
    assert!(output.expect("a shell").status.success());
    let shown = succeeds(
        &server,
        &[
            "secret",
            "ls",
            "--filter",
            "label=a=b",
            "--format",
            "{{.Name}}",
        ],
    )
    .await;
    assert_eq!(shown, "pw\n");
    succeeds(&server, &["secret", "inspect", "--pretty", "pw"]).await;
    succeeds(&server, &["secret", "rm", "pw"]).await;
    let gone = fails(&server, &["secret", "inspect", "pw"]).await;
    assert!(
        gone.contains("no such secret") || gone.contains("secret pw not found"),
        "{gone}"
    );
    succeeds(
        &server,
        &[
            "swarm",
            "update",
            "--task-history-limit",
            "2",
            "--snapshot-interval",
            "99",
            "--max-snapshots",
            "1",
        ],
    )
    .await;
    assert!(
        matches!(fake.last_write(), model::control::Write::UpdateCluster { spec, .. } if spec.task_history_limit == 2 && spec.keep_old_snapshots == 1)
    );
    succeeds(&server, &["volume", "create", "--label", "a=b", "data"]).await;
    let shown = succeeds(
        &server,
        &[
            "volume",
            "ls",
            "--format",
            "{{.Name}} {{.Driver}} {{.Labels}}",
        ],
    )
    .await;
    assert_eq!(shown, "data local a=b\n");
    let shown = succeeds(&server, &["volume", "prune", "-af"]).await;
    assert!(shown.contains("data"), "{shown}");
    let logs = docker(
        &server,
        &["service", "logs", "--raw", "--no-resolve", "web"],
    )
    .await
    .expect("docker");
    assert_eq!(String::from_utf8_lossy(&logs.stdout), "hello\n");
    let notice = String::from_utf8_lossy(&logs.stderr).into_owned();
    assert!(notice.contains("node n2 is not available"), "{notice}");
}
