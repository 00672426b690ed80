//! Updates that fail, and what the command line says of them.

use anyhow::{Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, ids, serving, settled, summary};
use cluster_tests::hosts::{Cluster, eventually};
use hyper::Method;

use super::{LIMIT, create};

pub(super) fn paused(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m2"), cluster.host("m2").api());
    create(host, "bad", "--replicas 3", RUN_UNTIL_STOPPED)?;
    let good = ids(&settled(&api, "bad", 3, LIMIT)?);
    let told = host.docker_refuses(
        "service update --no-resolve-image --image nosuch:1 bad",
        &[],
    )?;
    ensure!(
        told.contains(
            "service update paused: update paused due to failure or early termination of task "
        ),
        "{told}"
    );
    let status = api.get("/services/bad")?["UpdateStatus"].clone();
    ensure!(status["State"] == "paused", "{status}");
    let listed = host.docker_words("service ps --no-trunc bad", &[])?;
    ensure!(
        listed.contains("No such image: nosuch:1") && listed.contains("Rejected"),
        "{listed}"
    );
    let left = ids(&serving(&api, "bad")?);
    ensure!(
        left.len() == 2 && left.is_subset(&good),
        "a paused update goes on: {}",
        summary(&api, "bad")?
    );
    let pretty = host.docker_words("service inspect --pretty bad", &[])?;
    ensure!(
        pretty.contains("State:\t\tpaused") && pretty.contains("update paused due to failure"),
        "{pretty}"
    );
    // It stays so until somebody says what to do.
    host.docker_words("service rollback -q bad", &[])?;
    let back = ids(&settled(&api, "bad", 3, LIMIT)?);
    ensure!(left.is_subset(&back), "those that were good were stopped");
    host.docker_words("service rm bad", &[]).map(drop)
}

pub(super) fn rolled_back(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m2"), cluster.host("m2").api());
    let options =
        "--replicas 2 --env V=1 --update-failure-action rollback --update-order start-first";
    create(host, "auto", options, RUN_UNTIL_STOPPED)?;
    // One that fails so late that the client, which looks every 0.2 s, sees what happens.
    let late = "service update --no-resolve-image --update-monitor 5s --env-add LATE=1 auto --args";
    let told = host.docker_words(late, &["sh -c \"sleep 1; exit 3\""])?;
    ensure!(
        told.contains("rollback: update rolled back due to failure or early termination of task "),
        "{told}"
    );
    let listed = host.docker_words("service ps --no-trunc auto", &[])?;
    ensure!(listed.contains("task: non-zero exit (3)"), "{listed}");
    // Our own client says it of the fastest one, too, and fails.
    let told = host.cli_refuses("service update --image nosuch:2 auto", &[])?;
    ensure!(told.contains("service update rolled back: "), "{told}");
    let listed = host.docker_words("service ps --no-trunc auto", &[])?;
    ensure!(listed.contains("No such image: nosuch:2"), "{listed}");
    let image = || -> Result<String> {
        let format = ["{{.Spec.TaskTemplate.ContainerSpec.Image}}", "auto"];
        host.docker_words("service inspect --format", &format)
    };
    eventually("the rollback is over", LIMIT, || {
        let status = api.get("/services/auto")?["UpdateStatus"].clone();
        ensure!(status["State"] == "rollback_completed", "{status}");
        Ok(())
    })?;
    ensure!(image()?.starts_with("starling-test"), "{}", image()?);
    settled(&api, "auto", 2, LIMIT)?;
    // By hand, it goes forward to what failed, which is taken back once more; with a good one it toggles.
    host.docker_words(
        "service update -q --no-resolve-image --env-add V=2 auto",
        &[],
    )?;
    for expected in ["V=1", "V=2", "V=1"] {
        host.docker_words("service rollback -q auto", &[])?;
        let env =
            api.get("/services/auto")?["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"].clone();
        ensure!(env[0] == expected, "{env} instead of {expected}");
    }
    host.docker_words("service rm auto", &[]).map(drop)
}

pub(super) fn out_of_sequence(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.follower()?, cluster.host("m1").api());
    create(host, "seq", "-d", RUN_UNTIL_STOPPED)?;
    let read = api.get("/services/seq")?;
    host.docker_words(
        "service update -d --no-resolve-image --label-add by=another seq",
        &[],
    )?;
    let path = format!("/services/seq/update?version={}", read["Version"]["Index"]);
    let reply = host.api().send_json(Method::POST, &path, &read["Spec"])?;
    ensure!(
        reply.status == 500 && reply.message().contains("update out of sequence"),
        "{} {}",
        reply.status,
        reply.message()
    );
    let labels = api.get("/services/seq")?["Spec"]["Labels"].clone();
    ensure!(labels["by"] == "another", "{labels}");
    // Nodes, too.
    let node = api.get("/nodes/w1")?;
    host.docker_words("node update --label-add by=another w1", &[])?;
    let id = node["ID"].as_str().unwrap_or_default();
    let path = format!("/nodes/{id}/update?version={}", node["Version"]["Index"]);
    let reply = api.send_json(Method::POST, &path, &node["Spec"])?;
    ensure!(
        reply.status == 500 && reply.message().contains("update out of sequence"),
        "{} {}",
        reply.status,
        reply.message()
    );
    host.docker_words("node update --label-rm by w1", &[])?;
    host.docker_words("service rm seq", &[]).map(drop)
}

pub(super) fn roles(cluster: &Cluster) -> Result<()> {
    let host = cluster.leader()?;
    let says = |line: &str, words: &str| -> Result<()> {
        // Its word may come on either stream.
        let output = host.try_docker(&line.split(' ').collect::<Vec<_>>())?;
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        ensure!(
            output.status.success() && told.contains(words),
            "{line}: {told}"
        );
        Ok(())
    };
    // What is so already is named by its id, what changes as it was asked for.
    let nodes = cluster.nodes()?;
    let id = |name: &str| nodes[name]["ID"].as_str().unwrap_or_default().to_owned();
    says(
        "node demote w2",
        &format!("Node {} is already a worker.", id("w2")),
    )?;
    says(
        "node promote m2",
        &format!("Node {} is already a manager.", id("m2")),
    )?;
    says(
        "node promote w2",
        "Node w2 promoted to a manager in the swarm.",
    )?;
    eventually("w2 is reachable", LIMIT, || {
        let seen = host.docker_words(
            "node inspect --format {{.ManagerStatus.Reachability}} w2",
            &[],
        )?;
        ensure!(seen == "reachable", "{seen}");
        Ok(())
    })?;
    says("node demote w2", "Manager w2 demoted in the swarm.")?;
    eventually("w2 is no manager", LIMIT, || {
        let info = cluster.host("w2").api().get("/info")?;
        ensure!(
            info["Swarm"]["ControlAvailable"] == false,
            "{}",
            info["Swarm"]
        );
        cluster.wait_all_ready()
    })?;
    let told = host.docker_refuses("node promote nobody", &[])?;
    ensure!(told.contains("node nobody not found"), "{told}");
    Ok(())
}
