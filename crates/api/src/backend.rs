//! What the API stands on: the cluster, this host's containers, and facts of this host.

use api_types::container::{Container, Summary};
use api_types::swarm::TlsInfo;
use api_types::system;
use api_types::volume::{Volume, VolumeCreateRequest, VolumePruneResponse};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::NodeId;
use model::cluster::{Cluster, ClusterSpec, LabelledToken};
use model::control::{ControlError, Found, Query, Write, Written};
use model::logs::{LogMessage, LogOptions, LogSelector};
use model::node::Availability;
use model::task::GenericResource;

/// The swarm that this host is in, or not.
#[async_trait]
pub trait Swarm: Send + Sync + 'static {
    /// Carries out a change on the leader; returns when it is committed.
    async fn write(&self, write: Write) -> Result<Written, ControlError>;
    /// Answers from the state as of now, on any manager.
    async fn query(&self, query: Query) -> Result<Found, ControlError>;
    /// Makes a new cluster with this host as its first manager.
    async fn init(&self, request: Init) -> Result<NodeId, ControlError>;
    /// Joins a cluster; the token says in which role.
    async fn join(&self, request: Join) -> Result<(), ControlError>;
    /// Leaves the cluster.
    async fn leave(&self, force: bool) -> Result<(), ControlError>;
    /// This host's place, from its own memory.
    fn local(&self) -> Local;
    /// Logs of tasks from all hosts. An `Err` is a notice about what could not be had; it comes last.
    async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogMessage, String>>, ControlError>;
    /// The join tokens of workers and of managers.
    fn join_tokens(&self, cluster: &Cluster) -> (String, String);
    /// A labelled join token as a host shows it.
    fn labelled_token(&self, cluster: &Cluster, token: &LabelledToken) -> String;
    /// The cluster's root of trust as clients see it.
    fn tls_info(&self, cluster: &Cluster) -> TlsInfo;
}

/// What `swarm init` asks for. Empty addresses are chosen by the backend.
#[derive(Clone, Debug)]
pub struct Init {
    /// `host:port`, an address, or an interface with a port.
    pub listen_addr: String,
    /// The same; the port may be missing.
    pub advertise_addr: String,
    /// What the operator wishes of the cluster.
    pub spec: ClusterSpec,
    /// Of this node.
    pub availability: Availability,
}

/// What `swarm join` asks for.
#[derive(Clone, Debug)]
pub struct Join {
    /// As in [`Init`].
    pub listen_addr: String,
    /// As in [`Init`].
    pub advertise_addr: String,
    /// Managers to ask, `host:port`.
    pub remote_addrs: Vec<String>,
    /// The token.
    pub token: String,
    /// Of this node.
    pub availability: Availability,
}

/// This host's place in a swarm.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// `inactive`, `pending`, `active` or `error`.
    pub state: LocalState,
    /// Why the state is `error`.
    pub error: String,
    /// This node's id; empty outside of a swarm.
    pub node_id: String,
    /// The advertised address without its port.
    pub node_addr: String,
    /// This node is a manager that serves.
    pub control_available: bool,
    /// Managers as this node knows them: id and `host:port`.
    pub managers: Vec<(String, String)>,
}

/// States of a host's membership, as `/info` names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LocalState {
    /// In no swarm.
    #[default]
    Inactive,
    /// On its way.
    Pending,
    /// In a swarm.
    Active,
    /// Something is wrong.
    Error,
}

impl LocalState {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            LocalState::Inactive => "inactive",
            LocalState::Pending => "pending",
            LocalState::Active => "active",
            LocalState::Error => "error",
        }
    }
}

/// This host's containers.
#[async_trait]
pub trait Containers: Send + Sync + 'static {
    /// All containers, the newest first, each with what filters need beside its summary.
    async fn list(&self) -> Vec<Listed>;
    /// The container with this id, name or unique beginning of an id; its health, where it has a health check, in
    /// `State.Health`.
    async fn inspect(&self, reference: &str) -> Result<Container, ApiError>;
    /// Containers that use an image.
    fn users_of_image(&self, image: &images::ImageId) -> Vec<images::ContainerUse>;
}

use crate::ApiError;

/// A container in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// As it is printed.
    pub summary: Summary,
    /// Exit code, once it ended.
    pub exit_code: Option<i64>,
    /// Health, by Docker's name: `none`, `starting`, `healthy` or `unhealthy`.
    pub health: &'static str,
}

/// This host's volumes.
#[async_trait]
pub trait Volumes: Send + Sync + 'static {
    /// All volumes, by name.
    async fn list(&self) -> Result<Vec<ListedVolume>, ApiError>;
    /// The volume of this name; 404 with Docker's `get NAME: no such volume`.
    async fn inspect(&self, name: &str) -> Result<Volume, ApiError>;
    /// Makes a volume, or answers the one that has the name; without a name it gets one, and Docker's label of anonymous
    /// ones. 400 for a name or an option that is none.
    async fn create(&self, request: VolumeCreateRequest) -> Result<Volume, ApiError>;
    /// Removes a volume with its files. 404 when it is not there (not with `force`), 409 when a container has it.
    async fn remove(&self, name: &str, force: bool) -> Result<(), ApiError>;
    /// Removes volumes that no container has, those for which `wanted` says yes.
    async fn prune(&self, wanted: WantedVolume) -> Result<VolumePruneResponse, ApiError>;
}

/// A volume in a list.
#[derive(Clone, Debug)]
pub struct ListedVolume {
    /// As it is printed.
    pub volume: Volume,
    /// A container has it.
    pub in_use: bool,
}

/// Whether a volume is to be pruned.
pub type WantedVolume = Box<dyn Fn(&Volume) -> bool + Send>;

/// Facts of this host.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// `/info` without what the API itself knows (the swarm, counts of images and containers, generic resources).
    fn info(&self) -> system::Info;
    /// Generic resources that this host was told that it has.
    fn generic_resources(&self) -> Vec<GenericResource> {
        Vec::new()
    }
    /// `/version`.
    fn version(&self) -> system::VersionInfo;
    /// Random bytes for ids of requests and for names.
    fn random(&self) -> u128;
    /// Nanoseconds since the Unix epoch.
    fn now(&self) -> i64;
}
