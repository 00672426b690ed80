//! Faults of real processes, hosts and cables. Needs root.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    Service, force_update, next_write, running, serving, settled, summary, tasks, update_over,
};
use cluster_tests::hosts::{Api, Cluster, Host, Process, Story, eventually};
use nix::sys::signal::Signal;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(40);
/// From the loss of a leader to the next write.
const FAILOVER_LIMIT: Duration = Duration::from_secs(5);
/// A host is down when it was silent for 2 s; then its tasks have to start elsewhere, here in a debug build.
const HOST_LOSS_LIMIT: Duration = Duration::from_secs(10);
/// A cut-off leader may take a moment to see that it is one; it does not answer until it knows.
const STALE_READ_LIMIT: Duration = Duration::from_secs(5);
const REPLICAS: usize = 6;

type Step = fn(&Cluster) -> Result<()>;

#[test]
fn the_cluster_lives_through_faults() -> Result<()> {
    let story = Story::begin("faults");
    let cluster = story.step("3 managers, 2 workers, 6 replicas", || {
        let cluster = Cluster::builder().managers(3).workers(2).start()?;
        let api = cluster.leader()?.api();
        Service::named("web")
            .replicas(6)
            .updates("start-first", 1)
            .create(&api)?;
        settled(&api, "web", REPLICAS, LIMIT)?;
        Ok(cluster)
    })?;
    let steps: [(&str, Step); 9] = [
        (
            "kill -9 of the leader in the middle of an update",
            the_leader_dies_in_an_update,
        ),
        ("kill -9 of a follower", a_follower_dies),
        (
            "kill -9 of a worker's daemon: containers, logs and exit codes outlive it",
            a_worker_s_daemon_dies,
        ),
        ("kill -9 of a supervisor", a_supervisor_dies),
        ("loss of a worker host", a_host_is_lost),
        ("loss of the leader's host", the_leader_s_host_is_lost),
        ("a worker is cut off and returns", a_worker_is_cut_off),
        ("the leader is cut off and returns", the_leader_is_cut_off),
        ("all hosts lose power at once", all_hosts_lose_power),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster))?;
    }
    cluster.take_down()
}

/// Everything is up, every node is ready, the service has its replicas and nothing more runs anywhere.
fn healthy(cluster: &Cluster) -> Result<()> {
    cluster.start_all()?;
    cluster.wait_all_ready()?;
    let api = cluster.leader()?.api();
    settled(&api, "web", REPLICAS, LIMIT)?;
    eventually("as many containers run as tasks should", LIMIT, || {
        let shells: usize = cluster.hosts().map(|host| web_shells(host).len()).sum();
        ensure!(
            shells == REPLICAS,
            "{shells} containers:\n{}",
            summary(&api, "web")?
        );
        Ok(())
    })
}

/// The first process of each container of `web` on a host.
fn web_shells(host: &Host) -> Vec<Process> {
    let mut found = host.container_processes();
    found.retain(|process| process.args.contains("sleep 1000000 & wait"));
    found
}

fn others<'a>(cluster: &'a Cluster, one: &Host) -> Vec<&'a Host> {
    cluster
        .managers()
        .filter(|host| host.name() != one.name())
        .collect()
}

fn the_leader_dies_in_an_update(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let before = serving(&leader.api(), "web")?;
    force_update(&leader.api(), "web")?;
    eventually("the first slot is replaced", LIMIT, || {
        let now = serving(&leader.api(), "web")?;
        ensure!(
            now.iter().any(|task| !before.contains(task)),
            "{}",
            summary(&leader.api(), "web")?
        );
        Ok::<_, anyhow::Error>(())
    })?;
    leader.kill_daemon()?;
    let took = next_write(&others(cluster, leader), "web", "leader-killed", LIMIT)?;
    println!("            next write after {:.2} s", took.as_secs_f64());
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    leader.start()?;
    let api = cluster.leader()?.api();
    ensure!(update_over(&api, "web", LIMIT)? == "completed");
    let forced = |task: &serde_json::Value| task["Spec"]["ForceUpdate"] == 1;
    ensure!(
        settled(&api, "web", REPLICAS, LIMIT)?.iter().all(forced),
        "{}",
        summary(&api, "web")?
    );
    healthy(cluster)
}

fn a_follower_dies(cluster: &Cluster) -> Result<()> {
    let (leader, follower) = (cluster.leader()?, cluster.follower()?);
    follower.kill_daemon()?;
    let took = next_write(&[leader], "web", "follower-killed", LIMIT)?;
    ensure!(
        took < Duration::from_secs(1),
        "the leader needed {took:?} although a majority was there"
    );
    follower.start()?;
    eventually("the follower has what it missed", LIMIT, || {
        let labels = follower.api().get("/services/web")?["Spec"]["Labels"].clone();
        ensure!(labels["next-write"] == "follower-killed", "{labels}");
        Ok(())
    })?;
    healthy(cluster)
}

fn a_worker_s_daemon_dies(cluster: &Cluster) -> Result<()> {
    let (api, worker) = (cluster.leader()?.api(), cluster.host("w1"));
    let counter = "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done";
    Service::named("counter")
        .runs(counter)
        .constraint("node.hostname==w1")
        .create(&api)?;
    let ending = "trap 'exit 7' TERM; while :; do sleep 0.1; done";
    Service::named("ending")
        .runs(ending)
        .restarts("none")
        .constraint("node.hostname==w1")
        .create(&api)?;
    let counter = settled(&api, "counter", 1, LIMIT)?;
    settled(&api, "ending", 1, LIMIT)?;
    let ours = |text: &str| {
        let all = worker.container_processes().into_iter();
        all.filter(|process| process.args.contains(text))
            .map(|process| process.id)
            .collect::<Vec<_>>()
    };
    // The shell itself: what it forks has the same arguments for a moment.
    let shell = |text: &str| {
        ours(text)
            .into_iter()
            .min_by_key(|id| (id.start_time, id.pid))
    };
    let counting = shell("echo line");
    worker.kill_daemon()?;
    // While nobody looks, one container ends and the other goes on.
    shell("exit 7")
        .context("the container died with the daemon")?
        .signal(Signal::SIGTERM)?;
    eventually("the container has ended", LIMIT, || {
        ensure!(ours("exit 7").is_empty(), "it still runs");
        Ok(())
    })?;
    worker.start()?;
    eventually("the true exit code is told", LIMIT, || {
        let tasks = tasks(&api, "ending")?;
        let told = tasks
            .iter()
            .any(|task| task["Status"]["ContainerStatus"]["ExitCode"] == 7);
        ensure!(told, "{}", summary(&api, "ending")?);
        Ok(())
    })?;
    let after = settled(&api, "counter", 1, LIMIT)?;
    ensure!(
        after[0]["ID"] == counter[0]["ID"],
        "the task was replaced:\n{}",
        summary(&api, "counter")?
    );
    let found = shell("echo line");
    ensure!(
        found == counting,
        "the container was not adopted: {found:?} was {counting:?}\n{}",
        worker.logs()
    );
    log_has_no_gap(&api)?;
    api.delete("/services/counter")?;
    api.delete("/services/ending")?;
    healthy(cluster)
}

fn log_has_no_gap(api: &Api) -> Result<()> {
    eventually("the log goes on", LIMIT, || {
        let log = api
            .send(hyper::Method::GET, "/services/counter/logs?stdout=1", None)?
            .text();
        let numbers: Vec<u64> = log
            .split("line ")
            .skip(1)
            .filter_map(|rest| rest.split('\n').next()?.parse().ok())
            .collect();
        ensure!(numbers.len() > 50, "{} lines", numbers.len());
        let gap = numbers
            .iter()
            .zip(0..)
            .find(|(number, expected)| *number != expected);
        ensure!(gap.is_none(), "lines are missing or twice at {gap:?}");
        Ok(())
    })
}

fn a_supervisor_dies(cluster: &Cluster) -> Result<()> {
    let worker = cluster
        .hosts()
        .find(|host| !web_shells(host).is_empty())
        .context("nothing runs")?;
    let before = web_shells(worker);
    worker.kill_supervisor()?;
    eventually("its containers are gone", LIMIT, || {
        let left: Vec<_> = before.iter().filter(|shell| shell.id.alive()).collect();
        ensure!(left.is_empty(), "{left:#?}");
        Ok(())
    })?;
    healthy(cluster)
}

/// Waits until all replicas run without this host, and says how long that took.
fn recovered_without(cluster: &Cluster, lost: &Host, id: &str) -> Result<()> {
    let begin = std::time::Instant::now();
    eventually("all replicas run elsewhere", LIMIT, || {
        let api = cluster.leader_now()?.api();
        let alive = serving(&api, "web")?
            .iter()
            .filter(|task| task["NodeID"] != id)
            .count();
        ensure!(
            alive == REPLICAS,
            "{alive} without {}:\n{}",
            lost.name(),
            summary(&api, "web")?
        );
        Ok(())
    })?;
    let took = begin.elapsed();
    println!(
        "            replicas run elsewhere after {:.2} s",
        took.as_secs_f64()
    );
    ensure!(took < HOST_LOSS_LIMIT, "it took {took:?}");
    Ok(())
}

fn id_of(cluster: &Cluster, host: &Host) -> Result<String> {
    let nodes = cluster.nodes()?;
    let node = nodes.get(host.name()).context("no such node")?;
    Ok(node["ID"].as_str().context("no ID")?.to_owned())
}

fn a_host_is_lost(cluster: &Cluster) -> Result<()> {
    let lost = cluster.host("w1");
    let id = id_of(cluster, lost)?;
    lost.crash()?;
    recovered_without(cluster, lost, &id)?;
    healthy(cluster)
}

fn the_leader_s_host_is_lost(cluster: &Cluster) -> Result<()> {
    let lost = cluster.leader()?;
    let id = id_of(cluster, lost)?;
    lost.crash()?;
    let took = next_write(&others(cluster, lost), "web", "leader-lost", LIMIT)?;
    println!("            next write after {:.2} s", took.as_secs_f64());
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    recovered_without(cluster, lost, &id)?;
    healthy(cluster)
}

fn a_worker_is_cut_off(cluster: &Cluster) -> Result<()> {
    // On this one, so that there is something to leave behind.
    let worker = cluster.host("w2");
    let api = cluster.leader()?.api();
    Service::named("pinned")
        .constraint("node.hostname==w2")
        .create(&api)?;
    settled(&api, "pinned", 1, LIMIT)?;
    force_update(&api, "web")?;
    update_over(&api, "web", LIMIT)?;
    let (id, before) = (id_of(cluster, worker)?, worker.container_processes().len());
    ensure!(before > 0, "nothing runs on w2");
    worker.cut()?;
    recovered_without(cluster, worker, &id)?;
    ensure!(
        worker.container_processes().len() == before,
        "a host that is cut off goes on with what it has"
    );
    worker.heal()?;
    api.delete("/services/pinned")?;
    healthy(cluster)
}

fn the_leader_is_cut_off(cluster: &Cluster) -> Result<()> {
    let old = cluster.leader()?;
    old.cut()?;
    let took = std::thread::scope(|scope| {
        let lonely = scope.spawn(|| Service::named("lonely").replicas(0).create(&old.api()));
        let took = next_write(&others(cluster, old), "web", "leader-cut", LIMIT);
        let lonely = lonely.join().expect("the client does not panic");
        let refusal = lonely
            .err()
            .context("a leader without a majority accepted a write")?;
        println!("            its write was refused: {refusal:#}");
        took
    })?;
    println!(
        "            next write elsewhere after {:.2} s",
        took.as_secs_f64()
    );
    ensure!(took < FAILOVER_LIMIT, "it took {took:?}");
    // It knows that it does not lead any more: reads of it would be stale.
    let stale = old.api().within(STALE_READ_LIMIT).get("/services/web");
    let refusal = stale.err().context("a cut-off leader still serves reads")?;
    println!("            the read was refused: {refusal:#}");
    old.heal()?;
    healthy(cluster)?;
    // Its refusal did not mean that it might come back to life; unknown is allowed, but only as the same on each manager.
    let mut seen = BTreeSet::new();
    for host in cluster.managers() {
        seen.insert(host.api().get("/services/lonely").is_ok());
    }
    ensure!(
        seen.len() == 1,
        "the managers do not agree on a write that was refused"
    );
    if seen.contains(&true) {
        cluster.leader()?.api().delete("/services/lonely")?;
    }
    Ok(())
}

fn all_hosts_lose_power(cluster: &Cluster) -> Result<()> {
    let service = cluster.leader()?.api().get("/services/web")?;
    cluster.crash_all()?;
    ensure!(cluster.hosts().all(|host| host.processes().is_empty()));
    healthy(cluster)?;
    let after = cluster.leader()?.api().get("/services/web")?;
    ensure!(
        after["Spec"] == service["Spec"] && after["ID"] == service["ID"],
        "{after} was {service}"
    );
    ensure!(running(&cluster.leader()?.api(), "web")?.len() == REPLICAS);
    // And it works, not only stands there.
    let api = cluster.leader()?.api();
    api.post("/services/create", Service::named("after").spec())?;
    settled(&api, "after", 1, LIMIT)?;
    api.delete("/services/after")?;
    ensure!(api.get("/services")? != json!([]));
    Ok(())
}
