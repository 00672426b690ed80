//! The agent lives as long as this node is in a swarm; events of the cluster flow while it is a manager.

use crate::database::Tree;
use crate::glue::events;
use crate::glue::executor::{EngineExecutor, TreeJournal};
use crate::glue::host::{Host, unix_nanos};
use agent::{AgentConfig, AgentHandle, ConnectError, Connector};
use api::events::{EventHub, of_leader};
use async_trait::async_trait;
use engine::Engine;
use manager::swarm::Membership;
use manager::{EventReader, EventsGone, Swarm};
use model::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// Pause before an agent that could not be started is tried again: its journal may be unreadable for want of memory
/// or descriptors.
const RETRY: Duration = Duration::from_secs(1);

/// What a membership's agent and events need.
pub(crate) struct Parts {
    pub(crate) swarm: Swarm,
    pub(crate) engine: Engine,
    pub(crate) host: Arc<Host>,
    pub(crate) journal: Tree,
    pub(crate) events: EventHub,
    /// Whether an agent runs: its executor may still start containers.
    pub(crate) busy: watch::Sender<bool>,
}

struct ManagerConnector(manager::Connector);

#[async_trait]
impl Connector for ManagerConnector {
    async fn connect(&self, addr: &str) -> Result<Channel, ConnectError> {
        Ok(self.0.channel(addr).await?)
    }
}

/// What runs while this node is in a swarm.
struct Running {
    agent: AgentHandle,
    watchers: Vec<JoinHandle<()>>,
}

impl Running {
    async fn stop(self) {
        self.watchers.iter().for_each(JoinHandle::abort);
        self.agent.shutdown().await;
    }
}

/// Follows the node's membership until `stop`. Tasks keep running when the agent ends.
pub(crate) async fn follow(parts: Parts, stop: CancellationToken) {
    let mut membership = parts.swarm.membership();
    let mut running: Option<Running> = None;
    loop {
        let now = membership.borrow_and_update().clone();
        if let Some(running) = running.take() {
            running.stop().await;
            parts.busy.send_replace(false);
            // Until this node is a manager (again).
            parts.events.end();
        }
        if let Some(membership) = now {
            match start(&parts, membership).await {
                Ok(started) => {
                    running = Some(started);
                    parts.busy.send_replace(true);
                }
                Err(error) => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the agent cannot start; it is tried again"
                    );
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        } else if let Err(error) = parts.journal.clear() {
            // Journals of another membership must not be taken for this one's.
            tracing::error!(%error, "the agent's journal cannot be emptied");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = membership.changed() => if changed.is_err() { break },
        }
    }
    if let Some(running) = running {
        running.stop().await;
    }
}

async fn start(parts: &Parts, membership: Membership) -> anyhow::Result<Running> {
    let executor = EngineExecutor::new(
        parts.engine.clone(),
        parts.host.clone(),
        membership.node.clone(),
    );
    let agent = agent::run(AgentConfig {
        node: membership.node,
        managers: membership.managers,
        connector: Arc::new(ManagerConnector(membership.connector)),
        executor: Arc::new(executor),
        journal: Arc::new(TreeJournal(parts.journal.clone())),
    })
    .await?;
    let mut watchers = vec![tokio::spawn(watch_agent(
        parts.swarm.clone(),
        agent.status(),
    ))];
    if let Some(manager) = parts.swarm.manager() {
        watchers.push(tokio::spawn(watch_leader(
            manager.clone(),
            parts.events.clone(),
        )));
        watchers.push(tokio::spawn(watch_cluster(manager, parts.events.clone())));
    }
    Ok(Running { agent, watchers })
}

/// What the agent hears of the managers is kept for the next start, and so is the word that this node was removed.
async fn watch_agent(swarm: Swarm, mut status: tokio::sync::watch::Receiver<agent::AgentStatus>) {
    let mut known = Vec::new();
    loop {
        let now = status.borrow_and_update().clone();
        if now.refused {
            swarm.note_removed(&now.error);
        }
        if let Some(role) = now.role {
            swarm.note_role(role);
        }
        if now.managers != known {
            swarm.note_managers(now.managers.clone());
            known = now.managers;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Publishes what happens in the cluster, as long as this node is a manager.
async fn watch_cluster(manager: manager::Manager, hub: EventHub) {
    let mut from = manager.local(|view| view.index()) + 1;
    loop {
        // What came before is not known here.
        hub.begin_after(from - 1);
        let gone = match manager.events_from(from) {
            Ok(reader) => publish(reader, &hub).await,
            Err(gone) => Some(gone),
        };
        let Some(gone) = gone else { return };
        tracing::warn!(%gone, "events of the cluster were missed");
        from = gone.first;
    }
}

/// Tells when another manager begins to lead, on each manager by itself: the log does not say it.
async fn watch_leader(manager: manager::Manager, hub: EventHub) {
    let mut leadership = manager.leadership();
    let mut known: Option<NodeId> = None;
    loop {
        let leader = leadership.borrow_and_update().leader.clone();
        let now = leader.map(|member| NodeId::from(member.node_id.as_str()));
        if let Some(now) = now.filter(|now| known.as_ref() != Some(now)) {
            // The first one that this manager hears of led before.
            if let Some(before) = known.replace(now.clone()) {
                for (id, leads) in [(before, false), (now, true)] {
                    if let Some(node) = manager.local(|view| view.node(&id).cloned()) {
                        hub.publish(of_leader(&node, leads, unix_nanos()));
                    }
                }
            }
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// Returns when events were missed, or with nothing when the manager ends.
async fn publish(mut reader: EventReader, hub: &EventHub) -> Option<EventsGone> {
    loop {
        match reader.next().await {
            Ok(Some(batch)) => {
                let happened = batch.events.iter();
                happened
                    .filter_map(|event| events::cluster(event, batch.index, batch.at.0))
                    .for_each(|event| hub.publish(event));
            }
            Ok(None) => return None,
            Err(gone) => return Some(gone),
        }
    }
}
