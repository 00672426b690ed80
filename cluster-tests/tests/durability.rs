//! Kill -9 under load: what was acknowledged is there again; and the time from a leader's death to the next write.
//! Needs root. `STARLING_ROUNDS` sets the number of rounds, `STARLING_FAILOVERS` that of fail-overs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{Service, next_write};
use cluster_tests::hosts::{Api, Cluster, Host, Story, eventually};

const ROUNDS: usize = 20;
const FAILOVERS: usize = 10;
/// Clients that write at the same time.
const WRITERS: usize = 4;
/// One write; what takes longer is given up, with an unknown result.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// Writing goes on for so long before the kill, and after it.
const LOAD_BEFORE: Duration = Duration::from_millis(400);
const LOAD_AFTER: Duration = Duration::from_millis(600);
const FAILOVER_LIMIT: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(40);

#[test]
fn acknowledged_writes_survive_and_leaders_are_replaced_in_time() -> Result<()> {
    let story = Story::begin("durability");
    let cluster = story.step("3 managers", || {
        Cluster::builder().managers(3).without_image().start()
    })?;
    Service::named("probe")
        .replicas(0)
        .create(&cluster.leader()?.api())?;
    let rounds = number("STARLING_ROUNDS", ROUNDS)?;
    for round in 0..rounds {
        story.step(
            &format!("kill -9 under load, round {} of {rounds}", round + 1),
            || kill_under_load(&cluster, round),
        )?;
    }
    let failovers = number("STARLING_FAILOVERS", FAILOVERS)?;
    let mut times = Vec::new();
    story.step(&format!("{failovers} fail-overs"), || {
        for count in 0..failovers {
            times.push(fail_over(&cluster, count)?);
        }
        Ok(())
    })?;
    times.sort();
    println!(
        "            fail-over: median {:?}, worst {:?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );
    cluster.take_down()
}

fn number(variable: &str, usual: usize) -> Result<usize> {
    let Ok(text) = std::env::var(variable) else {
        return Ok(usual);
    };
    let number: usize = text
        .parse()
        .with_context(|| format!("{variable} is not a number: {text}"))?;
    ensure!(number > 0, "{variable} must be at least 1");
    Ok(number)
}

/// In turn: the leader, one follower, everyone at once, the other follower.
fn victims(cluster: &Cluster, round: usize) -> Result<Vec<&Host>> {
    let leader = cluster.leader()?;
    let followers: Vec<&Host> = cluster
        .managers()
        .filter(|host| host.name() != leader.name())
        .collect();
    Ok(match round % 4 {
        0 => vec![leader],
        1 => vec![followers[0]],
        2 => cluster.managers().collect(),
        _ => vec![followers[1]],
    })
}

fn kill_under_load(cluster: &Cluster, round: usize) -> Result<()> {
    let stop = AtomicBool::new(false);
    let victims = victims(cluster, round)?;
    let acknowledged = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let stop = &stop;
                    move || write_until(stop, cluster, round, writer)
                })
            })
            .collect();
        std::thread::sleep(LOAD_BEFORE);
        let killed = victims.iter().try_for_each(|host| host.kill_daemon());
        std::thread::sleep(LOAD_AFTER);
        stop.store(true, Ordering::Relaxed);
        let written = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer does not panic"));
        let written: BTreeSet<String> = written.flatten().collect();
        killed.map(|()| written)
    })?;
    victims.iter().try_for_each(|host| host.launch())?;
    victims.iter().try_for_each(|host| host.wait_ready())?;
    ensure!(
        !acknowledged.is_empty(),
        "no write was acknowledged: there is nothing to check"
    );
    println!(
        "            {} writes were acknowledged",
        acknowledged.len()
    );
    for host in cluster.managers() {
        eventually(
            &format!("{} has every acknowledged write", host.name()),
            LIMIT,
            || {
                let missing: Vec<_> = acknowledged
                    .difference(&services(&host.api())?)
                    .cloned()
                    .collect();
                ensure!(missing.is_empty(), "{} missing: {missing:?}", missing.len());
                Ok::<_, anyhow::Error>(())
            },
        )?;
    }
    cluster.wait_all_ready()?;
    remove_all_but_the_probe(cluster)
}

/// Creates services through one manager after the other, and returns the names of those that were acknowledged.
fn write_until(stop: &AtomicBool, cluster: &Cluster, round: usize, writer: usize) -> Vec<String> {
    let managers: Vec<Api> = cluster
        .managers()
        .map(|host| host.api().within(WRITE_LIMIT))
        .collect();
    let mut acknowledged = Vec::new();
    for (count, api) in managers.iter().cycle().skip(writer).enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let name = format!("r{round}-w{writer}-{count}");
        if Service::named(&name).replicas(0).create(api).is_ok() {
            acknowledged.push(name);
        }
    }
    acknowledged
}

fn services(api: &Api) -> Result<BTreeSet<String>> {
    let services = api.get("/services")?;
    let name = |service: &serde_json::Value| Some(service["Spec"]["Name"].as_str()?.to_owned());
    Ok(services
        .as_array()
        .context("not a list")?
        .iter()
        .filter_map(name)
        .collect())
}

/// Removals are acknowledged writes too: what was removed must not come back in a later round.
fn remove_all_but_the_probe(cluster: &Cluster) -> Result<()> {
    let api = cluster.leader()?.api();
    for name in services(&api)?.into_iter().filter(|name| name != "probe") {
        api.delete(&format!("/services/{name}"))?;
    }
    for host in cluster.managers() {
        let left = services(&host.api())?;
        ensure!(
            left == BTreeSet::from(["probe".to_owned()]),
            "{} still has {left:?}",
            host.name()
        );
    }
    Ok(())
}

fn fail_over(cluster: &Cluster, count: usize) -> Result<Duration> {
    let leader = cluster.leader()?;
    let others: Vec<&Host> = cluster
        .managers()
        .filter(|host| host.name() != leader.name())
        .collect();
    leader.kill_daemon()?;
    let took = next_write(&others, "probe", &format!("failover-{count}"), LIMIT)?;
    ensure!(took < FAILOVER_LIMIT, "fail-over {count} took {took:?}");
    leader.start()?;
    cluster.wait_all_ready()?;
    Ok(took)
}
