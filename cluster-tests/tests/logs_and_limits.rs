//! What users see of their tasks: logs over several hosts, events, limits, and why something does not run.
//! Needs root and Docker's command line.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{Service, serves, serving, settled, summary, tasks, update};
use cluster_tests::hosts::{Api, Cluster, Host, Story, eventually};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(40);
const LINES: usize = 20;
/// Writes its lines, one more to the standard error, and stays.
const TALK: &str = "i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); done; echo mistake >&2; \
                    trap 'exit 0' TERM; sleep 1000000 & wait";

type Step = fn(&Cluster, &Api) -> Result<()>;

#[test]
fn users_see_what_their_tasks_do() -> Result<()> {
    let story = Story::begin("logs and limits");
    let cluster = story.step("1 manager, 2 workers", || {
        Cluster::builder().workers(2).start()
    })?;
    let api = cluster.host("m1").api();
    let steps: [(&str, Step); 9] = [
        ("events of services, nodes and containers", events),
        ("logs of all hosts, each line with its task", logs),
        ("logs that are followed", followed_logs),
        ("a task that is out of memory says so", out_of_memory),
        ("what fits nowhere says why and waits", waiting_for_a_node),
        ("a ulimit beyond the host's", a_ulimit_too_high),
        ("a bind mount without a source", a_bind_without_source),
        ("exit codes and attempts", exit_codes),
        ("logs with a host down", logs_without_a_host),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster, &api))?;
    }
    cluster.take_down()
}

fn events(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    // From the beginning: what happens before the stream is open is not missed.
    let command = ["docker", "events", "--since", "0", "--format", "{{json .}}"];
    let watch = host.follow("events", &command)?;
    let seen = |kind: &str, action: &str, attribute: (&str, &str)| {
        let what = format!("event {kind} {action} with {attribute:?}");
        eventually(&what, LIMIT, || {
            let said = watch.output();
            let found = said.lines().any(|line| {
                serde_json::from_str::<Value>(line).is_ok_and(|event| {
                    event["Type"] == kind
                        && event["Action"] == action
                        && event["Actor"]["Attributes"][attribute.0] == attribute.1
                })
            });
            ensure!(found, "{said}");
            Ok(())
        })
    };
    Service::named("seen")
        .constraint("node.hostname==m1")
        .create(api)?;
    settled(api, "seen", 1, LIMIT)?;
    seen("service", "create", ("name", "seen"))?;
    for action in ["create", "start"] {
        let of_service = ("com.docker.swarm.service.name", "seen");
        seen("container", action, of_service)?;
    }
    update(api, "seen", |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = 2.into();
    })?;
    seen("service", "update", ("replicas.new", "2"))?;
    seen("service", "update", ("replicas.old", "1"))?;
    for (availability, before) in [("pause", "active"), ("active", "pause")] {
        host.docker(&["node", "update", "--availability", availability, "w1"])?;
        seen("node", "update", ("availability.new", availability))?;
        seen("node", "update", ("availability.old", before))?;
    }
    api.delete("/services/seen")?;
    seen("service", "remove", ("name", "seen"))?;
    seen("container", "die", ("exitCode", "0"))?;
    // What has been is told once more, and a stream with an end ends.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    // The last second is not over.
    let until = (now.as_secs() + 1).to_string();
    let filter = "type=node";
    let past = host.docker(&[
        "events", "--since", "0", "--until", &until, "--filter", filter,
    ])?;
    ensure!(
        past.contains("node update") && !past.contains("service"),
        "{past}"
    );
    watch.stop()
}

/// Docker's prefix of a task's lines, by task.
fn prefixes(cluster: &Cluster, tasks: &[Value], service: &str) -> Result<BTreeMap<String, String>> {
    let nodes = cluster.nodes()?;
    let mut found = BTreeMap::new();
    for task in tasks {
        let id = task["ID"].as_str().context("no ID")?;
        let node = nodes
            .iter()
            .find(|(_, node)| node["ID"] == task["NodeID"])
            .context("a task of no node")?;
        let prefix = format!("{service}.{}.{}@{}", task["Slot"], &id[..12], node.0);
        found.insert(id.to_owned(), prefix);
    }
    Ok(found)
}

/// The lines of one task, without their prefix.
fn lines_of<'a>(said: &'a str, prefix: &str) -> Vec<&'a str> {
    said.lines()
        .filter(|line| line.starts_with(prefix))
        .filter_map(|line| line.split_once("| "))
        .map(|(_, line)| line)
        .collect()
}

fn all_lines() -> Vec<String> {
    (0..LINES).map(|number| format!("line {number}")).collect()
}

/// Every task's lines are there, in order, and nobody else's. Returns what went to the standard error.
fn complete(cluster: &Cluster, tasks: &[Value], program: &str) -> Result<String> {
    let (host, prefixes) = (cluster.host("m1"), prefixes(cluster, tasks, "talk")?);
    let args = ["service", "logs", "talk"];
    let output = match program {
        "docker" => host.try_docker(&args)?,
        _ => host.try_cli(&args)?,
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    for prefix in prefixes.values() {
        ensure!(
            lines_of(&said, prefix) == all_lines(),
            "{program}: lines of {prefix} in:\n{said}{errors}"
        );
        ensure!(
            lines_of(&errors, prefix) == ["mistake"],
            "{program}: errors of {prefix} in:\n{errors}"
        );
    }
    Ok(errors)
}

fn logs(cluster: &Cluster, api: &Api) -> Result<()> {
    Service::named("talk").replicas(6).runs(TALK).create(api)?;
    let tasks = settled(api, "talk", 6, LIMIT)?;
    let used: std::collections::BTreeSet<_> = tasks.iter().map(|t| t["NodeID"].as_str()).collect();
    ensure!(used.len() == 3, "{}", summary(api, "talk")?);
    for program in ["docker", "starling"] {
        let errors = eventually("all lines are there", LIMIT, || {
            complete(cluster, &tasks, program)
        })?;
        ensure!(errors.lines().count() == 6, "{errors}");
    }
    Ok(())
}

/// Open sockets of a host's daemon.
fn sockets(host: &Host) -> Result<usize> {
    let daemon = host.daemon().context("no daemon runs")?;
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid))?;
    let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(targets
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count())
}

fn followed_logs(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    let before = sockets(host)?;
    let starling = host.binary()?.display().to_string();
    for (name, program, replicas) in [("docker", "docker", 7), ("starling", starling.as_str(), 8)] {
        let client = host.follow(name, &[program, "service", "logs", "-f", "talk"])?;
        let told = |tasks: &[Value]| {
            let prefixes = prefixes(cluster, tasks, "talk")?;
            eventually("the stream has every task's lines", LIMIT, || {
                let said = client.output();
                for prefix in prefixes.values() {
                    let mut lines = lines_of(&said, prefix);
                    lines.retain(|line| *line != "mistake");
                    ensure!(lines == all_lines(), "{name}: {prefix} in:\n{said}");
                }
                ensure!(client.runs(), "{name} ended by itself:\n{said}");
                Ok(())
            })
        };
        told(&serving(api, "talk")?)?;
        // Tasks that come later are followed, too.
        update(api, "talk", |spec| {
            spec["Mode"]["Replicated"]["Replicas"] = replicas.into();
        })?;
        told(&settled(
            api,
            "talk",
            usize::try_from(replicas).unwrap_or(0),
            LIMIT,
        )?)?;
        client.stop()?;
        eventually("the daemon has seen that its client is gone", LIMIT, || {
            let now = sockets(host)?;
            ensure!(now <= before, "{now} sockets, {before} before");
            Ok::<_, anyhow::Error>(())
        })?;
    }
    update(api, "talk", |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = 6.into();
    })?;
    settled(api, "talk", 6, LIMIT).map(drop)
}

fn logs_without_a_host(cluster: &Cluster, api: &Api) -> Result<()> {
    let lost = cluster.host("w2");
    let nodes = cluster.nodes()?;
    let id = nodes["w2"]["ID"].clone();
    let kept: Vec<Value> = serving(api, "talk")?
        .into_iter()
        .filter(|task| task["NodeID"] != id)
        .collect();
    ensure!(!kept.is_empty() && kept.len() < 6, "w2 runs none or all");
    lost.crash()?;
    eventually("w2 is down", LIMIT, || {
        let state = cluster.nodes()?["w2"]["Status"]["State"].clone();
        ensure!(state == "down", "{state}");
        Ok::<_, anyhow::Error>(())
    })?;
    serves(api, "talk", 6, LIMIT)?;
    for program in ["docker", "starling"] {
        let errors = complete(cluster, &kept, program)?;
        ensure!(
            errors.contains("incomplete log stream") && errors.contains("is not available"),
            "{program} does not say what is missing: {errors}"
        );
    }
    lost.start()?;
    cluster.wait_all_ready()?;
    api.delete("/services/talk").map(drop)
}

/// Waits until a task says one of these words as its error, and returns it.
fn says(api: &Api, name: &str, words: &str) -> Result<Value> {
    eventually(&format!("{name} says {words:?}"), LIMIT, || {
        let found = tasks(api, name)?.into_iter().find(|task| {
            let error = task["Status"]["Err"].as_str();
            error.is_some_and(|text| text.contains(words))
        });
        found.with_context(|| summary(api, name).unwrap_or_default())
    })
}

fn out_of_memory(cluster: &Cluster, api: &Api) -> Result<()> {
    Service::named("hungry")
        .runs("exec tail -c 500000000 /dev/zero")
        .restarts("none")
        .with(
            "/TaskTemplate/Resources",
            json!({"Limits": {"MemoryBytes": 16 << 20}}),
        )
        .create(api)?;
    let task = says(api, "hungry", "task: non-zero exit (137)")?;
    let error = task["Status"]["Err"].as_str().unwrap_or_default();
    ensure!(error.contains("out of memory"), "{error}");
    ensure!(task["Status"]["State"] == "failed", "{task}");
    let container = task["Status"]["ContainerStatus"]["ContainerID"]
        .as_str()
        .context("no container")?;
    let node = cluster.nodes()?;
    let (name, _) = node
        .iter()
        .find(|(_, node)| node["ID"] == task["NodeID"])
        .context("no node")?;
    let inspected = cluster
        .host(name)
        .api()
        .get(&format!("/containers/{container}/json"))?;
    ensure!(
        inspected["State"]["OOMKilled"] == true && inspected["State"]["ExitCode"] == 137,
        "{}",
        inspected["State"]
    );
    ensure!(
        inspected["HostConfig"]["Memory"] == 16 << 20,
        "{}",
        inspected["HostConfig"]["Memory"]
    );
    api.delete("/services/hungry").map(drop)
}

fn waiting_for_a_node(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    Service::named("huge")
        .with(
            "/TaskTemplate/Resources",
            json!({"Reservations": {"NanoCPUs": 1_000_000_000_000_i64}}),
        )
        .create(api)?;
    Service::named("picky")
        .constraint("node.labels.disk==ssd")
        .create(api)?;
    for (name, words) in [
        (
            "huge",
            "no suitable node (insufficient resources on 3 nodes)",
        ),
        (
            "picky",
            "no suitable node (scheduling constraints not satisfied on 3 nodes)",
        ),
    ] {
        let task = says(api, name, words)?;
        ensure!(task["Status"]["State"] == "pending", "{task}");
        let args = ["service", "ps", "--no-trunc", name];
        for listed in [host.docker(&args)?, host.cli(&args)?] {
            ensure!(
                listed.contains(&format!("\"{words}\"")) && listed.contains("Pending"),
                "{listed}"
            );
        }
    }
    host.docker(&["node", "update", "--label-add", "disk=ssd", "w1"])?;
    let running = settled(api, "picky", 1, LIMIT)?;
    ensure!(running[0]["NodeID"] == cluster.nodes()?["w1"]["ID"]);
    update(api, "huge", |spec| {
        spec["TaskTemplate"]["Resources"]["Reservations"]["NanoCPUs"] = 1_000_000.into();
    })?;
    settled(api, "huge", 1, LIMIT)?;
    api.delete("/services/picky")?;
    api.delete("/services/huge").map(drop)
}

fn a_ulimit_too_high(_: &Cluster, api: &Api) -> Result<()> {
    // More than the kernel's fs.nr_open: beyond what any host can raise, also with all capabilities.
    let files = json!([{"Name": "nofile", "Soft": 1_u64 << 31, "Hard": 1_u64 << 31}]);
    Service::named("greedy")
        .restarts("none")
        .with("/TaskTemplate/ContainerSpec/Ulimits", files)
        .create(api)?;
    let task = says(api, "greedy", "hard limit")?;
    ensure!(
        task["Status"]["State"] == "rejected"
            && task["Status"]["Err"]
                .as_str()
                .is_some_and(|text| text.contains("nofile")),
        "{task}"
    );
    api.delete("/services/greedy").map(drop)
}

fn a_bind_without_source(_: &Cluster, api: &Api) -> Result<()> {
    let mounts = json!([{"Type": "bind", "Source": "/no/such/source", "Target": "/data"}]);
    Service::named("bound")
        .restarts("none")
        .with("/TaskTemplate/ContainerSpec/Mounts", mounts)
        .create(api)?;
    let docker_says =
        "invalid mount config for type \"bind\": bind source path does not exist: /no/such/source";
    let task = says(api, "bound", docker_says)?;
    ensure!(task["Status"]["State"] == "rejected", "{task}");
    api.delete("/services/bound").map(drop)
}

fn exit_codes(_: &Cluster, api: &Api) -> Result<()> {
    let ending = |name: &str, command: &str, condition: &str| {
        Service::named(name).runs(command).restarts(condition)
    };
    ending("coded", "exit 42", "none").create(api)?;
    ending("well", "exit 0", "any")
        .with("/TaskTemplate/RestartPolicy/MaxAttempts", json!(1))
        .create(api)?;
    ending("ill", "exit 1", "on-failure")
        .with("/TaskTemplate/RestartPolicy/MaxAttempts", json!(1))
        .create(api)?;
    Service::named("missing")
        .restarts("none")
        .with(
            "/TaskTemplate/ContainerSpec/Args",
            json!(["no-such-program"]),
        )
        .create(api)?;
    for (name, state, code, error, count) in [
        ("coded", "failed", 42, "task: non-zero exit (42)", 1),
        ("well", "complete", 0, "", 2),
        ("ill", "failed", 1, "task: non-zero exit (1)", 2),
    ] {
        eventually(
            &format!("{name} ended as {state}, {count} times"),
            LIMIT,
            || {
                let tasks = tasks(api, name)?;
                let right = tasks.iter().filter(|task| {
                    let status = &task["Status"];
                    status["State"] == state
                        && status["ContainerStatus"]["ExitCode"] == code
                        && status["Err"].as_str().unwrap_or_default() == error
                });
                ensure!(
                    right.count() == count && tasks.len() == count,
                    "{}",
                    summary(api, name)?
                );
                Ok::<_, anyhow::Error>(())
            },
        )?;
    }
    says(api, "missing", "no-such-program")?;
    says(api, "missing", "executable file not found in $PATH")?;
    for name in ["coded", "well", "ill", "missing"] {
        api.delete(&format!("/services/{name}"))?;
    }
    Ok(())
}
