//! Services for stories: making them, counting their tasks, watching them during an update.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::api::{Api, filters};
use super::host::Host;
use super::image::IMAGE;
use super::wait::eventually;

/// A program that runs until it is asked to end, and then ends at once.
pub const RUN_UNTIL_STOPPED: &str = "trap 'exit 0' TERM; sleep 1000000 & wait";

/// A service specification, as JSON, with what the stories vary.
#[derive(Clone, Debug)]
pub struct Service {
    spec: Value,
}

impl Service {
    /// One replica that runs until it is stopped and starts again 0.1 s after it ended, on any node.
    pub fn named(name: &str) -> Service {
        Service {
            spec: json!({
                "Name": name,
                "TaskTemplate": {
                    "ContainerSpec": {"Image": IMAGE, "Args": ["sh", "-c", RUN_UNTIL_STOPPED]},
                    "RestartPolicy": {"Condition": "any", "Delay": nanoseconds(Duration::from_millis(100))},
                },
                "Mode": {"Replicated": {"Replicas": 1}},
            }),
        }
    }

    /// Number of replicas.
    pub fn replicas(self, count: u64) -> Service {
        self.with("/Mode/Replicated", json!({"Replicas": count}))
    }

    /// Another shell command.
    pub fn runs(self, command: &str) -> Service {
        self.with(
            "/TaskTemplate/ContainerSpec/Args",
            json!(["sh", "-c", command]),
        )
    }

    /// Restart condition: `none`, `on-failure` or `any`.
    pub fn restarts(self, condition: &str) -> Service {
        self.with("/TaskTemplate/RestartPolicy/Condition", json!(condition))
    }

    /// Nodes that it may run on, as in `node.hostname==w1`.
    pub fn constraint(self, constraint: &str) -> Service {
        self.with(
            "/TaskTemplate/Placement",
            json!({"Constraints": [constraint]}),
        )
    }

    /// Updates: the new task first, so many slots at a time; a short monitor, because tests wait for it.
    pub fn updates(self, order: &str, parallelism: u64) -> Service {
        let monitor = nanoseconds(Duration::from_millis(200));
        let config = json!({"Parallelism": parallelism, "Order": order, "FailureAction": "pause", "Monitor": monitor});
        self.with("/UpdateConfig", config)
    }

    /// Any field, by JSON pointer; the last part of the path may be new.
    pub fn with(mut self, pointer: &str, value: Value) -> Service {
        let (parent, key) = pointer
            .rsplit_once('/')
            .expect("a JSON pointer starts with a slash");
        let parent = self
            .spec
            .pointer_mut(parent)
            .expect("the parent of the field is there");
        parent[key] = value;
        self
    }

    /// The specification.
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    /// Creates it and returns its id.
    pub fn create(&self, api: &Api) -> Result<String> {
        let created = api.post("/services/create", &self.spec)?;
        Ok(created["ID"]
            .as_str()
            .context("no ID in the answer")?
            .to_owned())
    }
}

/// Durations are nanoseconds in Docker's JSON.
pub fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).expect("tests wait less than 292 years")
}

/// Reads a service, changes its specification, writes it back.
pub fn update(api: &Api, name: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let service = api.get(&format!("/services/{name}"))?;
    let mut spec = service["Spec"].clone();
    change(&mut spec);
    let (id, version) = (
        service["ID"].as_str().context("no ID")?,
        &service["Version"]["Index"],
    );
    api.post(&format!("/services/{id}/update?version={version}"), &spec)?;
    Ok(())
}

/// `service update --force`.
pub fn force_update(api: &Api, name: &str) -> Result<()> {
    update(api, name, |spec| {
        let forced = spec["TaskTemplate"]["ForceUpdate"].as_u64().unwrap_or(0);
        spec["TaskTemplate"]["ForceUpdate"] = json!(forced + 1);
    })
}

/// All tasks of a service that the managers remember.
pub fn tasks(api: &Api, name: &str) -> Result<Vec<Value>> {
    let answer = api.get(&format!("/tasks?{}", filters(&[("service", name)])))?;
    Ok(answer.as_array().context("/tasks is not a list")?.clone())
}

/// Tasks that run now, whatever is planned for them.
pub fn running(api: &Api, name: &str) -> Result<Vec<Value>> {
    let mut tasks = tasks(api, name)?;
    tasks.retain(|task| task["Status"]["State"] == "running");
    Ok(tasks)
}

/// Tasks that run and shall go on running.
pub fn serving(api: &Api, name: &str) -> Result<Vec<Value>> {
    let mut tasks = running(api, name)?;
    tasks.retain(|task| task["DesiredState"] == "running");
    Ok(tasks)
}

/// Waits until exactly `count` tasks serve, in as many slots. Returns them. Tasks on a lost host, or on their way out,
/// do not count.
pub fn serves(api: &Api, name: &str, count: usize, limit: Duration) -> Result<Vec<Value>> {
    eventually(&format!("{name} runs {count} replicas"), limit, || {
        let serving = serving(api, name)?;
        let slots: BTreeSet<u64> = serving
            .iter()
            .filter_map(|task| task["Slot"].as_u64())
            .collect();
        ensure!(
            serving.len() == count && slots.len() == count,
            "{}",
            summary(api, name)?
        );
        Ok::<_, anyhow::Error>(serving)
    })
}

/// As [`serves`], and waits until no other task of the service runs any more.
pub fn settled(api: &Api, name: &str, count: usize, limit: Duration) -> Result<Vec<Value>> {
    let serving = serves(api, name, count, limit)?;
    eventually(
        &format!("nothing but {count} replicas of {name} runs"),
        limit,
        || {
            ensure!(
                running(api, name)?.len() == count,
                "{}",
                summary(api, name)?
            );
            Ok::<_, anyhow::Error>(())
        },
    )?;
    Ok(serving)
}

/// One line for each task, for the text of a failure.
pub fn summary(api: &Api, name: &str) -> Result<String> {
    let line = |task: &Value| {
        let (slot, node, status) = (&task["Slot"], &task["NodeID"], &task["Status"]);
        let (state, desired, error) = (&status["State"], &task["DesiredState"], &status["Err"]);
        format!("  slot {slot} node {node}: {state} (desired {desired}) {error}")
    };
    Ok(tasks(api, name)?
        .iter()
        .map(line)
        .collect::<Vec<_>>()
        .join("\n"))
}

/// Ids of tasks, to tell the old from the new.
pub fn ids(tasks: &[Value]) -> BTreeSet<String> {
    tasks
        .iter()
        .filter_map(|task| Some(task["ID"].as_str()?.to_owned()))
        .collect()
}

/// Waits until a service's update is over and returns its state, as in `completed`.
pub fn update_over(api: &Api, name: &str, limit: Duration) -> Result<String> {
    eventually(&format!("the update of {name} is over"), limit, || {
        let service = api.get(&format!("/services/{name}"))?;
        let status = &service["UpdateStatus"];
        let state = status["State"].as_str().unwrap_or("none yet");
        ensure!(
            matches!(state, "completed" | "paused"),
            "{status}; tasks:\n{}",
            summary(api, name)?
        );
        Ok::<_, anyhow::Error>(state.to_owned())
    })
}

/// One try at a write; a manager that hangs is left for the next one.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// Sets a label of a service, which restarts nothing, through any of these hosts. Returns how long it took until one of
/// them accepted it.
pub fn next_write(hosts: &[&Host], name: &str, label: &str, limit: Duration) -> Result<Duration> {
    let begin = Instant::now();
    eventually("a manager accepts a write", limit, || {
        let mut refusal = anyhow!("there is no manager to ask");
        for host in hosts {
            let api = host.api().within(WRITE_LIMIT);
            match update(&api, name, |spec| {
                spec["Labels"]["next-write"] = label.into()
            }) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error.context(host.name().to_owned()),
            }
        }
        Err(refusal)
    })?;
    Ok(begin.elapsed())
}

/// Between two looks of a [`Watch`]; each reads all tasks of the service.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks all the time how many tasks of a service run, until it is asked.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What a [`Watch`] saw.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Fewest tasks that ran at one look.
    pub least: usize,
    /// Most tasks that ran at one look.
    pub most: usize,
    /// Looks that got an answer.
    pub looks: usize,
}

impl Watch {
    /// Starts to look.
    pub fn start(api: Api, name: &str) -> Watch {
        let (stop, name) = (Arc::new(AtomicBool::new(false)), name.to_owned());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen {
                least: usize::MAX,
                most: 0,
                looks: 0,
            };
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(tasks) = running(&api, &name) {
                    seen.least = seen.least.min(tasks.len());
                    seen.most = seen.most.max(tasks.len());
                    seen.looks += 1;
                }
                std::thread::sleep(LOOK_EVERY);
            }
            seen
        });
        Watch { stop, thread }
    }

    /// Stops looking and tells what was seen.
    pub fn stop(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self
            .thread
            .join()
            .map_err(|_| anyhow!("the watch panicked"))?;
        ensure!(seen.looks > 0, "no look at the service was answered");
        Ok(seen)
    }
}
