//! What an operator meets on a longer day: crash loops, nodes that come and go under global services, updates that
//! fail, events over a change of leader. With the real `docker` command line on several hosts.
//! Needs root and Docker's command line.

#[path = "services_further/changes.rs"]
mod changes;
#[path = "services_further/crash_loops.rs"]
mod crash_loops;
#[path = "services_further/events.rs"]
mod events;
#[path = "services_further/failures.rs"]
mod failures;
#[path = "services_further/globals.rs"]
mod globals;
#[path = "services_further/templates.rs"]
mod templates;

use std::time::Duration;

use anyhow::{Result, ensure};
use cluster_tests::hosts::{Cluster, Host, IMAGE, Story, eventually};

/// Steps take seconds; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(60);
/// Options that make a service quick to create and to update.
const QUICK: &str =
    "--no-resolve-image --update-monitor 200ms --rollback-monitor 200ms --restart-delay 100ms";

type Step = fn(&Cluster) -> Result<()>;

#[test]
fn operators_find_what_they_know() -> Result<()> {
    let story = Story::begin("services, further");
    let cluster = story.step("3 managers, 2 workers", || {
        Cluster::builder()
            .managers(3)
            .workers(2)
            .host_args(
                "w1",
                &[
                    "--node-generic-resource",
                    "fpga=left",
                    "--node-generic-resource",
                    "fpga=right",
                ],
            )
            .host_args("w2", &["--node-generic-resource", "fpga=third"])
            .start()
    })?;
    let steps: [(&str, Step); 13] = [
        (
            "what changes tasks, and what does not",
            changes::replace_what_they_must,
        ),
        ("a bad image pauses the update", failures::paused),
        ("or takes it back", failures::rolled_back),
        ("an old version is refused", failures::out_of_sequence),
        ("words of promotion and demotion", failures::roles),
        (
            "templates in environment, mounts, secrets, configs",
            templates::values,
        ),
        ("named resources of two hosts", templates::resources),
        (
            "a global service is updated node by node",
            globals::in_order,
        ),
        (
            "pause, drain and activation under a global service",
            globals::availability,
        ),
        ("events with Docker's attributes", events::attributes),
        (
            "events by index over a change of leader",
            events::over_leaders,
        ),
        (
            "a crash loop slows down, also under the next leader",
            crash_loops::slows_down,
        ),
        (
            "logs in all forms, with a host down; it comes back",
            globals::lost_host,
        ),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster))?;
    }
    cluster.take_down()
}

/// `docker service create` of one that runs a shell command, waiting for it unless `options` say otherwise.
fn create(host: &Host, name: &str, options: &str, command: &str) -> Result<String> {
    let line = format!("service create -q --name {name} {QUICK} {options}");
    host.docker_words(&line, &[IMAGE, "sh", "-c", command])
}

/// Output of all tasks of a service, once each of `expected` is in it.
fn says(host: &Host, service: &str, expected: &[&str]) -> Result<String> {
    eventually(&format!("{service} says {expected:?}"), LIMIT, || {
        let said = host.docker_words("service logs --raw", &[service])?;
        let missing = expected.iter().find(|text| !said.contains(**text));
        ensure!(missing.is_none(), "{missing:?} is not in:\n{said}");
        Ok(said)
    })
}
