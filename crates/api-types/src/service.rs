//! Services.

use crate::macros::go_json;
use crate::network::NetworkAttachmentConfig;
use crate::starling::{StarlingService, StarlingServiceSpec};
use crate::task::TaskSpec;
use crate::{StringMap, Timestamp, Version};

go_json! {
    /// A service, as `GET /services/{id}` answers it.
    pub struct Service {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: ServiceSpec = "Spec",
        previous_spec: Option<ServiceSpec> = "PreviousSpec" omitempty,
        endpoint: Endpoint = "Endpoint",
        update_status: Option<UpdateStatus> = "UpdateStatus" omitempty,
        /// Only in lists, and only when they are asked for with `status=true`.
        service_status: Option<ServiceStatus> = "ServiceStatus" omitempty,
        job_status: Option<JobStatus> = "JobStatus" omitempty,
        starling: Option<StarlingService> = "Starling" omitempty,
    }

    /// What a user wants of a service.
    pub struct ServiceSpec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        task_template: TaskSpec = "TaskTemplate",
        mode: ServiceMode = "Mode",
        update_config: Option<UpdateConfig> = "UpdateConfig" omitempty,
        rollback_config: Option<UpdateConfig> = "RollbackConfig" omitempty,
        /// Deprecated; used only when the task template has none.
        networks: Vec<NetworkAttachmentConfig> = "Networks" omitempty,
        endpoint_spec: Option<EndpointSpec> = "EndpointSpec" omitempty,
        starling: Option<StarlingServiceSpec> = "Starling" omitempty,
    }

    /// How many tasks a service has; at most one of them is set, none means one replica.
    pub struct ServiceMode {
        replicated: Option<ReplicatedService> = "Replicated" omitempty,
        global: Option<GlobalService> = "Global" omitempty,
        replicated_job: Option<ReplicatedJob> = "ReplicatedJob" omitempty,
        global_job: Option<GlobalJob> = "GlobalJob" omitempty,
    }

    /// A number of replicas; none means one.
    pub struct ReplicatedService {
        replicas: Option<u64> = "Replicas" omitempty,
    }

    /// One task on each node.
    pub struct GlobalService {}

    /// Tasks that run to their end, a number of times.
    pub struct ReplicatedJob {
        max_concurrent: Option<u64> = "MaxConcurrent" omitempty,
        total_completions: Option<u64> = "TotalCompletions" omitempty,
    }

    /// A task on each node that runs to its end.
    pub struct GlobalJob {}

    /// How an update (or a rollback) goes on.
    pub struct UpdateConfig {
        /// Slots at a time; 0 is all at once.
        parallelism: u64 = "Parallelism",
        /// Nanoseconds between batches.
        delay: i64 = "Delay" omitempty,
        /// `pause`, `continue` or `rollback`.
        failure_action: String = "FailureAction" omitempty,
        /// Nanoseconds for which a new task is watched.
        monitor: i64 = "Monitor" omitempty,
        /// From 0 to 1.
        #[serde(serialize_with = "crate::zero::float")]
        max_failure_ratio: f32 = "MaxFailureRatio",
        /// `stop-first` or `start-first`.
        order: String = "Order",
    }

    /// Where an update stands.
    pub struct UpdateStatus {
        /// `updating`, `paused`, `completed`, `rollback_started`, `rollback_paused` or `rollback_completed`.
        state: String = "State" omitempty,
        started_at: Option<Timestamp> = "StartedAt" omitempty,
        completed_at: Option<Timestamp> = "CompletedAt" omitempty,
        message: String = "Message" omitempty,
    }

    /// Counts of tasks, for lists.
    pub struct ServiceStatus {
        running_tasks: u64 = "RunningTasks",
        desired_tasks: u64 = "DesiredTasks",
        completed_tasks: u64 = "CompletedTasks",
    }

    /// The last run of a job.
    pub struct JobStatus {
        job_iteration: Version = "JobIteration",
        last_execution: Timestamp = "LastExecution",
    }

    /// How a service is reached.
    pub struct Endpoint {
        spec: EndpointSpec = "Spec",
        ports: Vec<PortConfig> = "Ports" omitempty,
        virtual_ips: Vec<EndpointVirtualIp> = "VirtualIPs" omitempty,
    }

    /// How a service shall be reached.
    pub struct EndpointSpec {
        /// `vip` or `dnsrr`.
        mode: String = "Mode" omitempty,
        ports: Vec<PortConfig> = "Ports" omitempty,
    }

    /// A published port.
    pub struct PortConfig {
        name: String = "Name" omitempty,
        protocol: String = "Protocol" omitempty,
        target_port: u32 = "TargetPort" omitempty,
        published_port: u32 = "PublishedPort" omitempty,
        publish_mode: String = "PublishMode" omitempty,
    }

    /// The address of a service on a network.
    pub struct EndpointVirtualIp {
        network_id: String = "NetworkID" omitempty,
        addr: String = "Addr" omitempty,
    }

    /// The answer to `POST /services/create`. Docker prints `null` when there are no warnings.
    pub struct ServiceCreateResponse {
        id: String = "ID" omitempty,
        warnings: Option<Vec<String>> = "Warnings",
    }

    /// The answer to `POST /services/{id}/update`. Docker prints `null` when there are no warnings.
    pub struct ServiceUpdateResponse {
        warnings: Option<Vec<String>> = "Warnings",
    }
}
