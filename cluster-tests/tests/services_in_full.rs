//! Everything about services that Docker's users know, with the real `docker` command line on several hosts.
//! Needs root and Docker's command line.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    RUN_UNTIL_STOPPED, Service, ids, running, serves, serving, settled, summary, tasks,
};
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE, Story, eventually};
use serde_json::{Value, json};

/// Steps take seconds; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(60);

type Step = fn(&Cluster, &Host, &Api) -> Result<()>;

#[test]
fn services_do_what_dockers_do() -> Result<()> {
    let story = Story::begin("services in full");
    let cluster = story.step("1 manager, 2 workers", || {
        Cluster::builder()
            .workers(2)
            .daemon_args(&["--node-generic-resource", "gpu=2"])
            .start()
    })?;
    let host = cluster.host("m1");
    let api = host.api();
    let steps: [(&str, Step); 13] = [
        ("global: one task on each node, and updates", global),
        ("a replicated job runs as often as asked", replicated_job),
        ("a global job runs on each node", global_job),
        ("secrets and configs in containers", secrets_and_configs),
        ("health gates an update, which is rolled back", health),
        ("an unhealthy container is replaced", unhealthy),
        (
            "rollback by hand, there and back, and to a number",
            rollback,
        ),
        ("volumes of all kinds", volumes),
        ("what a container may be", container_options),
        ("templates, generic resources, preferences", placement),
        ("a plan tells what happens", plan),
        ("stop, start, restart one task", stop_and_start),
        (
            "what crashes again and again is started more slowly",
            back_off,
        ),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster, host, &api))?;
    }
    cluster.take_down()
}

/// Output of all tasks of a service, once each of `expected` is in it.
fn says(host: &Host, service: &str, expected: &[&str]) -> Result<String> {
    eventually(&format!("{service} says {expected:?}"), LIMIT, || {
        let said = host.docker(&["service", "logs", "--raw", service])?;
        let missing = expected.iter().find(|text| !said.contains(**text));
        ensure!(missing.is_none(), "{missing:?} is not in:\n{said}");
        Ok(said)
    })
}

/// Tasks of a service by the node that they serve on.
fn by_node(api: &Api, name: &str) -> Result<BTreeMap<String, usize>> {
    let mut nodes = BTreeMap::new();
    for task in serving(api, name)? {
        let node = task["NodeID"].as_str().context("no node")?;
        *nodes.entry(node.to_owned()).or_default() += 1;
    }
    Ok(nodes)
}

fn refused(host: &Host, args: &[&str], text: &str) -> Result<()> {
    let output = host.try_docker(args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains(text),
        "docker {args:?}: {}: {said}",
        output.status
    );
    Ok(())
}

fn global(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    host.docker(&[
        "service",
        "create",
        "--name",
        "g",
        "--mode",
        "global",
        "--no-resolve-image",
        "--update-monitor",
        "300ms",
        IMAGE,
        "sh",
        "-c",
        RUN_UNTIL_STOPPED,
    ])?;
    let nodes = by_node(api, "g")?;
    ensure!(
        nodes.len() == 3 && nodes.values().all(|n| *n == 1),
        "{nodes:?}"
    );
    let listed = host.docker(&["service", "ls"])?;
    ensure!(
        listed.contains("global") && listed.contains("3/3"),
        "{listed}"
    );
    let before = ids(&serving(api, "g")?);
    host.docker(&["service", "update", "--force", "--no-resolve-image", "g"])?;
    let after = ids(&serving(api, "g")?);
    ensure!(
        after.len() == 3 && before.is_disjoint(&after),
        "{}",
        summary(api, "g")?
    );
    // Constraints decide where it is, and a node's labels can change.
    host.docker(&["node", "update", "--label-add", "disk=ssd", "w1"])?;
    host.docker(&[
        "service",
        "update",
        "--constraint-add",
        "node.labels.disk==ssd",
        "--no-resolve-image",
        "g",
    ])?;
    let on = |count: usize| {
        eventually(&format!("g on {count} nodes"), LIMIT, || {
            let nodes = by_node(api, "g")?;
            ensure!(nodes.len() == count, "{nodes:?}\n{}", summary(api, "g")?);
            Ok(())
        })
    };
    on(1)?;
    host.docker(&["node", "update", "--label-add", "disk=ssd", "w2"])?;
    on(2)?;
    host.docker(&["node", "update", "--label-rm", "disk", "w1"])?;
    on(1)?;
    host.docker(&["node", "update", "--label-rm", "disk", "w2"])?;
    on(0)?;
    refused(
        host,
        &["service", "scale", "g=2"],
        "scale can only be used with replicated",
    )?;
    host.docker(&["service", "rm", "g"])?;
    Ok(())
}

fn replicated_job(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    // The client shows the progress until all have ended.
    host.docker(&[
        "service",
        "create",
        "--name",
        "job",
        "--mode",
        "replicated-job",
        "--replicas",
        "5",
        "--max-concurrent",
        "2",
        "--no-resolve-image",
        IMAGE,
        "sh",
        "-c",
        "echo done",
    ])?;
    let complete = |name: &str| -> Result<usize> {
        let tasks = tasks(api, name)?;
        Ok(tasks
            .iter()
            .filter(|t| t["Status"]["State"] == "complete")
            .count())
    };
    ensure!(complete("job")? == 5, "{}", summary(api, "job")?);
    let listed = host.docker(&["service", "ls"])?;
    ensure!(listed.contains("0/2 (5/5 completed)"), "{listed}");
    let iteration = |name: &str| -> Result<Value> {
        Ok(api.get(&format!("/services/{name}"))?["JobStatus"]["JobIteration"]["Index"].clone())
    };
    let first = iteration("job")?;
    host.docker(&["service", "update", "--force", "--no-resolve-image", "job"])?;
    ensure!(iteration("job")? != first, "the job did not run again");
    eventually("five more", LIMIT, || {
        let complete = complete("job")?;
        ensure!(complete == 5, "{}", summary(api, "job")?);
        Ok(())
    })?;
    // A failure is tried again, as often as allowed.
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "bad",
        "--mode",
        "replicated-job",
        "--no-resolve-image",
        "--restart-condition",
        "on-failure",
        "--restart-delay",
        "100ms",
        "--restart-max-attempts",
        "2",
        IMAGE,
        "sh",
        "-c",
        "exit 3",
    ])?;
    eventually("three attempts", LIMIT, || {
        let failed = tasks(api, "bad")?;
        let failed = failed
            .iter()
            .filter(|t| t["Status"]["State"] == "failed")
            .count();
        ensure!(failed == 3, "{}", summary(api, "bad")?);
        Ok(())
    })?;
    host.docker(&["service", "rm", "job", "bad"])?;
    Ok(())
}

fn global_job(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    host.docker(&[
        "service",
        "create",
        "--name",
        "each",
        "--mode",
        "global-job",
        "--no-resolve-image",
        IMAGE,
        "sh",
        "-c",
        "echo here",
    ])?;
    let tasks = tasks(api, "each")?;
    let complete = tasks
        .iter()
        .filter(|t| t["Status"]["State"] == "complete")
        .count();
    ensure!(complete == 3, "{}", summary(api, "each")?);
    host.docker(&["service", "rm", "each"])?;
    Ok(())
}

fn secrets_and_configs(cluster: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let secret = "a secret that must not lie on any disk";
    std::fs::write(cluster.dir().join("secret"), secret)?;
    std::fs::write(
        cluster.dir().join("config"),
        "node={{.Node.Hostname}} service={{.Service.Name}}\n",
    )?;
    let path = |name: &str| cluster.dir().join(name).display().to_string();
    host.docker(&["secret", "create", "-l", "kind=test", "s1", &path("secret")])?;
    host.docker(&[
        "config",
        "create",
        "--template-driver",
        "golang",
        "c1",
        &path("config"),
    ])?;
    let listed = host.docker(&["secret", "ls", "--filter", "label=kind=test"])?;
    ensure!(listed.contains("s1"), "{listed}");
    let inspected = host.docker(&["secret", "inspect", "s1"])?;
    ensure!(!inspected.contains("Data"), "{inspected}");
    let pretty = host.docker(&["config", "inspect", "--pretty", "c1"])?;
    ensure!(pretty.contains("node={{.Node.Hostname}}"), "{pretty}");
    refused(
        host,
        &["secret", "create", "s1", &path("secret")],
        "AlreadyExists",
    )?;
    let show = "cat /run/secrets/s1; echo; ls -ln /run/secrets/ /etc/app.conf; cat /etc/app.conf; mount | grep -c tmpfs; \
                trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "sec",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w1",
        "--secret",
        "source=s1,target=s1,uid=11,gid=12,mode=0400",
        "--config",
        "source=c1,target=/etc/app.conf",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        show,
    ])?;
    let said = says(host, "sec", &[secret, "node=w1 service=sec"])?;
    ensure!(
        said.contains("-r--------") && said.contains(" 11 "),
        "{said}"
    );
    // Nobody has it in a file, the manager's log included.
    for directory in ["m1", "w1", "w2"] {
        let dir = cluster.host(directory).dir();
        ensure!(
            !is_anywhere(dir, secret)?,
            "the secret lies on the disk of {directory}"
        );
    }
    refused(
        host,
        &["secret", "rm", "s1"],
        "is in use by the following service",
    )?;
    refused(
        host,
        &["config", "rm", "c1"],
        "is in use by the following service",
    )?;
    let wrong = Service::named("wrong").with(
        "/TaskTemplate/ContainerSpec/Secrets",
        json!([{"SecretID": "nothere", "SecretName": "nothere", "File": {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}}]),
    );
    let reply = api.send_json(hyper::Method::POST, "/services/create", wrong.spec())?;
    ensure!(
        reply.status == 400 && reply.message().contains("secret not found"),
        "{} {}",
        reply.status,
        reply.message()
    );
    host.docker(&["service", "rm", "sec"])?;
    host.docker(&["secret", "rm", "s1"])?;
    host.docker(&["config", "rm", "c1"])?;
    Ok(())
}

/// Whether a file below `dir` holds this text. Logs of containers are what the container said itself.
fn is_anywhere(dir: &std::path::Path, text: &str) -> Result<bool> {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_log = path.to_string_lossy().ends_with("-json.log");
        if kind.is_dir() && is_anywhere(&path, text)? {
            return Ok(true);
        }
        // What goes away meanwhile holds nothing any more.
        let Ok(bytes) = std::fs::read(&path).map(|bytes| {
            if kind.is_file() && !is_log {
                bytes
            } else {
                Vec::new()
            }
        }) else {
            continue;
        };
        if bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
        {
            eprintln!("found in {}", path.display());
            return Ok(true);
        }
    }
    Ok(false)
}

fn health(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let serve = "touch /tmp/ok; trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "h",
        "--replicas",
        "2",
        "--no-resolve-image",
        "--health-cmd",
        "test -e /tmp/ok",
        "--health-interval",
        "200ms",
        "--health-retries",
        "2",
        "--health-timeout",
        "5s",
        "--update-monitor",
        "500ms",
        "--update-failure-action",
        "rollback",
        "--update-order",
        "start-first",
        "--rollback-monitor",
        "300ms",
        "--restart-delay",
        "100ms",
        IMAGE,
        "sh",
        "-c",
        serve,
    ])?;
    let good = ids(&serving(api, "h")?);
    // The new one never gets healthy: the update is rolled back, and the old ones served all the time.
    let output = host.try_docker(&[
        "service",
        "update",
        "--no-resolve-image",
        "--args",
        "sh -c 'sleep 1000000'",
        "--stop-signal",
        "SIGKILL",
        "h",
    ])?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(
        said.contains("rolled back") || said.contains("rollback"),
        "{said}"
    );
    let state = eventually("the update is rolled back", LIMIT, || {
        let status = api.get("/services/h")?["UpdateStatus"].clone();
        ensure!(
            status["State"] == "rollback_completed",
            "{status}\n{}",
            summary(api, "h")?
        );
        Ok(status)
    })?;
    ensure!(
        state["Message"]
            .as_str()
            .is_some_and(|m| m.contains("rollback completed")),
        "{state}"
    );
    let after = ids(&settled(api, "h", 2, LIMIT)?);
    ensure!(
        !good.is_disjoint(&after),
        "all old tasks were stopped although no new one got healthy"
    );
    let failed = host.docker(&["service", "ps", "--no-trunc", "h"])?;
    ensure!(failed.contains("unhealthy container"), "{failed}");
    host.docker(&["service", "rm", "h"])?;
    Ok(())
}

fn unhealthy(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "u",
        "--no-resolve-image",
        "--health-cmd",
        "test ! -e /tmp/bad",
        "--health-interval",
        "200ms",
        "--health-retries",
        "2",
        "--restart-delay",
        "100ms",
        "--stop-signal",
        "SIGKILL",
        IMAGE,
        "sh",
        "-c",
        "sleep 2; touch /tmp/bad; sleep 1000000",
    ])?;
    let first = ids(&serves(api, "u", 1, LIMIT)?);
    eventually("another task serves", LIMIT, || {
        let now = ids(&serving(api, "u")?);
        ensure!(
            now.len() == 1 && now.is_disjoint(&first),
            "{}",
            summary(api, "u")?
        );
        Ok(())
    })?;
    let why = host.docker(&["service", "ps", "--no-trunc", "u"])?;
    ensure!(
        why.contains("task: non-zero exit (137): dockerexec: unhealthy container"),
        "{why}"
    );
    host.docker(&["service", "rm", "u"])?;
    Ok(())
}

fn rollback(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    host.docker(&[
        "service",
        "create",
        "--name",
        "r",
        "--no-resolve-image",
        "--env",
        "V=1",
        "--update-monitor",
        "200ms",
        "--rollback-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        RUN_UNTIL_STOPPED,
    ])?;
    refused(
        host,
        &["service", "rollback", "r"],
        "does not have a previous spec",
    )?;
    let version = || -> Result<String> {
        let env =
            api.get("/services/r")?["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"][0].clone();
        Ok(env.as_str().unwrap_or_default().to_owned())
    };
    host.docker(&[
        "service",
        "update",
        "--no-resolve-image",
        "--env-add",
        "V=2",
        "r",
    ])?;
    ensure!(version()? == "V=2");
    host.docker(&["service", "rollback", "r"])?;
    ensure!(
        version()? == "V=1"
            && api.get("/services/r")?["UpdateStatus"]["State"] == "rollback_completed"
    );
    host.docker(&["service", "rollback", "r"])?;
    ensure!(version()? == "V=2", "a second rollback goes forward again");
    host.docker(&[
        "service",
        "update",
        "--no-resolve-image",
        "--env-add",
        "V=3",
        "r",
    ])?;
    let history = host.cli(&["service", "history", "r"])?;
    ensure!(history.lines().count() >= 5, "{history}");
    host.cli(&["service", "rollback", "--to", "1", "r"])?;
    ensure!(version()? == "V=1", "{history}");
    let task = &serves(api, "r", 1, LIMIT)?[0];
    ensure!(task["Spec"]["ContainerSpec"]["Env"][0] == "V=1");
    host.docker(&["service", "rm", "r"])?;
    Ok(())
}

fn volumes(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let command = "echo run >> /data/log; wc -l < /data/log; ls /copied; touch /anon/x && echo anon; \
                   mount | grep ' /mem '; trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "v",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w2",
        "--mount",
        "type=volume,source=data,target=/data",
        "--mount",
        "type=volume,target=/anon",
        "--mount",
        "type=volume,source=etc,target=/copied/etc,volume-label=a=b",
        "--mount",
        "type=tmpfs,target=/mem,tmpfs-size=1m,tmpfs-mode=0700",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        command,
    ])?;
    says(host, "v", &["anon", "etc", "size=1024k"])?;
    // The named volume stays with its content when the task is replaced.
    host.docker(&["service", "update", "--force", "--no-resolve-image", "v"])?;
    says(host, "v", &["2"])?;
    ensure!(serving(api, "v")?.len() == 1);
    host.docker(&["service", "rm", "v"])?;
    Ok(())
}

fn container_options(_: &Cluster, host: &Host, _: &Api) -> Result<()> {
    let command = "id -G; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /etc/resolv.conf; cat /etc/hosts; \
                   ulimit -n; grep CapEff /proc/1/status; cat /proc/1/comm; touch /x || echo read-only; tty; \
                   cat /proc/self/oom_score_adj; hostname; trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "o",
        "--no-resolve-image",
        "--group",
        "44",
        "--group",
        "45",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=7",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.test",
        "--dns-option",
        "ndots:2",
        "--host",
        "there:192.0.2.9",
        "--ulimit",
        "nofile=200:300",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_BIND_SERVICE",
        "--read-only",
        "--init",
        "--tty",
        "--oom-score-adj",
        "500",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        IMAGE,
        "sh",
        "-c",
        command,
    ])?;
    let said = says(host, "o", &["o-1"])?;
    for expected in [
        "44 45",
        "\n7",
        "nameserver 192.0.2.53",
        "search example.test",
        "ndots:2",
        "192.0.2.9\tthere",
        "200",
        "0000000000000400",
        "read-only",
        "/dev/",
        "500",
    ] {
        ensure!(
            said.replace('\r', "").contains(expected),
            "{expected:?} is not in:\n{said}"
        );
    }
    host.docker(&["service", "rm", "o"])?;
    Ok(())
}

fn placement(cluster: &Cluster, host: &Host, api: &Api) -> Result<()> {
    for (node, zone) in [("m1", "a"), ("w1", "b"), ("w2", "b")] {
        host.docker(&[
            "node",
            "update",
            "--label-add",
            &format!("zone={zone}"),
            node,
        ])?;
    }
    host.docker(&[
        "service",
        "create",
        "--name",
        "p",
        "--replicas",
        "4",
        "--no-resolve-image",
        "--placement-pref",
        "spread=node.labels.zone",
        "--env",
        "WHERE={{.Node.Hostname}}",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        &format!("echo on $WHERE; {RUN_UNTIL_STOPPED}"),
    ])?;
    let nodes = by_node(api, "p")?;
    let id = cluster.nodes()?["m1"]["ID"]
        .as_str()
        .context("no id")?
        .to_owned();
    ensure!(
        nodes.get(&id) == Some(&2),
        "two of four are in zone a: {nodes:?}"
    );
    says(host, "p", &["on m1", "on w1", "on w2"])?;
    host.docker(&["service", "rm", "p"])?;
    // Two of three nodes' gpus are asked for at once.
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "gpu",
        "--replicas",
        "4",
        "--no-resolve-image",
        "--generic-resource",
        "gpu=2",
        IMAGE,
        "sh",
        "-c",
        &format!("echo gpus $DOCKER_RESOURCE_GPU; {RUN_UNTIL_STOPPED}"),
    ])?;
    eventually("three of four have their gpus", LIMIT, || {
        let waits = tasks(api, "gpu")?;
        let waits = waits.iter().filter(|t| {
            t["Status"]["Err"]
                .as_str()
                .is_some_and(|e| e.contains("insufficient resources on 3 nodes"))
        });
        ensure!(
            running(api, "gpu")?.len() == 3 && waits.count() == 1,
            "{}",
            summary(api, "gpu")?
        );
        Ok(())
    })?;
    // The client stops at the first notice of a task that has no output yet.
    host.docker(&["service", "scale", "-d", "gpu=3"])?;
    settled(api, "gpu", 3, LIMIT)?;
    says(host, "gpu", &["gpus 2"])?;
    // Most tasks of one node.
    host.docker(&["service", "rm", "gpu"])?;
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "m",
        "--replicas",
        "5",
        "--replicas-max-per-node",
        "1",
        "--no-resolve-image",
        IMAGE,
        "sh",
        "-c",
        RUN_UNTIL_STOPPED,
    ])?;
    eventually("one on each node", LIMIT, || {
        let waits = tasks(api, "m")?;
        let waits = waits.iter().filter(|t| {
            t["Status"]["Err"]
                .as_str()
                .is_some_and(|e| e.contains("max replicas per node"))
        });
        ensure!(
            running(api, "m")?.len() == 3 && waits.count() == 2,
            "{}",
            summary(api, "m")?
        );
        Ok(())
    })?;
    host.docker(&["service", "rm", "m"])?;
    Ok(())
}

fn plan(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    Service::named("planned")
        .replicas(3)
        .updates("stop-first", 0)
        .create(api)?;
    let before = ids(&settled(api, "planned", 3, LIMIT)?);
    let told = host.cli(&[
        "service",
        "update",
        "--dry-run",
        "--env-add",
        "A=1",
        "--replicas",
        "4",
        "planned",
    ])?;
    ensure!(told.contains("Env") && told.contains("Replicas"), "{told}");
    let json = host.cli(&[
        "service",
        "update",
        "--dry-run",
        "--format",
        "json",
        "--env-add",
        "A=1",
        "--replicas",
        "4",
        "planned",
    ])?;
    let plan: Value = serde_json::from_str(&json).with_context(|| json.clone())?;
    let count = |what: &str| plan[what].as_array().map_or(0, Vec::len);
    ensure!(
        count("Replace") == 3 && count("Start") == 1 && count("Stop") == 0,
        "{json}"
    );
    ensure!(
        ids(&serving(api, "planned")?) == before,
        "a plan changes nothing"
    );
    let impossible = host.cli(&[
        "service",
        "create",
        "--dry-run",
        "--name",
        "never",
        "--constraint",
        "node.labels.none==x",
        IMAGE,
    ])?;
    ensure!(
        impossible.contains("scheduling constraints not satisfied on 3 nodes"),
        "{impossible}"
    );
    ensure!(api.get("/services/never").is_err(), "a plan made a service");
    let old = plan["Version"].to_string();
    host.cli(&["service", "update", "--label-add", "x=y", "planned"])?;
    let late = host.try_cli(&[
        "service",
        "update",
        "--if-version",
        &old,
        "--env-add",
        "A=1",
        "planned",
    ])?;
    ensure!(!late.status.success(), "it changed since");
    host.docker(&["service", "rm", "planned"])?;
    Ok(())
}

fn stop_and_start(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    Service::named("st")
        .replicas(2)
        .updates("start-first", 1)
        .create(api)?;
    settled(api, "st", 2, LIMIT)?;
    host.cli(&["service", "stop", "st"])?;
    settled(api, "st", 0, LIMIT)?;
    host.cli(&["service", "start", "st"])?;
    let before = settled(api, "st", 2, LIMIT)?;
    let one = before[0]["ID"].as_str().context("no id")?;
    host.cli(&["service", "restart", "--task", one])?;
    let after = eventually("one task is another", LIMIT, || {
        let now = ids(&settled(api, "st", 2, LIMIT)?);
        ensure!(!now.contains(one), "{}", summary(api, "st")?);
        Ok(now)
    })?;
    ensure!(
        ids(&before).intersection(&after).count() == 1,
        "the other one was left alone"
    );
    // A client that knows nothing of our fields loses nothing.
    host.cli(&["service", "stop", "st"])?;
    host.docker(&[
        "service",
        "update",
        "-d",
        "--label-add",
        "a=b",
        "--no-resolve-image",
        "st",
    ])?;
    host.cli(&["service", "start", "st"])?;
    settled(api, "st", 2, LIMIT)?;
    host.docker(&["service", "rm", "st"])?;
    Ok(())
}

fn back_off(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    Service::named("loop").runs("exit 1").create(api)?;
    eventually("a restart that waits", LIMIT, || {
        let said = host.docker(&["service", "ps", "--no-trunc", "loop"])?;
        ensure!(said.contains("back-off"), "{said}");
        Ok(())
    })?;
    host.docker(&["service", "rm", "loop"])?;
    Ok(())
}
