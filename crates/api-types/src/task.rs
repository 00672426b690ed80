//! Tasks, and the template from which a service makes them.

use crate::container::{HealthConfig, Ulimit};
use crate::macros::go_json;
use crate::mount::Mount;
use crate::network::{NetworkAttachment, NetworkAttachmentConfig};
use crate::service::PortConfig;
use crate::swarm::Platform;
use crate::{Driver, StringMap, Timestamp, Version};

go_json! {
    /// A task, as `GET /tasks/{id}` answers it.
    pub struct Task {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        spec: TaskSpec = "Spec",
        service_id: String = "ServiceID" omitempty,
        slot: i64 = "Slot" omitempty,
        node_id: String = "NodeID" omitempty,
        status: TaskStatus = "Status",
        /// The state that the task should reach, in small letters.
        desired_state: String = "DesiredState" omitempty,
        networks_attachments: Vec<NetworkAttachment> = "NetworksAttachments" omitempty,
        generic_resources: Vec<GenericResource> = "GenericResources" omitempty,
        job_iteration: Option<Version> = "JobIteration" omitempty,
        /// Docker prints `null` here when there are none.
        volumes: Option<Vec<VolumeAttachment>> = "Volumes",
    }

    /// Where a task stands.
    pub struct TaskStatus {
        timestamp: Timestamp = "Timestamp",
        state: String = "State" omitempty,
        message: String = "Message" omitempty,
        err: String = "Err" omitempty,
        container_status: Option<ContainerStatus> = "ContainerStatus" omitempty,
        port_status: PortStatus = "PortStatus",
    }

    /// The container of a task.
    pub struct ContainerStatus {
        container_id: String = "ContainerID",
        pid: i64 = "PID",
        exit_code: i64 = "ExitCode",
    }

    /// The host ports that a task got.
    pub struct PortStatus {
        ports: Vec<PortConfig> = "Ports" omitempty,
    }

    /// A cluster volume in use by a task.
    pub struct VolumeAttachment {
        id: String = "ID" omitempty,
        source: String = "Source" omitempty,
        target: String = "Target" omitempty,
    }

    /// The template of a service's tasks.
    pub struct TaskSpec {
        container_spec: Option<ContainerSpec> = "ContainerSpec" omitempty,
        plugin_spec: Option<PluginSpec> = "PluginSpec" omitempty,
        network_attachment_spec: Option<NetworkAttachmentSpec> = "NetworkAttachmentSpec" omitempty,
        resources: Option<ResourceRequirements> = "Resources" omitempty,
        restart_policy: Option<RestartPolicy> = "RestartPolicy" omitempty,
        placement: Option<Placement> = "Placement" omitempty,
        networks: Vec<NetworkAttachmentConfig> = "Networks" omitempty,
        log_driver: Option<Driver> = "LogDriver" omitempty,
        /// Only compared: another number makes every task of the service out of date.
        force_update: u64 = "ForceUpdate",
        /// `container` (also when empty), `plugin` or `attachment`.
        runtime: String = "Runtime" omitempty,
    }

    /// What runs in the container of a task.
    pub struct ContainerSpec {
        image: String = "Image" omitempty,
        labels: StringMap = "Labels" omitempty,
        /// Replaces the image's entrypoint.
        command: Vec<String> = "Command" omitempty,
        /// Replaces the image's command.
        args: Vec<String> = "Args" omitempty,
        hostname: String = "Hostname" omitempty,
        env: Vec<String> = "Env" omitempty,
        dir: String = "Dir" omitempty,
        user: String = "User" omitempty,
        groups: Vec<String> = "Groups" omitempty,
        privileges: Option<Privileges> = "Privileges" omitempty,
        init: Option<bool> = "Init" omitempty,
        stop_signal: String = "StopSignal" omitempty,
        tty: bool = "TTY" omitempty,
        open_stdin: bool = "OpenStdin" omitempty,
        read_only: bool = "ReadOnly" omitempty,
        mounts: Vec<Mount> = "Mounts" omitempty,
        /// Nanoseconds.
        stop_grace_period: Option<i64> = "StopGracePeriod" omitempty,
        healthcheck: Option<HealthConfig> = "Healthcheck" omitempty,
        /// Lines of /etc/hosts: `IP name [alias...]`.
        hosts: Vec<String> = "Hosts" omitempty,
        dns_config: Option<DnsConfig> = "DNSConfig" omitempty,
        secrets: Vec<SecretReference> = "Secrets" omitempty,
        configs: Vec<ConfigReference> = "Configs" omitempty,
        isolation: String = "Isolation" omitempty,
        sysctls: StringMap = "Sysctls" omitempty,
        capability_add: Vec<String> = "CapabilityAdd" omitempty,
        capability_drop: Vec<String> = "CapabilityDrop" omitempty,
        ulimits: Vec<Ulimit> = "Ulimits" omitempty,
        oom_score_adj: i64 = "OomScoreAdj" omitempty,
    }

    /// Lines of /etc/resolv.conf.
    pub struct DnsConfig {
        nameservers: Vec<String> = "Nameservers" omitempty,
        search: Vec<String> = "Search" omitempty,
        options: Vec<String> = "Options" omitempty,
    }

    /// Security options of a container. Docker prints the first two as `null` when they are not set.
    pub struct Privileges {
        credential_spec: Option<CredentialSpec> = "CredentialSpec",
        se_linux_context: Option<SeLinuxContext> = "SELinuxContext",
        seccomp: Option<SeccompOpts> = "Seccomp" omitempty,
        app_armor: Option<AppArmorOpts> = "AppArmor" omitempty,
        no_new_privileges: bool = "NoNewPrivileges",
    }

    /// A Windows credential.
    pub struct CredentialSpec {
        config: String = "Config",
        file: String = "File",
        registry: String = "Registry",
    }

    /// SELinux labels.
    pub struct SeLinuxContext {
        disable: bool = "Disable",
        user: String = "User",
        role: String = "Role",
        kind: String = "Type",
        level: String = "Level",
    }

    /// Which seccomp filter to use.
    pub struct SeccompOpts {
        mode: String = "Mode" omitempty,
        /// Base64.
        profile: String = "Profile" omitempty,
    }

    /// Which AppArmor profile to use.
    pub struct AppArmorOpts {
        mode: String = "Mode" omitempty,
    }

    /// A secret in a container.
    pub struct SecretReference {
        file: Option<FileTarget> = "File",
        secret_id: String = "SecretID",
        secret_name: String = "SecretName",
    }

    /// A config in a container.
    pub struct ConfigReference {
        file: Option<FileTarget> = "File" omitempty,
        runtime: Option<ConfigRuntimeTarget> = "Runtime" omitempty,
        config_id: String = "ConfigID",
        config_name: String = "ConfigName",
    }

    /// The file that a secret or a config becomes.
    pub struct FileTarget {
        name: String = "Name",
        uid: String = "UID",
        gid: String = "GID",
        mode: u32 = "Mode",
    }

    /// Marks a config that is used by the runtime only.
    pub struct ConfigRuntimeTarget {}

    /// What a plugin service runs.
    pub struct PluginSpec {
        name: String = "Name" omitempty,
        remote: String = "Remote" omitempty,
        privileges: Vec<PluginPrivilege> = "Privileges" omitempty,
        disabled: bool = "Disabled" omitempty,
        env: Vec<String> = "Env" omitempty,
    }

    /// A right that a plugin wants.
    pub struct PluginPrivilege {
        name: String = "Name" omitempty,
        description: String = "Description" omitempty,
        value: Vec<String> = "Value" omitempty,
    }

    /// Internal in Docker: a plain container on an attachable network.
    pub struct NetworkAttachmentSpec {
        container_id: String = "ContainerID",
    }

    /// What a task may use and what is kept free for it.
    pub struct ResourceRequirements {
        limits: Option<Limit> = "Limits" omitempty,
        reservations: Option<Resources> = "Reservations" omitempty,
    }

    /// The most that a task may use.
    pub struct Limit {
        nano_cpus: i64 = "NanoCPUs" omitempty,
        memory_bytes: i64 = "MemoryBytes" omitempty,
        pids: i64 = "Pids" omitempty,
    }

    /// What a node has, or what is kept free for a task.
    pub struct Resources {
        nano_cpus: i64 = "NanoCPUs" omitempty,
        memory_bytes: i64 = "MemoryBytes" omitempty,
        generic_resources: Vec<GenericResource> = "GenericResources" omitempty,
    }

    /// A resource that only its users know; one of the two is set.
    pub struct GenericResource {
        named: Option<NamedGenericResource> = "NamedResourceSpec" omitempty,
        discrete: Option<DiscreteGenericResource> = "DiscreteResourceSpec" omitempty,
    }

    /// One thing with a name, for instance a GPU.
    pub struct NamedGenericResource {
        kind: String = "Kind" omitempty,
        value: String = "Value" omitempty,
    }

    /// A number of things.
    pub struct DiscreteGenericResource {
        kind: String = "Kind" omitempty,
        value: i64 = "Value" omitempty,
    }

    /// When a task that ended gets a successor.
    pub struct RestartPolicy {
        /// `none`, `on-failure` or `any`.
        condition: String = "Condition" omitempty,
        /// Nanoseconds.
        delay: Option<i64> = "Delay" omitempty,
        max_attempts: Option<u64> = "MaxAttempts" omitempty,
        /// Nanoseconds.
        window: Option<i64> = "Window" omitempty,
    }

    /// On which nodes tasks may run.
    pub struct Placement {
        constraints: Vec<String> = "Constraints" omitempty,
        preferences: Vec<PlacementPreference> = "Preferences" omitempty,
        max_replicas: u64 = "MaxReplicas" omitempty,
        platforms: Vec<Platform> = "Platforms" omitempty,
    }

    /// How tasks spread over nodes.
    pub struct PlacementPreference {
        spread: Option<SpreadOver> = "Spread",
    }

    /// Spread evenly over the values of a label.
    pub struct SpreadOver {
        spread_descriptor: String = "SpreadDescriptor",
    }
}
