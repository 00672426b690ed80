//! A worker under test: commands and outputs as short texts.

use crate::worker::*;
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::payload::{FileTarget, SecretRef};
use model::task::ContainerStatus;
use model::{
    DesiredState, Meta, NodeId, Payload, PayloadId, PayloadKind, TaskId, TaskSpec, TaskState,
    TaskStatus, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Bench {
    pub(super) worker: Worker,
    pub(super) now: Timestamp,
    pub(super) journal: BTreeMap<String, JournalRecord>,
    listed: BTreeMap<TaskId, DesiredState>,
    payloads: BTreeSet<PayloadId>,
}

pub(super) fn task(id: &str, desired: DesiredState) -> AssignedTask {
    AssignedTask {
        id: id.into(),
        service: "svc".into(),
        service_name: "web".into(),
        service_labels: Arc::default(),
        slot: 1,
        spec: Arc::default(),
        desired,
        generic: vec![],
        registry_auth: None,
    }
}

/// A task that uses these secrets.
pub(crate) fn task_with(id: &str, desired: DesiredState, secrets: &[&str]) -> AssignedTask {
    let mut spec = TaskSpec::default();
    let secrets = secrets.iter().map(|secret| SecretRef {
        id: (*secret).into(),
        name: format!("name-{secret}"),
        file: FileTarget {
            name: "x".into(),
            uid: "0".into(),
            gid: "0".into(),
            mode: 0o444,
        },
    });
    spec.container.secrets = secrets.collect();
    AssignedTask {
        spec: Arc::new(spec),
        ..task(id, desired)
    }
}

pub(crate) fn payload(id: &str) -> Arc<Payload> {
    Arc::new(Payload {
        id: id.into(),
        kind: PayloadKind::Secret,
        meta: Meta::default(),
        spec: Arc::default(),
    })
}

pub(super) fn running(id: &str) -> ContainerStatus {
    ContainerStatus {
        id: format!("c-{id}"),
        pid: 7,
        exit_code: 0,
    }
}

fn desired(word: &str) -> DesiredState {
    [
        DesiredState::Ready,
        DesiredState::Running,
        DesiredState::Complete,
        DesiredState::Shutdown,
        DesiredState::Remove,
    ]
    .into_iter()
    .find(|d| d.name() == word)
    .expect("a desired state")
}

/// `+a` a new task, `+a=ready` one that waits, `+a~s` one that uses a secret, `a=shutdown` another wish, `-a` forgotten,
/// `$s` a secret, `-$s` forgotten.
fn change(word: &str) -> AssignmentChange {
    if let Some(id) = word.strip_prefix("-$") {
        return AssignmentChange::RemovePayload(id.into());
    }
    if let Some(id) = word.strip_prefix('$') {
        return AssignmentChange::PutPayload(payload(id));
    }
    if let Some(id) = word.strip_prefix('-') {
        return AssignmentChange::Remove(id.into());
    }
    let (id, wish) = word.split_once('=').unwrap_or((word, "running"));
    match id.strip_prefix('+') {
        Some(id) => AssignmentChange::Put(match id.split_once('~') {
            None => task(id, desired(wish)),
            Some((id, secret)) => task_with(id, desired(wish), &[secret]),
        }),
        None => AssignmentChange::SetDesired(id.into(), desired(wish)),
    }
}

pub(super) fn key(record: &JournalRecord) -> String {
    match record {
        JournalRecord::Index(_) => "#index".into(),
        JournalRecord::Task(task) => task.task.id.to_string(),
    }
}

fn status_text(id: &TaskId, status: &TaskStatus) -> String {
    match status.error.as_str() {
        "" => format!("{id}:{}", status.state),
        error => format!("{id}:{}({error})", status.state),
    }
}

fn write_text(write: &JournalWrite) -> String {
    match write {
        JournalWrite::Put(JournalRecord::Index(index)) => format!("#{index}"),
        JournalWrite::Put(JournalRecord::Task(task)) => {
            let mark = if task.listed { "" } else { "!" };
            format!("{mark}{}", status_text(&task.task.id, &task.status))
        }
        JournalWrite::Delete(id) => format!("-{id}"),
    }
}

fn text(output: &Output, now: Timestamp) -> String {
    let words = |list: Vec<String>| list.join(" ");
    match output {
        Output::Journal(writes) => {
            format!("journal {}", words(writes.iter().map(write_text).collect()))
        }
        Output::Do(Action::Prepare(task, payloads)) => {
            let with: String = payloads.keys().map(|id| format!(" ${id}")).collect();
            format!("prepare {}{with}", task.id)
        }
        Output::Do(Action::Start(id)) => format!("start {id}"),
        Output::Do(Action::Stop(id)) => format!("stop {id}"),
        Output::Do(Action::Remove(id)) => format!("remove {id}"),
        Output::Report { statuses, .. } => {
            let all = statuses.iter().map(|(id, status)| status_text(id, status));
            format!("report {}", words(all.collect()))
        }
        Output::NeedComplete => "need-complete".into(),
        Output::WakeAt(at) => format!("wake +{}ms", at.since(now).as_millis()),
    }
}

impl Bench {
    /// A worker with an empty journal, no containers, and a session.
    pub(super) fn new() -> Bench {
        let mut bench = Bench::restarted(BTreeMap::new());
        bench.found(vec![]);
        bench.up();
        bench
    }

    pub(super) fn restarted(journal: BTreeMap<String, JournalRecord>) -> Bench {
        Bench {
            worker: Worker::new(journal.values().cloned().collect()),
            now: Timestamp(1_000_000_000),
            journal,
            listed: BTreeMap::new(),
            payloads: BTreeSet::new(),
        }
    }

    /// The process dies: what it had in memory is gone, the journal and the containers are not.
    pub(super) fn crash(self) -> Bench {
        let mut bench = Bench::restarted(self.journal);
        bench.now = self.now;
        bench.listed = self.listed;
        bench.payloads = self.payloads;
        bench
    }

    pub(super) fn input(&mut self, input: Input) -> String {
        let outputs = self.worker.step(self.now, input);
        for output in &outputs {
            if let Output::Journal(writes) = output {
                for write in writes {
                    match write {
                        JournalWrite::Put(record) => {
                            self.journal.insert(key(record), record.clone());
                        }
                        JournalWrite::Delete(id) => {
                            self.journal.remove(id.as_str());
                        }
                    }
                }
            }
        }
        let texts: Vec<String> = outputs.iter().map(|o| text(o, self.now)).collect();
        texts.join("; ")
    }

    pub(super) fn found(&mut self, containers: Vec<(&str, Existing)>) -> String {
        let containers = containers.into_iter().map(|(id, c)| (id.into(), c));
        self.input(Input::Found(containers.collect()))
    }

    pub(super) fn up(&mut self) -> String {
        let node = NodeId::from("node1");
        self.input(Input::SessionUp { node })
    }

    pub(super) fn complete(&mut self, index: u64, changes: &str) -> String {
        self.listed.clear();
        self.payloads.clear();
        self.assign(index, true, changes)
    }

    pub(super) fn more(&mut self, index: u64, changes: &str) -> String {
        self.assign(index, false, changes)
    }

    fn assign(&mut self, index: u64, complete: bool, changes: &str) -> String {
        let changes: Vec<_> = changes.split_whitespace().map(change).collect();
        for change in &changes {
            match change {
                AssignmentChange::Put(task) => {
                    self.listed.insert(task.id.clone(), task.desired);
                }
                AssignmentChange::SetDesired(id, desired) => {
                    self.listed.insert(id.clone(), *desired);
                }
                AssignmentChange::Remove(id) => {
                    self.listed.remove(id);
                }
                AssignmentChange::PutPayload(payload) => {
                    self.payloads.insert(payload.id.clone());
                }
                AssignmentChange::RemovePayload(id) => {
                    self.payloads.remove(id);
                }
            }
        }
        let listed = self.listed.iter().map(|(id, desired)| (id, *desired));
        let digest = digest(listed, self.payloads.iter());
        self.raw(index, complete, changes, digest)
    }

    pub(super) fn raw(
        &mut self,
        index: u64,
        complete: bool,
        changes: Vec<AssignmentChange>,
        digest: u64,
    ) -> String {
        self.input(Input::Assignments(Assignments {
            index,
            complete,
            changes,
            digest,
        }))
    }

    pub(super) fn did(&mut self, id: &str, outcome: Outcome) -> String {
        self.input(Input::Did(id.into(), outcome))
    }

    pub(super) fn exits(&mut self, id: &str, code: i64) -> String {
        let at = self.now;
        let exit = Exit {
            code,
            at,
            ..Exit::default()
        };
        self.did(id, Outcome::Exited(exit))
    }

    /// State, message and error of a task.
    pub(super) fn status(&self, id: &str) -> (TaskState, String, String) {
        let (_, status) = self
            .worker
            .statuses()
            .find(|(known, _)| known.as_str() == id)
            .expect("a known task");
        (status.state, status.message.clone(), status.error.clone())
    }

    pub(super) fn wait(&mut self, time: Duration) -> String {
        self.now = self.now + time;
        self.input(Input::Tick)
    }

    pub(super) fn acknowledge_all(&mut self) {
        self.input(Input::Reported { sequence: u64::MAX });
    }

    /// Brings a new task to RUNNING.
    pub(super) fn run(&mut self, index: u64, id: &str) {
        self.more(index, &format!("+{id}"));
        self.did(id, Outcome::Prepared);
        self.did(id, Outcome::Started(running(id)));
        self.acknowledge_all();
    }
}

pub(super) fn fails(message: &str, permanent: bool) -> Failure {
    Failure {
        message: message.into(),
        permanent,
    }
}
