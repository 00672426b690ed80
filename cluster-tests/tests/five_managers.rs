//! Five managers: how many may be lost, who may go, and who may come. Needs root and Docker's command line.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{Service, next_write, serves, serving, settled};
use cluster_tests::hosts::{Api, Cluster, Host, Story, eventually};
use hyper::Method;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(40);
/// From the loss of a leader to the next write.
const FAILOVER_LIMIT: Duration = Duration::from_secs(5);
/// Docker's managers give up on a call after 20 s; a client waits no longer than a little more for its refusal.
const REFUSAL_LIMIT: Duration = Duration::from_secs(23);
const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. \
                         Make sure more than half of the managers are online.";

type Step = fn(&Cluster) -> Result<()>;

#[test]
fn managers_and_workers_come_and_go() -> Result<()> {
    let story = Story::begin("five managers");
    let cluster = story.step("5 managers, 2 workers, a service", || {
        let cluster = Cluster::builder().managers(5).workers(2).start()?;
        let api = cluster.leader()?.api();
        Service::named("web").replicas(3).create(&api)?;
        settled(&api, "web", 3, LIMIT)?;
        Ok(cluster)
    })?;
    let steps: [(&str, Step); 6] = [
        ("two and then three of five die", three_of_five_die),
        ("a manager is not removed", a_manager_is_not_removed),
        ("a manager leaves by force", a_manager_leaves),
        ("a worker leaves", a_worker_leaves),
        ("wrong tokens and a foreign CA", wrong_tokens),
        ("a worker is removed", a_worker_is_removed),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster))?;
    }
    cluster.take_down()
}

/// What a command said while it failed.
fn refusal(output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success(),
        "it succeeded: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(said)
}

fn id_of(cluster: &Cluster, name: &str) -> Result<String> {
    let nodes = cluster.nodes()?;
    let node = nodes
        .get(name)
        .with_context(|| format!("no node {name} in {:?}", nodes.keys()))?;
    Ok(node["ID"].as_str().context("no ID")?.to_owned())
}

fn names(api: &Api) -> Result<BTreeSet<String>> {
    let services = api.get("/services")?;
    let services = services.as_array().context("not a list")?;
    Ok(services
        .iter()
        .filter_map(|service| Some(service["Spec"]["Name"].as_str()?.to_owned()))
        .collect())
}

fn three_of_five_die(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let (mut dead, mut alive): (Vec<&Host>, Vec<&Host>) = (vec![leader], Vec::new());
    for host in cluster.managers().filter(|h| h.name() != leader.name()) {
        if dead.len() < 2 {
            dead.push(host);
        } else {
            alive.push(host);
        }
    }
    dead.iter().try_for_each(|host| host.kill_daemon())?;
    let took = next_write(&alive, "web", "two-of-five-lost", LIMIT)?;
    println!("            next write after {:.2} s", took.as_secs_f64());
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    let api = alive[0].api();
    for number in 0..10 {
        Service::named(&format!("written{number}"))
            .replicas(0)
            .create(&api)?;
    }
    let known = names(&api)?;
    ensure!(known.len() == 11, "{known:?}");
    // One more would be too many, and who wants to go hears it.
    let told = eventually("two managers count as unreachable", LIMIT, || {
        let told = refusal(&alive[0].try_docker(&["swarm", "leave"])?)?;
        ensure!(told.contains("leaves 2 managers out of 5"), "{told}");
        Ok::<_, anyhow::Error>(told)
    })?;
    ensure!(
        told.contains(
            "You are attempting to leave the swarm on a node that is participating as a manager."
        ) && told.contains("Without a Raft quorum your swarm will be inaccessible."),
        "{told}"
    );

    demotion_would_be_one_too_many(cluster)?;

    let third = cluster.leader()?;
    alive.retain(|host| host.name() != third.name());
    third.kill_daemon()?;
    for host in &alive {
        refuses_without_quorum(host)?;
    }
    commands_without_quorum(&alive)?;
    third.start()?;
    let took = next_write(&alive, "web", "the-third-is-back", LIMIT)?;
    println!(
        "            next write after {:.2} s with the third back",
        took.as_secs_f64()
    );
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    cluster.start_all()?;
    cluster.wait_all_ready()?;
    for host in cluster.managers() {
        eventually("each manager knows every service", LIMIT, || {
            let names = names(&host.api())?;
            ensure!(names == known, "{}: {names:?}", host.name());
            Ok::<_, anyhow::Error>(())
        })?;
    }
    for name in known.iter().filter(|name| *name != "web") {
        cluster
            .leader()?
            .api()
            .delete(&format!("/services/{name}"))?;
    }
    settled(&cluster.leader()?.api(), "web", 3, LIMIT).map(drop)
}

fn refuses_without_quorum(host: &Host) -> Result<()> {
    let begin = Instant::now();
    let lost = Service::named("lost").replicas(0);
    let reply = host.api().within(REFUSAL_LIMIT).send_json(
        Method::POST,
        "/services/create",
        lost.spec(),
    )?;
    println!(
        "            {} refused after {:.2} s: {} {}",
        host.name(),
        begin.elapsed().as_secs_f64(),
        reply.status,
        reply.message()
    );
    ensure!(
        reply.status == 500 && reply.message().contains(NO_LEADER),
        "{}: {}",
        reply.status,
        reply.message()
    );
    Ok(())
}

/// With three of five left each is needed, whoever is asked.
fn demotion_would_be_one_too_many(cluster: &Cluster) -> Result<()> {
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    for name in [follower.name(), leader.name()] {
        let told = refusal(&follower.try_docker(&["node", "demote", name])?)?;
        ensure!(
            told.contains(
                "can't remove member from the raft: this would result in a loss of quorum"
            ),
            "{told}"
        );
    }
    let info = leader.api().get("/info")?["Swarm"].clone();
    ensure!(info["Managers"] == 5, "{info}");
    Ok(())
}

/// What docker says of each kind of write, asked at the same time: each waits as long as a manager may.
fn commands_without_quorum(alive: &[&Host]) -> Result<()> {
    let host = alive[0];
    let other = alive[1].name();
    let commands: [&[&str]; 6] = [
        &["node", "demote", other],
        &["node", "rm", "--force", "w1"],
        &["node", "update", "--label-add", "a=b", "w1"],
        &[
            "service",
            "update",
            "-d",
            "--no-resolve-image",
            "--label-add",
            "a=b",
            "web",
        ],
        &["service", "rm", "web"],
        &["swarm", "update", "--task-history-limit", "3"],
    ];
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let asked = commands.map(|args| (args, scope.spawn(move || host.try_docker(args))));
        for (args, answer) in asked {
            let answer = answer.join().map_err(|_| anyhow::anyhow!("it panicked"))?;
            let told = refusal(&answer?).with_context(|| format!("{args:?}"))?;
            ensure!(told.contains(NO_LEADER), "{args:?}: {told}");
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let took = begin.elapsed();
    println!(
        "            six commands refused after {:.2} s",
        took.as_secs_f64()
    );
    // Some of them read first, which has a bound of its own.
    ensure!(took < REFUSAL_LIMIT * 2, "{took:?}");
    Ok(())
}

fn a_manager_is_not_removed(cluster: &Cluster) -> Result<()> {
    let (leader, other) = (cluster.leader()?, cluster.follower()?);
    let member = "is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal";
    for args in [
        vec!["node", "rm", other.name()],
        vec!["node", "rm", "--force", other.name()],
    ] {
        let told = refusal(&leader.try_docker(&args)?)?;
        ensure!(told.contains(member), "{told}");
    }
    let told = refusal(&leader.try_docker(&["node", "rm", "w2"])?)?;
    ensure!(told.contains("is not down and can't be removed"), "{told}");
    ensure!(cluster.nodes()?.len() == 7);
    Ok(())
}

fn a_manager_leaves(cluster: &Cluster) -> Result<()> {
    let leaver = cluster.host("m5");
    let told = refusal(&leaver.try_docker(&["swarm", "leave"])?)?;
    ensure!(told.contains("participating as a manager"), "{told}");
    leaver.docker(&["swarm", "leave", "--force"])?;
    let info = leaver.api().get("/info")?["Swarm"].clone();
    ensure!(info["LocalNodeState"] == "inactive", "{info}");
    let id = eventually("m5 is down and no manager any more", LIMIT, || {
        let nodes = cluster.host("m1").api().get("/nodes")?;
        let nodes = nodes.as_array().context("not a list")?;
        let m5 = nodes
            .iter()
            .find(|node| node["Description"]["Hostname"] == "m5")
            .context("m5 is gone")?;
        ensure!(
            m5["Status"]["State"] == "down" && m5.get("ManagerStatus").is_none(),
            "{m5}"
        );
        Ok::<_, anyhow::Error>(m5["ID"].as_str().context("no ID")?.to_owned())
    })?;
    cluster.host("m1").docker(&["node", "rm", &id])?;
    // Three of four are a majority: one of those that stayed may die.
    let left: Vec<&Host> = cluster.managers().filter(|h| h.name() != "m5").collect();
    left[3].kill_daemon()?;
    let took = next_write(&left[..3], "web", "three-of-four", LIMIT)?;
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    left[3].start()?;
    eventually("all that stayed are reachable", LIMIT, || {
        let nodes = cluster.nodes()?;
        let reachable = nodes
            .values()
            .filter(|node| node["ManagerStatus"]["Reachability"] == "reachable");
        ensure!(reachable.count() == 4, "{nodes:#?}");
        Ok::<_, anyhow::Error>(())
    })
}

fn a_worker_leaves(cluster: &Cluster) -> Result<()> {
    let (worker, api) = (cluster.host("w1"), cluster.leader()?.api());
    Service::named("onw1")
        .constraint("node.hostname==w1")
        .create(&api)?;
    settled(&api, "onw1", 1, LIMIT)?;
    ensure!(!worker.container_processes().is_empty());
    worker.docker(&["swarm", "leave"])?;
    let info = worker.api().get("/info")?["Swarm"].clone();
    ensure!(info["LocalNodeState"] == "inactive", "{info}");
    eventually("its containers are gone", LIMIT, || {
        let left = worker.container_processes();
        ensure!(left.is_empty(), "{left:#?}");
        let listed = worker.api().get("/containers/json?all=1")?;
        ensure!(listed == json!([]), "{listed}");
        Ok(())
    })?;
    eventually("the managers see it down", LIMIT, || {
        let state = cluster.nodes()?["w1"]["Status"]["State"].clone();
        ensure!(state == "down", "{state}");
        Ok::<_, anyhow::Error>(())
    })?;
    // What ran on a node that is down keeps its last word until the node is removed.
    serves(&api, "web", 3, LIMIT)?;
    cluster.host("m2").docker(&["node", "rm", "w1"])?;
    settled(&api, "web", 3, LIMIT)?;
    ensure!(!cluster.nodes()?.contains_key("w1"));
    api.delete("/services/onw1").map(drop)
}

fn join(host: &Host, token: &str) -> Result<Output> {
    let address = host.address().to_string();
    let listen = host.cluster_address();
    host.try_docker(&[
        "swarm",
        "join",
        "--token",
        token,
        "--listen-addr",
        &listen,
        "--advertise-addr",
        &address,
        "10.211.0.11:2377",
    ])
}

fn wrong_tokens(cluster: &Cluster) -> Result<()> {
    let (manager, stranger) = (cluster.host("m1"), cluster.host("w1"));
    let token = |role: &str| manager.docker(&["swarm", "join-token", "-q", role]);
    let old = token("manager")?;
    // Rotated on one manager, refused by all.
    let rotate = ["swarm", "join-token", "--rotate", "-q", "manager"];
    cluster.host("m3").docker(&rotate)?;
    let fresh = eventually("the token is another one everywhere", LIMIT, || {
        let now = token("manager")?;
        ensure!(now != old, "it is still {now}");
        Ok::<_, anyhow::Error>(now)
    })?;
    // A foreign CA: the stranger makes a cluster of its own and forgets all of it but the token.
    let address = stranger.address().to_string();
    let listen = stranger.cluster_address();
    stranger.docker(&[
        "swarm",
        "init",
        "--listen-addr",
        &listen,
        "--advertise-addr",
        &address,
    ])?;
    let foreign = stranger.docker(&["swarm", "join-token", "-q", "worker"])?;
    stranger.docker(&["swarm", "leave", "--force"])?;
    let own_ca = fresh.rsplit_once('-').context("no token")?.0;
    let wrong = format!("{own_ca}-{}", "0".repeat(25));
    for (token, words) in [
        (
            old.as_str(),
            "A valid join token is necessary to join this cluster",
        ),
        (
            &wrong,
            "A valid join token is necessary to join this cluster",
        ),
        (&foreign, "remote CA does not match fingerprint"),
        ("SWMTKN-1-nonsense", "invalid join token"),
    ] {
        let told = refusal(&join(stranger, token)?)?;
        ensure!(told.contains(words), "no word of {words:?} in: {told}");
        ensure!(
            token
                .rsplit_once('-')
                .is_none_or(|(_, secret)| secret.len() < 25 || !told.contains(secret)),
            "the refusal tells the secret: {told}"
        );
        let state = stranger.api().get("/info")?["Swarm"]["LocalNodeState"].clone();
        ensure!(state == "inactive", "{state}");
    }
    let output = join(stranger, &token("worker")?)?;
    ensure!(
        output.status.success(),
        "the worker's token, which was not rotated: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    eventually("it is ready again", LIMIT, || {
        let node = cluster.nodes()?.remove("w1").context("no node w1")?;
        ensure!(node["Status"]["State"] == "ready", "{}", node["Status"]);
        Ok::<_, anyhow::Error>(())
    })
}

fn a_worker_is_removed(cluster: &Cluster) -> Result<()> {
    let (worker, api) = (cluster.host("w2"), cluster.leader()?.api());
    let id = id_of(cluster, "w2")?;
    Service::named("onw2")
        .constraint("node.hostname==w2")
        .create(&api)?;
    settled(&api, "onw2", 1, LIMIT)?;
    cluster
        .host("m2")
        .docker(&["node", "rm", "--force", "w2"])?;
    ensure!(!cluster.nodes()?.contains_key("w2"));
    eventually("the removed node's daemon says so", LIMIT, || {
        let info = worker.api().get("/info")?["Swarm"].clone();
        let error = info["Error"].as_str().unwrap_or_default();
        ensure!(
            info["LocalNodeState"] == "error"
                && error.contains(&format!("node {id} was removed from swarm")),
            "{info}"
        );
        Ok::<_, anyhow::Error>(())
    })?;
    eventually("what ran there is gone", LIMIT, || {
        let left = worker.container_processes();
        ensure!(left.is_empty(), "{left:#?}");
        Ok::<_, anyhow::Error>(())
    })?;
    ensure!(serving(&api, "onw2")?.is_empty());
    settled(&api, "web", 3, LIMIT)?;
    // It goes by leaving, and may come again.
    worker.docker(&["swarm", "leave", "--force"])?;
    let token = cluster
        .host("m1")
        .docker(&["swarm", "join-token", "-q", "worker"])?;
    let output = join(worker, &token)?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    settled(&api, "onw2", 1, LIMIT).map(drop)
}
