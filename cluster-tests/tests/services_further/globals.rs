//! Global services while nodes pause, leave, and come back.

use std::time::Duration;

use anyhow::{Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, Watch, ids, running, serving, summary};
use cluster_tests::hosts::{Api, Cluster, eventually};

use super::{LIMIT, create};

const NODES: usize = 5;

/// Waits until a task serves on exactly these hosts, one on each, and no other task runs.
fn on(
    cluster: &Cluster,
    api: &Api,
    service: &str,
    names: &[&str],
) -> Result<Vec<serde_json::Value>> {
    let nodes = cluster.nodes()?;
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| nodes[*name]["ID"].clone())
        .collect();
    expected.sort_by_key(ToString::to_string);
    eventually(&format!("{service} on {names:?}"), LIMIT, || {
        let tasks = serving(api, service)?;
        let mut found: Vec<_> = tasks.iter().map(|task| task["NodeID"].clone()).collect();
        found.sort_by_key(ToString::to_string);
        ensure!(
            found == expected && running(api, service)?.len() == tasks.len(),
            "{}",
            summary(api, service)?
        );
        Ok(tasks)
    })
}

const ALL: [&str; NODES] = ["m1", "m2", "m3", "w1", "w2"];

pub(super) fn in_order(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m1"), cluster.host("m1").api());
    create(host, "glob", "--mode global", RUN_UNTIL_STOPPED)?;
    for (order, least, most) in [
        ("stop-first", NODES - 1, NODES),
        // The next new one comes while the last old one is still about to end.
        ("start-first", NODES, NODES + 2),
    ] {
        let before = ids(&on(cluster, &api, "glob", &ALL)?);
        let watch = Watch::start(api.clone(), "glob");
        let update =
            format!("service update -q --force --no-resolve-image --update-order {order} glob");
        host.docker_words(&update, &[])?;
        let after = ids(&on(cluster, &api, "glob", &ALL)?);
        let seen = watch.stop()?;
        ensure!(before.is_disjoint(&after), "{}", summary(&api, "glob")?);
        ensure!(
            seen.least >= least && seen.most <= most,
            "{order}: {seen:?}"
        );
    }
    Ok(())
}

pub(super) fn availability(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m1"), cluster.host("m1").api());
    let is = |availability: &str, name: &str| {
        let line = format!("node update --availability {availability} {name}");
        host.docker_words(&line, &[])
    };
    let before = ids(&on(cluster, &api, "glob", &ALL)?);
    // A pause keeps what is there, and lets nothing new come.
    is("pause", "w1")?;
    create(host, "later", "-d --mode global", RUN_UNTIL_STOPPED)?;
    on(cluster, &api, "later", &["m1", "m2", "m3", "w2"])?;
    ensure!(ids(&on(cluster, &api, "glob", &ALL)?) == before);
    is("active", "w1")?;
    on(cluster, &api, "later", &ALL)?;
    // A drain takes both away, and gives both back.
    is("drain", "w1")?;
    for name in ["glob", "later"] {
        let left = ids(&on(cluster, &api, name, &["m1", "m2", "m3", "w2"])?);
        ensure!(
            name != "glob" || left.is_subset(&before),
            "the others were touched"
        );
    }
    let listed = host.docker_words("service ls --format", &["{{.Name}} {{.Replicas}}"])?;
    ensure!(listed.contains("glob 4/4"), "{listed}");
    is("active", "w1")?;
    on(cluster, &api, "later", &ALL)?;
    on(cluster, &api, "glob", &ALL)?;
    // A constraint that is added, and a label that goes.
    host.docker_words("node update --label-add keeps=glob w1", &[])?;
    host.docker_words("node update --label-add keeps=glob m3", &[])?;
    let constrain =
        "service update -d --no-resolve-image --constraint-add node.labels.keeps==glob later";
    host.docker_words(constrain, &[])?;
    on(cluster, &api, "later", &["w1", "m3"])?;
    host.docker_words("node update --label-rm keeps w1", &[])?;
    on(cluster, &api, "later", &["m3"])?;
    host.docker_words("node update --label-rm keeps m3", &[])?;
    host.docker_words("service rm later", &[]).map(drop)
}

/// Ends with all hosts up and the global service removed.
pub(super) fn lost_host(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m1"), cluster.host("m1").api());
    let talk = format!("echo I am $(hostname); echo oops >&2; {RUN_UNTIL_STOPPED}");
    let options = "--mode global --hostname {{.Node.Hostname}}";
    create(host, "talks", options, &talk)?;
    let before = ids(&on(cluster, &api, "talks", &ALL)?);
    let lost = cluster.host("w2");
    lost.crash()?;
    eventually("w2 is down", LIMIT, || {
        let state = cluster.nodes()?["w2"]["Status"]["State"].clone();
        ensure!(state == "down", "{state}");
        Ok(())
    })?;
    logs(cluster)?;
    // What did not need to move did not: the four others are the same.
    let left = ids(&serving(&api, "talks")?);
    ensure!(
        left.len() >= 4 && left.is_subset(&before),
        "{}",
        summary(&api, "talks")?
    );
    lost.start()?;
    let after = ids(&on(cluster, &api, "talks", &ALL)?);
    ensure!(
        after.intersection(&before).count() >= 4,
        "{}",
        summary(&api, "talks")?
    );
    on(cluster, &api, "glob", &ALL)?;
    host.docker_words("service rm talks glob", &[]).map(drop)
}

/// Bounds a log that would wait for the host that is down.
const LOG_LIMIT: Duration = Duration::from_secs(20);

fn logs(cluster: &Cluster) -> Result<()> {
    let host = cluster.host("m1");
    let show = |options: &str| -> Result<(String, String)> {
        let begin = std::time::Instant::now();
        let line = format!("service logs {options} talks");
        let output = host.try_docker(&line.split_whitespace().collect::<Vec<_>>())?;
        ensure!(
            begin.elapsed() < LOG_LIMIT,
            "{line} took {:?}",
            begin.elapsed()
        );
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    };
    let up = ["m1", "m2", "m3", "w1"];
    let (raw, errors) = show("--raw")?;
    let mut lines: Vec<&str> = raw.lines().collect();
    lines.sort_unstable();
    ensure!(lines == up.map(|name| format!("I am {name}")), "{raw}");
    ensure!(
        errors.matches("oops").count() == 4
            && errors.contains("incomplete log stream")
            && errors.contains("is not available"),
        "{errors}"
    );
    let (named, _) = show("--no-task-ids")?;
    for name in up {
        ensure!(
            named.contains(&format!("@{name}")) && named.contains(&format!("I am {name}")),
            "{named}"
        );
    }
    let id = cluster.nodes()?["w1"]["ID"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let (unresolved, _) = show("--no-resolve --no-trunc")?;
    ensure!(
        unresolved.contains(&format!("@{id}")) && !unresolved.contains("@w1"),
        "{unresolved}"
    );
    let (timed, _) = show("-t --raw")?;
    ensure!(
        timed.lines().count() == 4
            && timed
                .lines()
                .all(|line| line.starts_with("20") && line.contains("Z I am ")),
        "{timed}"
    );
    let (detailed, _) = show("--details --raw")?;
    ensure!(
        detailed.lines().count() == 4
            && detailed.contains("com.docker.swarm.node.id=")
            && detailed.contains("com.docker.swarm.task.id="),
        "{detailed}"
    );
    let (none, _) = show("--raw --tail 0")?;
    ensure!(none.is_empty(), "{none}");
    let (late, _) = show("--raw --since 2040-01-01T00:00:00Z")?;
    ensure!(late.is_empty(), "{late}");
    let (since, _) = show("--raw --since 10m --tail 1")?;
    ensure!(since.lines().count() <= 4, "{since}");
    Ok(())
}
