//! What the containers of a service may be, and where they are.

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, running, serving, settled, summary, tasks};
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE, eventually};

use super::{LIMIT, by_node, says};

pub(super) fn volumes(_: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let command = "echo run >> /data/log; echo \"runs=$(wc -l < /data/log)\"; ls /copied; touch /anon/x && echo anon; \
                   mount | grep ' /mem '; trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "v",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w2",
        "--mount",
        "type=volume,source=data,target=/data",
        "--mount",
        "type=volume,target=/anon",
        "--mount",
        "type=volume,source=etc,target=/copied/etc,volume-label=a=b",
        "--mount",
        "type=tmpfs,target=/mem,tmpfs-size=1m,tmpfs-mode=0700",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        command,
    ])?;
    says(host, "v", &["runs=1", "anon", "etc", "size=1024k"])?;
    // The named volume stays with its content when the task is replaced.
    host.docker(&["service", "update", "--force", "--no-resolve-image", "v"])?;
    says(host, "v", &["runs=2"])?;
    ensure!(serving(api, "v")?.len() == 1);
    host.docker(&["service", "rm", "v"])?;
    Ok(())
}

pub(super) fn container_options(_: &Cluster, host: &Host, _: &Api) -> Result<()> {
    let command = "id -G; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; cat /etc/resolv.conf; cat /etc/hosts; \
                   ulimit -n; grep CapEff /proc/1/status; echo \"first=$(cat /proc/1/cmdline | tr '\\0' ' ')\"; touch /x || echo read-only; tty; \
                   cat /proc/self/oom_score_adj; hostname; trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "o",
        "--no-resolve-image",
        "--group",
        "44",
        "--group",
        "45",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=7",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.test",
        "--dns-option",
        "ndots:2",
        "--host",
        "there:192.0.2.9",
        "--ulimit",
        "nofile=200:300",
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_BIND_SERVICE",
        "--read-only",
        "--init",
        "--tty",
        "--oom-score-adj",
        "500",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        IMAGE,
        "sh",
        "-c",
        command,
    ])?;
    let said = says(host, "o", &["o-1"])?;
    for expected in [
        "44 45",
        "\n7",
        "nameserver 192.0.2.53",
        "search example.test",
        "ndots:2",
        "192.0.2.9\tthere",
        "200",
        "0000000000000400",
        "read-only",
        "/dev/",
        "500",
    ] {
        ensure!(
            said.replace('\r', "").contains(expected),
            "{expected:?} is not in:\n{said}"
        );
    }
    host.docker(&["service", "rm", "o"])?;
    Ok(())
}

pub(super) fn more_options(cluster: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let bound = cluster.dir().join("bound");
    std::fs::create_dir_all(&bound)?;
    std::fs::write(bound.join("word"), "from the host\n")?;
    let mount = format!(
        "type=bind,source={},target=/bound,readonly",
        bound.display()
    );
    let command = "pwd; id -u; id -g; echo $GREETING; cat /bound/word; (touch /bound/x) 2>&1 || echo not written; \
                   trap 'echo asked by the signal; exit 0' USR1; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "m",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w1",
        "--entrypoint",
        "sh",
        "--workdir",
        "/made/here",
        "--user",
        "1000:1001",
        "--env",
        "GREETING=good day",
        "--stop-signal",
        "SIGUSR1",
        "--stop-grace-period",
        "1m",
        "--mount",
        &mount,
        IMAGE,
        "-c",
        command,
    ])?;
    let lines = [
        "/made/here",
        "1000",
        "1001",
        "good day",
        "from the host",
        "not written",
    ];
    says(host, "m", &lines)?;
    // It ends at once by its own signal; SIGTERM alone would take the whole grace period.
    host.docker(&["service", "update", "--force", "--no-resolve-image", "m"])?;
    says(host, "m", &["asked by the signal"])?;
    // What cannot be says why, and is not tried as if it could.
    let nowhere = "type=bind,source=/not/there,target=/bound";
    let create = [
        "service",
        "create",
        "-d",
        "--no-resolve-image",
        "--name",
        "n",
    ];
    host.docker(&[&create[..], &["--mount", nowhere, IMAGE, "sleep", "1"]].concat())?;
    eventually("a reason in words", LIMIT, || {
        let listed = host.docker(&["service", "ps", "--no-trunc", "n"])?;
        let text =
            "invalid mount config for type \"bind\": bind source path does not exist: /not/there";
        let state = tasks(api, "n")?[0]["Status"]["State"].clone();
        ensure!(listed.contains(text), "{state}: {listed}");
        Ok(())
    })?;
    host.docker(&["service", "rm", "m", "n"])?;
    Ok(())
}

pub(super) fn placement(cluster: &Cluster, host: &Host, api: &Api) -> Result<()> {
    for (node, zone) in [("m1", "a"), ("w1", "b"), ("w2", "b")] {
        host.docker(&[
            "node",
            "update",
            "--label-add",
            &format!("zone={zone}"),
            node,
        ])?;
    }
    host.docker(&[
        "service",
        "create",
        "--name",
        "p",
        "--replicas",
        "4",
        "--no-resolve-image",
        "--placement-pref",
        "spread=node.labels.zone",
        "--env",
        "WHERE={{.Node.Hostname}}",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        &format!("echo on $WHERE; {RUN_UNTIL_STOPPED}"),
    ])?;
    let nodes = by_node(api, "p")?;
    let id = cluster.nodes()?["m1"]["ID"]
        .as_str()
        .context("no id")?
        .to_owned();
    ensure!(
        nodes.get(&id) == Some(&2),
        "two of four are in zone a: {nodes:?}"
    );
    says(host, "p", &["on m1", "on w1", "on w2"])?;
    host.docker(&["service", "rm", "p"])?;
    // Two of three nodes' gpus are asked for at once.
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "gpu",
        "--replicas",
        "4",
        "--no-resolve-image",
        "--generic-resource",
        "gpu=2",
        IMAGE,
        "sh",
        "-c",
        &format!("echo gpus $DOCKER_RESOURCE_GPU; {RUN_UNTIL_STOPPED}"),
    ])?;
    eventually("three of four have their gpus", LIMIT, || {
        let waits = tasks(api, "gpu")?;
        let waits = waits.iter().filter(|t| {
            t["Status"]["Err"]
                .as_str()
                .is_some_and(|e| e.contains("insufficient resources on 3 nodes"))
        });
        ensure!(
            running(api, "gpu")?.len() == 3 && waits.count() == 1,
            "{}",
            summary(api, "gpu")?
        );
        Ok(())
    })?;
    // The client stops at the first notice of a task that has no output yet.
    host.docker(&["service", "scale", "-d", "gpu=3"])?;
    settled(api, "gpu", 3, LIMIT)?;
    says(host, "gpu", &["gpus 2"])?;
    // Most tasks of one node.
    host.docker(&["service", "rm", "gpu"])?;
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "m",
        "--replicas",
        "5",
        "--replicas-max-per-node",
        "1",
        "--no-resolve-image",
        IMAGE,
        "sh",
        "-c",
        RUN_UNTIL_STOPPED,
    ])?;
    eventually("one on each node", LIMIT, || {
        let waits = tasks(api, "m")?;
        let waits = waits.iter().filter(|t| {
            t["Status"]["Err"]
                .as_str()
                .is_some_and(|e| e.contains("max replicas per node"))
        });
        ensure!(
            running(api, "m")?.len() == 3 && waits.count() == 2,
            "{}",
            summary(api, "m")?
        );
        Ok(())
    })?;
    host.docker(&["service", "rm", "m"])?;
    Ok(())
}
