//! What has happened, by time and by index.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, serves, settled};
use cluster_tests::hosts::{Cluster, Host, eventually};
use serde_json::Value;

use super::{LIMIT, create};

/// Time as `--since` and `--until` take it: seconds with nine digits behind the point.
fn now() -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(format!("{}.{:09}", now.as_secs(), now.subsec_nanos()))
}

pub(super) fn attributes(cluster: &Cluster) -> Result<()> {
    let host = cluster.follower()?;
    let begin = now()?;
    let file = cluster.dir().join("payload");
    std::fs::write(&file, "payload")?;
    let file = file.display().to_string();
    host.docker_words("secret create evs", &[&file])?;
    host.docker_words("config create evc", &[&file])?;
    for kind in ["secret", "config"] {
        relabel(host, kind)?;
    }
    create(host, "evt", "", RUN_UNTIL_STOPPED)?;
    host.docker_words("service update -q --no-resolve-image --replicas 2 evt", &[])?;
    host.docker_words(
        "service update -q --no-resolve-image --env-add A=1 evt",
        &[],
    )?;
    host.docker_refuses(
        "service update -q --no-resolve-image --image nosuch:3 evt",
        &[],
    )?;
    host.docker_words("service rollback -q evt", &[])?;
    settled(&host.api(), "evt", 2, LIMIT)?;
    host.docker_words("node update --availability drain w1", &[])?;
    host.docker_words("node update --availability active w1", &[])?;
    host.docker_words("node promote w1", &[])?;
    eventually("w1 is reachable", LIMIT, || {
        let seen = host.docker_words(
            "node inspect --format {{.ManagerStatus.Reachability}} w1",
            &[],
        )?;
        ensure!(seen == "reachable", "{seen}");
        Ok(())
    })?;
    host.docker_words("node demote w1", &[])?;
    eventually("w1 is no manager", LIMIT, || {
        let info = cluster.host("w1").api().get("/info")?;
        ensure!(
            info["Swarm"]["ControlAvailable"] == false,
            "{}",
            info["Swarm"]
        );
        Ok(())
    })?;
    host.docker_words("service rm evt", &[])?;
    host.docker_words("secret rm evs", &[])?;
    host.docker_words("config rm evc", &[])?;
    let end = now()?;
    let listed = |filters: &str, format: &str| -> Result<String> {
        let line = format!("events --since {begin} --until {end} {filters} --format");
        host.docker_words(&line, &[format])
    };
    for kind in ["secret", "config"] {
        let line = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}} {{.Scope}}";
        let told = listed(&format!("--filter type={kind}"), line)?;
        let name = if kind == "secret" { "evs" } else { "evc" };
        let expected = ["create", "update", "remove"]
            .map(|action| format!("{kind} {action} {name} swarm"))
            .join("\n");
        ensure!(told == expected, "{told}\ninstead of\n{expected}");
    }
    services(&listed)?;
    nodes(&listed)?;
    tasks(&listed)?;
    // Filters go together, and what is not asked for is not told.
    let told = listed(
        "--filter type=service --filter event=remove --filter service=evt",
        "{{.Action}}",
    )?;
    ensure!(told == "remove", "{told}");
    let told = listed(
        "--filter scope=swarm --filter service=nobody",
        "{{.Action}}",
    )?;
    ensure!(told.is_empty(), "{told}");
    let told = listed("", "{{.Type}}")?;
    ensure!(
        !told.contains("task"),
        "Docker's clients do not know the type: {told}"
    );
    Ok(())
}

/// Gives a secret or a config a label: Docker's command line cannot, its API can.
fn relabel(host: &Host, kind: &str) -> Result<()> {
    let name = if kind == "secret" { "evs" } else { "evc" };
    let api = host.api();
    let read = api.get(&format!("/{kind}s/{name}"))?;
    let mut spec = read["Spec"].clone();
    spec["Labels"]["by"] = "event".into();
    let id = read["ID"].as_str().context("no ID")?;
    let path = format!("/{kind}s/{id}/update?version={}", read["Version"]["Index"]);
    api.post(&path, &spec).map(drop)
}

type Listed<'a> = dyn Fn(&str, &str) -> Result<String> + 'a;

fn services(listed: &Listed<'_>) -> Result<()> {
    let format = "{{.Action}} {{json .Actor.Attributes}}";
    let told = listed("--filter type=service --filter service=evt", format)?;
    for expected in [
        "create {\"name\":\"evt\"}",
        "\"replicas.new\":\"2\",\"replicas.old\":\"1\"",
        "\"image.new\":\"nosuch:3\",\"image.old\":\"starling-test:1\"",
        "\"image.new\":\"starling-test:1\",\"image.old\":\"nosuch:3\"",
        "\"updatestate.new\":\"updating\"",
        "\"updatestate.new\":\"completed\",\"updatestate.old\":\"updating\"",
        "\"updatestate.new\":\"paused\",\"updatestate.old\":\"updating\"",
        "\"updatestate.new\":\"rollback_started\",\"updatestate.old\":\"paused\"",
        "\"updatestate.new\":\"rollback_completed\",\"updatestate.old\":\"rollback_started\"",
        "remove {\"name\":\"evt\"}",
    ] {
        ensure!(told.contains(expected), "no {expected} in:\n{told}");
    }
    Ok(())
}

fn nodes(listed: &Listed<'_>) -> Result<()> {
    let told = listed(
        "--filter type=node --filter node=w1",
        "{{.Action}} {{json .Actor.Attributes}}",
    )?;
    for expected in [
        "update {\"availability.new\":\"drain\",\"availability.old\":\"active\",\"name\":\"w1\"}",
        "update {\"availability.new\":\"active\",\"availability.old\":\"drain\",\"name\":\"w1\"}",
        "\"role.new\":\"manager\",\"role.old\":\"worker\"",
        "\"role.new\":\"worker\",\"role.old\":\"manager\"",
    ] {
        ensure!(told.contains(expected), "no {expected} in:\n{told}");
    }
    Ok(())
}

fn tasks(listed: &Listed<'_>) -> Result<()> {
    let told = listed(
        "--filter type=task",
        "{{.Action}} {{json .Actor.Attributes}}",
    )?;
    for expected in [
        "create {",
        "\"state.new\":\"running\"",
        "\"service.name\":\"evt\"",
        "remove {",
    ] {
        ensure!(told.contains(expected), "no {expected} in:\n{told}");
    }
    Ok(())
}

/// One event of the cluster: by its index, what it tells.
type Indexed = Vec<(u64, String)>;

fn parsed(lines: &str) -> Result<Indexed> {
    let mut found = Vec::new();
    // What the client says of its end is in the same file.
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let (action, actor) = (&event["Action"], &event["Actor"]);
        // Each manager tells by itself who leads: that is not in the log.
        if !actor["Attributes"]["leader.new"].is_null() {
            continue;
        }
        let index = event["Starling"]["Index"].as_u64().context("no index")?;
        found.push((index, format!("{} {action} {actor}", event["Type"])));
    }
    Ok(found)
}

/// Between two writes: the stream is cut in the middle of them.
const WRITE_EVERY: Duration = Duration::from_millis(20);
const WRITES: usize = 30;

pub(super) fn over_leaders(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let others: Vec<&Host> = cluster
        .managers()
        .filter(|m| m.name() != leader.name())
        .collect();
    create(others[0], "idx", "--replicas 2", RUN_UNTIL_STOPPED)?;
    let start = others[0].api().get("/services/idx")?["Version"]["Index"]
        .as_u64()
        .context("no version")?;
    let starling = leader.binary()?.display().to_string();
    let follow = |host: &Host, name: &str, index: u64| {
        let index = index.to_string();
        let command = ["events", "--format", "json", "--since-index", &index];
        let filters = [
            "--filter",
            "type=service",
            "--filter",
            "type=task",
            "--filter",
            "type=node",
        ];
        let command = [&[starling.as_str()][..], &command, &filters].concat();
        host.follow(name, &command)
    };
    let first = follow(leader, "events-first", start)?;
    write(others[0], 0)?;
    eventually("the first ones are told", LIMIT, || {
        let seen = parsed(complete_lines(&first.output()))?;
        ensure!(seen.len() > WRITES / 2, "{}", seen.len());
        Ok(())
    })?;
    leader.kill_daemon()?;
    // What it had told by then is what a client has; it goes on with another manager.
    let mut told = parsed(complete_lines(&first.output()))?;
    let last = told.last().context("nothing was told")?.0;
    first.stop()?;
    let second = follow(others[0], "events-second", last)?;
    eventually("a new leader takes writes", LIMIT, || write(others[0], 1))?;
    let line = "service update -d --no-resolve-image --label-add last=one idx";
    others[0].docker_words(line, &[])?;
    let newest = others[0].api().get("/services/idx")?["Version"]["Index"]
        .as_u64()
        .context("no version")?;
    let rest = eventually("all is told", LIMIT, || {
        ensure!(second.runs(), "{}", second.output());
        let rest = parsed(complete_lines(&second.output()))?;
        ensure!(
            rest.last().is_some_and(|(index, _)| *index >= newest),
            "{:?}",
            rest.last()
        );
        Ok(rest)
    })?;
    second.stop()?;
    told.extend(rest);
    ensure!(told.is_sorted_by_key(|(index, _)| *index), "out of order");
    // The third manager, which nobody read from, tells the same from the beginning: no gap, nothing twice.
    let third = follow(others[1], "events-third", start)?;
    let end = told.last().context("nothing")?.0;
    let whole = eventually("the third one tells all", LIMIT, || {
        let mut whole = parsed(complete_lines(&third.output()))?;
        whole.retain(|(index, _)| *index <= end);
        ensure!(
            whole.last().is_some_and(|(index, _)| *index == end),
            "{:?}",
            whole.last()
        );
        Ok(whole)
    })?;
    third.stop()?;
    let differs = count(&whole)
        .into_iter()
        .filter(|(event, n)| count(&told).get(event) != Some(n));
    let differs: Vec<_> = differs.collect();
    ensure!(
        whole == told,
        "{} instead of {} events, of these another number: {differs:#?}",
        told.len(),
        whole.len()
    );
    let leaders = told
        .iter()
        .filter(|(_, what)| what.contains("service"))
        .count();
    ensure!(leaders > 2 * WRITES, "too few writes were seen: {leaders}");
    leader.start()?;
    cluster.wait_all_ready()?;
    // A host that is no manager any more says so.
    let worker = cluster
        .host("w1")
        .cli_refuses("events --since-index 1", &[])?;
    ensure!(worker.contains("no manager"), "{worker}");
    serves(&others[0].api(), "idx", 2, LIMIT)?;
    others[0].docker_words("service rm idx", &[]).map(drop)
}

fn count(events: &Indexed) -> BTreeMap<&(u64, String), usize> {
    let mut counted = BTreeMap::new();
    for event in events {
        *counted.entry(event).or_default() += 1;
    }
    counted
}

/// The last line may be half there.
fn complete_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..=end])
}

/// Labels that change, one after the other.
fn write(host: &Host, round: usize) -> Result<()> {
    for number in 0..WRITES {
        let label = format!("{round}-{number}");
        cluster_tests::hosts::service::update(&host.api(), "idx", |spec| {
            spec["Labels"]["n"] = label.into();
        })?;
        std::thread::sleep(WRITE_EVERY);
    }
    Ok(())
}
