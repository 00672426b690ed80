//! Global services and jobs.

use anyhow::{Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, ids, serving, summary, tasks};
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE, eventually};
use serde_json::Value;

use super::{LIMIT, by_node, refused};

pub(super) fn global(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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

pub(super) fn replicated_job(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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
        let now = iteration("job")?;
        let tasks = tasks(api, "job")?;
        let again = tasks
            .iter()
            .filter(|t| t["Status"]["State"] == "complete" && t["JobIteration"]["Index"] == now)
            .count();
        ensure!(again == 5, "{}", summary(api, "job")?);
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

pub(super) fn global_job(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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
