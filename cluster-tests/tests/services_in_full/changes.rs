//! What gates a change, takes it back, or tells it before.

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    RUN_UNTIL_STOPPED, Service, Watch, ids, serves, serving, settled, summary,
};
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE, eventually};
use serde_json::Value;

use super::{LIMIT, refused};

pub(super) fn health(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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
    let watch = Watch::start(api.clone(), "h");
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
    let seen = watch.stop()?;
    ensure!(seen.least >= 2, "old tasks did not serve: {seen:?}");
    ensure!(
        !good.is_disjoint(&after),
        "all old tasks were stopped although no new one got healthy"
    );
    let failed = host.docker(&["service", "ps", "--no-trunc", "h"])?;
    ensure!(failed.contains("unhealthy container"), "{failed}");
    host.docker(&["service", "rm", "h"])?;
    Ok(())
}

pub(super) fn unhealthy(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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

pub(super) fn rollback(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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

pub(super) fn plan(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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
    let text = String::from_utf8_lossy(&late.stderr);
    ensure!(
        !late.status.success() && text.contains("changed since version"),
        "it changed since: {text}"
    );
    let spec = api.get("/services/planned")?["Spec"].clone();
    ensure!(
        spec["TaskTemplate"]["ContainerSpec"]["Env"].is_null(),
        "a refused update changed the service: {spec}"
    );
    host.docker(&["service", "rm", "planned"])?;
    Ok(())
}

pub(super) fn stop_and_start(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
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

pub(super) fn back_off(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    Service::named("loop").runs("exit 1").create(api)?;
    eventually("a restart that waits", LIMIT, || {
        let said = host.docker(&["service", "ps", "--no-trunc", "loop"])?;
        ensure!(said.contains("back-off"), "{said}");
        Ok(())
    })?;
    host.docker(&["service", "rm", "loop"])?;
    Ok(())
}
