//! From a container's record to what the supervisor is asked for.

use crate::config::{MountConfig, MountKind, NetworkMode};
use crate::error::CreateError;
use crate::limits::unsigned;
use crate::paths::Paths;
use crate::record::ContainerRecord;
use sandbox::spec::{
    ContainerSpec, LogFile, Mount, Network, Propagation, Resources, Rlimit, Rootfs,
};
use std::path::PathBuf;

/// Mount propagation by Docker's name.
pub(crate) fn propagation(name: &str) -> Result<Propagation, CreateError> {
    Ok(match name {
        "" | "rprivate" => Propagation::Rprivate,
        "private" => Propagation::Private,
        "rslave" => Propagation::Rslave,
        "slave" => Propagation::Slave,
        "rshared" => Propagation::Rshared,
        "shared" => Propagation::Shared,
        other => {
            let text = format!(
                "invalid mount config for type \"bind\": invalid propagation mode: {other}"
            );
            return Err(CreateError::Invalid(text));
        }
    })
}

/// What the supervisor is asked to run.
pub(crate) fn build(
    record: &ContainerRecord,
    paths: &Paths,
    lower: Vec<PathBuf>,
    cgroup_parent: &str,
) -> Result<ContainerSpec, CreateError> {
    let (config, process) = (&record.config, &record.process);
    let files = paths.container(&record.id);
    let root = paths.rootfs(&record.id);
    let rootfs = Rootfs::Overlay {
        lower,
        upper: root.join("upper"),
        work: root.join("work"),
        merged: root.join("merged"),
    };
    let log = LogFile::JsonFile {
        path: record.log_path.clone(),
        max_size: config.log.max_size,
        max_files: config.log.max_files,
    };
    let mut spec = ContainerSpec::new(&record.id, rootfs, process.args(), cgroup_parent, log);
    spec.env.clone_from(&process.env);
    spec.cwd.clone_from(&process.working_dir);
    spec.user.clone_from(&process.user);
    spec.hostname.clone_from(&process.hostname);
    spec.hosts_file = Some(files.join("hosts"));
    spec.hostname_file = Some(files.join("hostname"));
    spec.resolv_file = Some(files.join("resolv.conf"));
    spec.network = match config.network {
        NetworkMode::Host => Network::Host,
        NetworkMode::Loopback => Network::Loopback,
    };
    spec.mounts = config.mounts.iter().map(mount).collect::<Result<_, _>>()?;
    spec.readonly_root = config.read_only;
    spec.no_new_privileges = config.no_new_privileges;
    spec.cap_add.clone_from(&config.cap_add);
    spec.cap_drop.clone_from(&config.cap_drop);
    spec.sysctls = config.sysctls.clone().into_iter().collect();
    spec.rlimits = config.ulimits.iter().map(rlimit).collect();
    spec.oom_score_adj = config.oom_score_adj;
    let some = |limit: u64| (limit > 0).then_some(limit);
    spec.resources = Resources {
        nano_cpus: some(config.resources.nano_cpus),
        memory_bytes: some(config.resources.memory_bytes),
        pids_limit: some(config.resources.pids),
    };
    Ok(spec)
}

fn rlimit(ulimit: &crate::config::UlimitConfig) -> Rlimit {
    Rlimit {
        name: ulimit.name.clone(),
        soft: unsigned(ulimit.soft),
        hard: unsigned(ulimit.hard),
    }
}

fn mount(mount: &MountConfig) -> Result<Mount, CreateError> {
    let target = mount.target.clone();
    Ok(match &mount.kind {
        MountKind::Bind {
            source,
            propagation: mode,
            recursive,
            create_source: _,
        } => Mount::Bind {
            source: source.clone(),
            target,
            readonly: mount.read_only,
            readonly_recursive: Default::default(),
            recursive: *recursive,
            propagation: propagation(mode)?,
        },
        MountKind::Tmpfs { size, mode } => Mount::Tmpfs {
            target,
            size: *size,
            mode: *mode,
            options: tmpfs_options(mount.read_only),
        },
    })
}

/// Docker's for a tmpfs of a service.
fn tmpfs_options(read_only: bool) -> Vec<String> {
    let mut options = vec!["noexec".to_owned(), "nosuid".into(), "nodev".into()];
    if read_only {
        options.push("ro".into());
    }
    options
}
