//! A running manager.

use crate::auth::Gate;
use crate::ca::CaService;
use crate::connector::{Connector, MAX_MESSAGE_BYTES};
use crate::control::{self, ControlService, Failed, Here, LEADER_WAIT, LeaderChannel, Route};
use crate::credentials::Credentials;
use crate::dispatcher::{DispatcherService, Sessions};
use crate::driver::{Driver, ProposalError};
use crate::leader::Limits;
use crate::logs::{LogBroker, LogSource, LogStream, LogsService};
use crate::machine::{EventBatch, EventReader, EventsGone, Machine};
use crate::membership::MembershipService;
use crate::roles;
use crate::server::NodeServer;
use consensus::{Halt, Leadership, Member, Raft};
use model::control::{ControlError, Found, Query, WriteRequest, Written};
use model::logs::{LogOptions, LogSelector};
use model::{Change, Cluster, Node, NodeId};
use std::sync::Arc;
use store::Store;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use wire::pb::ca::ca_server::CaServer;
use wire::pb::control::control_server::ControlServer;
use wire::pb::dispatcher::dispatcher_server::DispatcherServer;
use wire::pb::logs::logs_server::LogsServer;
use wire::pb::membership::membership_server::MembershipServer;

/// A running manager: a member of the Raft group with its node server. Cheap to clone.
#[derive(Clone)]
pub struct Manager {
    inner: Arc<Inner>,
}

struct Inner {
    node: NodeId,
    raft_id: u64,
    here: Here,
    leader: Arc<LeaderChannel>,
    membership: MembershipService,
    logs: Arc<LogBroker>,
    sessions: Arc<Sessions>,
    running: Mutex<Option<Running>>,
}

struct Running {
    server: NodeServer,
    driver: JoinHandle<()>,
    roles: JoinHandle<()>,
}

/// What a manager is started with.
pub(crate) struct ManagerConfig {
    pub(crate) raft: consensus::Config,
    pub(crate) listener: TcpListener,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) limits: Limits,
}

impl Manager {
    /// Recovers the state from disk, serves the node port and takes part in the Raft group.
    pub(crate) async fn start(config: ManagerConfig) -> Result<Manager, consensus::StartError> {
        let ManagerConfig {
            raft: raft_config,
            listener,
            credentials,
            limits,
        } = config;
        let identity = credentials.get().identity.clone();
        let me = raft_config.me.raft_id;
        let max_entry = raft_config.max_entry_bytes;
        let gate = Gate::new(identity.cluster().clone());
        let connector = Connector::new(Arc::clone(&credentials));
        let (machine, applied) = Machine::new(gate.clone());
        let state_machine: Arc<dyn consensus::StateMachine> = Arc::clone(&machine) as _;
        let raft = Raft::start(raft_config, state_machine, Arc::new(connector.clone())).await?;
        let sessions = Arc::new(Sessions::default());
        let (handle, driver) = Driver::start(
            Arc::clone(&machine),
            applied,
            raft.clone(),
            Arc::clone(&sessions),
            limits,
            max_entry,
        );
        let leader = LeaderChannel::new(me, raft.clone(), Arc::clone(&machine), connector);
        let leader = Arc::new(leader);
        let inner = Inner {
            node: identity.node().clone(),
            raft_id: me,
            here: Here {
                machine: Arc::clone(&machine),
                raft: raft.clone(),
                driver: handle,
            },
            membership: MembershipService {
                gate: gate.clone(),
                machine: Arc::clone(&machine),
                raft,
                leader: Arc::clone(&leader),
            },
            logs: Arc::new(LogBroker::new(machine, Arc::clone(&sessions))),
            leader,
            sessions,
            running: Mutex::new(None),
        };
        let manager = Manager {
            inner: Arc::new(inner),
        };
        let server = NodeServer::start(listener, credentials, manager.routes(&gate));
        let (here, node) = (manager.inner.here.clone(), manager.inner.node.clone());
        let roles = tokio::spawn(roles::reconcile(here, node));
        *manager.inner.running.lock().await = Some(Running {
            server,
            driver,
            roles,
        });
        Ok(manager)
    }

    fn routes(&self, gate: &Gate) -> Routes {
        let inner = &*self.inner;
        let Here {
            machine,
            raft,
            driver,
        } = inner.here.clone();
        let gate = gate.clone();
        let managers_only = {
            let gate = gate.clone();
            move |request: Request<()>| -> Result<Request<()>, Status> {
                gate.manager(&request)?;
                Ok(request)
            }
        };
        let control = ControlService {
            gate: gate.clone(),
            here: inner.here.clone(),
        };
        let control = ControlServer::new(control)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let dispatcher = DispatcherService {
            gate: gate.clone(),
            machine: Arc::clone(&machine),
            raft: raft.clone(),
            sessions: Arc::clone(&inner.sessions),
            driver: driver.clone(),
            logs: Arc::clone(&inner.logs),
        };
        let dispatcher = DispatcherServer::new(dispatcher)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let ca = CaService {
            machine,
            driver,
            leader: Arc::clone(&inner.leader),
            sessions: Arc::clone(&inner.sessions),
        };
        let logs = LogsService {
            gate,
            raft: raft.clone(),
            broker: Arc::clone(&inner.logs),
        };
        let logs = LogsServer::new(logs).max_encoding_message_size(MAX_MESSAGE_BYTES);
        Routes::new(InterceptedService::new(raft.service(), managers_only))
            .add_service(control)
            .add_service(dispatcher)
            .add_service(CaServer::new(ca))
            .add_service(MembershipServer::new(inner.membership.clone()))
            .add_service(logs)
    }

    /// Forms a new cluster with this manager as its only member.
    pub(crate) async fn initialize(
        &self,
        cluster: Cluster,
        node: Node,
    ) -> Result<(), ControlError> {
        let failed = |text: String| ControlError::FailedPrecondition(text);
        let raft = &self.inner.here.raft;
        raft.initialize().await.map_err(|e| failed(e.to_string()))?;
        let changes = vec![
            Change::CreateCluster(Box::new(cluster)),
            Change::CreateNode(Box::new(node)),
        ];
        let changes = &changes;
        let attempt = |route| async move {
            let Route::Here = route else {
                return Err(Failed::Again("another manager leads".into()));
            };
            let proposed = self.inner.here.driver.propose(changes.clone()).await;
            proposed.map_err(|error| match error {
                ProposalError::Lost => Failed::Again(error.to_string()),
                ProposalError::Refused(_) => Failed::Final(failed(error.to_string())),
            })
        };
        self.inner.leader.ask(LEADER_WAIT, attempt).await
    }

    /// Carries out a change; returns when it is committed. Any manager takes it.
    ///
    /// # Errors
    /// [`ControlError::Unavailable`] when there was no leader for 20 s: the change may have been made. Making the
    /// same request (with its id) again is safe.
    pub async fn write(&self, request: WriteRequest) -> Result<Written, ControlError> {
        control::write(&self.inner.here, &self.inner.leader, &request).await
    }

    /// Answers from the state as of now. Any manager takes it.
    ///
    /// # Errors
    /// [`ControlError::Unavailable`] when there was no leader for 20 s, [`ControlError::NotFound`] for a reference
    /// to nothing.
    pub async fn query(&self, query: Query) -> Result<Found, ControlError> {
        control::query(&self.inner.here, &self.inner.leader, &query).await
    }

    /// Logs of tasks from all nodes.
    ///
    /// # Errors
    /// [`ControlError::Unavailable`] when there was no leader for 20 s.
    pub async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<LogStream, ControlError> {
        let source = LogSource {
            leader: Arc::clone(&self.inner.leader),
            broker: Arc::clone(&self.inner.logs),
            raft: self.inner.here.raft.clone(),
        };
        source.read(selector, options).await
    }

    /// What changes in the replicated state, on every manager, from now on.
    pub fn events(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.inner.here.machine.news()
    }

    /// Events from the log entry with this index on: first those that this manager remembers (the last
    /// [`crate::EVENT_RING`] of them), then those to come. The index of an event is the same on every manager, so that
    /// a reader goes on with `index + 1` of the last batch that it has seen whole, wherever it asks.
    ///
    /// # Errors
    /// When some of them are not kept any more.
    pub fn events_from(&self, index: u64) -> Result<EventReader, EventsGone> {
        self.inner.here.machine.events_from(index)
    }

    /// The same with what the log says again after a restart.
    pub(crate) fn all_events(&self) -> broadcast::Receiver<Arc<EventBatch>> {
        self.inner.here.machine.events()
    }

    /// Ends with the reason when this manager can take part no longer.
    pub(crate) async fn halted(&self) -> String {
        let mut leadership = self.leadership();
        let halted = async {
            let halted = leadership.wait_for(|state| state.halted.is_some()).await;
            let halted = halted.ok().and_then(|state| state.halted.clone());
            match halted {
                Some(Halt::ShutDown) | None => std::future::pending().await,
                Some(halt) => halt.to_string(),
            }
        };
        let mut broken = self.inner.here.machine.watch_broken();
        let broken = async {
            let broken = broken.wait_for(Option::is_some).await;
            let broken = broken.ok().and_then(|why| why.clone());
            match broken {
                Some(why) => why.to_string(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            why = halted => why,
            why = broken => why,
        }
    }

    /// Reads the state as this manager knows it: on a follower a moment old, without a leader older.
    pub fn local<T>(&self, read: impl FnOnce(&Store) -> T) -> T {
        read(&self.inner.here.machine.view())
    }

    /// Who leads.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.here.raft.leadership()
    }

    /// The managers of the cluster.
    pub fn members(&self) -> Vec<Member> {
        self.inner.here.raft.members()
    }

    pub(crate) fn watch_members(&self) -> watch::Receiver<Vec<Member>> {
        self.inner.here.machine.members()
    }

    pub(crate) fn raft_id(&self) -> u64 {
        self.inner.raft_id
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.inner.node
    }

    pub(crate) fn membership(&self) -> &MembershipService {
        &self.inner.membership
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.inner.here.raft
    }

    /// Stops: sessions and connections end, the Raft log is closed.
    pub async fn shutdown(&self) {
        let running = self.inner.running.lock().await.take();
        let Some(Running {
            server,
            driver,
            roles,
        }) = running
        else {
            return;
        };
        roles.abort();
        self.inner.here.raft.shutdown().await;
        self.inner.sessions.close_all();
        driver.abort();
        // It was just cancelled; that is how it ends.
        let _ = driver.await;
        server.stop().await;
    }
}
