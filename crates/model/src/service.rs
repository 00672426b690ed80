//! Services: what should run, and how it is replaced.

use crate::{Labels, Meta, ServiceId, TaskSpec, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Replicas when a service does not say.
pub const DEFAULT_REPLICAS: u64 = 1;

/// A service in the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Written once at creation.
    pub id: ServiceId,
    /// Written by the store.
    pub meta: Meta,
    /// Written by the API.
    pub spec: Arc<ServiceSpec>,
    /// The specification before the last update. Written by the API.
    pub previous_spec: Option<Arc<ServiceSpec>>,
    /// Log index at which `spec` came to be: tasks carry it, so that equal numbers mean an equal spec.
    /// Written by the store.
    pub spec_version: u64,
    /// Progress of the running or last update. Written by the orchestrator; an update by the API resets it.
    pub update_status: Option<UpdateStatus>,
    /// Revisions, oldest first, at most [`MAX_REVISIONS`]; the last one is the current one and its spec is `spec`.
    /// Written by the store.
    pub history: Vec<Revision>,
    /// The run of a job; absent for what is no job. Written by the store at creation and with each update.
    pub job: Option<JobStatus>,
}

/// Revisions that are kept, the current one included: enough to go back behind some bad deployments, and few
/// enough that a service stays small.
pub const MAX_REVISIONS: usize = 10;

/// A specification that the service has or had. A new revision begins when something changes that tasks or updates depend on: the
/// template, the endpoint, the mode's kind, or the update and rollback configuration. Replicas and labels
/// change within a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// From 1, never used twice.
    pub number: u64,
    /// The specification as it was last.
    pub spec: Arc<ServiceSpec>,
    /// When it came to be (leader's clock).
    pub created_at: Timestamp,
    /// Why it came to be.
    pub cause: RevisionCause,
}

/// Why a revision came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionCause {
    /// The service was created.
    Create,
    /// A client's update.
    Update,
    /// A client asked for the revision of this number again; 0 is "the previous one".
    Rollback(u64),
    /// The update failed, and its failure action was to go back.
    FailedUpdate,
}

/// The run of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobStatus {
    /// Log index at which the run began: tasks carry it.
    pub iteration: u64,
    /// When it began (leader's clock).
    pub last_execution: Timestamp,
}

/// The user's wish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Unique in the cluster, compared without case; a DNS name component.
    pub name: String,
    /// Labels of the service (not of its containers).
    pub labels: Labels,
    /// Template of its tasks.
    pub task: Arc<TaskSpec>,
    /// How many tasks.
    pub mode: Mode,
    /// How tasks are replaced; defaults when absent.
    pub update: Option<UpdateConfig>,
    /// How tasks are replaced when an update is taken back; defaults when absent.
    pub rollback: Option<UpdateConfig>,
    /// How the service is reached.
    pub endpoint: Option<EndpointSpec>,
    /// Credentials for the image's registry. Not part of any comparison, and never given back.
    pub registry_auth: Option<RegistryAuth>,
    /// An update whose tasks do not get on for this long has failed: ours, Docker's waits for ever.
    pub progress_deadline: Option<Duration>,
    /// Stopped by `service stop`: replicas to go back to (0 for a global service). Ours.
    pub stopped: Option<u64>,
    /// Tasks may be moved, slowly, to nodes that joined later. Ours.
    pub auto_rebalance: bool,
}

/// The value of Docker's `X-Registry-Auth` header: base64 of JSON. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth(pub String);

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryAuth(…)")
    }
}

/// How many tasks a service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A number of equal tasks, in slots from 1.
    Replicated {
        /// As sent; [`DEFAULT_REPLICAS`] when absent.
        replicas: Option<u64>,
    },
    /// One task on each node that satisfies the constraints.
    Global,
    /// Tasks that run to their end, until so many have.
    ReplicatedJob {
        /// At the same time; 1 when absent.
        max_concurrent: Option<u64>,
        /// Tasks that have to end well; as many as run at the same time when absent.
        total_completions: Option<u64>,
    },
    /// One task on each node that runs to its end.
    GlobalJob,
}

impl Default for Mode {
    fn default() -> Self {
        Mode::Replicated { replicas: None }
    }
}

impl ServiceSpec {
    /// Replicas asked for; 0 for other modes than the replicated one.
    pub fn replicas(&self) -> u64 {
        match self.mode {
            Mode::Replicated { replicas } => replicas.unwrap_or(DEFAULT_REPLICAS),
            _ => 0,
        }
    }
    /// Tasks of a replicated job at the same time, and those that have to end well.
    pub fn completions(&self) -> Option<(u64, u64)> {
        match self.mode {
            Mode::ReplicatedJob {
                max_concurrent,
                total_completions,
            } => {
                let concurrent = max_concurrent.unwrap_or(1);
                Some((concurrent, total_completions.unwrap_or(concurrent)))
            }
            _ => None,
        }
    }
    /// The update configuration with defaults filled in.
    pub fn update_config(&self) -> UpdateConfig {
        self.update.clone().unwrap_or_default()
    }
    /// The rollback configuration with defaults filled in.
    pub fn rollback_config(&self) -> UpdateConfig {
        self.rollback.clone().unwrap_or_default()
    }
    /// Whether a change from `old` to this begins a new [`Revision`].
    pub fn begins_revision(&self, old: &ServiceSpec) -> bool {
        self.task != old.task
            || self.endpoint != old.endpoint
            || self.update != old.update
            || self.rollback != old.rollback
            || self.progress_deadline != old.progress_deadline
            || !self.mode.is_same_kind(&old.mode)
    }
    /// What a rollback to the revision with the specification `old` makes of this one: everything that belongs
    /// to a revision comes from `old`; replicas, labels and what else changes within a revision stay.
    #[must_use]
    pub fn back_to(&self, old: &ServiceSpec) -> ServiceSpec {
        ServiceSpec {
            labels: self.labels.clone(),
            mode: self.mode.clone(),
            registry_auth: self.registry_auth.clone(),
            stopped: self.stopped,
            auto_rebalance: self.auto_rebalance,
            ..old.clone()
        }
    }
}

impl Mode {
    /// It ends: a job.
    pub fn is_job(&self) -> bool {
        matches!(self, Mode::ReplicatedJob { .. } | Mode::GlobalJob)
    }
    /// Its slots are nodes.
    pub fn is_global(&self) -> bool {
        matches!(self, Mode::Global | Mode::GlobalJob)
    }
    /// Equal but for the numbers.
    pub fn is_same_kind(&self, other: &Mode) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
    /// The name in Docker's API and command line.
    pub fn name(&self) -> &'static str {
        match self {
            Mode::Replicated { .. } => "replicated",
            Mode::Global => "global",
            Mode::ReplicatedJob { .. } => "replicated-job",
            Mode::GlobalJob => "global-job",
        }
    }
}

/// How tasks are replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateConfig {
    /// Slots replaced at once; 0 is all.
    pub parallelism: u64,
    /// Pause after each slot.
    pub delay: Duration,
    /// What a failed update does.
    pub failure_action: FailureAction,
    /// How long after it started a task's failure counts as the update's; `None` is [`UpdateConfig::DEFAULT_MONITOR`].
    pub monitor: Option<Duration>,
    /// Failed tasks over slots to replace, above which the update has failed; 0 to 1.
    pub max_failure_ratio: f32,
    /// Which comes first, the stop of the old task or the start of the new one.
    pub order: UpdateOrder,
}

/// The ratio is a number: validation refuses the rest. What is `Eq` is compared by its pointer first when it is shared.
impl Eq for UpdateConfig {}

impl UpdateConfig {
    /// swarmkit's default monitoring time.
    pub const DEFAULT_MONITOR: Duration = Duration::from_secs(5);

    /// The monitoring time with its default.
    pub fn monitor(&self) -> Duration {
        self.monitor.unwrap_or(Self::DEFAULT_MONITOR)
    }
}

impl Default for UpdateConfig {
    fn default() -> Self {
        UpdateConfig {
            parallelism: 1,
            delay: Duration::ZERO,
            failure_action: FailureAction::Pause,
            monitor: None,
            max_failure_ratio: 0.0,
            order: UpdateOrder::StopFirst,
        }
    }
}

/// What a failed update does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailureAction {
    /// Stop replacing, keep what runs, wait for the operator.
    #[default]
    Pause,
    /// Go on.
    Continue,
    /// Go back to the previous spec. In a rollback it means [`FailureAction::Pause`].
    Rollback,
}

/// Order within one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpdateOrder {
    /// The old task ends before the new one starts.
    #[default]
    StopFirst,
    /// The new task runs before the old one is asked to stop.
    StartFirst,
}

/// How a service is reached. Publishing ports is not built yet, so only the mode is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Virtual address or DNS round robin.
    pub mode: Option<EndpointMode>,
}

/// How names of services resolve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointMode {
    /// One virtual address.
    #[default]
    Vip,
    /// All addresses of tasks.
    DnsRr,
}

/// Progress of an update; all that a new leader needs to go on is here and in the tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateStatus {
    /// Where it stands.
    pub state: UpdateState,
    /// When the first slot was looked at.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// For the user.
    pub message: String,
    /// Slots that had to be replaced when it began: the denominator of the failure ratio.
    pub total_slots: u64,
    /// Tasks of this update that failed before they ran or within the monitoring time.
    pub failures: u64,
    /// When the last slot was replaced: monitoring goes on from here before the update completes.
    pub replaced_at: Option<Timestamp>,
    /// When it last got on: began, or another slot ran the new spec. The progress deadline counts from here.
    pub progressed_at: Option<Timestamp>,
}

/// States of an update, as Docker's API names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateState {
    /// Slots are being replaced or monitored.
    Updating,
    /// Too many failures; waits for another update of the service.
    Paused,
    /// All slots run the new spec and stayed up for the monitoring time.
    Completed,
    /// As `Updating`, back to the previous spec, under the rollback configuration.
    RollbackStarted,
    /// As `Paused`, on the way back.
    RollbackPaused,
    /// As `Completed`, on the way back.
    RollbackCompleted,
}

impl UpdateState {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            UpdateState::Updating => "updating",
            UpdateState::Paused => "paused",
            UpdateState::Completed => "completed",
            UpdateState::RollbackStarted => "rollback_started",
            UpdateState::RollbackPaused => "rollback_paused",
            UpdateState::RollbackCompleted => "rollback_completed",
        }
    }
    /// Slots are being replaced or monitored.
    pub fn is_under_way(self) -> bool {
        matches!(self, UpdateState::Updating | UpdateState::RollbackStarted)
    }
    /// It goes, went or stopped on the way back.
    pub fn is_rollback(self) -> bool {
        matches!(
            self,
            UpdateState::RollbackStarted
                | UpdateState::RollbackPaused
                | UpdateState::RollbackCompleted
        )
    }
}
