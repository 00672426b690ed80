//! From a container's record to what the supervisor is asked for.

use crate::config::{MountConfig, MountKind, NetworkMode, ReadOnlyRecursion, SeccompConfig};
use crate::error::CreateError;
use crate::inject::{Injected, InjectedVariable};
use crate::limits::unsigned;
use crate::paths::Paths;
use crate::record::ContainerRecord;
use sandbox::spec::{
    self, ContainerSpec, Device, InjectedFile, LogFile, Mount, Network, Propagation, Resources,
    Rlimit, Rootfs, Seccomp,
};
use std::collections::BTreeMap;
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

/// Paths of volumes on the host by their targets in the container.
pub(crate) type Sources = BTreeMap<PathBuf, PathBuf>;

/// What the supervisor is asked to run; its control group is the caller's to say.
pub(crate) fn build(
    record: &ContainerRecord,
    paths: &Paths,
    lower: Vec<PathBuf>,
    sources: &Sources,
    injected: Injected,
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
    let mut spec = ContainerSpec::new(&record.id, rootfs, process.args(), "", log);
    spec.env = environment(&process.env, injected.env);
    spec.files = injected.files.into_iter().map(file).collect();
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
    let mounts = config.mounts.iter().map(|m| mount(m, sources));
    spec.mounts = mounts.collect::<Result<_, _>>()?;
    spec.init = config.init;
    spec.tty = config.tty;
    spec.open_stdin = config.open_stdin;
    spec.groups.clone_from(&config.groups);
    spec.devices = config.devices.iter().map(device).collect();
    spec.privileged = config.privileged;
    spec.seccomp = match &config.seccomp {
        SeccompConfig::Default => Seccomp::Default,
        SeccompConfig::Unconfined => Seccomp::Unconfined,
        SeccompConfig::Custom(profile) => Seccomp::Custom(profile.clone()),
    };
    spec.apparmor_profile.clone_from(&config.apparmor);
    spec.selinux_label.clone_from(&config.selinux);
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

/// A variable that is injected takes the place of one of its name.
fn environment(env: &[String], injected: Vec<InjectedVariable>) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let replaced = |variable: &&String| !injected.iter().any(|i| i.name == name(variable));
    let mut env: Vec<String> = env.iter().filter(replaced).cloned().collect();
    env.extend(
        injected
            .into_iter()
            .map(|i| format!("{}={}", i.name, i.value)),
    );
    env
}

fn file(file: crate::inject::InjectedFile) -> InjectedFile {
    InjectedFile {
        target: file.target,
        uid: file.uid,
        gid: file.gid,
        mode: file.mode,
        data: file.data.to_vec(),
    }
}

fn device(device: &crate::config::DeviceConfig) -> Device {
    Device {
        host: device.host.clone(),
        container: device.container.clone(),
        permissions: device.permissions.clone(),
    }
}

fn mount(mount: &MountConfig, sources: &Sources) -> Result<Mount, CreateError> {
    let target = mount.target.clone();
    Ok(match &mount.kind {
        MountKind::Bind {
            source,
            propagation: mode,
            recursive,
            create_source: _,
            recursion,
        } => Mount::Bind {
            source: source.clone(),
            target,
            readonly: mount.read_only,
            readonly_recursive: match recursion {
                ReadOnlyRecursion::IfPossible => spec::ReadOnlyRecursion::IfPossible,
                ReadOnlyRecursion::Off => spec::ReadOnlyRecursion::Off,
                ReadOnlyRecursion::Force => spec::ReadOnlyRecursion::Force,
            },
            recursive: *recursive,
            propagation: propagation(mode)?,
        },
        MountKind::Volume(volume) => Mount::Bind {
            source: sources
                .get(&target)
                .cloned()
                .ok_or_else(|| crate::VolumeError::NotFound(volume.name.clone()))?,
            target,
            readonly: mount.read_only,
            readonly_recursive: spec::ReadOnlyRecursion::IfPossible,
            recursive: true,
            propagation: Propagation::Rprivate,
        },
        MountKind::Tmpfs {
            size,
            mode,
            options,
        } => Mount::Tmpfs {
            target,
            size: *size,
            mode: *mode,
            options: tmpfs_options(mount.read_only, options),
        },
    })
}

/// Docker's for a tmpfs of a service, then what is asked for.
fn tmpfs_options(read_only: bool, asked: &[String]) -> Vec<String> {
    let mut options = vec!["noexec".to_owned(), "nosuid".into(), "nodev".into()];
    if read_only {
        options.push("ro".into());
    }
    options.extend_from_slice(asked);
    options
}
