//! A fake agent, and one manager from end to end with it.

use super::*;
use crate::connector::Connector;
use model::assignment::{AssignedTask, AssignmentChange, Assignments, digest};
use model::control::TaskSelector;
use model::{
    DesiredState, NodeDescription, NodeState, Payload, PayloadId, TaskId, TaskState, TaskStatus,
    Timestamp,
};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;
use wire::pb::dispatcher as pb;
use wire::pb::dispatcher::dispatcher_client::DispatcherClient;
use wire::pb::dispatcher::{to_agent, to_manager};

/// Speaks the protocol, runs nothing.
pub(super) struct FakeAgent {
    pub(super) channel: Channel,
    pub(super) outgoing: mpsc::Sender<pb::ToManager>,
    pub(super) incoming: Streaming<pb::ToAgent>,
    pub(super) tasks: BTreeMap<TaskId, AssignedTask>,
    pub(super) payloads: BTreeMap<PayloadId, Arc<Payload>>,
    pub(super) reported: u64,
    sequence: u64,
    beat: tokio::task::AbortHandle,
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

impl FakeAgent {
    /// Opens a session, following the word of managers that do not lead.
    pub(super) async fn open(connector: &Connector, manager: &str) -> FakeAgent {
        let mut addr = manager.to_owned();
        for _ in 0..100 {
            let Ok(channel) = connector.channel(&addr).await else {
                // It was sent to a leader that is gone.
                addr = manager.to_owned();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (outgoing, requests) = mpsc::channel(16);
            let agent = |incoming| FakeAgent {
                channel: channel.clone(),
                outgoing: outgoing.clone(),
                incoming,
                tasks: BTreeMap::new(),
                payloads: BTreeMap::new(),
                reported: 0,
                sequence: 0,
                beat: beat(outgoing.clone()),
            };
            let description = NodeDescription {
                hostname: "fake".into(),
                resources: model::task::Resources {
                    nano_cpus: 4_000_000_000,
                    memory_bytes: 1 << 30,
                },
                ..NodeDescription::default()
            };
            let hello = to_manager::Message::Hello(pb::Hello {
                description: Some((&description).into()),
                last_index: 0,
            });
            outgoing.send(wrap(hello)).await.unwrap();
            let mut client = DispatcherClient::new(channel.clone());
            let opened = client.session(ReceiverStream::new(requests)).await;
            let mut incoming = opened.unwrap().into_inner();
            match incoming.message().await.unwrap().and_then(|m| m.message) {
                Some(to_agent::Message::Welcome(_)) => {
                    return agent(incoming);
                }
                Some(to_agent::Message::NotLeader(not)) if !not.leader.is_empty() => {
                    addr = not.leader
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        panic!("no leader welcomes the agent");
    }

    /// Takes the next message in.
    pub(super) async fn next(&mut self) -> to_agent::Message {
        let message = tokio::time::timeout(PATIENCE, self.incoming.message()).await;
        let message = message
            .expect("a message in time")
            .unwrap()
            .unwrap()
            .message
            .unwrap();
        match &message {
            to_agent::Message::Assignments(assignments) => {
                self.assign(Assignments::try_from(assignments.clone()).unwrap());
            }
            to_agent::Message::Reported(reported) => self.reported = reported.sequence,
            _ => {}
        }
        message
    }

    fn assign(&mut self, assignments: Assignments) {
        if assignments.complete {
            self.tasks.clear();
            self.payloads.clear();
        }
        for change in assignments.changes {
            match change {
                AssignmentChange::Put(task) => drop(self.tasks.insert(task.id.clone(), task)),
                AssignmentChange::SetDesired(id, desired) => {
                    self.tasks.get_mut(&id).unwrap().desired = desired;
                }
                AssignmentChange::Remove(id) => drop(self.tasks.remove(&id)),
                AssignmentChange::PutPayload(payload) => {
                    self.payloads.insert(payload.id.clone(), payload);
                }
                AssignmentChange::RemovePayload(id) => drop(self.payloads.remove(&id)),
            }
        }
        let tasks = self.tasks.iter().map(|(id, task)| (id, task.desired));
        let found = digest(tasks, self.payloads.keys());
        assert_eq!(found, assignments.digest);
    }

    /// Says that its tasks are where they should be.
    pub(super) async fn report_all(&mut self) -> u64 {
        let state = |task: &AssignedTask| match task.desired {
            DesiredState::Ready => TaskState::Ready,
            DesiredState::Running | DesiredState::Complete => TaskState::Running,
            DesiredState::Shutdown | DesiredState::Remove => TaskState::Shutdown,
        };
        let updates = self.tasks.values();
        let updates: Vec<_> = updates
            .map(|t| {
                (
                    t.id.clone(),
                    TaskStatus::new(state(t), Timestamp(1), "fake"),
                )
            })
            .collect();
        self.sequence += 1;
        let report = wire::dispatcher::report(self.sequence, &updates);
        self.outgoing
            .send(wrap(to_manager::Message::Report(report)))
            .await
            .unwrap();
        self.sequence
    }
}

pub(super) fn wrap(message: to_manager::Message) -> pb::ToManager {
    pb::ToManager {
        message: Some(message),
    }
}

fn beat(outgoing: mpsc::Sender<pb::ToManager>) -> tokio::task::AbortHandle {
    let beating = tokio::spawn(async move {
        let beat = || wrap(to_manager::Message::Heartbeat(pb::Heartbeat {}));
        while outgoing.send(beat()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    });
    beating.abort_handle()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_runs_on_the_agent_of_one_manager() {
    let node = TestNode::founder().await;
    let membership = node.swarm.membership().borrow().clone().unwrap();
    assert_eq!(membership.managers, [node.addr()]);
    let mut agent = FakeAgent::open(&membership.connector, &node.addr()).await;
    let service = node.create("web").await;
    while agent.tasks.len() < 2 {
        agent.next().await;
    }
    let sequence = agent.report_all().await;
    while agent.reported < sequence {
        agent.next().await;
    }
    // What was acknowledged is there.
    let tasks = Query::Tasks(TaskSelector::Services(vec![service.clone()]));
    let found = node.swarm.query(tasks.clone()).await.unwrap().tasks;
    assert_eq!(found.len(), 2);
    assert!(
        found
            .iter()
            .all(|t| t.task.status.state == TaskState::Running && t.up_to_date)
    );

    let mut spec = super::service("web", 2);
    let mut template = spec.task.as_ref().clone();
    template.force_update = 1;
    spec.task = Arc::new(template);
    let services = Query::Services(Selector::Reference("WEB".into()));
    let version = node.swarm.query(services).await.unwrap().services[0]
        .meta
        .version;
    let update = |version| Write::UpdateService {
        id: service.clone(),
        version,
        spec: Arc::new(spec.clone()),
    };
    let error = node.swarm.write(update(version + 1)).await.unwrap_err();
    assert_eq!(error.to_string(), "update out of sequence");
    node.swarm.write(update(version)).await.unwrap();
    let found = node.swarm.query(tasks.clone()).await.unwrap().tasks;
    assert!(found.iter().any(|t| !t.up_to_date));
    // The agent does what it is told until all that is wanted is of the new spec.
    let patience = tokio::time::Instant::now() + PATIENCE;
    loop {
        agent.report_all().await;
        agent.next().await;
        let found = node.swarm.query(tasks.clone()).await.unwrap().tasks;
        let runs = |t: &&model::control::FoundTask| {
            t.task.status.state == TaskState::Running && t.up_to_date
        };
        if found.iter().filter(runs).count() == 2 {
            break;
        }
        assert!(tokio::time::Instant::now() < patience, "{found:?}");
    }

    let nodes = node
        .swarm
        .query(Query::Nodes(Selector::All))
        .await
        .unwrap()
        .nodes;
    assert_eq!(nodes[0].node.status.state, NodeState::Ready);
    assert_eq!(nodes[0].node.status.addr, "127.0.0.1");
    assert!(nodes[0].leader && nodes[0].reachable);
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_session_ends_is_disconnected_at_once() {
    let node = TestNode::founder().await;
    let membership = node.swarm.membership().borrow().clone().unwrap();
    let agent = FakeAgent::open(&membership.connector, &node.addr()).await;
    let manager = node.swarm.manager().unwrap();
    let state = || manager.local(|view| view.nodes().next().unwrap().status.state);
    eventually("ready", async || {
        (state() == NodeState::Ready).then_some(())
    })
    .await;
    drop(agent);
    eventually("disconnected", async || {
        (state() == NodeState::Disconnected).then_some(())
    })
    .await;
    node.swarm.shutdown().await;
}
