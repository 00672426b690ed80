//! Short stories as text: what clients and operators do and when, and what has to come of it. Each holds a mistake that
//! was made once; all rules of the seeded runs hold in them, too.
//!
//! A line is a time in seconds and a command; `#` begins a comment.
//! ```text
//! 1 create web replicated:2 image=good:1 order=start-first parallelism=1
//! 9 expect web running=2
//! 10 update web image=sick deadline=10
//! 12 resign
//! 40 expect web state=paused
//! 60 end
//! ```
//! `plan` before a command has it planned first, and `as-planned` is the point in time at which all has come so.
//! At `end` the cluster has to be at rest. Hosts are numbered from 0; the first three are managers.

use super::events::Event;
use super::world::World;
use super::{Failure, TRACE_LINES};
use model::control::Write;
use model::node::{Availability, DrainConfig};
use model::payload::{FileTarget, PayloadData, SecretRef};
use model::service::{FailureAction, Mode, Service, ServiceSpec, UpdateConfig, UpdateOrder};
use model::task::{
    GenericResource, GenericValue, Placement, ResourceRequirements, Resources, RestartCondition,
    RestartPolicy, TaskSpec,
};
use model::{NodeSpec, PayloadKind, PayloadSpec, SlotKey, TaskState};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// A line of a script.
#[derive(Clone, Debug)]
pub(super) struct Line {
    at: Duration,
    words: Vec<String>,
}

/// What is wrong with a line.
type Wrong = Result<(), String>;

/// Runs a script to its end.
pub fn run_script(text: &str) -> Result<(), Box<Failure>> {
    match parse(text) {
        Ok(lines) => World::scripted(lines, TRACE_LINES).run().map(|_| ()),
        Err(what) => Err(Box::new(Failure {
            seed: 0,
            at: Duration::ZERO,
            index: 0,
            what,
            trace: Vec::new(),
        })),
    }
}

fn parse(text: &str) -> Result<Vec<Line>, String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(at) = words.next() else { continue };
        let seconds: f64 = number(at)?;
        lines.push(Line {
            at: Duration::from_secs_f64(seconds),
            words: words.map(str::to_owned).collect(),
        });
    }
    let ends = |line: &Line| line.words.first().is_some_and(|word| word == "end");
    match lines.last() {
        Some(last) if ends(last) => Ok(lines),
        _ => Err("a script ends with `end`".into()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text}: a number is wanted"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    number(text).map(Duration::from_secs_f64)
}

impl World {
    /// Plans the lines of the script.
    pub(super) fn begin_script(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.after(line.at, Event::Line { line });
        }
    }

    pub(super) fn perform(&mut self, line: &Line) {
        let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
        self.trace(|| format!("script: {}", words.join(" ")));
        if let Err(wrong) = self.command(&words) {
            self.fail(|| format!("{}: {wrong}", words.join(" ")));
        }
    }

    fn command(&mut self, words: &[&str]) -> Wrong {
        match words {
            ["end"] => self.end(),
            ["calm"] => self.calm = true,
            ["resign"] => self.resign(),
            ["hops", time] => {
                let time = seconds(time)?;
                self.begin_hops(time);
            }
            ["kill", host] => self.crash_daemon(number(host)?),
            ["start", host] => self.start_daemon(number(host)?),
            ["cut", host] => self.lose_power(number(host)?),
            ["boot", host] => self.boot(number(host)?),
            ["join", host] => self.join(number(host)?),
            ["remove", name] => {
                let id = self.named(name)?.id.clone();
                self.ask(Write::RemoveService(id));
            }
            ["restart", name, slot] => {
                let slot = SlotKey::Replica(number(slot)?);
                let id = self.named(name)?.id.clone();
                let tasks = self.checker.reference.tasks_in_slot(&id, &slot);
                let wanted = tasks.iter().filter(|t| t.is_wanted());
                let ids = wanted.map(|t| t.id.clone()).collect();
                self.ask(Write::RestartTasks(ids));
            }
            ["secret", name] => {
                let spec = PayloadSpec {
                    name: (*name).into(),
                    data: PayloadData(name.as_bytes().into()),
                    ..Default::default()
                };
                self.ask(Write::CreatePayload {
                    kind: PayloadKind::Secret,
                    spec: Arc::new(spec),
                });
            }
            ["forget", name] => {
                let kind = PayloadKind::Secret;
                let payload = self.checker.reference.payload_by_name(kind, name);
                let id = payload.ok_or("no such secret")?.id.clone();
                self.ask(Write::RemovePayload { id, kind });
            }
            ["plan", write @ ..] => {
                let write = self.write(write)?.ok_or("no write to plan")?;
                self.plan(write.clone())?;
                self.ask(write);
            }
            ["as-planned"] => self.came_as_planned()?,
            ["expect", name, wishes @ ..] => {
                let service = self.named(name)?;
                wishes
                    .iter()
                    .try_for_each(|wish| self.expect(&service, wish))?;
            }
            _ => {
                let write = self.write(words)?.ok_or("no such command")?;
                self.ask(write);
            }
        }
        Ok(())
    }

    /// What can also be planned.
    fn write(&self, words: &[&str]) -> Result<Option<Write>, String> {
        Ok(Some(match words {
            ["create", name, mode, options @ ..] => {
                let mut spec = ServiceSpec {
                    name: (*name).into(),
                    mode: mode_of(mode)?,
                    ..Default::default()
                };
                self.set(&mut spec, options)?;
                Write::CreateService(Arc::new(spec))
            }
            ["update", name, options @ ..] => {
                let service = self.named(name)?;
                let mut spec = ServiceSpec::clone(&service.spec);
                self.set(&mut spec, options)?;
                Write::UpdateService {
                    id: service.id.clone(),
                    version: service.meta.version,
                    spec: Arc::new(spec),
                }
            }
            ["rollback", name, rest @ ..] => {
                let service = self.named(name)?;
                let to = rest.first().map(|to| number(to)).transpose()?;
                Write::RollbackService {
                    id: service.id.clone(),
                    version: service.meta.version,
                    to,
                }
            }
            ["node", host, options @ ..] => self.change_node(number(host)?, options)?,
            ["rebalance", names @ ..] => {
                let ids = names.iter().map(|name| Ok(self.named(name)?.id.clone()));
                Write::Rebalance(ids.collect::<Result<_, String>>()?)
            }
            _ => return Ok(None),
        }))
    }

    fn named(&self, name: &str) -> Result<Arc<Service>, String> {
        let service = self.checker.reference.service_by_name(name);
        service.cloned().ok_or_else(|| format!("no service {name}"))
    }

    fn change_node(&self, host: usize, options: &[&str]) -> Result<Write, String> {
        let node = self.checker.reference.node(&self.hosts[host].node);
        let node = node.ok_or("no such node")?.clone();
        let mut spec = NodeSpec::clone(&node.spec);
        for option in options {
            match option.split_once('=') {
                None if *option == "active" => spec.availability = Availability::Active,
                None if *option == "pause" => spec.availability = Availability::Pause,
                None if *option == "drain" => spec.availability = Availability::Drain,
                Some(("turns", parallelism)) => {
                    spec.drain = Some(DrainConfig {
                        parallelism: number(parallelism)?,
                        order: UpdateOrder::StartFirst,
                    });
                }
                Some((label, value)) => {
                    spec.labels.insert(label.into(), value.into());
                }
                None => return Err(format!("{option}: no such availability")),
            }
        }
        Ok(Write::UpdateNode {
            id: node.id.clone(),
            version: node.meta.version,
            spec,
        })
    }

    fn expect(&self, service: &Service, wish: &str) -> Wrong {
        let (key, value) = wish.split_once('=').ok_or("KEY=VALUE is wanted")?;
        let tasks = || self.checker.reference.tasks_of_service(&service.id);
        let is = match key {
            "running" => tasks()
                .filter(|t| t.status.state == TaskState::Running)
                .count()
                .to_string(),
            // Of the present specification.
            "fresh" => tasks()
                .filter(|t| t.status.state == TaskState::Running)
                .filter(|t| t.spec_version == service.spec_version)
                .count()
                .to_string(),
            "complete" => tasks()
                .filter(|t| t.status.state == TaskState::Complete && t.is_wanted())
                .count()
                .to_string(),
            "wanted" => tasks().filter(|t| t.is_wanted()).count().to_string(),
            "state" => {
                let status = service.update_status.as_ref();
                status.map_or("none", |s| s.state.name()).to_owned()
            }
            "failures" => {
                let status = service.update_status.as_ref();
                status.map_or(0, |s| s.failures).to_string()
            }
            "most-on-a-node" => {
                let counts = self.checker.reference.active_nodes(&service.id);
                counts.map(|(_, n)| n).max().unwrap_or(0).to_string()
            }
            "revision" => service.history.last().map_or(0, |r| r.number).to_string(),
            "image" => service.spec.task.container.image.clone(),
            _ => return Err(format!("{key}: nothing is known of it")),
        };
        match is == value {
            true => Ok(()),
            false => Err(format!("{key} is {is}, not {value}")),
        }
    }

    fn set(&self, spec: &mut ServiceSpec, options: &[&str]) -> Wrong {
        for option in options {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let task = Arc::make_mut(&mut spec.task);
            match key {
                "mode" => spec.mode = mode_of(value)?,
                "deadline" => spec.progress_deadline = Some(seconds(value)?),
                "auto-rebalance" => spec.auto_rebalance = true,
                "stopped" => spec.stopped = Some(number(value)?),
                "started" => spec.stopped = None,
                "no-secrets" => task.container.secrets.clear(),
                "secret" => {
                    let kind = PayloadKind::Secret;
                    let payload = self.checker.reference.payload_by_name(kind, value);
                    let payload = payload.ok_or("no such secret")?;
                    let file = FileTarget {
                        name: value.into(),
                        uid: "0".into(),
                        gid: "0".into(),
                        mode: 0o444,
                    };
                    task.container.secrets.push(SecretRef {
                        id: payload.id.clone(),
                        name: value.into(),
                        file,
                    });
                }
                _ => match key.strip_prefix("rollback.") {
                    Some(key) => configure(spec.rollback.get_or_insert_default(), key, value)?,
                    None => {
                        if !set_task(task, key, value)? {
                            configure(spec.update.get_or_insert_default(), key, value)?;
                        }
                    }
                },
            }
        }
        Ok(())
    }
}

fn mode_of(text: &str) -> Result<Mode, String> {
    let (kind, numbers) = text.split_once(':').unwrap_or((text, ""));
    Ok(match kind {
        "replicated" => Mode::Replicated {
            replicas: Some(number(numbers)?),
        },
        "global" => Mode::Global,
        "job" => {
            let (concurrent, total) = numbers.split_once('/').ok_or("job:CONCURRENT/TOTAL")?;
            Mode::ReplicatedJob {
                max_concurrent: Some(number(concurrent)?),
                total_completions: Some(number(total)?),
            }
        }
        "global-job" => Mode::GlobalJob,
        _ => return Err(format!("{kind}: no such mode")),
    })
}

/// False when the key is none of the task's.
fn set_task(task: &mut TaskSpec, key: &str, value: &str) -> Result<bool, String> {
    match key {
        "image" => task.container.image = value.into(),
        "force" => task.force_update += 1,
        "restart" | "attempts" | "restart-delay" => {
            let policy = task.restart.get_or_insert_with(|| RestartPolicy {
                delay: Some(Duration::from_secs(1)),
                ..Default::default()
            });
            match key {
                "attempts" => policy.max_attempts = number(value)?,
                "restart-delay" => policy.delay = Some(seconds(value)?),
                _ => {
                    policy.condition = match value {
                        "any" => RestartCondition::Any,
                        "on-failure" => RestartCondition::OnFailure,
                        "none" => RestartCondition::None,
                        _ => return Err(format!("{value}: no such condition")),
                    }
                }
            }
        }
        "constraint" => {
            let placement = task.placement.get_or_insert_with(Placement::default);
            placement.constraints = vec![value.replace(':', "==")];
        }
        "unconstrained" => task.placement = None,
        "cpus" => {
            let resources = task
                .resources
                .get_or_insert_with(ResourceRequirements::default);
            resources.reservations = Some(Resources {
                nano_cpus: number::<i64>(value)? * 1_000_000_000,
                memory_bytes: 0,
            });
        }
        "gpu" | "disk" => {
            let resources = task
                .resources
                .get_or_insert_with(ResourceRequirements::default);
            resources.generic.push(GenericResource {
                kind: key.into(),
                value: GenericValue::Discrete(number(value)?),
            });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn configure(config: &mut UpdateConfig, key: &str, value: &str) -> Wrong {
    match (key, value) {
        ("order", "start-first") => config.order = UpdateOrder::StartFirst,
        ("order", "stop-first") => config.order = UpdateOrder::StopFirst,
        ("parallelism", value) => config.parallelism = number(value)?,
        ("delay", value) => config.delay = seconds(value)?,
        ("monitor", value) => config.monitor = Some(seconds(value)?),
        ("ratio", value) => config.max_failure_ratio = number(value)?,
        ("action", "pause") => config.failure_action = FailureAction::Pause,
        ("action", "continue") => config.failure_action = FailureAction::Continue,
        ("action", "rollback") => config.failure_action = FailureAction::Rollback,
        _ => return Err(format!("{key}={value}: no such option")),
    }
    Ok(())
}
