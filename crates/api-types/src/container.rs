//! Containers.

use crate::StringMap;
use crate::image::{Descriptor, DriverData};
use crate::macros::go_json;
use crate::mount::Mount;
use crate::network::EndpointSettings;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A command line that clients may send as an array or as one string (which is then its only word).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct StrSlice(pub Vec<String>);

impl<'de> Deserialize<'de> for StrSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = StrSlice;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("[]string")
            }
            fn visit_str<E>(self, word: &str) -> Result<StrSlice, E> {
                Ok(StrSlice(vec![word.to_owned()]))
            }
            fn visit_unit<E>(self) -> Result<StrSlice, E> {
                Ok(StrSlice::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<StrSlice, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(StrSlice(words))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Ports of a container and what they are bound to: `"80/tcp"` to a list of host addresses, or `null`.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

go_json! {
    /// A line of `GET /containers/json`.
    pub struct Summary {
        id: String = "Id",
        names: Vec<String> = "Names",
        image: String = "Image",
        image_id: String = "ImageID",
        image_manifest_descriptor: Option<Descriptor> = "ImageManifestDescriptor" omitempty,
        command: String = "Command",
        /// Unix seconds.
        created: i64 = "Created",
        ports: Vec<Port> = "Ports",
        size_rw: i64 = "SizeRw" omitempty,
        size_root_fs: i64 = "SizeRootFs" omitempty,
        labels: StringMap = "Labels",
        state: String = "State",
        /// For people: `Up 5 minutes`.
        status: String = "Status",
        host_config: SummaryHostConfig = "HostConfig",
        network_settings: Option<SummaryNetworkSettings> = "NetworkSettings",
        mounts: Vec<MountPoint> = "Mounts",
    }

    /// The few words on a container's host configuration in a list.
    pub struct SummaryHostConfig {
        network_mode: String = "NetworkMode" omitempty,
        annotations: StringMap = "Annotations" omitempty,
    }

    /// The networks of a container in a list.
    pub struct SummaryNetworkSettings {
        networks: BTreeMap<String, EndpointSettings> = "Networks",
    }

    /// A port of a container in a list.
    pub struct Port {
        ip: String = "IP" omitempty,
        private_port: u16 = "PrivatePort",
        public_port: u16 = "PublicPort" omitempty,
        kind: String = "Type",
    }

    /// A host address that a port is bound to.
    pub struct PortBinding {
        host_ip: String = "HostIp",
        host_port: String = "HostPort",
    }

    /// A mount as it is.
    pub struct MountPoint {
        kind: String = "Type" omitempty,
        name: String = "Name" omitempty,
        source: String = "Source",
        destination: String = "Destination",
        driver: String = "Driver" omitempty,
        mode: String = "Mode",
        rw: bool = "RW",
        propagation: String = "Propagation",
    }

    /// A container, as `GET /containers/{id}/json` answers it.
    pub struct Container {
        id: String = "Id",
        /// RFC 3339.
        created: String = "Created",
        path: String = "Path",
        args: Vec<String> = "Args",
        state: Option<State> = "State",
        image: String = "Image",
        resolv_conf_path: String = "ResolvConfPath",
        hostname_path: String = "HostnamePath",
        hosts_path: String = "HostsPath",
        log_path: String = "LogPath",
        /// With a slash in front.
        name: String = "Name",
        restart_count: i64 = "RestartCount",
        driver: String = "Driver",
        platform: String = "Platform",
        mount_label: String = "MountLabel",
        process_label: String = "ProcessLabel",
        app_armor_profile: String = "AppArmorProfile",
        exec_ids: Option<Vec<String>> = "ExecIDs",
        host_config: Option<HostConfig> = "HostConfig",
        graph_driver: DriverData = "GraphDriver",
        size_rw: Option<i64> = "SizeRw" omitempty,
        size_root_fs: Option<i64> = "SizeRootFs" omitempty,
        mounts: Vec<MountPoint> = "Mounts",
        config: Option<Config> = "Config",
        network_settings: Option<NetworkSettings> = "NetworkSettings",
        image_manifest_descriptor: Option<Descriptor> = "ImageManifestDescriptor" omitempty,
    }

    /// What a container does now.
    pub struct State {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        status: String = "Status",
        running: bool = "Running",
        paused: bool = "Paused",
        restarting: bool = "Restarting",
        oom_killed: bool = "OOMKilled",
        dead: bool = "Dead",
        pid: i64 = "Pid",
        exit_code: i64 = "ExitCode",
        error: String = "Error",
        /// RFC 3339; Go's zero time when it never started.
        started_at: String = "StartedAt",
        finished_at: String = "FinishedAt",
        health: Option<Health> = "Health" omitempty,
    }

    /// Whether a container is well.
    pub struct Health {
        status: String = "Status",
        failing_streak: i64 = "FailingStreak",
        log: Option<Vec<HealthcheckResult>> = "Log",
    }

    /// One probe.
    pub struct HealthcheckResult {
        start: String = "Start",
        end: String = "End",
        exit_code: i64 = "ExitCode",
        output: String = "Output",
    }

    /// A probe of a container's health. Durations are nanoseconds, zero inherits.
    pub struct HealthConfig {
        test: Vec<String> = "Test" omitempty,
        interval: i64 = "Interval" omitempty,
        timeout: i64 = "Timeout" omitempty,
        start_period: i64 = "StartPeriod" omitempty,
        start_interval: i64 = "StartInterval" omitempty,
        retries: i64 = "Retries" omitempty,
    }

    /// A limit of a process.
    pub struct Ulimit {
        name: String = "Name",
        hard: i64 = "Hard",
        soft: i64 = "Soft",
    }

    /// What is the same on every host.
    pub struct Config {
        hostname: String = "Hostname",
        domainname: String = "Domainname",
        user: String = "User",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        exposed_ports: BTreeMap<String, Nothing> = "ExposedPorts" omitempty,
        tty: bool = "Tty",
        open_stdin: bool = "OpenStdin",
        stdin_once: bool = "StdinOnce",
        env: Option<Vec<String>> = "Env",
        cmd: Option<StrSlice> = "Cmd",
        healthcheck: Option<HealthConfig> = "Healthcheck" omitempty,
        args_escaped: bool = "ArgsEscaped" omitempty,
        image: String = "Image",
        volumes: Option<BTreeMap<String, Nothing>> = "Volumes",
        working_dir: String = "WorkingDir",
        entrypoint: Option<StrSlice> = "Entrypoint",
        network_disabled: bool = "NetworkDisabled" omitempty,
        mac_address: String = "MacAddress" omitempty,
        on_build: Option<Vec<String>> = "OnBuild",
        labels: StringMap = "Labels",
        stop_signal: String = "StopSignal" omitempty,
        stop_timeout: Option<i64> = "StopTimeout" omitempty,
        shell: Option<StrSlice> = "Shell" omitempty,
    }

    /// `{}`, the value of Go's sets.
    pub struct Nothing {}

    /// What depends on the host.
    pub struct HostConfig {
        binds: Option<Vec<String>> = "Binds",
        container_id_file: String = "ContainerIDFile",
        log_config: LogConfig = "LogConfig",
        network_mode: String = "NetworkMode",
        port_bindings: Option<PortMap> = "PortBindings",
        restart_policy: RestartPolicy = "RestartPolicy",
        auto_remove: bool = "AutoRemove",
        volume_driver: String = "VolumeDriver",
        volumes_from: Option<Vec<String>> = "VolumesFrom",
        console_size: [u64; 2] = "ConsoleSize",
        annotations: StringMap = "Annotations" omitempty,
        cap_add: Option<Vec<String>> = "CapAdd",
        cap_drop: Option<Vec<String>> = "CapDrop",
        cgroupns_mode: String = "CgroupnsMode",
        dns: Option<Vec<String>> = "Dns",
        dns_options: Option<Vec<String>> = "DnsOptions",
        dns_search: Option<Vec<String>> = "DnsSearch",
        extra_hosts: Option<Vec<String>> = "ExtraHosts",
        group_add: Option<Vec<String>> = "GroupAdd",
        ipc_mode: String = "IpcMode",
        cgroup: String = "Cgroup",
        links: Option<Vec<String>> = "Links",
        oom_score_adj: i64 = "OomScoreAdj",
        pid_mode: String = "PidMode",
        privileged: bool = "Privileged",
        publish_all_ports: bool = "PublishAllPorts",
        readonly_rootfs: bool = "ReadonlyRootfs",
        security_opt: Option<Vec<String>> = "SecurityOpt",
        storage_opt: StringMap = "StorageOpt" omitempty,
        tmpfs: StringMap = "Tmpfs" omitempty,
        uts_mode: String = "UTSMode",
        userns_mode: String = "UsernsMode",
        shm_size: i64 = "ShmSize",
        sysctls: StringMap = "Sysctls" omitempty,
        runtime: String = "Runtime" omitempty,
        isolation: String = "Isolation",
        cpu_shares: i64 = "CpuShares",
        memory: i64 = "Memory",
        nano_cpus: i64 = "NanoCpus",
        cgroup_parent: String = "CgroupParent",
        blkio_weight: u16 = "BlkioWeight",
        cpu_period: i64 = "CpuPeriod",
        cpu_quota: i64 = "CpuQuota",
        cpu_realtime_period: i64 = "CpuRealtimePeriod",
        cpu_realtime_runtime: i64 = "CpuRealtimeRuntime",
        cpuset_cpus: String = "CpusetCpus",
        cpuset_mems: String = "CpusetMems",
        memory_reservation: i64 = "MemoryReservation",
        memory_swap: i64 = "MemorySwap",
        memory_swappiness: Option<i64> = "MemorySwappiness",
        oom_kill_disable: Option<bool> = "OomKillDisable",
        pids_limit: Option<i64> = "PidsLimit",
        ulimits: Option<Vec<Ulimit>> = "Ulimits",
        mounts: Vec<Mount> = "Mounts" omitempty,
        masked_paths: Option<Vec<String>> = "MaskedPaths",
        readonly_paths: Option<Vec<String>> = "ReadonlyPaths",
        init: Option<bool> = "Init" omitempty,
    }

    /// Where the output of a container goes.
    pub struct LogConfig {
        kind: String = "Type",
        config: StringMap = "Config",
    }

    /// The engine's own restart policy; services have another.
    pub struct RestartPolicy {
        name: String = "Name",
        maximum_retry_count: i64 = "MaximumRetryCount",
    }

    /// The networks of a container.
    pub struct NetworkSettings {
        bridge: String = "Bridge",
        sandbox_id: String = "SandboxID",
        sandbox_key: String = "SandboxKey",
        ports: PortMap = "Ports",
        hairpin_mode: bool = "HairpinMode",
        endpoint_id: String = "EndpointID",
        gateway: String = "Gateway",
        ip_address: String = "IPAddress",
        ip_prefix_len: i64 = "IPPrefixLen",
        ipv6_gateway: String = "IPv6Gateway",
        global_ipv6_address: String = "GlobalIPv6Address",
        global_ipv6_prefix_len: i64 = "GlobalIPv6PrefixLen",
        mac_address: String = "MacAddress",
        networks: BTreeMap<String, EndpointSettings> = "Networks",
    }
}
