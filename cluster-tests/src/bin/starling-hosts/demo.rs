//! The demo: three managers and two workers run a replicated service from a real image, restart it by force, lose a
//! leader and a host, and recover.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use cluster_tests::hosts::service::{self, Watch};
use cluster_tests::hosts::{Cluster, Host, IMAGE, Story, eventually};
use serde_json::Value;

const SERVICE: &str = "web";
const REPLICAS: usize = 6;
/// Each step takes about a second; a step that takes this long has failed.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of `starling-hosts demo`.
#[derive(clap::Args)]
pub(crate) struct Demo {
    /// Leave the cluster up and say how to talk to it
    #[arg(long)]
    keep: bool,
}

/// Tells the story; any step that does not end as told is an error.
pub(crate) fn tell(arguments: &Demo) -> Result<()> {
    let story = Story::begin("Starling: three managers and two workers on this machine");
    let cluster = story.step(
        "five hosts, each with its own network, processes, mounts and disk directory",
        || {
            Cluster::builder()
                .managers(3)
                .workers(2)
                .without_swarm()
                .without_image()
                .start()
        },
    )?;
    story.step(
        &format!("an image of our own, {IMAGE}, imported on every host"),
        || cluster.load_image(),
    )?;
    form_swarm(&story, &cluster)?;
    create_service(&story, &cluster)?;
    update_by_force(&story, &cluster)?;
    lose_the_leader(&story, &cluster)?;
    lose_a_host(&story, &cluster)?;
    drain_a_host(&story, &cluster)?;
    story.step("the end state", || {
        run(cluster.leader()?, &["node", "ls"])?;
        run(
            cluster.leader()?,
            &[
                "service",
                "ps",
                "--filter",
                "desired-state=running",
                SERVICE,
            ],
        )
    })?;
    if arguments.keep {
        cluster.keep()?;
        story.end("the cluster stays up");
        return how_to_talk(&cluster);
    }
    story.step("take everything down", || cluster.take_down())?;
    story.end("nothing is left behind");
    Ok(())
}

fn form_swarm(story: &Story, cluster: &Cluster) -> Result<()> {
    let first = cluster.host("m1");
    let (address, listen) = (first.address().to_string(), first.cluster_address());
    story.step("m1 makes the cluster", || {
        run(
            first,
            &[
                "swarm",
                "init",
                "--advertise-addr",
                &address,
                "--listen-addr",
                &listen,
            ],
        )
    })?;
    story.step("two managers and two workers join", || {
        for (role, host) in cluster
            .managers()
            .skip(1)
            .map(|host| ("manager", host))
            .chain(cluster.workers().map(|host| ("worker", host)))
        {
            let token = first.cli(&["swarm", "join-token", "-q", role])?;
            let address = host.address().to_string();
            let arguments = [
                "--advertise-addr",
                &address,
                "--listen-addr",
                &host.cluster_address(),
            ];
            println!(
                "    {}$ starling swarm join --token … {} {listen}",
                host.name(),
                arguments.join(" ")
            );
            let joined = host.cli(
                &[
                    &["swarm", "join", "--token", &token],
                    &arguments[..],
                    &[&listen],
                ]
                .concat(),
            );
            joined.with_context(|| format!("log of {}:\n{}", host.name(), host.logs()))?;
        }
        cluster.wait_all_ready()?;
        run(first, &["node", "ls"])
    })
}

fn create_service(story: &Story, cluster: &Cluster) -> Result<()> {
    let replicas = REPLICAS.to_string();
    story.step("a service of six replicas", || {
        let host = cluster.host("m1");
        let create = [
            "service",
            "create",
            "--detach",
            "--name",
            SERVICE,
            "--replicas",
            &replicas,
        ];
        let policy = [
            "--update-order",
            "start-first",
            "--update-parallelism",
            "2",
            "--restart-delay",
            "100ms",
        ];
        let program = [
            "--update-monitor",
            "500ms",
            IMAGE,
            "sh",
            "-c",
            service::RUN_UNTIL_STOPPED,
        ];
        run(host, &[&create[..], &policy, &program].concat())?;
        service::settled(&host.api(), SERVICE, REPLICAS, STEP_LIMIT)?;
        run(host, &["service", "ps", SERVICE])
    })
}

fn update_by_force(story: &Story, cluster: &Cluster) -> Result<()> {
    story.step(
        "a forced update, two at a time, each new replica before the old one goes",
        || {
            let host = cluster.host("m1");
            let before = service::ids(&service::serving(&host.api(), SERVICE)?);
            let watch = Watch::start(host.api(), SERVICE);
            run(host, &["service", "update", "-f", "--detach", SERVICE])?;
            let state = service::update_over(&host.api(), SERVICE, STEP_LIMIT);
            let seen = watch.stop()?;
            let after = service::ids(&service::settled(
                &host.api(),
                SERVICE,
                REPLICAS,
                STEP_LIMIT,
            )?);
            ensure!(
                state? == "completed",
                "the update did not complete: {}",
                service::summary(&host.api(), SERVICE)?
            );
            ensure!(
                before.is_disjoint(&after),
                "some replicas were not replaced"
            );
            println!(
                "    all {REPLICAS} replaced; never fewer than {} running in {} looks",
                seen.least, seen.looks
            );
            ensure!(
                seen.least >= REPLICAS,
                "fewer replicas than asked ran during the update"
            );
            Ok(())
        },
    )
}

fn lose_the_leader(story: &Story, cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    let before = containers_of(leader);
    story.step(
        &format!("kill -9 of the leader's daemon, on {}", leader.name()),
        || {
            let others: Vec<&Host> = cluster
                .managers()
                .filter(|host| host.name() != leader.name())
                .collect();
            leader.kill_daemon()?;
            let took = service::next_write(&others, SERVICE, leader.name(), STEP_LIMIT)?;
            println!(
                "    the next write was accepted after {:.2} s",
                took.as_secs_f64()
            );
            ensure!(
                containers_of(leader) == before,
                "containers died with the daemon"
            );
            Ok(())
        },
    )?;
    story.step(&format!("{} starts again", leader.name()), || {
        leader.start()?;
        cluster.wait_all_ready()?;
        let new = cluster.leader()?;
        service::serves(&new.api(), SERVICE, REPLICAS, STEP_LIMIT)?;
        let kept = containers_of(leader).intersection(&before).count();
        println!("    the leader is {}", new.name());
        if !before.is_empty() {
            println!(
                "    of {} processes in containers there, {kept} were found running",
                before.len()
            );
        }
        Ok(())
    })
}

/// Processes of containers, by pid.
fn containers_of(host: &Host) -> BTreeSet<i32> {
    host.container_processes()
        .iter()
        .map(|process| process.id.pid)
        .collect()
}

fn lose_a_host(story: &Story, cluster: &Cluster) -> Result<()> {
    let lost = busiest_worker(cluster)?;
    let api = cluster.leader()?.api();
    let id = cluster.nodes()?[lost.name()]["ID"].clone();
    let on_it = |tasks: &[Value]| tasks.iter().filter(|task| task["NodeID"] == id).count();
    let had = on_it(&service::serving(&api, SERVICE)?);
    story.step(
        &format!(
            "power loss of the host {}, which runs {had} replicas",
            lost.name()
        ),
        || {
            lost.crash()?;
            let begin = Instant::now();
            eventually("all replicas run on other hosts", STEP_LIMIT, || {
                let serving = service::serving(&api, SERVICE)?;
                let alive = serving.len() - on_it(&serving);
                ensure!(
                    alive == REPLICAS,
                    "{alive} of {REPLICAS}:\n{}",
                    service::summary(&api, SERVICE)?
                );
                Ok::<_, anyhow::Error>(())
            })?;
            println!(
                "    all {REPLICAS} replicas run again after {:.2} s",
                begin.elapsed().as_secs_f64()
            );
            Ok(())
        },
    )?;
    story.step(
        &format!("{} boots again with its disk", lost.name()),
        || {
            lost.start()?;
            cluster.wait_all_ready()
        },
    )
}

/// The worker with the most containers; a forced update brings some where none has any.
fn busiest_worker(cluster: &Cluster) -> Result<&Host> {
    let busiest = || {
        cluster
            .workers()
            .max_by_key(|host| containers_of(host).len())
            .context("there is no worker")
    };
    if containers_of(busiest()?).is_empty() {
        let api = cluster.leader()?.api();
        service::force_update(&api, SERVICE)?;
        service::update_over(&api, SERVICE, STEP_LIMIT)?;
        service::settled(&api, SERVICE, REPLICAS, STEP_LIMIT)?;
    }
    busiest()
}

fn drain_a_host(story: &Story, cluster: &Cluster) -> Result<()> {
    let drained = busiest_worker(cluster)?;
    story.step(&format!("{} is drained", drained.name()), || {
        let leader = cluster.leader()?;
        run(
            leader,
            &["node", "update", "--availability", "drain", drained.name()],
        )?;
        eventually("no container runs on it", STEP_LIMIT, || {
            let left = containers_of(drained).len();
            ensure!(left == 0, "{left} processes are left");
            Ok::<_, anyhow::Error>(())
        })?;
        service::settled(&leader.api(), SERVICE, REPLICAS, STEP_LIMIT)?;
        println!(
            "    no container is left on {}; {REPLICAS} run elsewhere",
            drained.name()
        );
        Ok(())
    })
}

/// Runs a command of starling's command line, and shows it with what it printed.
fn run(host: &Host, arguments: &[&str]) -> Result<()> {
    println!("    {}$ starling {}", host.name(), shown(arguments));
    match host.cli(arguments) {
        Ok(output) => {
            output.lines().for_each(|line| println!("    {line}"));
            Ok(())
        }
        Err(error) => bail!(
            "starling {}: {error:#}\nlog of {}:\n{}",
            shown(arguments),
            host.name(),
            host.logs()
        ),
    }
}

fn shown(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = argument
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.:/=".contains(c));
        if plain {
            (*argument).to_owned()
        } else {
            format!("\"{argument}\"")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn how_to_talk(cluster: &Cluster) -> Result<()> {
    let me = std::env::current_exe()?;
    println!("Talk to it through any manager, with starling's command line or Docker's:");
    for host in cluster.hosts() {
        println!(
            "    export DOCKER_HOST={}    # {} {}",
            host.docker_host(),
            host.name(),
            host.address()
        );
    }
    println!(
        "For example:         {} service ps {SERVICE}",
        cluster.host("m1").binary()?.display()
    );
    println!("Inside of a host:    {} exec m1 -- ps", me.display());
    println!("Take it down:        {} down", me.display());
    Ok(())
}
