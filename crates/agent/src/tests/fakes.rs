//! An executor and a journal in memory.

use super::dispatcher::Plain;
use crate::worker::{Existing, Exit, Health, JournalRecord, JournalWrite, Payloads};
use crate::{AgentConfig, AgentHandle, ExecError, Executor, Journal, LogFrame, Say, Started};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::assignment::AssignedTask;
use model::logs::{LogOptions, LogStream};
use model::task::ContainerStatus;
use model::{DesiredState, NodeDescription, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

pub(super) fn task(id: &str, desired: DesiredState) -> AssignedTask {
    AssignedTask {
        id: id.into(),
        service: "service1".into(),
        service_name: "web".into(),
        service_labels: Arc::default(),
        slot: 1,
        spec: Arc::default(),
        desired,
        generic: vec![],
        registry_auth: None,
    }
}

#[derive(Default)]
pub(super) struct Host {
    /// Running containers, with their exit code once they ended.
    pub(super) containers: Mutex<BTreeMap<TaskId, watch::Sender<Option<i64>>>>,
    /// What was called, in order.
    pub(super) calls: Mutex<Vec<String>>,
    /// Preparations of these tasks do not end.
    pub(super) stuck: Mutex<BTreeSet<TaskId>>,
    /// The image of these tasks is not to be had.
    pub(super) imageless: Mutex<BTreeSet<TaskId>>,
    /// What the health checks of these tasks say.
    pub(super) health: Mutex<BTreeMap<TaskId, watch::Sender<Health>>>,
    pub(super) starting: AtomicUsize,
    pub(super) most_starting: AtomicUsize,
}

impl Host {
    fn call(&self, what: &str, task: &TaskId) {
        self.calls.lock().unwrap().push(format!("{what} {task}"));
    }

    pub(super) fn called(&self, what: &str) -> bool {
        self.calls.lock().unwrap().iter().any(|call| call == what)
    }

    /// A container that an earlier daemon started.
    pub(super) fn runs(&self, task: &str) {
        let mut containers = self.containers.lock().unwrap();
        containers.insert(task.into(), watch::Sender::new(None));
    }

    pub(super) fn ends(&self, task: &str, code: i64) {
        self.containers.lock().unwrap()[task].send_replace(Some(code));
    }

    pub(super) fn running(&self) -> Vec<String> {
        let containers = self.containers.lock().unwrap();
        let running = containers
            .iter()
            .filter(|(_, exit)| exit.borrow().is_none());
        running.map(|(id, _)| id.to_string()).collect()
    }
}

fn container(task: &TaskId) -> ContainerStatus {
    ContainerStatus {
        id: format!("c-{task}"),
        pid: 1,
        exit_code: 0,
    }
}

#[async_trait]
impl Executor for Host {
    fn describe(&self) -> NodeDescription {
        NodeDescription {
            hostname: "box".into(),
            ..NodeDescription::default()
        }
    }

    async fn prepare(
        &self,
        task: &AssignedTask,
        payloads: &Payloads,
        say: &Say,
    ) -> Result<(), ExecError> {
        self.call("prepare", &task.id);
        for id in payloads.keys() {
            self.call("give", &id.as_str().into());
        }
        if self.stuck.lock().unwrap().contains(&task.id) {
            say("pulling image web:9".into());
            std::future::pending::<()>().await;
        }
        if self.imageless.lock().unwrap().contains(&task.id) {
            return Err(ExecError::permanent("No such image: web:9"));
        }
        Ok(())
    }

    async fn start(&self, task: &TaskId) -> Result<Started, ExecError> {
        self.call("start", task);
        let now = self.starting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_starting.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        self.starting.fetch_sub(1, Ordering::SeqCst);
        self.runs(task.as_str());
        Ok(Started {
            container: container(task),
            checked: self.health.lock().unwrap().contains_key(task),
        })
    }

    fn health(&self, task: &TaskId) -> Option<BoxStream<'static, Health>> {
        let changes = self.health.lock().unwrap().get(task)?.subscribe();
        Some(tokio_stream::wrappers::WatchStream::new(changes).boxed())
    }

    async fn wait(&self, task: &TaskId) -> Result<Exit, ExecError> {
        let mut exit = self.containers.lock().unwrap()[task].subscribe();
        let code = exit.wait_for(Option::is_some).await;
        let code = code
            .map_err(|_| ExecError::permanent("removed"))?
            .unwrap_or(0);
        Ok(Exit {
            code,
            at: Timestamp(5),
            ..Exit::default()
        })
    }

    async fn stop(&self, task: &TaskId) -> Result<(), ExecError> {
        self.call("stop", task);
        if let Some(exit) = self.containers.lock().unwrap().get(task) {
            exit.send_if_modified(|exit| exit.is_none() && exit.replace(143).is_none());
        }
        Ok(())
    }

    async fn remove(&self, task: &TaskId) -> Result<(), ExecError> {
        self.call("remove", task);
        self.containers.lock().unwrap().remove(task);
        Ok(())
    }

    async fn existing(&self) -> Vec<(TaskId, Existing)> {
        let containers = self.containers.lock().unwrap();
        let all = containers.iter().map(|(id, exit)| {
            let existing = match *exit.borrow() {
                None => Existing::Running(container(id)),
                Some(code) => {
                    let exit = Exit {
                        code,
                        ..Exit::default()
                    };
                    Existing::Exited(container(id), exit)
                }
            };
            (id.clone(), existing)
        });
        all.collect()
    }

    async fn logs(
        &self,
        task: &TaskId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, LogFrame>, ExecError> {
        if task.as_str() == "nobody" {
            return Err(ExecError::permanent("No such container: nobody"));
        }
        let frame = |text: String| LogFrame {
            stream: LogStream::Stderr,
            time: Timestamp(9),
            data: text.into_bytes(),
        };
        let lines = (0..3).map(|n| format!("{task} {n}\n"));
        let lines: Vec<LogFrame> = lines.map(frame).collect();
        let lines = futures_util::stream::iter(lines);
        if options.follow {
            return Ok(lines.chain(futures_util::stream::pending()).boxed());
        }
        Ok(lines.boxed())
    }
}

/// A journal that can be made to fail.
#[derive(Default)]
pub(super) struct Notebook {
    pub(super) rows: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(super) failures: AtomicUsize,
    pub(super) writes: AtomicUsize,
}

impl Journal for Notebook {
    fn load(&self) -> io::Result<Vec<JournalRecord>> {
        let rows = self.rows.lock().unwrap();
        let records = rows
            .iter()
            .map(|(key, value)| crate::decode_row(key, value));
        records.collect::<Result<_, _>>().map_err(io::Error::other)
    }

    fn write(&self, writes: &[JournalWrite]) -> io::Result<()> {
        let fails = self.failures.load(Ordering::SeqCst);
        if fails > 0 {
            self.failures.store(fails - 1, Ordering::SeqCst);
            return Err(io::Error::other("disk full"));
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        let mut rows = self.rows.lock().unwrap();
        for write in writes {
            match write {
                JournalWrite::Put(record) => {
                    let (key, value) = crate::encode_record(record);
                    rows.insert(key, value);
                }
                JournalWrite::Delete(task) => {
                    rows.remove(&crate::task_key(task));
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Node {
    pub(super) host: Arc<Host>,
    pub(super) journal: Arc<Notebook>,
}

impl Node {
    pub(super) async fn start(&self, managers: &[&str]) -> AgentHandle {
        let config = AgentConfig {
            node: "node1".into(),
            managers: managers.iter().map(|addr| (*addr).to_owned()).collect(),
            connector: Arc::new(Plain),
            executor: Arc::clone(&self.host) as Arc<dyn Executor>,
            journal: Arc::clone(&self.journal) as Arc<dyn Journal>,
        };
        crate::run(config).await.expect("the agent starts")
    }
}
