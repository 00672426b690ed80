//! The main path on real processes: services from their creation to their removal, through the HTTP API. Needs root.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    self, Service, Watch, force_update, ids, running, serving, settled, summary, tasks, update,
    update_over,
};
use cluster_tests::hosts::{Api, Cluster, Story, eventually};
use serde_json::{Value, json};

/// Steps take about a second; a debug build on two busy cores is given much more.
const LIMIT: Duration = Duration::from_secs(40);

/// Gets the leader's API.
type Step = fn(&Cluster, &Api) -> Result<()>;

#[test]
fn services_live_and_die_as_they_were_asked_to() -> Result<()> {
    let story = Story::begin("the main path");
    let cluster = story.step("3 managers, 2 workers", || {
        Cluster::builder().managers(3).workers(2).start()
    })?;
    let api = cluster.leader()?.api();
    let steps: [(&str, Step); 12] = [
        ("six replicas run, spread over the hosts", six_replicas_run),
        ("scaling keeps the tasks that stay", scaling_keeps_the_rest),
        (
            "an update of labels restarts nothing",
            labels_restart_nothing,
        ),
        ("a forced update, start-first", forced_start_first),
        ("a forced update, stop-first", forced_stop_first),
        (
            "an update that fails is paused and says why",
            a_failing_update_pauses,
        ),
        ("containers are what was asked for", containers_are_as_asked),
        ("restart policies", restart_policies),
        (
            "a killed container is replaced",
            a_killed_container_is_replaced,
        ),
        ("what cannot run says why", what_cannot_run_says_why),
        ("a drained node's tasks move, and come no more", draining),
        ("what is removed is gone from every host", removal),
    ];
    for (what, step) in steps {
        story.step(what, || step(&cluster, &api))?;
    }
    cluster.take_down()
}

fn web() -> Service {
    Service::named("web").replicas(6).updates("start-first", 2)
}

fn six_replicas_run(cluster: &Cluster, api: &Api) -> Result<()> {
    web().create(api)?;
    settled(api, "web", 6, LIMIT)?;
    let mut containers = 0;
    for host in cluster.hosts() {
        let listed = host
            .api()
            .get("/containers/json")?
            .as_array()
            .context("not a list")?
            .len();
        ensure!(
            listed <= 2,
            "{} runs {listed} of 6 containers, on 5 hosts",
            host.name()
        );
        ensure!(
            (listed == 0) == host.container_processes().is_empty(),
            "{}: {listed} listed",
            host.name()
        );
        containers += listed;
    }
    ensure!(containers == 6, "{containers} containers for 6 tasks");
    Ok(())
}

fn scaling_keeps_the_rest(cluster: &Cluster, api: &Api) -> Result<()> {
    let scale = |count: u64| {
        update(&cluster.follower()?.api(), "web", |spec| {
            spec["Mode"]["Replicated"]["Replicas"] = count.into()
        })
    };
    let six = ids(&serving(api, "web")?);
    scale(9)?;
    let nine = ids(&settled(api, "web", 9, LIMIT)?);
    ensure!(nine.is_superset(&six), "scaling up replaced tasks");
    scale(6)?;
    let left = ids(&settled(api, "web", 6, LIMIT)?);
    ensure!(nine.is_superset(&left), "scaling down replaced tasks");
    Ok(())
}

fn labels_restart_nothing(_: &Cluster, api: &Api) -> Result<()> {
    let before = ids(&serving(api, "web")?);
    update(api, "web", |spec| {
        spec["Labels"] = json!({"colour": "green"})
    })?;
    update(api, "web", |_| ())?;
    // A later service that runs shows that the leader has looked at these updates.
    Service::named("later").create(api)?;
    settled(api, "later", 1, LIMIT)?;
    api.delete("/services/later")?;
    ensure!(
        ids(&serving(api, "web")?) == before,
        "tasks were replaced:\n{}",
        summary(api, "web")?
    );
    ensure!(api.get("/services/web")?["Spec"]["Labels"]["colour"] == "green");
    Ok(())
}

fn forced_start_first(_: &Cluster, api: &Api) -> Result<()> {
    let (before, spec) = (
        ids(&serving(api, "web")?),
        api.get("/services/web")?["Spec"].clone(),
    );
    let watch = Watch::start(api.clone(), "web");
    force_update(api, "web")?;
    let state = update_over(api, "web", LIMIT);
    let seen = watch.stop()?;
    ensure!(state? == "completed", "{}", summary(api, "web")?);
    let after = ids(&settled(api, "web", 6, LIMIT)?);
    ensure!(
        before.is_disjoint(&after),
        "tasks were kept:\n{}",
        summary(api, "web")?
    );
    ensure!(seen.least >= 6, "fewer than six ran: {seen:?}");
    let mut forced = api.get("/services/web")?["Spec"].clone();
    ensure!(forced["TaskTemplate"]["ForceUpdate"] == 1, "{forced}");
    forced["TaskTemplate"]["ForceUpdate"] = spec["TaskTemplate"]["ForceUpdate"].clone();
    if spec["TaskTemplate"].get("ForceUpdate").is_none() {
        forced["TaskTemplate"]
            .as_object_mut()
            .context("no TaskTemplate")?
            .remove("ForceUpdate");
    }
    ensure!(
        forced == spec,
        "more than ForceUpdate changed: {forced} was {spec}"
    );
    Ok(())
}

fn forced_stop_first(_: &Cluster, api: &Api) -> Result<()> {
    update(api, "web", |spec| {
        spec["UpdateConfig"]["Order"] = "stop-first".into()
    })?;
    let before = ids(&settled(api, "web", 6, LIMIT)?);
    let watch = Watch::start(api.clone(), "web");
    force_update(api, "web")?;
    let state = update_over(api, "web", LIMIT);
    let seen = watch.stop()?;
    ensure!(state? == "completed", "{}", summary(api, "web")?);
    ensure!(before.is_disjoint(&ids(&settled(api, "web", 6, LIMIT)?)));
    ensure!(
        (4..6).contains(&seen.least),
        "two of six are out at a time: {seen:?}"
    );
    ensure!(
        seen.most <= 6,
        "new tasks came before old ones went: {seen:?}"
    );
    Ok(())
}

fn a_failing_update_pauses(_: &Cluster, api: &Api) -> Result<()> {
    let good = api.get("/services/web")?["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"].clone();
    update(api, "web", |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Args"] = json!(["sh", "-c", "exit 4"]);
        spec["UpdateConfig"]["Parallelism"] = 1.into();
        spec["UpdateConfig"]["Monitor"] = service::nanoseconds(Duration::from_secs(5)).into();
    })?;
    ensure!(
        update_over(api, "web", LIMIT)? == "paused",
        "{}",
        summary(api, "web")?
    );
    let message = api.get("/services/web")?["UpdateStatus"]["Message"].clone();
    ensure!(
        message.as_str().is_some_and(|text| text.contains("paused")),
        "{message}"
    );
    // A task that ran for a moment lets the next slot begin, before the first failure is known.
    ensure!(
        running(api, "web")?.len() >= 4,
        "the failure spread:\n{}",
        summary(api, "web")?
    );
    update(api, "web", |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Args"] = good
    })?;
    settled(api, "web", 6, LIMIT).map(|_| ())
}

fn containers_are_as_asked(_: &Cluster, api: &Api) -> Result<()> {
    let script = "ip -o link | wc -l; hostname; id -u; pwd; echo $COLOUR; cat /sys/fs/cgroup/*/memory.limit_in_bytes \
                  /sys/fs/cgroup/memory.max 2>/dev/null; df /scratch | tail -1; grep CapEff /proc/self/status; echo end";
    Service::named("look")
        .runs(script)
        .restarts("none")
        .with("/TaskTemplate/ContainerSpec/Hostname", json!("looker"))
        .with("/TaskTemplate/ContainerSpec/User", json!("1000"))
        .with("/TaskTemplate/ContainerSpec/Dir", json!("/tmp"))
        .with("/TaskTemplate/ContainerSpec/Env", json!(["COLOUR=green"]))
        .with(
            "/TaskTemplate/ContainerSpec/Mounts",
            json!([{"Type": "tmpfs", "Target": "/scratch"}]),
        )
        .with(
            "/TaskTemplate/Resources",
            json!({"Limits": {"MemoryBytes": 64 << 20}}),
        )
        .create(api)?;
    let log = eventually("the container has told all", LIMIT, || {
        let log = logs(api, "look")?;
        ensure!(log.contains("end\n"), "{log}\n{}", summary(api, "look")?);
        Ok::<_, anyhow::Error>(log)
    })?;
    // One link: without a network there is loopback only. No capabilities, because it is not root.
    for line in [
        "1\n",
        "looker\n",
        "1000\n",
        "/tmp\n",
        "green\n",
        "67108864\n",
        "/scratch\n",
        "CapEff:\t0000000000000000\n",
    ] {
        ensure!(log.contains(line), "no {line:?} in:\n{log}");
    }
    eventually("the task is complete", LIMIT, || {
        let tasks = tasks(api, "look")?;
        ensure!(
            tasks.len() == 1 && tasks[0]["Status"]["State"] == "complete",
            "{}",
            summary(api, "look")?
        );
        Ok(())
    })
}

/// Log lines of a service; the frames' headers are cut out, their order is kept.
fn logs(api: &Api, name: &str) -> Result<String> {
    let reply = api.send(
        hyper::Method::GET,
        &format!("/services/{name}/logs?stdout=1&stderr=1"),
        None,
    )?;
    ensure!(reply.status == 200, "{}", reply.message());
    let (mut text, mut rest) = (String::new(), &reply.body[..]);
    while let [_stream, _, _, _, a, b, c, d, tail @ ..] = rest {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        ensure!(
            tail.len() >= length,
            "a frame of {length} bytes is cut short"
        );
        text += &String::from_utf8_lossy(&tail[..length]);
        rest = &tail[length..];
    }
    Ok(text)
}

fn restart_policies(_: &Cluster, api: &Api) -> Result<()> {
    Service::named("failing")
        .runs("exit 3")
        .restarts("on-failure")
        .with("/TaskTemplate/RestartPolicy/MaxAttempts", json!(2))
        .create(api)?;
    Service::named("done")
        .runs("exit 0")
        .restarts("on-failure")
        .create(api)?;
    Service::named("once")
        .runs("exit 5")
        .restarts("none")
        .create(api)?;
    let ended = |name: &str, count: usize, state: &str| {
        eventually(
            &format!("{name} ended as {state}, {count} times"),
            LIMIT,
            || {
                let tasks = tasks(api, name)?;
                let as_told = tasks
                    .iter()
                    .filter(|task| task["Status"]["State"] == state)
                    .count();
                ensure!(
                    tasks.len() == count && as_told == count,
                    "{}",
                    summary(api, name)?
                );
                Ok::<_, anyhow::Error>(tasks)
            },
        )
    };
    let failed = ended("failing", 3, "failed")?;
    ensure!(
        failed
            .iter()
            .all(|task| task["Status"]["Err"] == "task: non-zero exit (3)"),
        "{failed:?}"
    );
    ensure!(
        failed
            .iter()
            .all(|task| task["Status"]["ContainerStatus"]["ExitCode"] == 3),
        "{failed:?}"
    );
    ended("done", 1, "complete")?;
    ended("once", 1, "failed")?;
    Ok(())
}

fn a_killed_container_is_replaced(cluster: &Cluster, api: &Api) -> Result<()> {
    let before = ids(&settled(api, "web", 6, LIMIT)?);
    let mut victims = cluster.hosts().flat_map(|host| host.container_processes());
    let victim = victims
        .find(|process| process.args.contains("trap"))
        .context("no container runs")?;
    victim.id.kill()?;
    eventually("the killed task is replaced", LIMIT, || {
        let now = serving(api, "web")?;
        ensure!(
            now.len() == 6 && ids(&now) != before,
            "{}",
            summary(api, "web")?
        );
        Ok::<_, anyhow::Error>(())
    })?;
    let failed = |task: &Value| task["Status"]["Err"] == "task: non-zero exit (137)";
    ensure!(
        tasks(api, "web")?.iter().any(failed),
        "{}",
        summary(api, "web")?
    );
    Ok(())
}

fn what_cannot_run_says_why(_: &Cluster, api: &Api) -> Result<()> {
    let huge = json!({"Reservations": {"MemoryBytes": 1_i64 << 50}});
    Service::named("nowhere")
        .constraint("node.hostname==nobody")
        .create(api)?;
    Service::named("huge")
        .with("/TaskTemplate/Resources", huge)
        .create(api)?;
    Service::named("noimage")
        .with("/TaskTemplate/ContainerSpec/Image", json!("absent:1"))
        .create(api)?;
    for (name, words) in [
        ("nowhere", "scheduling constraints not satisfied on 5 nodes"),
        ("huge", "insufficient resources on 5 nodes"),
        ("noimage", "No such image: absent:1"),
    ] {
        eventually(&format!("{name} says why it does not run"), LIMIT, || {
            let tasks = tasks(api, name)?;
            let said = tasks.iter().any(|task| {
                task["Status"]["Err"]
                    .as_str()
                    .is_some_and(|text| text.contains(words))
            });
            ensure!(said, "no word of {words:?}:\n{}", summary(api, name)?);
            Ok(())
        })?;
    }
    // A node that fits comes: nothing has to be done again by hand.
    update(api, "nowhere", |spec| {
        spec["TaskTemplate"]["Placement"]["Constraints"] = json!(["node.hostname==w2"]);
    })?;
    settled(api, "nowhere", 1, LIMIT).map(|_| ())
}

fn draining(cluster: &Cluster, api: &Api) -> Result<()> {
    api.delete("/services/nowhere")?;
    set_availability(cluster, "w2", "drain")?;
    eventually("no container runs on w2", LIMIT, || {
        let left = cluster.host("w2").container_processes();
        ensure!(left.is_empty(), "{left:#?}");
        Ok(())
    })?;
    settled(api, "web", 6, LIMIT)?;
    update(api, "web", |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = 8.into()
    })?;
    settled(api, "web", 8, LIMIT)?;
    ensure!(
        cluster.host("w2").container_processes().is_empty(),
        "a drained node got a task"
    );
    set_availability(cluster, "w2", "active")?;
    update(api, "web", |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = 6.into()
    })?;
    settled(api, "web", 6, LIMIT).map(|_| ())
}

fn set_availability(cluster: &Cluster, name: &str, availability: &str) -> Result<()> {
    let node = cluster
        .nodes()?
        .remove(name)
        .with_context(|| format!("no node {name}"))?;
    let (id, version) = (
        node["ID"].as_str().context("no ID")?,
        &node["Version"]["Index"],
    );
    let mut spec = node["Spec"].clone();
    spec["Availability"] = availability.into();
    cluster
        .leader()?
        .api()
        .post(&format!("/nodes/{id}/update?version={version}"), &spec)?;
    Ok(())
}

fn removal(cluster: &Cluster, api: &Api) -> Result<()> {
    let services = api.get("/services")?;
    for service in services.as_array().context("not a list")? {
        api.delete(&format!(
            "/services/{}",
            service["ID"].as_str().context("no ID")?
        ))?;
    }
    eventually("no container is left on any host", LIMIT, || {
        let left: Vec<_> = cluster
            .hosts()
            .flat_map(|host| host.container_processes())
            .collect();
        ensure!(left.is_empty(), "{left:#?}");
        let tasks = api.get("/tasks")?;
        ensure!(tasks == json!([]), "{tasks}");
        Ok(())
    })
}
