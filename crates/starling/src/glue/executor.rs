//! The engine as the agent's executor, and the agent's journal in the database.

use crate::database::Tree;
use crate::glue::host::Host;
use agent::worker::{Existing, Exit, JournalRecord, JournalWrite};
use agent::{ExecError, Executor, Journal, LogFrame};
use async_trait::async_trait;
use engine::task::{NodeContext, TaskError};
use engine::{ContainerView, Engine, Phase, State};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::assignment::AssignedTask;
use model::logs::LogOptions;
use model::task::ContainerStatus;
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

fn exit(state: &State) -> Exit {
    Exit {
        code: i64::from(state.exit_code),
        oom_killed: state.oom_killed,
        at: Timestamp(i64::try_from(state.finished_at).unwrap_or(i64::MAX)),
        error: state.error.clone(),
    }
}

fn existing(view: &ContainerView) -> Option<Existing> {
    match view.state.phase {
        Phase::Created => Some(Existing::Created),
        Phase::Running => Some(Existing::Running(view.status())),
        Phase::Exited => Some(Existing::Exited(view.status(), exit(&view.state))),
        Phase::Removed => None,
    }
}

#[async_trait]
impl Executor for EngineExecutor {
    fn describe(&self) -> NodeDescription {
        self.host.describe()
    }

    async fn prepare(&self, task: &AssignedTask) -> Result<(), ExecError> {
        let description = self.host.describe();
        let context = NodeContext {
            id: self.node.clone(),
            hostname: description.hostname,
            platform: description.platform,
        };
        self.engine
            .prepare_task(task, &context)
            .await
            .map_err(failed)
    }

    async fn start(&self, task: &TaskId) -> Result<ContainerStatus, ExecError> {
        self.engine.start_task(task).await.map_err(failed)
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
