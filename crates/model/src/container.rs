//! What a container is asked to be: Docker's `ContainerSpec`, kept as the client sent it.
//!
//! `None` and an explicit default differ on purpose: a spec is echoed as it was sent, and the comparison
//! that decides about a restart is structural.

use crate::payload::{ConfigRef, SecretEnv, SecretRef};
use crate::{Driver, Labels};
use std::time::Duration;

/// How one container of a service is made. Written by the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Image reference as the client pinned it, such as `nginx:1@sha256:…`.
    pub image: String,
    /// Labels of the container.
    pub labels: Labels,
    /// Overrides the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Overrides the image's command when not empty.
    pub args: Vec<String>,
    /// Host name inside; the short container id when empty.
    pub hostname: String,
    /// Environment as `NAME=value` or `NAME`.
    pub env: Vec<String>,
    /// Working directory; the image's when empty.
    pub dir: String,
    /// `user`, `uid`, `user:group` or `uid:gid`; the image's when empty.
    pub user: String,
    /// Supplementary groups.
    pub groups: Vec<String>,
    /// Signal that asks the process to end; the image's or SIGTERM when empty.
    pub stop_signal: String,
    /// Time between the stop signal and SIGKILL; 10 s when absent.
    pub stop_grace_period: Option<Duration>,
    /// The root file system is read-only.
    pub read_only: bool,
    /// Mounts in the order given.
    pub mounts: Vec<Mount>,
    /// Docker's CLI always sends `false`; `true` asks for an init process.
    pub init: Option<bool>,
    /// Standard input, output and error are a terminal.
    pub tty: bool,
    /// Standard input stays open; nobody writes to it in a service.
    pub open_stdin: bool,
    /// How the container's health is found out; the image's when absent.
    pub healthcheck: Option<Healthcheck>,
    /// Secrets as files, in the order sent.
    pub secrets: Vec<SecretRef>,
    /// Configs as files, in the order sent.
    pub configs: Vec<ConfigRef>,
    /// Secrets as environment variables: ours, Docker has none.
    pub secret_env: Vec<SecretEnv>,
    /// Devices of the host: ours, Docker services have none. Refused where the node's policy does not allow it.
    pub devices: Vec<Device>,
    /// All rights on the host: ours, Docker services have none. Refused where the node's policy does not allow it.
    pub privileged: bool,
    /// Extra lines of `/etc/hosts`, as `address name [alias…]`.
    pub hosts: Vec<String>,
    /// DNS settings; the CLI always sends an empty one.
    pub dns: Option<DnsConfig>,
    /// Isolation technology; only the default one exists on Linux.
    pub isolation: String,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: Labels,
    /// Capabilities added to Docker's default set.
    pub cap_add: Vec<String>,
    /// Capabilities taken from Docker's default set.
    pub cap_drop: Vec<String>,
    /// Resource limits of the process.
    pub ulimits: Vec<Ulimit>,
    /// Adjustment of the kernel's out-of-memory score, -1000 to 1000.
    pub oom_score_adj: i64,
    /// Security options.
    pub privileges: Option<Privileges>,
}

/// A mount of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Path on the host for a bind, name for a volume; empty for tmpfs.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// Read-only inside.
    pub read_only: bool,
    /// Kept and echoed; it has no meaning on Linux.
    pub consistency: String,
}

/// Kinds of mount with their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A path of the host.
    Bind(Option<BindOptions>),
    /// A volume of the host, by name; without a source one that lives as long as the task.
    Volume(Option<VolumeOptions>),
    /// A file system in memory.
    Tmpfs(Option<TmpfsOptions>),
}

/// Options of a bind mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindOptions {
    /// Mount propagation: `rprivate` when empty.
    pub propagation: String,
    /// Do not bind the mounts below the source.
    pub non_recursive: bool,
    /// Create the source directory when it is missing.
    pub create_mountpoint: bool,
    /// Read-only holds for the mount itself, not for those below it.
    pub read_only_non_recursive: bool,
    /// Refuse to start when the mounts below cannot be made read-only.
    pub read_only_force_recursive: bool,
}

/// Options of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeOptions {
    /// Do not fill an empty volume with what the image has at the target.
    pub no_copy: bool,
    /// Labels of the volume when it is made.
    pub labels: Labels,
    /// Driver and its options when it is made; `local` when absent.
    pub driver: Option<Driver>,
    /// Mount only this directory of the volume.
    pub subpath: String,
}

/// Options of a tmpfs mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TmpfsOptions {
    /// Largest size in bytes; 0 is the kernel's default.
    pub size_bytes: i64,
    /// Permission bits of its root; 0 means 01777.
    pub mode: u32,
    /// Mount options, each a name or a name and a value.
    pub options: Vec<Vec<String>>,
}

/// How the health of a container is found out. Zero durations and retries mean the image's or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", "…"]`; empty inherits the image's.
    pub test: Vec<String>,
    /// Between two probes; [`Healthcheck::DEFAULT_INTERVAL`] when zero.
    pub interval: Duration,
    /// After which a probe has failed; [`Healthcheck::DEFAULT_TIMEOUT`] when zero.
    pub timeout: Duration,
    /// Failures in it do not count until the first success.
    pub start_period: Duration,
    /// Between two probes during the start period; [`Healthcheck::DEFAULT_START_INTERVAL`] when zero.
    pub start_interval: Duration,
    /// Failures in a row that make it unhealthy; [`Healthcheck::DEFAULT_RETRIES`] when zero.
    pub retries: u64,
}

impl Healthcheck {
    /// Docker's default.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
    /// Docker's default.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// Docker's default.
    pub const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
    /// Docker's default.
    pub const DEFAULT_RETRIES: u64 = 3;
    /// Docker's least time of anything: shorter ones are slips of the unit.
    pub const MIN_DURATION: Duration = Duration::from_millis(1);
}

/// A device of the host in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Path on the host.
    pub host_path: String,
    /// Path in the container.
    pub container_path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

/// Resolver settings of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// Addresses of name servers.
    pub nameservers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// Name without the prefix: `nofile`.
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// Security options that services know. Absent ones are the engine's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// The process and its children can gain no privileges by exec.
    pub no_new_privileges: bool,
    /// SELinux context.
    pub selinux: Option<SelinuxContext>,
    /// System call filter.
    pub seccomp: Option<SeccompOption>,
    /// AppArmor profile.
    pub apparmor: Option<AppArmorMode>,
}

/// An SELinux context; empty parts are the engine's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelinuxContext {
    /// No separation at all.
    pub disable: bool,
    /// User part.
    pub user: String,
    /// Role part.
    pub role: String,
    /// Type part.
    pub kind: String,
    /// Level part.
    pub level: String,
}

/// Which system call filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeccompOption {
    /// The engine's.
    Default,
    /// None.
    Unconfined,
    /// This profile, in Docker's JSON format.
    Custom(Vec<u8>),
}

/// Which AppArmor profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppArmorMode {
    /// The engine's.
    Default,
    /// None.
    Disabled,
}
