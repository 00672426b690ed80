//! The real `docker` command line and our own do the same against our socket. Needs root and Debian's Docker client.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{self, ids, serving, settled, summary};
use cluster_tests::hosts::{Api, Cluster, IMAGE, Story};

/// Steps take about a second; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(40);

#[test]
fn both_command_lines_work() -> Result<()> {
    let story = Story::begin("command lines");
    let cluster = story.step("3 managers, 1 worker", || {
        Cluster::builder().managers(3).workers(1).start()
    })?;
    let api = cluster.leader()?.api();
    story.step("docker", || docker_command_line(&cluster, &api))?;
    story.step("starling", || own_command_line(&cluster, &api))?;
    cluster.take_down()
}

fn docker_command_line(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.follower()?;
    let forever = service::RUN_UNTIL_STOPPED;
    // Without --detach the client polls until the service has converged, and fails when it does not.
    let create = [
        "service",
        "create",
        "--name",
        "d",
        "--replicas",
        "3",
        "--no-resolve-image",
        "--update-monitor",
        "300ms",
    ];
    let id = host.docker(
        &[
            &create[..],
            &["--update-parallelism", "0", IMAGE, "sh", "-c", forever],
        ]
        .concat(),
    )?;
    ensure!(
        api.get("/services/d")?["ID"]
            .as_str()
            .is_some_and(|real| id.contains(real)),
        "{id}"
    );
    let listed = host.docker(&["service", "ls"])?;
    ensure!(
        listed
            .lines()
            .any(|line| line.contains(" d ") && line.contains("3/3")),
        "{listed}"
    );
    let before = ids(&serving(api, "d")?);
    host.docker(&["service", "update", "--force", "--no-resolve-image", "d"])?;
    ensure!(
        before.is_disjoint(&ids(&settled(api, "d", 3, LIMIT)?)),
        "{}",
        summary(api, "d")?
    );
    let tasks = host.docker(&["service", "ps", "d"])?;
    ensure!(
        tasks.matches("Running").count() >= 6 && tasks.contains("\\_ d.1"),
        "{tasks}"
    );
    host.docker(&["service", "scale", "d=4"])?;
    let nodes = host.docker(&["node", "ls"])?;
    ensure!(
        nodes.matches("Ready").count() == 4 && nodes.matches("Leader").count() == 1,
        "{nodes}"
    );
    let forced = host.docker(&[
        "service",
        "inspect",
        "--format",
        "{{.Spec.TaskTemplate.ForceUpdate}}",
        "d",
    ])?;
    ensure!(forced == "1", "{forced}");
    let pretty = host.docker(&["service", "inspect", "--pretty", "d"])?;
    ensure!(pretty.contains("Replicas:\t4"), "{pretty}");
    for command in [
        &["version"][..],
        &["info"],
        &["ps"],
        &["image", "ls"],
        &["swarm", "join-token", "worker"],
        &["node", "ps", "w1"],
    ] {
        host.docker(command)
            .with_context(|| format!("docker {command:?}"))?;
    }
    host.docker(&["service", "rm", "d"])?;
    let gone = host.try_docker(&["service", "inspect", "d"])?;
    ensure!(!gone.status.success(), "a removed service is still there");
    Ok(())
}

fn own_command_line(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.follower()?;
    let create = [
        "service",
        "create",
        "--name",
        "own",
        "--replicas",
        "2",
        "--update-monitor",
        "300ms",
        "--stop-signal",
        "SIGKILL",
    ];
    host.cli(
        &[
            &create[..],
            &[IMAGE, "sh", "-c", "echo hello; sleep 1000000"],
        ]
        .concat(),
    )?;
    ensure!(
        serving(api, "own")?.len() == 2,
        "the command returned before the service had converged"
    );
    let before = ids(&serving(api, "own")?);
    host.cli(&["service", "update", "-f", "own"])?;
    ensure!(
        before.is_disjoint(&ids(&settled(api, "own", 2, LIMIT)?)),
        "{}",
        summary(api, "own")?
    );
    let listed = host.cli(&["service", "ls"])?;
    ensure!(
        listed
            .lines()
            .any(|line| line.contains("own") && line.contains("2/2")),
        "{listed}"
    );
    ensure!(host.cli(&["service", "logs", "own"])?.contains("hello"));
    let wrong = host.try_cli(&["servce", "ls"])?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(
        !wrong.status.success() && said.contains("service"),
        "{said}"
    );
    host.cli(&["service", "rm", "own"]).map(|_| ())
}
