//! How long a host takes to be emptied: from the request that drains it until each of its tasks runs elsewhere.

use crate::client::{Client, Posted};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between two looks. The list of a hundred tasks costs a manager about a millisecond, so that the looks themselves
/// are no load; what is measured takes at least twenty of them.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Docker Swarm takes 20 s for a hundred tasks.
const AT_MOST: Duration = Duration::from_secs(300);
/// Time for what follows a start (reports, an update that ends) to settle before the measurement.
const SETTLE: Duration = Duration::from_secs(1);

/// Puts `tasks` tasks of `image` on the host named `node`, drains it, and says how long it took until all ran
/// elsewhere. The service is removed and the host's former availability restored.
pub(crate) async fn measure(
    client: &mut Client,
    node: &str,
    image: &str,
    tasks: usize,
) -> Result<Duration> {
    let name = format!("drain-{}", std::process::id());
    let spec = service(&name, image, node, tasks);
    let Posted::Done(made) = client.post("/services/create", &spec).await? else {
        bail!("a new service cannot be out of sequence")
    };
    let id = made["ID"]
        .as_str()
        .context("no id in the answer")?
        .to_owned();
    let result = drain(client, &id, node, tasks).await;
    client.delete(&format!("/services/{id}")).await?;
    result
}

async fn drain(client: &mut Client, service: &str, node: &str, tasks: usize) -> Result<Duration> {
    let node = find_node(client, node).await?;
    wait_for(client, service, |found| found.len() == tasks).await?;
    // They may go anywhere from here on. A change of constraints that all tasks still fulfil replaces none.
    write(client, &format!("/services/{service}"), |spec| {
        spec["TaskTemplate"]["Placement"] = json!({});
    })
    .await?;
    tokio::time::sleep(SETTLE).await;
    let here = |found: &[String]| found.iter().filter(|on| **on == node).count();
    let found = running(client, service).await?;
    ensure!(
        here(&found) == tasks,
        "{} of {tasks} tasks are there",
        here(&found)
    );

    let path = format!("/nodes/{node}");
    let begun = Instant::now();
    write(client, &path, |spec| spec["Availability"] = json!("drain")).await?;
    wait_for(client, service, |found| {
        found.len() == tasks && here(found) == 0
    })
    .await?;
    let taken = begun.elapsed();
    write(client, &path, |spec| spec["Availability"] = json!("active")).await?;
    Ok(taken)
}

/// The id of the host of that name.
async fn find_node(client: &mut Client, name: &str) -> Result<String> {
    let nodes = client.get("/nodes").await?;
    let named = |node: &&Value| node["Description"]["Hostname"] == name;
    let node = nodes
        .as_array()
        .context("no list of nodes")?
        .iter()
        .find(named);
    let id = node.and_then(|node| node["ID"].as_str());
    Ok(id
        .with_context(|| format!("there is no host named {name}"))?
        .to_owned())
}

/// Where the service's running tasks are that are to go on running.
async fn running(client: &mut Client, service: &str) -> Result<Vec<String>> {
    let filters = format!("%7B%22service%22%3A%5B%22{service}%22%5D%7D");
    let tasks = client.get(&format!("/tasks?filters={filters}")).await?;
    let wanted =
        |task: &&Value| task["Status"]["State"] == "running" && task["DesiredState"] == "running";
    let tasks = tasks.as_array().context("no list of tasks")?.iter();
    let nodes = tasks
        .filter(wanted)
        .filter_map(|task| task["NodeID"].as_str());
    Ok(nodes.map(str::to_owned).collect())
}

async fn wait_for(
    client: &mut Client,
    service: &str,
    is_reached: impl Fn(&[String]) -> bool,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = running(client, service).await?;
        if is_reached(&found) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < AT_MOST,
            "not in time: running on {found:?}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Reads the object at `path`, changes its specification and writes it back, again if somebody else was faster.
async fn write(client: &mut Client, path: &str, change: impl Fn(&mut Value)) -> Result<()> {
    loop {
        let object = client.get(path).await?;
        let version = object["Version"]["Index"].as_u64().context("no version")?;
        let mut spec = object["Spec"].clone();
        change(&mut spec);
        let update = format!("{path}/update?version={version}");
        if let Posted::Done(_) = client.post(&update, &spec).await? {
            return Ok(());
        }
    }
}

/// A service whose tasks end at once when told, so that no grace period is measured.
fn service(name: &str, image: &str, node: &str, tasks: usize) -> Value {
    json!({
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Args": ["sleep", "100000"], "StopSignal": "SIGKILL"},
            "Placement": {"Constraints": [format!("node.hostname=={node}")]},
        },
        "Mode": {"Replicated": {"Replicas": tasks}},
    })
}
