//! Everything about nodes that an operator relies on: roles, labels, drains, late joiners, events. Needs root and
//! Docker's command line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    Service, Watch, running, serves, serving, settled, summary, tasks,
};
use cluster_tests::hosts::{Api, Cluster, Story, eventually};
use serde_json::{Value, json};

/// Steps take seconds; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(60);

type Step = fn(&Cluster, &Api) -> Result<()>;

#[test]
fn nodes_do_what_dockers_do() -> Result<()> {
    let story = Story::begin("nodes in full");
    let cluster = story.step("3 managers, 2 workers", || {
        Cluster::builder().managers(3).workers(2).start()
    })?;
    let api = cluster.host("m1").api();
    let steps: [(&str, Step); 8] = [
        ("a worker becomes a manager, and is taken back", promotion),
        ("the leader is demoted", demotion_of_the_leader),
        ("demotions that cost the quorum are refused", refusals),
        ("a drain moves start-first, so many at a time", gentle_drain),
        ("labels that change move tasks", enforcement),
        ("a node that comes back gets what is its", late_joiner),
        ("rebalance after a node came back", rebalance),
        (
            "events go on where they stopped, on another manager",
            events,
        ),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster, &api))?;
    }
    cluster.take_down()
}

fn node(api: &Api, name: &str) -> Result<Value> {
    api.get(&format!("/nodes/{name}"))
}

/// Waits until the API of `host` answers as a manager's, or as a worker's.
fn is_manager(cluster: &Cluster, host: &str, expected: bool) -> Result<()> {
    let api = cluster.host(host).api();
    eventually(&format!("{host} is a manager: {expected}"), LIMIT, || {
        let info = api.get("/info")?;
        let control = &info["Swarm"]["ControlAvailable"];
        ensure!(*control == json!(expected), "{}", info["Swarm"]);
        if expected {
            api.get("/nodes")?;
        }
        Ok(())
    })
}

fn managers(api: &Api) -> Result<usize> {
    let nodes = api.get("/nodes")?;
    let nodes = nodes.as_array().context("no list")?;
    Ok(nodes
        .iter()
        .filter(|n| n["ManagerStatus"]["Reachability"] == "reachable")
        .count())
}

fn promotion(cluster: &Cluster, api: &Api) -> Result<()> {
    Service::named("stays")
        .constraint("node.hostname==w1")
        .create(api)?;
    let before = settled(api, "stays", 1, LIMIT)?;
    let host = cluster.host("m1");
    host.docker(&["node", "promote", "w1"])?;
    is_manager(cluster, "w1", true)?;
    eventually("four managers", LIMIT, || {
        let count = managers(api)?;
        ensure!(count == 4, "{count}");
        Ok(())
    })?;
    let listed = cluster.host("w1").docker(&["node", "ls"])?;
    ensure!(listed.matches("Reachable").count() == 3, "{listed}");
    host.docker(&["node", "demote", "w1"])?;
    is_manager(cluster, "w1", false)?;
    eventually("three managers", LIMIT, || {
        let count = managers(api)?;
        ensure!(count == 3, "{count}");
        Ok(())
    })?;
    let after = settled(api, "stays", 1, LIMIT)?;
    ensure!(
        before[0]["ID"] == after[0]["ID"],
        "a change of role replaced a task"
    );
    ensure!(node(api, "w1")?["Status"]["State"] == "ready");
    host.docker(&["service", "rm", "stays"])?;
    Ok(())
}

fn demotion_of_the_leader(cluster: &Cluster, _: &Api) -> Result<()> {
    let leader = cluster.leader()?.name().to_owned();
    let other = cluster.follower()?;
    other.docker(&["node", "demote", &leader])?;
    is_manager(cluster, &leader, false)?;
    other.docker(&["node", "promote", &leader])?;
    is_manager(cluster, &leader, true)?;
    eventually("three managers again", LIMIT, || {
        let count = managers(&other.api())?;
        ensure!(count == 3, "{count}");
        Ok(())
    })
}

fn refusals(cluster: &Cluster, _: &Api) -> Result<()> {
    let leader = cluster.leader()?;
    let others: Vec<_> = cluster
        .managers()
        .filter(|h| h.name() != leader.name())
        .collect();
    others[0].crash()?;
    let api = leader.api();
    eventually("a manager is missed", LIMIT, || {
        let count = managers(&api)?;
        ensure!(count == 2, "{count}");
        Ok(())
    })?;
    let refused = leader.try_docker(&["node", "demote", others[1].name()])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        !refused.status.success() && said.contains("loss of quorum"),
        "{said}"
    );
    others[0].start()?;
    eventually("it is back", LIMIT, || {
        let count = managers(&api)?;
        ensure!(count == 3, "{count}");
        Ok(())
    })
}

/// Tasks that serve on a node.
fn on(api: &Api, service: &str, node_id: &Value) -> Result<usize> {
    Ok(serving(api, service)?
        .iter()
        .filter(|t| t["NodeID"] == *node_id)
        .count())
}

fn gentle_drain(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    Service::named("d").replicas(10).create(api)?;
    settled(api, "d", 10, LIMIT)?;
    let id = node(api, "w2")?["ID"].clone();
    ensure!(on(api, "d", &id)? == 2, "{}", summary(api, "d")?);
    let watch = Watch::start(api.clone(), "d");
    host.cli(&[
        "node",
        "drain",
        "--wait",
        "--order",
        "start-first",
        "--parallelism",
        "1",
        "w2",
    ])?;
    let seen = watch.stop()?;
    ensure!(
        on(api, "d", &id)? == 0,
        "the command came back before the tasks had gone"
    );
    ensure!(seen.least >= 10 && seen.most <= 11, "{seen:?}");
    settled(api, "d", 10, LIMIT)?;
    host.docker(&["node", "update", "--availability", "active", "w2"])?;
    host.docker(&["service", "rm", "d"])?;
    Ok(())
}

fn enforcement(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    host.docker(&["node", "update", "--label-add", "tier=fast", "w1"])?;
    Service::named("e")
        .replicas(2)
        .constraint("node.labels.tier==fast")
        .create(api)?;
    settled(api, "e", 2, LIMIT)?;
    host.docker(&["node", "update", "--label-add", "tier=fast", "w2"])?;
    host.docker(&["node", "update", "--label-rm", "tier", "w1"])?;
    let w2 = node(api, "w2")?["ID"].clone();
    eventually("both on w2", LIMIT, || {
        ensure!(
            on(api, "e", &w2)? == 2 && running(api, "e")?.len() == 2,
            "{}",
            summary(api, "e")?
        );
        Ok(())
    })?;
    let left = tasks(api, "e")?;
    let left = left.iter().find(|t| t["Status"]["State"] == "shutdown");
    let why = left.map(|t| t["Status"]["Err"].clone());
    ensure!(
        why == Some("assigned node no longer meets constraints".into()),
        "{}",
        summary(api, "e")?
    );
    host.docker(&["node", "update", "--label-rm", "tier", "w2"])?;
    eventually("none, and each says why", LIMIT, || {
        let waits = tasks(api, "e")?;
        let waits = waits.iter().filter(|t| {
            let why = t["Status"]["Err"].as_str().unwrap_or_default();
            t["Status"]["State"] == "pending"
                && why.contains("scheduling constraints not satisfied on 5 nodes")
        });
        ensure!(
            waits.count() == 2 && running(api, "e")?.is_empty(),
            "{}",
            summary(api, "e")?
        );
        Ok(())
    })?;
    host.docker(&["service", "rm", "e"])?;
    Ok(())
}

fn late_joiner(cluster: &Cluster, api: &Api) -> Result<()> {
    let late = cluster.host("w2");
    late.crash()?;
    eventually("w2 is down", LIMIT, || {
        let state = node(api, "w2")?["Status"]["State"].clone();
        ensure!(state == "down", "{state}");
        Ok(())
    })?;
    let global = Service::named("gl").with("/Mode", json!({"Global": {}}));
    global.create(api)?;
    let job = Service::named("gj")
        .runs("echo here")
        .with(
            "/TaskTemplate/RestartPolicy",
            json!({"Condition": "on-failure"}),
        )
        .with("/Mode", json!({"GlobalJob": {}}));
    job.create(api)?;
    let complete = |count: usize| {
        eventually(&format!("{count} runs of the job"), LIMIT, || {
            let done = tasks(api, "gj")?;
            let done = done
                .iter()
                .filter(|t| t["Status"]["State"] == "complete")
                .count();
            ensure!(done == count, "{}", summary(api, "gj")?);
            Ok(())
        })
    };
    let serve = |count: usize| {
        eventually(&format!("{count} global tasks"), LIMIT, || {
            ensure!(
                serving(api, "gl")?.len() == count,
                "{}",
                summary(api, "gl")?
            );
            Ok(())
        })
    };
    serve(4)?;
    complete(4)?;
    late.start()?;
    serve(5)?;
    complete(5)?;
    cluster.host("m1").docker(&["service", "rm", "gl", "gj"])?;
    Ok(())
}

fn rebalance(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    host.docker(&["node", "update", "--availability", "drain", "w1"])?;
    Service::named("rb")
        .replicas(10)
        .updates("start-first", 2)
        .create(api)?;
    settled(api, "rb", 10, LIMIT)?;
    host.docker(&["node", "update", "--availability", "active", "w1"])?;
    let w1 = node(api, "w1")?["ID"].clone();
    ensure!(on(api, "rb", &w1)? == 0, "nothing moves by itself");
    let told = host.cli(&["service", "rebalance", "--dry-run", "rb"])?;
    ensure!(told.contains("w1"), "{told}");
    ensure!(on(api, "rb", &w1)? == 0, "a plan moves nothing");
    let watch = Watch::start(api.clone(), "rb");
    host.cli(&["service", "rebalance", "rb"])?;
    eventually("two of ten on w1", LIMIT, || {
        ensure!(on(api, "rb", &w1)? == 2, "{}", summary(api, "rb")?);
        Ok(())
    })?;
    settled(api, "rb", 10, LIMIT)?;
    let seen = watch.stop()?;
    ensure!(seen.least >= 10, "{seen:?}");
    host.docker(&["service", "rm", "rb"])?;
    Ok(())
}

fn events(cluster: &Cluster, api: &Api) -> Result<()> {
    let id = Service::named("ev").create(api)?;
    let made = api.get(&format!("/services/{id}"))?["Version"]["Index"].as_u64();
    let before = made.context("no version")? - 1;
    serves(api, "ev", 1, LIMIT)?;
    cluster.host("m1").docker(&[
        "service",
        "update",
        "-d",
        "--label-add",
        "n=1",
        "--no-resolve-image",
        "ev",
    ])?;
    cluster.host("m1").docker(&[
        "service",
        "update",
        "-d",
        "--label-add",
        "n=2",
        "--no-resolve-image",
        "ev",
    ])?;
    let until = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs()
        + 1;
    let all = |host: &str, from: &str| -> Result<BTreeMap<u64, String>> {
        let path =
            format!("/events?{from}&until={until}&filters=%7B%22type%22%3A%5B%22service%22%5D%7D");
        let reply = cluster
            .host(host)
            .api()
            .send(hyper::Method::GET, &path, None)?;
        ensure!(reply.status == 200, "{}", reply.text());
        let mut found = BTreeMap::new();
        for line in reply.text().lines() {
            let event: Value = serde_json::from_str(line)?;
            let index = event["Starling"]["Index"].as_u64().context("no index")?;
            found.insert(
                index,
                event["Action"].as_str().unwrap_or_default().to_owned(),
            );
        }
        Ok(found)
    };
    let begin = Instant::now();
    let here = all("m1", &format!("sinceIndex={before}"))?;
    ensure!(begin.elapsed() < LIMIT && here.len() >= 3, "{here:?}");
    let (&middle, _) = here.iter().rev().nth(1).context("too few")?;
    let there = all("m2", &format!("sinceIndex={middle}"))?;
    let expected: BTreeMap<_, _> = here
        .range(middle + 1..)
        .map(|(i, a)| (*i, a.clone()))
        .collect();
    ensure!(there == expected, "{there:?} instead of {expected:?}");
    cluster.host("m1").docker(&["service", "rm", "ev"])?;
    Ok(())
}
