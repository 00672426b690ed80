//! A leader with an ideal log and agents that do what they are told.

mod assign;
mod liveness;
mod plan;
mod rebalance;
mod refusals;
mod requests;

use super::{Input, Leader, Limits, Output, ProposalToken, RequestToken, SessionId};
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::change::RequestId;
use model::cluster::{JoinSecret, RootCa};
use model::control::{ControlError, Write, WriteRequest, Written};
use model::id::ID_BYTES;
use model::payload::{FileTarget, PayloadData, SecretRef};
use model::task::{Resources, TaskSpec};
use model::{
    Change, Cluster, ClusterSpec, ContainerSpec, DesiredState, IdSource, Meta, Mode, Node,
    NodeDescription, NodeId, NodeSpec, NodeState, NodeStatus, Payload, PayloadId, PayloadKind,
    PayloadSpec, Proposal, Role, Service, ServiceId, ServiceSpec, TaskId, TaskState, TaskStatus,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// Entries after which a test that does not come to rest has failed.
const PATIENCE: usize = 5_000;

#[derive(Clone, Default)]
struct Counted(u64);

impl IdSource for Counted {
    fn next_id(&mut self) -> [u8; ID_BYTES] {
        self.0 += 1;
        let mut bytes = [0; ID_BYTES];
        // Not beside those of a plan.
        bytes[4] = 1;
        bytes[ID_BYTES - 8..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

/// An agent and its session.
#[derive(Default)]
struct Agent {
    session: Option<SessionId>,
    tasks: BTreeMap<TaskId, AssignedTask>,
    payloads: BTreeMap<PayloadId, Arc<Payload>>,
    states: BTreeMap<TaskId, TaskState>,
    sequence: u64,
    /// It neither speaks nor hears.
    silent: bool,
    /// Messages that it got.
    messages: usize,
}

impl Agent {
    /// Takes assignments in as an agent does: a task that may run never comes before what it needs.
    fn assign(&mut self, assignments: Assignments, payloads_may_follow: bool) {
        self.messages += 1;
        if assignments.complete {
            self.tasks.clear();
            self.payloads.clear();
        }
        for change in assignments.changes {
            match change {
                AssignmentChange::Put(task) => {
                    for id in model::payload::used_by(&task.spec.container) {
                        let over = task.desired >= DesiredState::Shutdown;
                        assert!(
                            over || payloads_may_follow || self.payloads.contains_key(&id),
                            "{} comes before {id}",
                            task.id
                        );
                    }
                    self.tasks.insert(task.id.clone(), task);
                }
                AssignmentChange::SetDesired(id, desired) => {
                    self.tasks.get_mut(&id).expect("known").desired = desired;
                }
                AssignmentChange::Remove(id) => {
                    self.tasks.remove(&id).expect("known");
                    self.states.remove(&id);
                }
                AssignmentChange::PutPayload(payload) => {
                    let old = self.payloads.insert(payload.id.clone(), payload);
                    assert!(old.is_none(), "sent twice");
                }
                AssignmentChange::RemovePayload(id) => {
                    self.payloads.remove(&id).expect("known");
                }
            }
        }
        let tasks = self.tasks.iter().map(|(id, task)| (id, task.desired));
        assert_eq!(digest(tasks, self.payloads.keys()), assignments.digest);
    }

    /// What it reports after doing what it is told.
    fn work(&mut self, now: Timestamp) -> Vec<(TaskId, TaskStatus)> {
        let mut news = Vec::new();
        for (id, task) in &self.tasks {
            let state = self.states.get(id).copied().unwrap_or(TaskState::Assigned);
            if state.is_terminal() {
                continue;
            }
            let next = match task.desired {
                DesiredState::Ready => TaskState::Ready,
                DesiredState::Running => TaskState::Running,
                DesiredState::Complete if state == TaskState::Running => TaskState::Complete,
                DesiredState::Complete => TaskState::Running,
                DesiredState::Shutdown | DesiredState::Remove => TaskState::Shutdown,
            };
            if next > state {
                news.push((id.clone(), TaskStatus::new(next, now, next.name())));
            }
        }
        for (id, status) in &news {
            self.states.insert(id.clone(), status.state);
        }
        news
    }
}

struct Lab {
    store: Store,
    leader: Leader,
    now: Timestamp,
    ids: Counted,
    agents: BTreeMap<NodeId, Agent>,
    queue: Vec<(ProposalToken, Proposal)>,
    replies: BTreeMap<RequestToken, Result<Written, ControlError>>,
    wake: Option<Timestamp>,
    last_request: u64,
    last_session: u64,
    payloads_may_follow: bool,
}

fn cluster() -> Cluster {
    Cluster {
        id: "c".into(),
        meta: Meta::default(),
        spec: ClusterSpec::default(),
        ca: RootCa {
            cert_pem: String::new(),
            key_pem: String::new(),
        },
        worker_token: JoinSecret("w".into()),
        manager_token: JoinSecret("m".into()),
        tokens: Vec::new(),
    }
}

fn description(id: &str) -> NodeDescription {
    NodeDescription {
        hostname: format!("host-{id}"),
        resources: Resources {
            nano_cpus: 64_000_000_000,
            memory_bytes: 1 << 40,
        },
        ..NodeDescription::default()
    }
}

fn node(id: &str) -> Node {
    Node {
        id: id.into(),
        meta: Meta::default(),
        spec: NodeSpec::default(),
        role: Role::Worker,
        description: Some(description(id)),
        status: NodeStatus::default(),
        manager: None,
    }
}

fn spec(name: &str, mode: Mode) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        task: Arc::new(TaskSpec {
            container: ContainerSpec {
                image: "image:1".into(),
                ..ContainerSpec::default()
            },
            ..TaskSpec::default()
        }),
        mode,
        ..ServiceSpec::default()
    }
}

fn replicated(name: &str, replicas: u64) -> ServiceSpec {
    let replicas = Some(replicas);
    spec(name, Mode::Replicated { replicas })
}

/// The same with another template.
fn changed(spec: &ServiceSpec, change: impl FnOnce(&mut TaskSpec)) -> ServiceSpec {
    let mut task = spec.task.as_ref().clone();
    change(&mut task);
    ServiceSpec {
        task: Arc::new(task),
        ..spec.clone()
    }
}

fn with_secret(spec: &ServiceSpec, id: &PayloadId, name: &str) -> ServiceSpec {
    changed(spec, |task| {
        task.container.secrets.push(SecretRef {
            id: id.clone(),
            name: name.into(),
            file: FileTarget {
                name: name.into(),
                uid: "0".into(),
                gid: "0".into(),
                mode: 0o444,
            },
        });
    })
}

fn payload_spec(name: &str, bytes: usize) -> Arc<PayloadSpec> {
    Arc::new(PayloadSpec {
        name: name.into(),
        data: PayloadData(vec![7; bytes].into()),
        ..PayloadSpec::default()
    })
}

impl Lab {
    /// A cluster at rest, with these nodes ready.
    fn new(nodes: &[&str]) -> Lab {
        Lab::with(nodes.iter().map(|id| node(id)).collect())
    }

    fn with(nodes: Vec<Node>) -> Lab {
        let mut lab = Lab {
            store: Store::new(),
            leader: Leader::new(Limits::default()),
            now: Timestamp(1_000_000_000_000),
            ids: Counted::default(),
            agents: BTreeMap::new(),
            queue: Vec::new(),
            replies: BTreeMap::new(),
            wake: None,
            last_request: 0,
            last_session: 0,
            payloads_may_follow: false,
        };
        let mut changes = vec![Change::CreateCluster(Box::new(cluster()))];
        let ids: Vec<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
        changes.extend(nodes.into_iter().map(|n| Change::CreateNode(Box::new(n))));
        lab.write(changes);
        lab.step(Input::BecameLeader);
        for id in ids {
            lab.connect(&id);
        }
        lab.settle();
        lab
    }

    /// Another manager's proposal, or what was before.
    fn write(&mut self, changes: Vec<Change>) {
        let index = self.store.index() + 1;
        let proposal = Proposal {
            request: None,
            at: self.now,
            changes,
        };
        let applied = self.store.apply(index, &[proposal]);
        assert_eq!(applied.outcomes, [Ok(())]);
        self.step(Input::Committed {
            index,
            outcomes: Vec::new(),
            events: applied.events,
        });
    }

    fn step(&mut self, input: Input) {
        let (now, ids) = (self.now, &mut self.ids);
        for output in self.leader.step(now, input, &self.store, ids) {
            match output {
                Output::Propose { token, proposal } => self.queue.push((token, proposal)),
                Output::Reply { token, result } => {
                    let old = self.replies.insert(token, result);
                    assert!(old.is_none(), "answered twice");
                }
                Output::Assign {
                    node,
                    session,
                    assignments,
                } => {
                    let agent = self.agents.get_mut(&node).expect("a node with an agent");
                    if agent.session == Some(session) && !agent.silent {
                        agent.assign(assignments, self.payloads_may_follow);
                    }
                }
                Output::Reported { .. } => {}
                Output::CloseSession { node, session } => {
                    let agent = self.agents.get_mut(&node).expect("a node with an agent");
                    if agent.session == Some(session) {
                        agent.session = None;
                    }
                }
                Output::WakeAt(at) => self.wake = Some(at),
            }
        }
    }

    fn connect(&mut self, id: &NodeId) {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let agent = self.agents.entry(id.clone()).or_default();
        agent.session = Some(session);
        self.step(Input::SessionOpened {
            node: id.clone(),
            session,
            description: description(id.as_str()),
            addr: "127.0.0.1".into(),
        });
    }

    /// Commits what waits as one entry; whether there was anything.
    fn commit(&mut self) -> bool {
        let queue = std::mem::take(&mut self.queue);
        if queue.is_empty() {
            return false;
        }
        let index = self.store.index() + 1;
        let (tokens, proposals): (Vec<_>, Vec<_>) = queue.into_iter().unzip();
        let applied = self.store.apply(index, &proposals);
        self.step(Input::Committed {
            index,
            outcomes: tokens.into_iter().zip(applied.outcomes).collect(),
            events: applied.events,
        });
        true
    }

    /// The agents do what they are told; whether there was anything.
    fn work(&mut self) -> bool {
        let mut worked = false;
        let ids: Vec<NodeId> = self.agents.keys().cloned().collect();
        for id in ids {
            let now = self.now;
            let agent = self.agents.get_mut(&id).expect("there");
            let Some(session) = agent.session.filter(|_| !agent.silent) else {
                continue;
            };
            let updates = agent.work(now);
            if updates.is_empty() {
                continue;
            }
            agent.sequence += 1;
            let sequence = agent.sequence;
            worked = true;
            self.step(Input::Report {
                node: id,
                session,
                sequence,
                updates,
            });
        }
        worked
    }

    /// Until nothing happens any more at this time.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            let committed = self.commit();
            if !(self.work() || committed) {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Lets time pass in steps of half a second, with heartbeats of those who are there.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let beat = self.now + Duration::from_millis(500);
            self.now = self
                .wake
                .filter(|at| *at > self.now)
                .map_or(beat, |at| at.min(beat))
                .min(end);
            let there = self.agents.iter().filter(|(_, agent)| !agent.silent);
            let there = there.filter_map(|(id, agent)| Some((id.clone(), agent.session?)));
            let there: Vec<_> = there.collect();
            for (node, session) in there {
                self.step(Input::Heartbeat { node, session });
            }
            self.step(Input::Tick);
            self.settle();
        }
    }

    fn send(&mut self, write: Write) -> RequestToken {
        self.last_request += 1;
        let number = self.last_request;
        let token = RequestToken(number);
        let request = WriteRequest {
            id: RequestId(number.into()),
            write,
        };
        self.step(Input::Request { token, request });
        token
    }

    fn ask(&mut self, write: Write) -> Result<Written, ControlError> {
        let token = self.send(write);
        while !self.replies.contains_key(&token) {
            assert!(self.commit(), "the request is not answered");
        }
        self.replies.remove(&token).expect("just seen")
    }

    fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        match self.ask(Write::CreateService(Arc::new(spec))) {
            Ok(Written::Service(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    fn secret(&mut self, name: &str, bytes: usize) -> PayloadId {
        let spec = payload_spec(name, bytes);
        let kind = PayloadKind::Secret;
        match self.ask(Write::CreatePayload { kind, spec }) {
            Ok(Written::Payload(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    fn service(&self, id: &ServiceId) -> &Arc<Service> {
        self.store.service(id).expect("there")
    }

    fn update(&mut self, id: &ServiceId, spec: ServiceSpec) -> Result<Written, ControlError> {
        let write = Write::UpdateService {
            id: id.clone(),
            version: self.service(id).meta.version,
            spec: Arc::new(spec),
        };
        self.ask(write)
    }

    fn state(&self, id: &str) -> NodeState {
        let node = self.store.node(&NodeId::from(id));
        node.expect("there").status.state
    }

    /// Running tasks of a service on each node.
    fn spread(&self, service: &ServiceId) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for task in self.store.tasks_of_service(service) {
            if task.is_wanted()
                && task.status.state == TaskState::Running
                && let Some(node) = task.placed_on()
            {
                *spread.entry(node.to_string()).or_default() += 1;
            }
        }
        spread
    }

    fn running(&self, service: &ServiceId) -> BTreeSet<TaskId> {
        let tasks = self.store.tasks_of_service(service);
        let running = tasks.filter(|t| t.is_wanted() && t.status.state == TaskState::Running);
        running.map(|t| t.id.clone()).collect()
    }
}
