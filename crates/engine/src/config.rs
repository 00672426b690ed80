//! What an engine is given, and what a container is asked to be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Time between the stop signal and SIGKILL when nothing else is asked, as in Docker.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Docker's variable that makes the engine ask no registry for an image that is there.
pub const PREFER_OFFLINE_VARIABLE: &str = "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE";

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where containers' files are: `containers/<id>`, `rootfs/<id>`, `trash`. One file system.
    pub data_root: PathBuf,
    /// Directory on a tmpfs for the supervisor's socket and records.
    pub exec_root: PathBuf,
    /// Executable that contains the supervisor; usually this program.
    pub supervisor_binary: PathBuf,
    /// As dockerd's `--cgroup-parent`: containers are in `<cgroup_parent>/<id>`.
    pub cgroup_parent: String,
    /// Use an image that is there without asking its registry.
    pub prefer_offline_images: bool,
}

impl EngineConfig {
    /// Whether the environment asks for [`EngineConfig::prefer_offline_images`].
    pub fn prefers_offline_images() -> bool {
        std::env::var(PREFER_OFFLINE_VARIABLE).is_ok_and(|value| value == "1")
    }
}

/// What a container is asked to be, before its image has filled the gaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    /// Unique on this host, without a leading slash.
    pub name: String,
    /// Reference of the image as it was asked for.
    pub image: String,
    /// Replaces the image's entrypoint, and with it its command, when not empty.
    pub entrypoint: Vec<String>,
    /// Replaces the image's command when not empty.
    pub command: Vec<String>,
    /// `NAME=value`; `NAME` alone takes the variable away.
    pub env: Vec<String>,
    /// Working directory; the image's when empty.
    pub working_dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`; the image's when empty.
    pub user: String,
    /// Host name inside; the short id, or the host's name on its network, when empty.
    pub hostname: String,
    /// Labels; the image's are added where a name is missing.
    pub labels: BTreeMap<String, String>,
    /// By name or number; the image's, or SIGTERM, when empty.
    pub stop_signal: String,
    /// Time between the stop signal and SIGKILL; [`DEFAULT_STOP_TIMEOUT`] when absent.
    pub stop_timeout: Option<Duration>,
    /// Which network.
    pub network: NetworkMode,
    /// Bind mounts, volumes and tmpfs. In a record, volumes without a name have got one, and the image's are there.
    pub mounts: Vec<MountConfig>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// No program gains privileges by exec.
    pub no_new_privileges: bool,
    /// Added to Docker's default capabilities.
    pub cap_add: Vec<String>,
    /// Taken from Docker's default capabilities.
    pub cap_drop: Vec<String>,
    /// Kernel parameters of the container's own namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Resource limits of the process.
    pub ulimits: Vec<UlimitConfig>,
    /// -1000 to 1000; inherited when absent.
    pub oom_score_adj: Option<i32>,
    /// Cgroup limits.
    pub resources: ResourceConfig,
    /// Lines for `/etc/hosts`: `address name [alias…]`.
    pub extra_hosts: Vec<String>,
    /// Resolver settings; the host's where empty.
    pub dns: DnsConfig,
    /// Rotation of the log.
    pub log: LogConfig,
    /// Supplementary groups, by name or number.
    pub groups: Vec<String>,
    /// A small init process runs the program and reaps what it leaves.
    pub init: bool,
    /// Standard input, output and error are a terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub open_stdin: bool,
    /// How its health is found out; the image's where it says nothing.
    pub healthcheck: Option<HealthConfig>,
    /// Devices of the host.
    pub devices: Vec<DeviceConfig>,
    /// All rights on the host.
    pub privileged: bool,
    /// System call filter.
    pub seccomp: SeccompConfig,
    /// AppArmor profile; the engine's when absent.
    pub apparmor: Option<String>,
    /// SELinux label; the engine's when absent.
    pub selinux: Option<String>,
    /// It is given files or variables whose content is not written down: see [`crate::Injected`].
    pub injects: bool,
}

/// A health check as it is asked for, in Docker's terms. Zero means the image's, or Docker's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", "…"]`; empty is the image's.
    pub test: Vec<String>,
    /// Between two probes.
    pub interval: Duration,
    /// After which a probe has failed.
    pub timeout: Duration,
    /// Failures in it do not count until the first success.
    pub start_period: Duration,
    /// Between two probes during the start period.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u64,
}

/// A device of the host in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceConfig {
    /// Path on the host.
    pub host: PathBuf,
    /// Path inside.
    pub container: PathBuf,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// Which system calls a container may make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompConfig {
    /// Docker's default ones.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// What this profile allows, in Docker's JSON format.
    Custom(String),
}

/// Networks that a container can have so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    /// The host's own.
    Host,
    /// A namespace of its own with the loopback device only.
    #[default]
    Loopback,
}

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountConfig {
    /// Absolute path inside.
    pub target: PathBuf,
    /// Read-only inside.
    pub read_only: bool,
    /// What is mounted.
    pub kind: MountKind,
}

/// Kinds of mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// Absolute path on the host.
        source: PathBuf,
        /// `rprivate` when empty.
        propagation: String,
        /// Mounts below the source come along.
        recursive: bool,
        /// Make the source directory when it is missing.
        create_source: bool,
        /// What read-only means for the mounts below the source.
        #[serde(default)]
        recursion: ReadOnlyRecursion,
    },
    /// A volume of this host.
    Volume(VolumeMount),
    /// A file system in memory.
    Tmpfs {
        /// Limit in bytes.
        size: Option<u64>,
        /// Mode of its root.
        mode: Option<u32>,
        /// Further mount options, such as `exec` or `uid=7`.
        #[serde(default)]
        options: Vec<String>,
    },
}

/// What read-only means for the mounts below the source of a bind mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadOnlyRecursion {
    /// They are read-only, too, where the kernel can do it.
    #[default]
    IfPossible,
    /// They stay as they are.
    Off,
    /// They are read-only, or the container does not start.
    Force,
}

/// A volume in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeMount {
    /// Its name; empty asks for a new one that is removed with the container.
    pub name: String,
    /// It is removed with the container.
    pub anonymous: bool,
    /// Do not fill it, when it is empty, with what the image has there.
    pub no_copy: bool,
    /// Its labels, when it has to be made.
    pub labels: BTreeMap<String, String>,
    /// Its driver, when it has to be made: `local` when empty.
    pub driver: String,
    /// Its driver's options, when it has to be made.
    pub options: BTreeMap<String, String>,
    /// Mount only this directory or file of it.
    pub subpath: String,
}

/// One resource limit; -1 is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UlimitConfig {
    /// Docker's name: `nofile`.
    pub name: String,
    /// Soft limit.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// Cgroup limits; 0 is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceConfig {
    /// Billionths of a CPU.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

/// Resolver settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Addresses of name servers.
    pub nameservers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// Rotation of a container's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// Bytes at which the file is rotated.
    pub max_size: u64,
    /// Files that are kept, the current one included.
    pub max_files: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            max_size: sandbox::spec::DEFAULT_LOG_MAX_SIZE,
            max_files: sandbox::spec::DEFAULT_LOG_MAX_FILES,
        }
    }
}
