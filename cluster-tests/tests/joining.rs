//! Hosts that join one by one: tokens with labels, what a host allows, tasks that move to who comes late.
//! Needs root and Docker's command line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, Watch, ids, serving, settled, summary};
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE, Story, eventually};
use serde_json::{Value, json};

/// Steps take seconds; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(60);
/// A service that asks for it is moved only when no node has come or gone for this long.
const QUIET: Duration = Duration::from_secs(30);
/// And then one task after the other, with a pause that no busy machine makes shorter.
const BETWEEN_MOVES: Duration = Duration::from_secs(10);
/// From the daemon that joined to our knowing it.
const TOLERANCE: Duration = Duration::from_secs(5);

#[test]
fn hosts_join_and_get_their_share() -> Result<()> {
    let story = Story::begin("joining");
    let cluster = story.step("four hosts, one allows privileges", || {
        Cluster::builder()
            .workers(3)
            .without_swarm()
            .host_args("w1", &["--allow-privileged-services"])
            .start()
    })?;
    let host = cluster.host("m1");
    let api = host.api();
    let listen = host.cluster_address();
    let address = host.address().to_string();
    let init = ["--listen-addr", &listen, "--advertise-addr", &address];
    ensure!(state(host)? == "inactive");
    let told = host.docker_refuses("node ls", &[])?;
    ensure!(told.contains("This node is not a swarm manager"), "{told}");
    let told = host.docker_words("swarm init", &init)?;
    ensure!(
        told.contains("is now a manager") && told.contains("docker swarm join --token SWMTKN-1-"),
        "{told}"
    );
    ensure!(state(host)? == "active");
    let listed = host.docker_words("node ls", &[])?;
    ensure!(
        listed.contains(" * ") && listed.contains("Leader"),
        "{listed}"
    );
    story.step("a token's labels come with the host", || {
        labelled_token(&cluster, &api)
    })?;
    story.step("a token that was removed, and another one", || {
        removed_token(&cluster, &api)
    })?;
    let late = story.step("two services, then a host that joins", || {
        late_host(&cluster, &api)
    })?;
    story.step("privileges and devices where they are allowed", || {
        allowed(&cluster, &api)
    })?;
    story.step("and where they are not", || not_allowed(&cluster, &api))?;
    story.step("tasks move to the late host, slowly", || {
        late.moves(&cluster, &api)
    })?;
    cluster.take_down()
}

fn state(host: &Host) -> Result<String> {
    host.docker_words("info --format {{.Swarm.LocalNodeState}}", &[])
}

/// `docker swarm join` on `host`, with its addresses in the cluster's network.
fn join(host: &Host, token: &str) -> Result<std::process::Output> {
    let (listen, address) = (host.cluster_address(), host.address().to_string());
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

fn joins(host: &Host, token: &str) -> Result<()> {
    let output = join(host, token)?;
    ensure!(
        output.status.success(),
        "{} does not join: {}",
        host.name(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Waits until a node is ready, and returns it.
fn ready(api: &Api, name: &str) -> Result<Value> {
    eventually(&format!("{name} is ready"), LIMIT, || {
        let node = api.get(&format!("/nodes/{name}"))?;
        ensure!(node["Status"]["State"] == "ready", "{}", node["Status"]);
        Ok(node)
    })
}

fn labelled_token(cluster: &Cluster, api: &Api) -> Result<()> {
    let (host, w1) = (cluster.host("m1"), cluster.host("w1"));
    let told = host.cli_words("swarm token create rack7 --label rack=7 --label row=b", &[])?;
    let token = host.cli_words("swarm token ls --format {{.Token}}", &[])?;
    ensure!(
        token.starts_with("SWMTKN-1-") && told.contains("swarm join") && told.contains(&token),
        "{told}"
    );
    let listed = host.cli_words("swarm token ls", &[])?;
    ensure!(
        listed.contains("rack7") && listed.contains("rack=7,row=b") && !listed.contains(&token),
        "{listed}"
    );
    let twice = host.cli_refuses("swarm token create rack7 --label rack=9", &[])?;
    ensure!(twice.contains("rack7"), "{twice}");
    joins(w1, &token)?;
    let node = ready(api, "w1")?;
    ensure!(
        node["Spec"]["Labels"] == json!({"rack": "7", "row": "b"})
            && node["Spec"]["Role"] == "worker",
        "{}",
        node["Spec"]
    );
    // They are labels as any other: services go by them.
    let create =
        "service create -q --name racked --no-resolve-image --constraint node.labels.rack==7";
    host.docker_words(create, &[IMAGE, "sh", "-c", RUN_UNTIL_STOPPED])?;
    let task = &settled(api, "racked", 1, LIMIT)?[0];
    ensure!(task["NodeID"] == node["ID"], "{task}");
    host.docker_words("service rm racked", &[]).map(drop)
}

fn removed_token(cluster: &Cluster, api: &Api) -> Result<()> {
    let (host, w2) = (cluster.host("m1"), cluster.host("w2"));
    let old = host.cli_words("swarm token ls --format {{.Token}}", &[])?;
    host.cli_words("swarm token rm rack7", &[])?;
    let output = join(w2, &old)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success()
            && told.contains("A valid join token is necessary to join this cluster"),
        "{told}"
    );
    ensure!(
        ready(api, "w1")?["Spec"]["Labels"]["rack"] == "7",
        "who joined with it stays as he is"
    );
    // The same name again is another secret.
    let fresh = host.cli_words("swarm token create -q rack7 --label rack=8", &[])?;
    ensure!(fresh != old, "the removed token is valid again");
    // Half of one token and half of another is none.
    let plain = host.docker_words("swarm join-token -q worker", &[])?;
    let (own_ca, _) = fresh.rsplit_once('-').context("no token")?;
    let mixed = format!("{own_ca}-{}", "0".repeat(25));
    ensure!(!join(w2, &mixed)?.status.success());
    joins(w2, &fresh)?;
    ensure!(ready(api, "w2")?["Spec"]["Labels"] == json!({"rack": "8"}));
    // What a worker would like to be does not count.
    let told = w2.docker_refuses("node update --label-add rack=7 w2", &[])?;
    ensure!(told.contains("This node is not a swarm manager"), "{told}");
    // Who leaves and comes again with a plain token has no label any more.
    w2.docker_words("swarm leave", &[])?;
    let id = api.get("/nodes/w2")?["ID"]
        .as_str()
        .context("no ID")?
        .to_owned();
    eventually("w2 is down", LIMIT, || {
        let state = api.get(&format!("/nodes/{id}"))?["Status"]["State"].clone();
        ensure!(state == "down", "{state}");
        Ok(())
    })?;
    host.docker_words("node rm", &[&id])?;
    joins(w2, &plain)?;
    let spec = ready(api, "w2")?["Spec"].clone();
    ensure!(
        spec["Labels"].as_object().is_none_or(|l| l.is_empty()),
        "{spec}"
    );
    Ok(())
}

/// What is seen of a service's tasks on the host that joined last.
struct Late {
    joined: Instant,
    watch: Watch,
    stop: Arc<AtomicBool>,
    /// When it had its first task, its second one, and so on.
    arrivals: JoinHandle<Vec<Instant>>,
    stay: std::collections::BTreeSet<String>,
}

fn late_host(cluster: &Cluster, api: &Api) -> Result<Late> {
    let host = cluster.host("m1");
    let create = "service create -d --no-resolve-image --replicas 9 --update-order start-first --update-monitor 200ms";
    for (name, auto) in [
        ("moves", "--auto-rebalance"),
        ("stays", "--auto-rebalance=false"),
    ] {
        let command = [auto, "--name", name, IMAGE, "sh", "-c", RUN_UNTIL_STOPPED];
        host.cli_words(create, &command)?;
    }
    settled(api, "moves", 9, LIMIT)?;
    let stay = ids(&settled(api, "stays", 9, LIMIT)?);
    let watch = Watch::start(api.clone(), "moves");
    let token = host.docker_words("swarm join-token -q worker", &[])?;
    joins(cluster.host("w3"), &token)?;
    let id = ready(api, "w3")?["ID"].clone();
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, api) = (stop.clone(), api.clone());
    let arrivals = std::thread::spawn(move || {
        let mut arrivals = Vec::new();
        loop {
            // Read before the look, so that the last look sees what made the others stop.
            let is_last = stopped.load(Ordering::Relaxed);
            let there = serving(&api, "moves").unwrap_or_default();
            let there = there.iter().filter(|task| task["NodeID"] == id).count();
            if there > arrivals.len() {
                arrivals.push(Instant::now());
            }
            if is_last {
                return arrivals;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    Ok(Late {
        joined: Instant::now(),
        watch,
        stop,
        arrivals,
        stay,
    })
}

impl Late {
    /// Nine tasks on three hosts become nine on four: two moves, one after the other, and never fewer than nine.
    fn moves(self, cluster: &Cluster, api: &Api) -> Result<()> {
        let id = cluster.nodes()?["w3"]["ID"].clone();
        eventually("two of nine are on w3", LIMIT, || {
            let there = serving(api, "moves")?;
            let there = there.iter().filter(|task| task["NodeID"] == id).count();
            ensure!(there == 2, "{}", summary(api, "moves")?);
            Ok(())
        })?;
        settled(api, "moves", 9, LIMIT)?;
        self.stop.store(true, Ordering::Relaxed);
        let arrivals = self.arrivals.join().map_err(|_| anyhow!("it panicked"))?;
        let seen = self.watch.stop()?;
        ensure!(seen.least == 9 && seen.most <= 10, "{seen:?}");
        ensure!(arrivals.len() == 2, "{arrivals:?}");
        let first = arrivals[0].duration_since(self.joined);
        let pause = arrivals[1].duration_since(arrivals[0]);
        println!(
            "            first move after {:.1} s, the next one {:.1} s later",
            first.as_secs_f64(),
            pause.as_secs_f64()
        );
        ensure!(
            first + TOLERANCE >= QUIET && pause + TOLERANCE >= BETWEEN_MOVES,
            "too fast: {first:?} {pause:?}"
        );
        ensure!(
            self.stay == ids(&serving(api, "stays")?),
            "nobody asked for that: {}",
            summary(api, "stays")?
        );
        let more = cluster
            .host("m1")
            .cli_words("service rebalance --dry-run moves", &[])?;
        ensure!(!more.contains("w3"), "it is not even: {more}");
        Ok(())
    }
}

/// What a container says that a service of these options runs on `node`.
fn said(cluster: &Cluster, node: &str, options: &str, command: &str, word: &str) -> Result<()> {
    let host = cluster.host("m1");
    let create = format!(
        "service create -d --name can --no-resolve-image --constraint node.hostname=={node} {options}"
    );
    let command = format!("{command}; {RUN_UNTIL_STOPPED}");
    host.cli_words(&create, &[IMAGE, "sh", "-c", &command])?;
    eventually(&format!("it says {word}"), LIMIT, || {
        let said = host.docker_words("service logs --raw can", &[])?;
        ensure!(
            said.contains(word),
            "{said}\n{}",
            summary(&host.api(), "can")?
        );
        Ok(())
    })?;
    host.docker_words("service rm can", &[]).map(drop)
}

fn allowed(cluster: &Cluster, api: &Api) -> Result<()> {
    // Neither is possible in a container that has only Docker's usual rights.
    let mount = "mount -t tmpfs none /tmp && echo mounted";
    said(cluster, "w1", "--privileged", mount, "mounted")?;
    let open = "ls -l /dev/tunnel && exec 3<>/dev/tunnel && echo opened";
    said(
        cluster,
        "w1",
        "--device /dev/net/tun:/dev/tunnel:rw",
        open,
        "opened",
    )?;
    let without = "exec 2>&1; mknod /tmp/tun c 10 200; (exec 3<>/tmp/tun) || echo closed";
    said(cluster, "w1", "--cap-add MKNOD", without, "closed")?;
    // The API says of the container what it is.
    let host = cluster.host("m1");
    let create = "service create -q --name all --privileged --no-resolve-image --constraint node.labels.rack==7";
    host.cli_words(create, &[IMAGE, "sh", "-c", RUN_UNTIL_STOPPED])?;
    let task = settled(api, "all", 1, LIMIT)?.remove(0);
    let container = task["Status"]["ContainerStatus"]["ContainerID"]
        .as_str()
        .context("no container")?;
    let format = ["--format", "{{.HostConfig.Privileged}}", container];
    let told = cluster
        .host("w1")
        .docker_words("container inspect", &format)?;
    ensure!(told == "true", "{told}");
    let pretty = host.cli_words("service inspect --pretty all", &[])?;
    ensure!(pretty.to_lowercase().contains("privileged"), "{pretty}");
    host.docker_words("service rm all", &[]).map(drop)
}

fn not_allowed(cluster: &Cluster, api: &Api) -> Result<()> {
    let host = cluster.host("m1");
    for options in ["--privileged", "--device /dev/net/tun"] {
        let create = format!(
            "service create -d --name cannot --no-resolve-image --constraint node.hostname==w2 {options}"
        );
        host.cli_words(&create, &[IMAGE, "sh", "-c", RUN_UNTIL_STOPPED])?;
        let why = "no suitable node (scheduling constraints not satisfied on 3 nodes; devices and privileges not allowed on 1 node)";
        eventually("the task waits and says why", LIMIT, || {
            let listed = host.docker_words("service ps --no-trunc cannot", &[])?;
            ensure!(
                listed.contains("Pending") && listed.contains(why),
                "{listed}"
            );
            Ok(())
        })?;
        // Where nothing binds it, it goes to a host that allows it.
        let free = "service update -d --no-resolve-image --constraint-rm node.hostname==w2 --replicas 2 cannot";
        host.docker_words(free, &[])?;
        let w1 = api.get("/nodes/w1")?["ID"].clone();
        let there = settled(api, "cannot", 2, LIMIT)?;
        ensure!(
            there.iter().all(|task| task["NodeID"] == w1),
            "{}",
            summary(api, "cannot")?
        );
        host.docker_words("service rm cannot", &[])?;
    }
    Ok(())
}
