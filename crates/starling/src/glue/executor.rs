//! The engine as the agent's executor, and the agent's journal in the database.

use crate::database::Tree;
use crate::glue::host::Host;
use agent::worker::{Existing, Exit, Health, JournalRecord, JournalWrite, Payloads};
use agent::{ExecError, Executor, Journal, LogFrame, Say, Started};
use async_trait::async_trait;
use engine::task::{NodeContext, TaskError};
use engine::{ContainerView, Engine, HealthStatus, Phase, Probe, State};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::assignment::AssignedTask;
use model::logs::LogOptions;
use model::{NodeDescription, NodeId, TaskId, Timestamp};
use std::io;
use std::sync::Arc;

/// Runs tasks of one membership.
pub(crate) struct EngineExecutor {
    engine: Engine,
    host: Arc<Host>,
    node: NodeId,
}

impl EngineExecutor {
    pub(crate) fn new(engine: Engine, host: Arc<Host>, node: NodeId) -> EngineExecutor {
        EngineExecutor { engine, host, node }
    }
}

fn failed(error: TaskError) -> ExecError {
    ExecError {
        message: error.message,
        permanent: error.permanent,
    }
}

/// Docker's words for the end of a container whose health check had failed.
const UNHEALTHY: &str = "dockerexec: unhealthy container";
/// Bytes of a probe's output that fit into a task's reason.
const SHOWN_OUTPUT: usize = 100;

/// Docker's `Exit`, with the cause that only its health tells.
fn exit(state: &State) -> Exit {
    let unhealthy = state
        .health
        .as_ref()
        .is_some_and(|health| health.status == HealthStatus::Unhealthy);
    let error = match state.error.as_str() {
        "" if unhealthy => UNHEALTHY,
        error => error,
    };
    Exit {
        code: i64::from(state.exit_code),
        oom_killed: state.oom_killed,
        at: Timestamp(i64::try_from(state.finished_at).unwrap_or(i64::MAX)),
        error: error.to_owned(),
    }
}

/// What the last probes of a container mean for its task.
fn health(probe: &Probe, health: &engine::Health) -> Health {
    let failed = health.log.back().filter(|last| last.exit_code != 0);
    let why = failed.map_or(String::new(), |last| {
        let what = match (health.failing_streak, probe.retries()) {
            (0, _) => "health probe failed (failures do not count in the start period)".into(),
            (streak, retries) => format!("health probe failed {streak} of {retries} times"),
        };
        match last_line(&last.output) {
            "" => format!("{what}: exit code {}", last.exit_code),
            line => format!("{what}: {line}"),
        }
    });
    match health.status {
        HealthStatus::Starting => Health::Starting(why),
        HealthStatus::Healthy => Health::Healthy,
        HealthStatus::Unhealthy => Health::Unhealthy(why),
    }
}

/// Where a program usually says what went wrong, cut to what fits into a message.
fn last_line(output: &str) -> &str {
    let lines = output.lines().map(str::trim);
    let line = lines.rev().find(|line| !line.is_empty()).unwrap_or("");
    let end = (0..=SHOWN_OUTPUT.min(line.len())).rfind(|at| line.is_char_boundary(*at));
    &line[..end.unwrap_or(0)]
}

/// What of a container's health is news to the managers, who write each down: the verdict; and while it starts the
/// first failure in the start period, then the first, second, fourth, eighth … that counts. Not what the probe says
/// in other words each time.
fn verdict(health: &engine::Health) -> (HealthStatus, Option<Option<u32>>) {
    let failed = health.log.back().is_some_and(|last| last.exit_code != 0);
    let starting = health.status == HealthStatus::Starting;
    let doublings = health.failing_streak.checked_ilog2();
    (health.status, (starting && failed).then_some(doublings))
}

/// None when there is nothing to check.
fn checked(view: &ContainerView) -> Option<Health> {
    let probe = view.record.process.probe.as_ref()?;
    let last = view.state.health.clone().unwrap_or_default();
    Some(health(probe, &last))
}

fn existing(view: &ContainerView) -> Option<Existing> {
    match view.state.phase {
        Phase::Created => Some(Existing::Created),
        Phase::Running => Some(match checked(view) {
            None | Some(Health::Healthy) => Existing::Running(view.status()),
            Some(health) => Existing::Checked(view.status(), health),
        }),
        Phase::Exited => Some(Existing::Exited(view.status(), exit(&view.state))),
        Phase::Removed => None,
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    fn describe(&self) -> NodeDescription {
        self.host.describe()
    }

    async fn prepare(
        &self,
        task: &AssignedTask,
        payloads: &Payloads,
        say: &Say,
    ) -> Result<(), ExecError> {
        let description = self.host.describe();
        let context = NodeContext {
            id: self.node.clone(),
            hostname: description.hostname,
            platform: description.platform,
            allows_privileged: description.allows_privileged,
        };
        self.engine
            .prepare_task(task, &context, payloads, say)
            .await
            .map_err(failed)
    }

    async fn start(&self, task: &TaskId) -> Result<Started, ExecError> {
        let container = self.engine.start_task(task).await.map_err(failed)?;
        let view = self.engine.find_task(task);
        let checked = view.is_some_and(|view| view.record.process.probe.is_some());
        Ok(Started { container, checked })
    }

    fn health(&self, task: &TaskId) -> Option<BoxStream<'static, Health>> {
        let probe = self.engine.find_task(task)?.record.process.probe.clone()?;
        let changes = self.engine.watch_health(task)?;
        let mut told = None;
        let news = changes.filter_map(move |last| {
            let now = Some(verdict(&last));
            let is_news = told != now;
            told = now;
            std::future::ready(is_news.then(|| health(&probe, &last)))
        });
        Some(news.boxed())
    }

    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecError> {
        self.engine
            .wait_task(task)
            .await
            .map(|state| exit(&state))
            .map_err(failed)
    }

    async fn stop(&self, task: &TaskId) -> Result<(), ExecError> {
        self.engine.stop_task(task).await.map_err(failed)
    }

    async fn remove(&self, task: &TaskId) -> Result<(), ExecError> {
        self.engine.remove_task(task).await.map_err(failed)
    }

    async fn existing(&self) -> Vec<(TaskId, Existing)> {
        let found = self.engine.task_containers().into_iter();
        found
            .filter_map(|c| Some((c.task, existing(&c.container)?)))
            .collect()
    }

    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, LogFrame>, ExecError> {
        let lines = self
            .engine
            .task_logs(task, options)
            .await
            .map_err(|e| ExecError::permanent(e.to_string()))?;
        let frame = |line: engine::logs::LogLine| LogFrame {
            stream: line.stream,
            time: line.time,
            data: line.data,
        };
        Ok(lines.map(frame).boxed())
    }
}

/// The agent's journal as a tree of the database.
pub(crate) struct TreeJournal(pub(crate) Tree);

impl Journal for TreeJournal {
    fn load(&self) -> io::Result<Vec<JournalRecord>> {
        let mut records = Vec::new();
        for (key, value) in self.0.scan()? {
            match agent::decode_row(&key, &value) {
                Ok(record) => records.push(record),
                Err(error) => {
                    tracing::error!(%error, "a record of the agent's journal is left out")
                }
            }
        }
        Ok(records)
    }

    fn write(&self, writes: &[JournalWrite]) -> io::Result<()> {
        for write in writes {
            match write {
                JournalWrite::Put(record) => {
                    let (key, value) = agent::encode_record(record);
                    self.0.put(&key, &value)?;
                }
                JournalWrite::Delete(task) => self.0.delete(&agent::task_key(task))?,
            }
        }
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ProbeResult;

    fn last(status: HealthStatus, failing_streak: u64, exit_code: i32, output: &str) -> Health {
        let result = ProbeResult {
            start: 1,
            end: 2,
            exit_code,
            output: output.into(),
        };
        let seen = engine::Health {
            status,
            failing_streak,
            log: [result].into(),
        };
        let probe = Probe {
            args: vec![],
            config: engine::HealthConfig::default(),
        };
        health(&probe, &seen)
    }

    #[test]
    fn a_check_is_told_in_words() {
        use HealthStatus::{Healthy, Starting, Unhealthy};
        let starting = |text: &str| Health::Starting(text.into());
        let cases = [
            (last(Starting, 0, 0, ""), starting("")),
            (
                last(Starting, 2, 7, "trying\n curl: (7) refused\n \n"),
                starting("health probe failed 2 of 3 times: curl: (7) refused"),
            ),
            (
                last(Starting, 0, 1, ""),
                starting(
                    "health probe failed (failures do not count in the start period): exit code 1",
                ),
            ),
            (last(Healthy, 1, 1, "no"), Health::Healthy),
            (
                last(Unhealthy, 3, 1, ""),
                Health::Unhealthy("health probe failed 3 of 3 times: exit code 1".into()),
            ),
        ];
        for (told, expected) in cases {
            assert_eq!(told, expected);
        }
        let Health::Starting(long) = last(Starting, 1, 1, &"ä".repeat(100)) else {
            panic!("it is starting");
        };
        assert!(long.len() <= SHOWN_OUTPUT + 40, "{long}");
    }

    #[test]
    fn only_some_failures_are_news() {
        let seen = |status, failing_streak, exit_code| {
            let result = ProbeResult {
                start: 1,
                end: 2,
                exit_code,
                output: String::new(),
            };
            verdict(&engine::Health {
                status,
                failing_streak,
                log: [result].into(),
            })
        };
        use HealthStatus::{Healthy, Starting, Unhealthy};
        let failures = (0..1000).map(|streak| seen(Starting, streak, 1));
        let mut told: Vec<_> = failures.collect();
        told.dedup();
        assert_eq!(told.len(), 11);
        assert_ne!(seen(Starting, 0, 0), seen(Starting, 0, 1));
        assert_ne!(seen(Starting, 2, 1), seen(Unhealthy, 3, 1));
        assert_eq!(seen(Healthy, 0, 0), seen(Healthy, 2, 1));
        assert_eq!(seen(Unhealthy, 3, 1), seen(Unhealthy, 4, 1));
    }

    #[test]
    fn an_unhealthy_end_has_its_cause() {
        let mut state = State {
            exit_code: 137,
            health: Some(engine::Health {
                status: HealthStatus::Unhealthy,
                ..engine::Health::default()
            }),
            ..State::default()
        };
        assert_eq!(exit(&state).error, UNHEALTHY);
        state.error = "another cause".into();
        assert_eq!(exit(&state).error, "another cause");
        state.health = None;
        state.error.clear();
        assert_eq!(exit(&state).error, "");
    }
}
