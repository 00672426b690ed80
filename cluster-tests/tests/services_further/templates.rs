//! Values that each task has for itself.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::Cluster;
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, settled};

use super::{LIMIT, create, says};

pub(super) fn values(cluster: &Cluster) -> Result<()> {
    let host = cluster.host("m1");
    let file = |name: &str, text: &str| -> Result<String> {
        let path = cluster.dir().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let plain = file("plain", "the-plain-one")?;
    host.docker_words("secret create inner", &[&plain])?;
    let secret = "task={{.Task.Name}} inner={{secret \"inner\"}} color={{env \"COLOR\"}}\n";
    let secret = file("templated", secret)?;
    host.docker_words("secret create --template-driver golang outer", &[&secret])?;
    let config =
        "slot={{.Task.Slot}} label={{index .Service.Labels \"tier\"}} host={{.Node.Hostname}}\n";
    let config = file("config", config)?;
    host.docker_words("config create --template-driver golang conf", &[&config])?;
    let env = "WHO={{.Service.Name}}.{{.Task.Slot}}.{{.Task.ID}}@{{.Node.Hostname}}/{{.Node.ID}}";
    let options = [
        "--replicas 2 --label tier=front --env COLOR=blue --env",
        env,
        "--hostname {{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}",
        "--mount type=volume,source=data-{{.Task.Slot}},target=/data",
        "--secret inner --secret outer --config source=conf,target=/etc/conf",
        "--constraint node.hostname==w1",
    ];
    let show = format!(
        "echo $(hostname) who=$WHO; cat /run/secrets/outer /etc/conf; echo mine > /data/$(hostname); ls /data; {RUN_UNTIL_STOPPED}"
    );
    create(host, "tpl", &options.join(" "), &show)?;
    let tasks = settled(&host.api(), "tpl", 2, LIMIT)?;
    let node = tasks[0]["NodeID"].as_str().context("no node")?;
    let mut expected = vec!["label=front host=w1".to_owned()];
    for task in &tasks {
        let (slot, id) = (&task["Slot"], task["ID"].as_str().context("no ID")?);
        expected.push(format!("tpl-{slot}-w1 who=tpl.{slot}.{id}@w1/{node}"));
        expected.push(format!(
            "task=tpl.{slot}.{id} inner=the-plain-one color=blue"
        ));
        expected.push(format!("slot={slot} label=front"));
    }
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    says(host, "tpl", &expected)?;
    let volumes = cluster.host("w1").docker_words("volume ls -q", &[])?;
    ensure!(
        volumes.contains("data-1") && volumes.contains("data-2"),
        "{volumes}"
    );
    host.docker_words("service rm tpl", &[])?;
    host.docker_words("secret rm inner outer", &[])?;
    host.docker_words("config rm conf", &[]).map(drop)
}

pub(super) fn resources(cluster: &Cluster) -> Result<()> {
    let host = cluster.host("m1");
    let show = format!("echo has $DOCKER_RESOURCE_FPGA; {RUN_UNTIL_STOPPED}");
    create(host, "fp", "--replicas 3 --generic-resource fpga=1", &show)?;
    let said = says(host, "fp", &["has left", "has right", "has third"])?;
    let each: BTreeSet<&str> = said.lines().collect();
    ensure!(each.len() == 3, "one of them was given twice: {said}");
    // A fourth one waits and says why, and gets what becomes free.
    host.docker_words("service scale -d fp=4", &[])?;
    cluster_tests::hosts::eventually("the fourth one waits", LIMIT, || {
        let listed = host.docker_words("service ps --no-trunc fp", &[])?;
        ensure!(
            listed.contains("insufficient resources on 5 nodes"),
            "{listed}"
        );
        Ok(())
    })?;
    host.docker_words("service scale -d fp=2", &[])?;
    settled(&host.api(), "fp", 2, LIMIT)?;
    create(host, "fq", "--generic-resource fpga=1", &show)?;
    let free = says(host, "fq", &["has "])?;
    ensure!(free.lines().all(|line| each.contains(line)), "{free}");
    let format = ["{{json .Description.Resources.GenericResources}}", "w1"];
    let told = host.docker_words("node inspect --format", &format)?;
    ensure!(
        told.contains("{\"Kind\":\"fpga\",\"Value\":\"left\"}") && told.contains("right"),
        "{told}"
    );
    host.docker_words("service rm fp fq", &[]).map(drop)
}
