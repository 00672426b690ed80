//! What the daemon asks for: one container, fully resolved (no image, no cluster). It travels as
//! JSON over the supervisor's socket; unknown fields are ignored, so that an older supervisor
//! that outlived a daemon's upgrade still understands a newer daemon.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::container::{self, capabilities};

/// Docker's default size of `/dev/shm`: 64 MiB.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;
/// Size in bytes at which a log file is rotated when nothing else is asked: 10 MiB.
pub const DEFAULT_LOG_MAX_SIZE: u64 = 10 << 20;
/// Number of log files that are kept, the current one included, when nothing else is asked.
pub const DEFAULT_LOG_MAX_FILES: u32 = 3;
/// Most bytes of output that are kept of a program that runs in a container: Docker keeps 4096 of a
/// health check; this leaves room for other uses and bounds the supervisor's memory. 1 MiB.
pub const MAX_EXEC_OUTPUT: usize = 1 << 20;

/// One container to run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name of the container: 64 hexadecimal digits; also the name of its cgroups.
    pub id: String,
    /// Where its root file system comes from.
    pub rootfs: Rootfs,
    /// Program and arguments; the first is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// `NAME=value`; `PATH`, `HOSTNAME` and `HOME` are added when absent, as Docker does.
    pub env: Vec<String>,
    /// Working directory inside the container; created when absent; "" is `/`.
    pub cwd: String,
    /// Docker's syntax: "", `uid`, `uid:gid`, `name`, `name:group`; resolved by the container's
    /// own `/etc/passwd` and `/etc/group`.
    pub user: String,
    /// Host name, set in the container's own UTS namespace.
    pub hostname: String,
    /// Host file that is bind mounted onto `/etc/hosts`.
    #[serde(default)]
    pub hosts_file: Option<PathBuf>,
    /// Host file that is bind mounted onto `/etc/hostname`.
    #[serde(default)]
    pub hostname_file: Option<PathBuf>,
    /// Host file that is bind mounted onto `/etc/resolv.conf`.
    #[serde(default)]
    pub resolv_file: Option<PathBuf>,
    /// Which network namespace it gets.
    pub network: Network,
    /// Bind mounts and tmpfs; mounted parents first, whatever their order here.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Whether the root (not the mounts on it) is read-only.
    #[serde(default)]
    pub readonly_root: bool,
    /// A small init as process 1, which starts the program, passes signals on to it and reaps
    /// what it leaves (Docker's `--init`). It comes with the supervisor, not from the image.
    #[serde(default)]
    pub init: bool,
    /// A terminal of the container's own devpts as standard input, output and error, also at
    /// `/dev/console`. What is written to it goes to the log as `stdout`. Its size is 0x0.
    #[serde(default)]
    pub tty: bool,
    /// Standard input stays open (nothing comes from it); otherwise it is `/dev/null`.
    #[serde(default)]
    pub open_stdin: bool,
    /// Supplementary groups, by number or by name in the container's own `/etc/group`.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Devices of the host.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// All capabilities that the host's root has, all devices, `/sys` and the cgroups writable,
    /// nothing masked, and no system call filter except a custom one.
    #[serde(default)]
    pub privileged: bool,
    /// SELinux label of the program; refused where SELinux is not active.
    #[serde(default)]
    pub selinux_label: Option<String>,
    /// AppArmor profile of the program; refused where AppArmor is not active, except
    /// `unconfined`.
    #[serde(default)]
    pub apparmor_profile: Option<String>,
    /// Files that the container gets in memory: secrets and configs.
    #[serde(default)]
    pub files: Vec<InjectedFile>,
    /// Sets the no_new_privs bit: no set-uid program raises privileges.
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Capabilities added to Docker's default ones; with or without `CAP_`; "ALL".
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Capabilities removed from Docker's default ones; with or without `CAP_`; "ALL".
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// `(name, value)` with dots in the name; only sysctls of the container's own namespaces.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
    /// Resource limits of the program; what is not named is inherited from the supervisor.
    #[serde(default)]
    pub rlimits: Vec<Rlimit>,
    /// -1000 to 1000; 0 when absent.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// Size of `/dev/shm` in bytes.
    #[serde(default = "default_shm_size")]
    pub shm_size: u64,
    /// Which system call filter.
    #[serde(default)]
    pub seccomp: Seccomp,
    /// Cgroup limits.
    #[serde(default)]
    pub resources: Resources,
    /// As dockerd's `--cgroup-parent` with the cgroupfs driver, for example `/docker`: the
    /// container's group is `<cgroup_parent>/<id>`.
    pub cgroup_parent: String,
    /// Where standard output and error go.
    pub log: LogFile,
}

fn default_shm_size() -> u64 {
    DEFAULT_SHM_SIZE
}

/// A root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// An overlay of read-only layers and one writable layer. All directories exist already;
    /// `upper` and `work` lie in one file system. Without any lower layer, `upper` alone is the root.
    Overlay {
        /// Read-only layers, the top one first.
        lower: Vec<PathBuf>,
        /// The writable layer.
        upper: PathBuf,
        /// The overlay's work directory.
        work: PathBuf,
        /// Where it is mounted, in the container's own mount namespace only.
        merged: PathBuf,
    },
}

/// A network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's.
    Host,
    /// Its own, in which only the loopback device is up.
    Loopback,
}

/// A mount on the container's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A host directory or file.
    Bind {
        /// Absolute path on the host; must exist.
        source: PathBuf,
        /// Absolute path in the container; links are followed inside the container's root only.
        /// Created when absent: a directory or an empty file, as the source is.
        target: PathBuf,
        /// No writing through this mount, nor through mounts below it when recursive (as
        /// `readonly_recursive` says).
        #[serde(default)]
        readonly: bool,
        /// What `readonly` means for the mounts below the source.
        #[serde(default)]
        readonly_recursive: ReadOnlyRecursion,
        /// Whether mounts below the source come along (Docker's default).
        #[serde(default = "yes")]
        recursive: bool,
        /// How later mounts travel between host and container.
        #[serde(default)]
        propagation: Propagation,
    },
    /// A file system in memory.
    Tmpfs {
        /// Absolute path in the container; created when absent.
        target: PathBuf,
        /// Limit in bytes; the kernel's default is half the memory.
        #[serde(default)]
        size: Option<u64>,
        /// Mode of its root directory; 0o1777 when absent.
        #[serde(default)]
        mode: Option<u32>,
        /// Mount options as in Docker's `--tmpfs`: `ro`, `rw`, `exec`, `noexec`, `suid`, `nosuid`,
        /// `dev`, `nodev`, `uid=`, `gid=`, `nr_inodes=`, `size=`, `mode=`. Without any it is
        /// `nosuid,nodev,noexec`.
        #[serde(default)]
        options: Vec<String>,
    },
}

fn yes() -> bool {
    true
}

impl Mount {
    /// Path in the container.
    pub fn target(&self) -> &std::path::Path {
        match self {
            Mount::Bind { target, .. } | Mount::Tmpfs { target, .. } => target,
        }
    }
}

/// Mount propagation, as in mount_namespaces(7). The names with `r` hold for mounts below, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Neither direction.
    Private,
    /// Neither direction, for the whole tree (Docker's default).
    #[default]
    Rprivate,
    /// From the host into the container.
    Slave,
    /// From the host into the container, for the whole tree.
    Rslave,
    /// Both directions.
    Shared,
    /// Both directions, for the whole tree.
    Rshared,
}

/// What a read-only bind means for the mounts below its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadOnlyRecursion {
    /// They become read-only where the kernel can do that (Docker's default).
    #[default]
    IfPossible,
    /// They stay as they are (Docker's `ReadOnlyNonRecursive`).
    Off,
    /// They become read-only, or the container does not start (Docker's `ReadOnlyForceRecursive`).
    Force,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Device node on the host; of a directory all nodes in it.
    pub host: PathBuf,
    /// Absolute path in the container.
    pub container: PathBuf,
    /// Letters of `rwm`: reading, writing, making nodes.
    pub permissions: String,
}

/// A file whose content comes with the request. It is written to memory only, and mounted
/// read-only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFile {
    /// Absolute path in the container; created when absent, with its parents.
    pub target: PathBuf,
    /// Owner.
    #[serde(default)]
    pub uid: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
    /// Permissions, for example 0o444.
    pub mode: u32,
    /// Content; base64 in JSON.
    #[serde(with = "crate::base64_bytes")]
    pub data: Vec<u8>,
}

/// Without the content, which may be a secret.
impl std::fmt::Debug for InjectedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let InjectedFile {
            target,
            uid,
            gid,
            mode,
            data,
        } = self;
        let (target, length) = (target.display(), data.len());
        write!(
            f,
            "InjectedFile({target} {uid}:{gid} {mode:o}, {length} bytes)"
        )
    }
}

/// A program to run in a container that runs: a health check, or `docker exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Program and arguments; the first is looked up in the container's `PATH`.
    pub args: Vec<String>,
    /// `NAME=value`, added to the container's own environment; the same name replaces.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working directory; "" is the container's.
    #[serde(default)]
    pub cwd: String,
    /// As [`ContainerSpec::user`]; "" is the container's.
    #[serde(default)]
    pub user: String,
    /// A terminal. Not built yet: `true` is refused.
    #[serde(default)]
    pub tty: bool,
    /// How many bytes of its output (standard output and error together) are kept, the first ones;
    /// at most [`MAX_EXEC_OUTPUT`]. The rest is read and dropped.
    #[serde(default)]
    pub max_output: usize,
}

/// One resource limit, as in setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// Docker's name: `nofile`, `nproc`, `core`, `memlock`, ...
    pub name: String,
    /// Soft limit; `u64::MAX` is unlimited.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is unlimited.
    pub hard: u64,
}

/// Which system calls the container may make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Docker's default allow-list for the native architecture; nothing when privileged.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in Docker's JSON format; its rules for the native architecture.
    Custom(String),
}

/// Cgroup limits; `None` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU time per second, in billionths of a CPU (1_500_000_000 is one and a half CPUs).
    #[serde(default)]
    pub nano_cpus: Option<u64>,
    /// Memory in bytes. Swap is limited to the same amount where the kernel accounts for it.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Number of processes and threads.
    #[serde(default)]
    pub pids_limit: Option<u64>,
}

/// Where standard output and error go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFile {
    /// Docker's json-file format. A full file is renamed to `path.1`, that one to `path.2`, and so
    /// on.
    JsonFile {
        /// The current file; its directory exists.
        path: PathBuf,
        /// Bytes at which the file is rotated.
        #[serde(default = "default_max_size")]
        max_size: u64,
        /// Files that are kept, the current one included; at least 1.
        #[serde(default = "default_max_files")]
        max_files: u32,
    },
}

fn default_max_size() -> u64 {
    DEFAULT_LOG_MAX_SIZE
}

fn default_max_files() -> u32 {
    DEFAULT_LOG_MAX_FILES
}

impl LogFile {
    /// A json-file with Docker-like rotation at 10 MiB, three files.
    pub fn json_file(path: impl Into<PathBuf>) -> LogFile {
        LogFile::JsonFile {
            path: path.into(),
            max_size: DEFAULT_LOG_MAX_SIZE,
            max_files: DEFAULT_LOG_MAX_FILES,
        }
    }

    /// The current file.
    pub fn path(&self) -> &std::path::Path {
        match self {
            LogFile::JsonFile { path, .. } => path,
        }
    }
}

/// Without the environment and the files, which may hold secrets.
impl std::fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("id", &self.id)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

impl ContainerSpec {
    /// A container with Docker's defaults: no limits, default capabilities and seccomp, loopback
    /// only.
    pub fn new(
        id: impl Into<String>,
        rootfs: Rootfs,
        args: Vec<String>,
        cgroup_parent: impl Into<String>,
        log: LogFile,
    ) -> Self {
        let id = id.into();
        ContainerSpec {
            hostname: id.chars().take(12).collect(),
            id,
            rootfs,
            args,
            env: Vec::new(),
            cwd: String::new(),
            user: String::new(),
            hosts_file: None,
            hostname_file: None,
            resolv_file: None,
            network: Network::Loopback,
            mounts: Vec::new(),
            readonly_root: false,
            init: false,
            tty: false,
            open_stdin: false,
            groups: Vec::new(),
            devices: Vec::new(),
            privileged: false,
            selinux_label: None,
            apparmor_profile: None,
            files: Vec::new(),
            no_new_privileges: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            sysctls: Vec::new(),
            rlimits: Vec::new(),
            oom_score_adj: None,
            shm_size: DEFAULT_SHM_SIZE,
            seccomp: Seccomp::Default,
            resources: Resources::default(),
            cgroup_parent: cgroup_parent.into(),
            log,
        }
    }

    /// What the supervisor would refuse without trying, for a caller with its capabilities: names, numbers and paths
    /// that cannot be, and what this kernel does not have.
    ///
    /// # Errors
    /// In words for the user.
    pub fn check(&self) -> Result<(), String> {
        let available = capabilities::available()
            .map_err(|error| format!("cannot read this process's capabilities: {error}"))?;
        container::validate(self, available).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let rootfs = Rootfs::Overlay {
            lower: vec![],
            upper: "/u".into(),
            work: "/w".into(),
            merged: "/m".into(),
        };
        let log = LogFile::JsonFile {
            path: "/log".into(),
            max_size: 1,
            max_files: 1,
        };
        let mut spec = ContainerSpec::new("c1", rootfs, vec!["sh".into()], "", log);
        spec.env = vec!["PASSWORD=hunter2".into()];
        spec.files = vec![InjectedFile {
            target: "/run/secrets/a".into(),
            uid: 0,
            gid: 0,
            mode: 0o400,
            data: b"hunter2".to_vec(),
        }];
        let printed = format!("{spec:?} {spec:#?} {:?}", spec.files);
        assert!(printed.contains("c1"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(
            !printed.contains(&format!("{:?}", b"hunter2")[1..]),
            "{printed}"
        );
    }
}
