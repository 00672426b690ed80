//! Everything about services that Docker's users know, with the real `docker` command line on several hosts.
//! Needs root and Docker's command line.

#[path = "services_in_full/changes.rs"]
mod changes;
#[path = "services_in_full/containers.rs"]
mod containers;
#[path = "services_in_full/modes.rs"]
mod modes;
#[path = "services_in_full/payloads.rs"]
mod payloads;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::serving;
use cluster_tests::hosts::{Api, Cluster, Host, Story, eventually};

/// Steps take seconds; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(60);

type Step = fn(&Cluster, &Host, &Api) -> Result<()>;

#[test]
fn services_do_what_dockers_do() -> Result<()> {
    let story = Story::begin("services in full");
    let cluster = story.step("1 manager, 2 workers", || {
        Cluster::builder()
            .workers(2)
            .daemon_args(&["--node-generic-resource", "gpu=2"])
            .start()
    })?;
    let host = cluster.host("m1");
    let api = host.api();
    let steps: [(&str, Step); 14] = [
        ("global: one task on each node, and updates", modes::global),
        (
            "a replicated job runs as often as asked",
            modes::replicated_job,
        ),
        ("a global job runs on each node", modes::global_job),
        (
            "secrets and configs in containers",
            payloads::secrets_and_configs,
        ),
        (
            "health gates an update, which is rolled back",
            changes::health,
        ),
        ("an unhealthy container is replaced", changes::unhealthy),
        (
            "rollback by hand, there and back, and to a number",
            changes::rollback,
        ),
        ("volumes of all kinds", containers::volumes),
        ("what a container may be", containers::container_options),
        ("entrypoint, user, signals, binds", containers::more_options),
        (
            "templates, generic resources, preferences",
            containers::placement,
        ),
        ("a plan tells what happens", changes::plan),
        ("stop, start, restart one task", changes::stop_and_start),
        (
            "what crashes again and again is started more slowly",
            changes::back_off,
        ),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster, host, &api))?;
    }
    cluster.take_down()
}

/// Output of all tasks of a service, once each of `expected` is in it.
fn says(host: &Host, service: &str, expected: &[&str]) -> Result<String> {
    eventually(&format!("{service} says {expected:?}"), LIMIT, || {
        let said = host.docker(&["service", "logs", "--raw", service])?;
        let missing = expected.iter().find(|text| !said.contains(**text));
        ensure!(missing.is_none(), "{missing:?} is not in:\n{said}");
        Ok(said)
    })
}

/// Tasks of a service by the node that they serve on.
fn by_node(api: &Api, name: &str) -> Result<BTreeMap<String, usize>> {
    let mut nodes = BTreeMap::new();
    for task in serving(api, name)? {
        let node = task["NodeID"].as_str().context("no node")?;
        *nodes.entry(node.to_owned()).or_default() += 1;
    }
    Ok(nodes)
}

fn refused(host: &Host, args: &[&str], text: &str) -> Result<()> {
    let output = host.try_docker(args)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains(text),
        "docker {args:?}: {}: {said}",
        output.status
    );
    Ok(())
}
