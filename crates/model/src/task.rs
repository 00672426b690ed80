//! Tasks: one attempt to run one replica on one node, climbing a one-way ladder of states.

use crate::container::ContainerSpec;
use crate::{Driver, Labels, Meta, NodeId, ServiceId, TaskId, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a task runs and under which terms. Shared by all tasks of one spec version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSpec {
    /// The container.
    pub container: ContainerSpec,
    /// Limits and reservations as sent.
    pub resources: Option<ResourceRequirements>,
    /// Restart policy as sent; defaults when absent.
    pub restart: Option<RestartPolicy>,
    /// Placement as sent.
    pub placement: Option<Placement>,
    /// Networks in the order sent. Only the predefined `host` and `bridge`-less loopback exist so far.
    pub networks: Vec<NetworkAttachment>,
    /// Log driver as sent; only `json-file` exists.
    pub log_driver: Option<Driver>,
    /// Counter of `service update --force`: changing it makes the spec unequal, and so replaces all tasks.
    pub force_update: u64,
    /// Runtime as sent: empty or `container`.
    pub runtime: String,
}

/// A network that tasks are attached to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkAttachment {
    /// Id or name, as the client sent it.
    pub target: String,
    /// Extra names of the service on that network.
    pub aliases: Vec<String>,
}

/// Name of the predefined network that means the host's own.
pub const HOST_NETWORK: &str = "host";
/// Id under which it is offered to services: fixed, since it is the same in every cluster.
pub const HOST_NETWORK_ID: &str = "hostnetwork00000000000000";

/// Limits are the kernel's business on the node, reservations the scheduler's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRequirements {
    /// As sent.
    pub limits: Option<Limits>,
    /// As sent.
    pub reservations: Option<Resources>,
    /// Generic resources to set aside, as sent: only [`GenericValue::Discrete`] ones can be asked for.
    pub generic: Vec<GenericResource>,
}

/// A resource that only its users know, such as a GPU: a node has it, a task asks for it and is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenericResource {
    /// Its kind, such as `gpu`.
    pub kind: String,
    /// How many, or which one.
    pub value: GenericValue,
}

/// How many of a kind, or which one of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenericValue {
    /// A number of equal things.
    Discrete(i64),
    /// One thing with a name.
    Named(String),
}

/// What a container may use at most; 0 is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Bytes.
    pub memory_bytes: i64,
    /// Processes and threads.
    pub pids: i64,
}

/// CPU and memory, had or asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Billionths of a CPU.
    pub nano_cpus: i64,
    /// Bytes.
    pub memory_bytes: i64,
}

/// When a task that ended is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Which ends count.
    pub condition: RestartCondition,
    /// Pause before the replacement starts; [`RestartPolicy::DEFAULT_DELAY`] when absent.
    pub delay: Option<Duration>,
    /// Restarts of one slot within `window`; 0 is no bound.
    pub max_attempts: u64,
    /// Time in which restarts are counted; zero counts for ever.
    pub window: Duration,
}

impl RestartPolicy {
    /// Docker's default pause before a restart.
    pub const DEFAULT_DELAY: Duration = Duration::from_secs(5);
    /// The delay with its default.
    pub fn delay(&self) -> Duration {
        self.delay.unwrap_or(Self::DEFAULT_DELAY)
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        RestartPolicy {
            condition: RestartCondition::Any,
            delay: None,
            max_attempts: 0,
            window: Duration::ZERO,
        }
    }
}

/// Which ends of a task lead to a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartCondition {
    /// Never.
    None,
    /// Only a failure.
    OnFailure,
    /// Every end.
    #[default]
    Any,
}

/// Where tasks may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Expressions as sent, such as `node.labels.disk==ssd`; all must hold.
    pub constraints: Vec<String>,
    /// Labels over whose values tasks spread, outer to inner: `node.labels.…` or `engine.labels.…`.
    pub preferences: Vec<String>,
    /// Most tasks of the service on one node; 0 is no bound.
    pub max_replicas: u64,
    /// Platforms that the image runs on; empty is any.
    pub platforms: Vec<Platform>,
}

/// A machine type, in Docker's or uname's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// `amd64`, `x86_64`, `arm64`, `aarch64`, …; empty is any.
    pub architecture: String,
    /// `linux`; empty is any.
    pub os: String,
}

impl Platform {
    /// Whether an image for this platform runs on a machine that says it is `has`; what is empty here does not matter.
    pub fn runs_on(&self, has: &Platform) -> bool {
        let same = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
        same(&self.os, &has.os)
            && same(
                image_architecture(&self.architecture),
                image_architecture(&has.architecture),
            )
    }
}

/// The name that images use for an architecture; nodes use uname's.
fn image_architecture(name: &str) -> &str {
    match name {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl TaskSpec {
    /// Whether it asks for the host's own network, by name or id.
    pub fn uses_host_network(&self) -> bool {
        self.networks
            .iter()
            .any(|n| n.target == HOST_NETWORK || n.target == HOST_NETWORK_ID)
    }
    /// The restart policy with defaults filled in.
    pub fn restart_policy(&self) -> RestartPolicy {
        self.restart.clone().unwrap_or_default()
    }
    /// What the scheduler has to set aside.
    pub fn reservations(&self) -> Resources {
        self.resources
            .as_ref()
            .and_then(|r| r.reservations)
            .unwrap_or_default()
    }
    /// Generic resources that the scheduler has to set aside.
    pub fn generic_reservations(&self) -> &[GenericResource] {
        self.resources.as_ref().map_or(&[], |r| &r.generic)
    }
    /// What the kernel has to hold the container to.
    pub fn limits(&self) -> Limits {
        self.resources
            .as_ref()
            .and_then(|r| r.limits)
            .unwrap_or_default()
    }
}

/// Observed states in the order of the ladder, with swarmkit's numbers. A task never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum TaskState {
    /// Created by the orchestrator.
    New = 0,
    /// The allocator is done; the scheduler may act.
    Pending = 64,
    /// Has a node.
    Assigned = 192,
    /// The agent knows it.
    Accepted = 256,
    /// Image, root file system and the rest are being made.
    Preparing = 320,
    /// Could start, and waits until it should.
    Ready = 384,
    /// Is being started.
    Starting = 448,
    /// Runs.
    Running = 512,
    /// Ended by itself with exit code 0.
    Complete = 576,
    /// Was stopped because it should not run any more.
    Shutdown = 640,
    /// Ended with an error.
    Failed = 704,
    /// Could not be started on its node.
    Rejected = 768,
    /// Its node was removed or lost for good.
    Orphaned = 832,
}

impl TaskState {
    /// All states in order.
    pub const ALL: [TaskState; 13] = [
        TaskState::New,
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Accepted,
        TaskState::Preparing,
        TaskState::Ready,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Complete,
        TaskState::Shutdown,
        TaskState::Failed,
        TaskState::Rejected,
        TaskState::Orphaned,
    ];

    /// The state with this number.
    pub fn from_number(number: u16) -> Option<TaskState> {
        Self::ALL.into_iter().find(|state| *state as u16 == number)
    }
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            TaskState::New => "new",
            TaskState::Pending => "pending",
            TaskState::Assigned => "assigned",
            TaskState::Accepted => "accepted",
            TaskState::Preparing => "preparing",
            TaskState::Ready => "ready",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Complete => "complete",
            TaskState::Shutdown => "shutdown",
            TaskState::Failed => "failed",
            TaskState::Rejected => "rejected",
            TaskState::Orphaned => "orphaned",
        }
    }
    /// The task is over: no process of it runs or will run.
    pub fn is_terminal(self) -> bool {
        self > TaskState::Running
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the manager wants of a task. It only climbs, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DesiredState {
    /// Be prepared and wait: a replacement whose turn has not come.
    Ready,
    /// Run.
    Running,
    /// Run to its end: a job.
    Complete,
    /// Be stopped, kept as history.
    Shutdown,
    /// Be stopped and forgotten.
    Remove,
}

impl DesiredState {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            DesiredState::Ready => "ready",
            DesiredState::Running => "running",
            DesiredState::Complete => "complete",
            DesiredState::Shutdown => "shutdown",
            DesiredState::Remove => "remove",
        }
    }
}

/// A task in the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Written once at creation.
    pub id: TaskId,
    /// Written by the store.
    pub meta: Meta,
    /// Written once at creation.
    pub service: ServiceId,
    /// The replica that it fills, from 1; 0 for a task of a global service, whose slot is its node. Written once
    /// at creation.
    pub slot: u64,
    /// The service's template when the task was created.
    pub spec: Arc<TaskSpec>,
    /// The service's `spec_version` when the task was created.
    pub spec_version: u64,
    /// The service's name when the task was created (services cannot be renamed).
    pub service_name: Arc<str>,
    /// Labels of the service when the task was created: Docker filters tasks by them.
    pub service_labels: Arc<Labels>,
    /// Endpoint mode when the task was created: a change of it replaces the task.
    pub endpoint: Option<crate::service::EndpointSpec>,
    /// Written once: by the orchestrator at creation for a task of a global service, else by the scheduler with
    /// ASSIGNED. Before ASSIGNED it only says where the task has to go.
    pub node: Option<NodeId>,
    /// Generic resources of the node that are its own. Written by the scheduler with ASSIGNED.
    pub generic: Vec<GenericResource>,
    /// The job's run that it belongs to; absent for what is no job. Written once at creation.
    pub job_iteration: Option<u64>,
    /// Somebody wants it replaced though it is as its spec says. Written by the API and the rebalancer.
    pub replace: Option<ReplaceReason>,
    /// Written by the orchestrator.
    pub desired: DesiredState,
    /// Not to be started before this time, even when it is ready: the restart delay. Written by the orchestrator at creation.
    pub start_after: Option<Timestamp>,
    /// Restarts of this slot under this spec version before this task, newest last and bounded; what
    /// `max_attempts` and back-off count. Written by the orchestrator at creation.
    pub restarts: Vec<Timestamp>,
    /// NEW to PENDING by the allocator, to ASSIGNED by the scheduler, above by the agent's reports.
    pub status: TaskStatus,
    /// When the store first saw it RUNNING (leader's clock). Written by the store with the status.
    pub running_at: Option<Timestamp>,
    /// The updater has counted this task's end as a failure of the update. Written by the orchestrator.
    pub failure_counted: bool,
}

impl Task {
    /// Docker's name of a task: `service.slot.id`, with the node for the slot in a global service.
    pub fn name(&self) -> String {
        format!("{}.{}.{}", self.service_name, self.slot_key(), self.id)
    }
    /// What it fills: tasks with the same key replace one another.
    pub fn slot_key(&self) -> SlotKey {
        match &self.node {
            Some(node) if self.slot == 0 => SlotKey::Node(node.clone()),
            _ => SlotKey::Replica(self.slot),
        }
    }
    /// The manager still counts on it.
    pub fn is_wanted(&self) -> bool {
        self.desired <= DesiredState::Complete
    }
    /// Whether a process of it may exist or come to exist on its node.
    pub fn may_run(&self) -> bool {
        !self.status.state.is_terminal()
    }
    /// Its reservation counts on its node: placed and not over.
    pub fn holds_resources(&self) -> bool {
        self.status.state >= TaskState::Assigned && !self.status.state.is_terminal()
    }
    /// The node that it is placed on; absent before ASSIGNED, also when it can only go to one. One that could only
    /// go to one and was closed before it got there counts as placed, too: it is over, and its node has nothing to stop.
    pub fn placed_on(&self) -> Option<&NodeId> {
        let placed = self.status.state >= TaskState::Assigned;
        self.node.as_ref().filter(|_| placed)
    }
}

/// What a task fills in its service. Replicas come before nodes, so that both kinds have an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotKey {
    /// A number, from 1.
    Replica(u64),
    /// A node: services that run one task on each.
    Node(NodeId),
}

impl fmt::Display for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotKey::Replica(slot) => slot.fmt(f),
            SlotKey::Node(node) => node.fmt(f),
        }
    }
}

/// Why a task is to be replaced though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceReason {
    /// `service restart --task`.
    Restart,
    /// Another node suits better: `service rebalance`, or the automatic one.
    Rebalance,
}

/// What was last seen of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskStatus {
    /// State on the ladder.
    pub state: TaskState,
    /// When it came to be, by the clock of whoever saw it.
    pub timestamp: Timestamp,
    /// When the leader wrote it down: windows and delays count from here.
    pub applied_at: Timestamp,
    /// What is being done, for the user.
    pub message: String,
    /// Why it does not run, for the user; empty when nothing is wrong.
    pub error: String,
    /// The container, once there is one.
    pub container: Option<ContainerStatus>,
}

impl TaskStatus {
    /// A status with nothing but a state and a message.
    pub fn new(state: TaskState, at: Timestamp, message: &str) -> TaskStatus {
        TaskStatus {
            state,
            timestamp: at,
            applied_at: at,
            message: message.into(),
            error: String::new(),
            container: None,
        }
    }
}

/// The container of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerStatus {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Process id on the node; 0 when it does not run.
    pub pid: i64,
    /// Exit code once it ended.
    pub exit_code: i64,
}
