//! The engine as a whole: version and information.

use crate::StringMap;
use crate::macros::go_json;
use crate::swarm;
use crate::task::GenericResource;
use std::collections::BTreeMap;

go_json! {
    /// The answer to `GET /version`.
    pub struct VersionInfo {
        platform: PlatformName = "Platform",
        components: Vec<ComponentVersion> = "Components" omitempty,
        version: String = "Version",
        api_version: String = "ApiVersion",
        min_api_version: String = "MinAPIVersion" omitempty,
        git_commit: String = "GitCommit",
        /// Go clients read it; we put the compiler's version there.
        go_version: String = "GoVersion",
        os: String = "Os",
        arch: String = "Arch",
        kernel_version: String = "KernelVersion" omitempty,
        experimental: bool = "Experimental" omitempty,
        build_time: String = "BuildTime" omitempty,
    }

    /// The product's name.
    pub struct PlatformName {
        name: String = "Name",
    }

    /// A part of the engine and its version.
    pub struct ComponentVersion {
        name: String = "Name",
        version: String = "Version",
        details: StringMap = "Details" omitempty,
    }

    /// The answer to `GET /info`.
    pub struct Info {
        id: String = "ID",
        containers: i64 = "Containers",
        containers_running: i64 = "ContainersRunning",
        containers_paused: i64 = "ContainersPaused",
        containers_stopped: i64 = "ContainersStopped",
        images: i64 = "Images",
        driver: String = "Driver",
        driver_status: Vec<[String; 2]> = "DriverStatus",
        plugins: PluginsInfo = "Plugins",
        memory_limit: bool = "MemoryLimit",
        swap_limit: bool = "SwapLimit",
        kernel_memory_tcp: bool = "KernelMemoryTCP" omitempty,
        cpu_cfs_period: bool = "CpuCfsPeriod",
        cpu_cfs_quota: bool = "CpuCfsQuota",
        cpu_shares: bool = "CPUShares",
        cpu_set: bool = "CPUSet",
        pids_limit: bool = "PidsLimit",
        ipv4_forwarding: bool = "IPv4Forwarding",
        bridge_nf_iptables: bool = "BridgeNfIptables",
        bridge_nf_ip6tables: bool = "BridgeNfIp6tables",
        debug: bool = "Debug",
        n_fd: i64 = "NFd",
        oom_kill_disable: bool = "OomKillDisable",
        n_goroutines: i64 = "NGoroutines",
        /// RFC 3339.
        system_time: String = "SystemTime",
        logging_driver: String = "LoggingDriver",
        cgroup_driver: String = "CgroupDriver",
        cgroup_version: String = "CgroupVersion" omitempty,
        n_events_listener: i64 = "NEventsListener",
        kernel_version: String = "KernelVersion",
        operating_system: String = "OperatingSystem",
        os_version: String = "OSVersion",
        os_type: String = "OSType",
        architecture: String = "Architecture",
        index_server_address: String = "IndexServerAddress",
        registry_config: Option<RegistryConfig> = "RegistryConfig",
        ncpu: i64 = "NCPU",
        /// Bytes.
        mem_total: i64 = "MemTotal",
        generic_resources: Option<Vec<GenericResource>> = "GenericResources",
        docker_root_dir: String = "DockerRootDir",
        http_proxy: String = "HttpProxy",
        https_proxy: String = "HttpsProxy",
        no_proxy: String = "NoProxy",
        name: String = "Name",
        labels: Vec<String> = "Labels",
        experimental_build: bool = "ExperimentalBuild",
        server_version: String = "ServerVersion",
        runtimes: BTreeMap<String, Runtime> = "Runtimes",
        default_runtime: String = "DefaultRuntime",
        swarm: swarm::Info = "Swarm",
        live_restore_enabled: bool = "LiveRestoreEnabled",
        isolation: String = "Isolation",
        init_binary: String = "InitBinary",
        containerd_commit: Commit = "ContainerdCommit",
        runc_commit: Commit = "RuncCommit",
        init_commit: Commit = "InitCommit",
        security_options: Vec<String> = "SecurityOptions",
        product_license: String = "ProductLicense" omitempty,
        default_address_pools: Vec<NetworkAddressPool> = "DefaultAddressPools" omitempty,
        cdi_spec_dirs: Vec<String> = "CDISpecDirs",
        warnings: Option<Vec<String>> = "Warnings",
    }

    /// Drivers by what they are for. Docker prints `null` for `Authorization`.
    pub struct PluginsInfo {
        volume: Vec<String> = "Volume",
        network: Vec<String> = "Network",
        authorization: Option<Vec<String>> = "Authorization",
        log: Vec<String> = "Log",
    }

    /// Which registries are trusted how.
    pub struct RegistryConfig {
        insecure_registry_cidrs: Vec<String> = "InsecureRegistryCIDRs",
        index_configs: BTreeMap<String, IndexInfo> = "IndexConfigs",
        mirrors: Option<Vec<String>> = "Mirrors",
    }

    /// One registry.
    pub struct IndexInfo {
        name: String = "Name",
        mirrors: Vec<String> = "Mirrors",
        secure: bool = "Secure",
        official: bool = "Official",
    }

    /// How containers are started.
    pub struct Runtime {
        path: String = "path" omitempty,
        args: Vec<String> = "runtimeArgs" omitempty,
        kind: String = "runtimeType" omitempty,
        status: StringMap = "status" omitempty,
    }

    /// The version of a helper program.
    pub struct Commit {
        id: String = "ID",
        expected: String = "Expected" omitempty,
    }

    /// A range from which local networks take their subnets.
    pub struct NetworkAddressPool {
        base: String = "Base",
        size: i64 = "Size",
    }
}
