//! Services: what should run, and how it is replaced.

use crate::{Labels, Meta, ServiceId, TaskSpec, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Replicas when a service does not say.
pub const DEFAULT_REPLICAS: u64 = 1;

/// A service in the replicated state.
#[derive(Clone, Debug, PartialEq)]
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
}

/// The user's wish.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// Kept and echoed; rollback is not built yet.
    pub rollback: Option<UpdateConfig>,
    /// How the service is reached.
    pub endpoint: Option<EndpointSpec>,
}

/// How many tasks a service has.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// A number of equal tasks, in slots from 1.
    Replicated {
        /// As sent; [`DEFAULT_REPLICAS`] when absent.
        replicas: Option<u64>,
    },
}

impl Default for Mode {
    fn default() -> Self {
        Mode::Replicated { replicas: None }
    }
}

impl ServiceSpec {
    /// Replicas asked for.
    pub fn replicas(&self) -> u64 {
        let Mode::Replicated { replicas } = self.mode;
        replicas.unwrap_or(DEFAULT_REPLICAS)
    }
    /// The update configuration with defaults filled in.
    pub fn update_config(&self) -> UpdateConfig {
        self.update.clone().unwrap_or_default()
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
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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
}
