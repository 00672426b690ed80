//! What a container is asked to be: Docker's `ContainerSpec`, kept as the client sent it.
//!
//! `None` and an explicit default differ on purpose: a spec is echoed as it was sent, and the comparison
//! that decides about a restart is structural.

use crate::Labels;
use std::time::Duration;

/// How one container of a service is made. Written by the API.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// What is mounted.
    pub kind: MountKind,
    /// Path on the host for a bind; empty for tmpfs.
    pub source: String,
    /// Absolute path inside.
    pub target: String,
    /// Read-only inside.
    pub read_only: bool,
    /// Kept and echoed; it has no meaning on Linux.
    pub consistency: String,
}

/// Kinds of mount with their options.
#[derive(Clone, Debug, PartialEq)]
pub enum MountKind {
    /// A path of the host.
    Bind(Option<BindOptions>),
    /// A file system in memory.
    Tmpfs(Option<TmpfsOptions>),
}

/// Options of a bind mount.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BindOptions {
    /// Mount propagation: `rprivate` when empty.
    pub propagation: String,
    /// Do not bind the mounts below the source.
    pub non_recursive: bool,
    /// Create the source directory when it is missing.
    pub create_mountpoint: bool,
}

/// Options of a tmpfs mount.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TmpfsOptions {
    /// Largest size in bytes; 0 is the kernel's default.
    pub size_bytes: i64,
    /// Permission bits of its root; 0 means 01777.
    pub mode: u32,
}

/// Resolver settings of a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DnsConfig {
    /// Addresses of name servers.
    pub nameservers: Vec<String>,
    /// Search domains.
    pub search: Vec<String>,
    /// Resolver options.
    pub options: Vec<String>,
}

/// One resource limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Ulimit {
    /// Name without the prefix: `nofile`.
    pub name: String,
    /// Soft limit; -1 is unlimited.
    pub soft: i64,
    /// Hard limit; -1 is unlimited.
    pub hard: i64,
}

/// Security options that services know. Absent ones are the engine's defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Privileges {
    /// The process and its children can gain no privileges by exec.
    pub no_new_privileges: bool,
}
