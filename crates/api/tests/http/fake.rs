//! Backends in memory: they keep what they are given, check versions and names as the store does, and write down what they were
//! asked for.

use api::backend::{
    Containers, Host, Init, Join, Listed, ListedVolume, Local, LocalState, Swarm, Volumes,
    WantedVolume,
};
use api::events::EventHub;
use api::{Api, ApiError};
use api_types::container::{Container, Health, State};
use api_types::swarm::TlsInfo;
use api_types::system;
use api_types::volume::{Volume, VolumeCreateRequest, VolumePruneResponse};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::StatusCode;
use model::cluster::{Cluster, ClusterSpec, JoinSecret, LabelledToken, RootCa};
use model::control::{
    ControlError, Found, FoundNode, FoundTask, Query, Selector, TaskSelector, Write, Written,
};
use model::logs::{LogMessage, LogOptions, LogSelector, LogStream};
use model::node::{ManagerStatus, NodeDescription, NodeSpec, NodeStatus};
use model::plan::{Plan, PlannedReplacement, PlannedTask, Unplaced};
use model::service::{JobStatus, Revision, RevisionCause};
use model::task::{GenericResource, GenericValue, TaskStatus};
use model::{
    ClusterId, DesiredState, Meta, Node, NodeId, NodeState, Payload, PayloadId, Role, Service,
    ServiceId, ServiceSpec, SlotKey, Task, TaskId, TaskState, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// The present of all backends, Unix nanoseconds.
pub(crate) const NOW: i64 = 1_700_000_000_000_000_000;

/// All that there is.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) index: u64,
    pub(crate) cluster: Option<Arc<Cluster>>,
    pub(crate) nodes: Vec<FoundNode>,
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) tasks: Vec<FoundTask>,
    pub(crate) payloads: Vec<Arc<Payload>>,
    pub(crate) writes: Vec<Write>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    /// Writes that fail first, as if somebody else had been faster.
    pub(crate) conflicts: u32,
}

#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Kept>>);

/// The API over backends in memory, and what is in them.
pub(crate) fn api(directory: &std::path::Path) -> (Api, Fake) {
    let fake = Fake(Arc::new(Mutex::new(begin())));
    let table = Arc::new(images::MemoryTable::default());
    let images = images::Images::open(directory, table, images::Config::default()).expect("images");
    let api = Api {
        swarm: Arc::new(fake.clone()),
        containers: Arc::new(fake.clone()),
        volumes: Arc::new(fake.clone()),
        host: Arc::new(fake.clone()),
        images,
        events: EventHub::default(),
    };
    (api, fake)
}

fn begin() -> Kept {
    let secret = |text: &str| JoinSecret(text.into());
    let cluster = Cluster {
        id: ClusterId::from("cluster"),
        meta: meta(3),
        spec: ClusterSpec::default(),
        ca: RootCa {
            cert_pem: "PEM".into(),
            key_pem: "the CA's key".into(),
        },
        worker_token: secret("w"),
        manager_token: secret("m"),
        tokens: Vec::new(),
    };
    Kept {
        index: 100,
        cluster: Some(Arc::new(cluster)),
        nodes: vec![
            node("n1", "alpha", Role::Manager),
            node("n2", "beta", Role::Worker),
        ],
        ..Default::default()
    }
}

fn meta(version: u64) -> Meta {
    Meta {
        version,
        changed: version,
        created_at: Timestamp(NOW),
        updated_at: Timestamp(NOW),
    }
}

fn node(id: &str, hostname: &str, role: Role) -> FoundNode {
    let is_manager = role == Role::Manager;
    FoundNode {
        node: Arc::new(Node {
            id: NodeId::from(id),
            meta: meta(5),
            spec: NodeSpec {
                role,
                labels: [("rack".to_owned(), hostname.to_owned())].into(),
                ..Default::default()
            },
            role,
            description: Some(NodeDescription {
                hostname: hostname.into(),
                generic: vec![GenericResource {
                    kind: "gpu".into(),
                    value: GenericValue::Named("gpu0".into()),
                }],
                ..Default::default()
            }),
            status: NodeStatus {
                state: NodeState::Ready,
                ..Default::default()
            },
            manager: is_manager.then(ManagerStatus::default),
        }),
        leader: is_manager,
        reachable: true,
    }
}

impl Fake {
    pub(crate) fn state(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no test panics with it")
    }

    /// The last write, which there must be.
    pub(crate) fn last_write(&self) -> Write {
        self.state().writes.last().cloned().expect("a write")
    }

    pub(crate) fn service(&self, name: &str) -> Arc<Service> {
        let state = self.state();
        let found = state.services.iter().find(|s| s.spec.name == name);
        found.cloned().expect("the service")
    }

    /// A task of a service in a state.
    /// A running task in the first slot of a service.
    pub(crate) fn run_task(&self, id: &str, service: &str) {
        let running = (TaskState::Running, DesiredState::Running);
        self.add_task(id, service, 1, "n1", running.0, running.1);
    }

    pub(crate) fn add_task(
        &self,
        id: &str,
        service: &str,
        slot: u64,
        node: &str,
        at: TaskState,
        wanted: DesiredState,
    ) {
        let service = self.service(service);
        let task = Task {
            id: TaskId::from(id),
            meta: meta(7),
            service: service.id.clone(),
            slot,
            spec: service.spec.task.clone(),
            spec_version: service.spec_version,
            service_name: service.spec.name.as_str().into(),
            service_labels: Arc::new(service.spec.labels.clone()),
            endpoint: None,
            node: Some(NodeId::from(node)),
            generic: Vec::new(),
            job_iteration: service.job.map(|job| job.iteration),
            replace: None,
            desired: wanted,
            start_after: None,
            restarts: Vec::new(),
            status: TaskStatus::new(at, Timestamp(NOW), ""),
            running_at: None,
            failure_counted: false,
        };
        self.state().tasks.push(FoundTask {
            task: Arc::new(task),
            up_to_date: slot != 2,
        });
    }
}

impl Kept {
    fn create_service(&mut self, spec: Arc<ServiceSpec>) -> Result<Written, ControlError> {
        if self.services.iter().any(|s| s.spec.name == spec.name) {
            return Err(ControlError::AlreadyExists(format!(
                "name conflicts with an existing object: service {} already exists",
                spec.name
            )));
        }
        let id = ServiceId::from(format!("service{}", self.services.len() + 1));
        let revision = Revision {
            number: 1,
            spec: spec.clone(),
            created_at: Timestamp(NOW),
            cause: RevisionCause::Create,
        };
        let job = spec.mode.is_job().then_some(JobStatus {
            iteration: self.index,
            last_execution: Timestamp(NOW),
        });
        self.services.push(Arc::new(Service {
            id: id.clone(),
            meta: meta(self.index),
            spec,
            previous_spec: None,
            spec_version: self.index,
            update_status: None,
            history: vec![revision],
            job,
        }));
        Ok(Written::Service(id))
    }

    fn update_service(
        &mut self,
        id: &ServiceId,
        version: u64,
        spec: Arc<ServiceSpec>,
        cause: RevisionCause,
    ) -> Result<Written, ControlError> {
        let index = self.index;
        let service = self
            .services
            .iter_mut()
            .find(|s| s.id == *id)
            .expect("the service");
        let service = Arc::make_mut(service);
        if service.meta.version != version {
            return Err(ControlError::OutOfSequence);
        }
        service.meta = meta(index);
        service.spec_version = index;
        service.history.push(Revision {
            number: service.history.len() as u64 + 1,
            spec: spec.clone(),
            created_at: Timestamp(NOW),
            cause,
        });
        service.previous_spec = Some(std::mem::replace(&mut service.spec, spec));
        Ok(Written::Done)
    }

    fn write(&mut self, write: Write) -> Result<Written, ControlError> {
        self.index += 1;
        self.writes.push(write.clone());
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err(ControlError::OutOfSequence);
        }
        match write {
            Write::CreateService(spec) => self.create_service(spec),
            Write::UpdateService { id, version, spec } => {
                self.update_service(&id, version, spec, RevisionCause::Update)
            }
            Write::RollbackService { id, version, to } => {
                let service = self
                    .services
                    .iter()
                    .find(|s| s.id == id)
                    .expect("the service");
                let spec = match to {
                    None => service.previous_spec.clone().expect("checked before"),
                    Some(n) => {
                        let old = service
                            .history
                            .iter()
                            .find(|r| r.number == n)
                            .expect("checked before");
                        Arc::new(service.spec.back_to(&old.spec))
                    }
                };
                self.update_service(&id, version, spec, RevisionCause::Rollback(to.unwrap_or(0)))
            }
            Write::CreatePayload { kind, spec } => {
                let id = PayloadId::from(format!("{}{}", kind.name(), self.payloads.len() + 1));
                let meta = meta(self.index);
                self.payloads.push(Arc::new(Payload {
                    id: id.clone(),
                    kind,
                    meta,
                    spec,
                }));
                Ok(Written::Payload(id))
            }
            Write::RemovePayload { id, .. } => {
                self.payloads.retain(|p| p.id != id);
                Ok(Written::Done)
            }
            Write::CreateToken { name, role, labels } => {
                let cluster = Arc::make_mut(self.cluster.as_mut().expect("a cluster"));
                let secret = JoinSecret(format!("secret-of-{name}"));
                cluster.tokens.push(LabelledToken {
                    name,
                    role,
                    labels,
                    secret,
                });
                Ok(Written::Done)
            }
            Write::RemoveToken { name } => {
                let cluster = Arc::make_mut(self.cluster.as_mut().expect("a cluster"));
                cluster.tokens.retain(|t| t.name != name);
                Ok(Written::Done)
            }
            _ => Ok(Written::Done),
        }
    }

    fn query(&self, query: Query) -> Result<Found, ControlError> {
        let mut found = Found::default();
        match query {
            Query::Cluster => found.cluster = self.cluster.clone(),
            Query::Nodes(wanted) => {
                let hostname = |n: &FoundNode| {
                    n.node
                        .description
                        .as_ref()
                        .map_or(String::new(), |d| d.hostname.clone())
                };
                found.nodes = select(&self.nodes, &wanted, |n| n.node.id.to_string(), hostname);
            }
            Query::Services(wanted) => {
                found.services = select(
                    &self.services,
                    &wanted,
                    |s| s.id.to_string(),
                    |s| s.spec.name.clone(),
                );
            }
            Query::Tasks(wanted) => {
                let all = self.tasks.iter();
                found.tasks = match wanted {
                    TaskSelector::All => all.cloned().collect(),
                    TaskSelector::Reference(text) => all
                        .filter(|t| t.task.id.as_str() == text)
                        .cloned()
                        .collect(),
                    TaskSelector::Id(id) => all.filter(|t| t.task.id == id).cloned().collect(),
                    TaskSelector::Services(ids) => all
                        .filter(|t| ids.contains(&t.task.service))
                        .cloned()
                        .collect(),
                    TaskSelector::Nodes(ids) => all
                        .filter(|t| t.task.node.as_ref().is_some_and(|n| ids.contains(n)))
                        .cloned()
                        .collect(),
                };
            }
            Query::Payloads(kind, wanted) => {
                let of_kind: Vec<_> = self
                    .payloads
                    .iter()
                    .filter(|p| p.kind == kind)
                    .cloned()
                    .collect();
                found.payloads = select(
                    &of_kind,
                    &wanted,
                    |p| p.id.to_string(),
                    |p| p.spec.name.clone(),
                );
            }
            Query::Plan(_) => found.plan = Some(plan()),
        }
        Ok(found)
    }
}

/// Always the same plan: one of each.
fn plan() -> Plan {
    let task = |slot: SlotKey| PlannedTask {
        service: ServiceId::from("service1"),
        service_name: "web".into(),
        slot,
        task: Some(TaskId::from("t1")),
        node: Some(NodeId::from("n1")),
    };
    Plan {
        version: 42,
        start: vec![PlannedTask {
            task: None,
            ..task(SlotKey::Replica(3))
        }],
        stop: vec![task(SlotKey::Node(NodeId::from("n1")))],
        replace: vec![PlannedReplacement {
            old: task(SlotKey::Replica(1)),
            new_node: Some(NodeId::from("n2")),
        }],
        unplaced: vec![Unplaced {
            service_name: "web".into(),
            slot: SlotKey::Replica(9),
            reason: "no suitable node".into(),
        }],
        unchanged: 4,
        notes: vec!["it pauses".into()],
    }
}

fn select<T: Clone, Id: PartialEq + ToString>(
    all: &[T],
    wanted: &Selector<Id>,
    id: impl Fn(&T) -> String,
    name: impl Fn(&T) -> String,
) -> Vec<T> {
    let matches = |item: &&T| match wanted {
        Selector::All => true,
        Selector::Id(wanted) => id(item) == wanted.to_string(),
        Selector::Reference(text) => id(item) == *text || name(item) == *text,
    };
    all.iter().filter(matches).cloned().collect()
}

#[async_trait]
impl Swarm for Fake {
    async fn write(&self, write: Write) -> Result<Written, ControlError> {
        self.state().write(write)
    }
    async fn query(&self, query: Query) -> Result<Found, ControlError> {
        self.state().query(query)
    }
    async fn init(&self, _: Init) -> Result<NodeId, ControlError> {
        Ok(NodeId::from("n1"))
    }
    async fn join(&self, _: Join) -> Result<(), ControlError> {
        Ok(())
    }
    async fn leave(&self, _: bool) -> Result<(), ControlError> {
        Ok(())
    }
    fn local(&self) -> Local {
        Local {
            state: LocalState::Active,
            node_id: "n1".into(),
            control_available: true,
            ..Default::default()
        }
    }
    async fn logs(
        &self,
        selector: LogSelector,
        _: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogMessage, String>>, ControlError> {
        let service = selector.services.first().cloned();
        let line = LogMessage {
            task: TaskId::from("t1"),
            service: service.unwrap_or_else(|| ServiceId::from("service1")),
            node: NodeId::from("n1"),
            stream: LogStream::Stdout,
            time: Timestamp(NOW),
            data: b"hello\n".to_vec(),
        };
        let notice = Err("node n2 is not available".to_owned());
        Ok(stream::iter([Ok(line), notice]).boxed())
    }
    fn join_tokens(&self, _: &Cluster) -> (String, String) {
        ("SWMTKN-w".into(), "SWMTKN-m".into())
    }
    fn labelled_token(&self, _: &Cluster, token: &LabelledToken) -> String {
        format!("SWMTKN-{}", token.secret.0)
    }
    fn tls_info(&self, cluster: &Cluster) -> TlsInfo {
        TlsInfo {
            trust_root: cluster.ca.cert_pem.clone(),
            ..Default::default()
        }
    }
}

#[async_trait]
impl Containers for Fake {
    async fn list(&self) -> Vec<Listed> {
        let listed = |id: &str, health| Listed {
            summary: api_types::container::Summary {
                id: id.into(),
                names: vec![format!("/{id}")],
                state: "running".into(),
                ..Default::default()
            },
            exit_code: None,
            health,
        };
        vec![listed("c1", "healthy"), listed("c2", "none")]
    }
    async fn inspect(&self, reference: &str) -> Result<Container, ApiError> {
        Ok(Container {
            id: reference.into(),
            state: Some(State {
                health: Some(Health {
                    status: "healthy".into(),
                    failing_streak: 0,
                    log: Some(Vec::new()),
                }),
                ..Default::default()
            }),
            ..Default::default()
        })
    }
    fn users_of_image(&self, _: &images::ImageId) -> Vec<images::ContainerUse> {
        Vec::new()
    }
}

fn no_volume(name: &str) -> ApiError {
    ApiError::not_found(format!("get {name}: no such volume"))
}

#[async_trait]
impl Volumes for Fake {
    async fn list(&self) -> Result<Vec<ListedVolume>, ApiError> {
        let state = self.state();
        let listed = state.volumes.values().map(|volume| ListedVolume {
            volume: volume.clone(),
            in_use: volume.name == "used",
        });
        Ok(listed.collect())
    }
    async fn inspect(&self, name: &str) -> Result<Volume, ApiError> {
        self.state()
            .volumes
            .get(name)
            .cloned()
            .ok_or_else(|| no_volume(name))
    }
    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume, ApiError> {
        let volume = Volume {
            name: request.name.clone(),
            driver: "local".into(),
            labels: Some(request.labels),
            scope: "local".into(),
            ..Default::default()
        };
        self.state().volumes.insert(request.name, volume.clone());
        Ok(volume)
    }
    async fn remove(&self, name: &str, force: bool) -> Result<(), ApiError> {
        if name == "used" {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "remove used: volume is in use",
            ));
        }
        let removed = self.state().volumes.remove(name);
        if removed.is_none() && !force {
            return Err(no_volume(name));
        }
        Ok(())
    }
    async fn prune(&self, wanted: WantedVolume) -> Result<VolumePruneResponse, ApiError> {
        let mut state = self.state();
        let gone: Vec<_> = state
            .volumes
            .values()
            .filter(|v| v.name != "used" && wanted(v))
            .map(|v| v.name.clone())
            .collect();
        state.volumes.retain(|name, _| !gone.contains(name));
        Ok(VolumePruneResponse {
            volumes_deleted: Some(gone),
            space_reclaimed: 7,
        })
    }
}

#[async_trait]
impl Host for Fake {
    fn info(&self) -> system::Info {
        system::Info::default()
    }
    fn generic_resources(&self) -> Vec<GenericResource> {
        vec![GenericResource {
            kind: "gpu".into(),
            value: GenericValue::Discrete(2),
        }]
    }
    fn version(&self) -> system::VersionInfo {
        system::VersionInfo {
            version: "28.2.2".into(),
            api_version: "1.50".into(),
            ..Default::default()
        }
    }
    fn random(&self) -> u128 {
        7
    }
    fn now(&self) -> i64 {
        NOW
    }
}
