//! Container specs.

use super::{each, maybe};
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::ContainerSpec;
use model::container::{
    BindOptions, DnsConfig, Mount, MountKind, TmpfsOptions, Ulimit, VolumeOptions,
};

impl From<&ContainerSpec> for pb::ContainerSpec {
    fn from(spec: &ContainerSpec) -> Self {
        pb::ContainerSpec {
            image: spec.image.clone(),
            labels: spec.labels.clone(),
            command: spec.command.clone(),
            args: spec.args.clone(),
            hostname: spec.hostname.clone(),
            env: spec.env.clone(),
            dir: spec.dir.clone(),
            user: spec.user.clone(),
            groups: spec.groups.clone(),
            stop_signal: spec.stop_signal.clone(),
            stop_grace_period: spec.stop_grace_period.map(Into::into),
            read_only: spec.read_only,
            mounts: spec.mounts.iter().map(Into::into).collect(),
            init: spec.init,
            hosts: spec.hosts.clone(),
            dns: spec.dns.as_ref().map(Into::into),
            isolation: spec.isolation.clone(),
            sysctls: spec.sysctls.clone(),
            cap_add: spec.cap_add.clone(),
            cap_drop: spec.cap_drop.clone(),
            ulimits: spec.ulimits.iter().map(Into::into).collect(),
            oom_score_adj: spec.oom_score_adj,
            privileges: spec.privileges.as_ref().map(Into::into),
            tty: spec.tty,
            open_stdin: spec.open_stdin,
            healthcheck: spec.healthcheck.as_ref().map(Into::into),
            secrets: spec.secrets.iter().map(Into::into).collect(),
            configs: spec.configs.iter().map(Into::into).collect(),
            secret_env: spec.secret_env.iter().map(Into::into).collect(),
            devices: spec.devices.iter().map(Into::into).collect(),
            privileged: spec.privileged,
        }
    }
}

impl TryFrom<pb::ContainerSpec> for ContainerSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::ContainerSpec) -> Result<Self, DecodeError> {
        Ok(ContainerSpec {
            image: spec.image,
            labels: spec.labels,
            command: spec.command,
            args: spec.args,
            hostname: spec.hostname,
            env: spec.env,
            dir: spec.dir,
            user: spec.user,
            groups: spec.groups,
            stop_signal: spec.stop_signal,
            stop_grace_period: maybe(spec.stop_grace_period)?,
            read_only: spec.read_only,
            mounts: each(spec.mounts)?,
            init: spec.init,
            hosts: spec.hosts,
            dns: spec.dns.map(Into::into),
            isolation: spec.isolation,
            sysctls: spec.sysctls,
            cap_add: spec.cap_add,
            cap_drop: spec.cap_drop,
            ulimits: spec.ulimits.into_iter().map(Into::into).collect(),
            oom_score_adj: spec.oom_score_adj,
            privileges: maybe(spec.privileges)?,
            tty: spec.tty,
            open_stdin: spec.open_stdin,
            healthcheck: maybe(spec.healthcheck)?,
            secrets: each(spec.secrets)?,
            configs: spec.configs.into_iter().map(Into::into).collect(),
            secret_env: spec.secret_env.into_iter().map(Into::into).collect(),
            devices: spec.devices.into_iter().map(Into::into).collect(),
            privileged: spec.privileged,
        })
    }
}

impl From<&Mount> for pb::Mount {
    fn from(mount: &Mount) -> Self {
        let kind = match &mount.kind {
            MountKind::Bind(options) => pb::mount::Kind::Bind(pb::Bind {
                options: options.as_ref().map(Into::into),
            }),
            MountKind::Volume(options) => pb::mount::Kind::Volume(pb::Volume {
                options: options.as_ref().map(Into::into),
            }),
            MountKind::Tmpfs(options) => pb::mount::Kind::Tmpfs(pb::Tmpfs {
                options: options.as_ref().map(Into::into),
            }),
        };
        pb::Mount {
            kind: Some(kind),
            source: mount.source.clone(),
            target: mount.target.clone(),
            read_only: mount.read_only,
            consistency: mount.consistency.clone(),
        }
    }
}

impl TryFrom<pb::Mount> for Mount {
    type Error = DecodeError;
    fn try_from(mount: pb::Mount) -> Result<Self, DecodeError> {
        let kind = match need("the kind of a mount (or it is unknown)", mount.kind)? {
            pb::mount::Kind::Bind(bind) => MountKind::Bind(bind.options.map(Into::into)),
            pb::mount::Kind::Volume(volume) => MountKind::Volume(volume.options.map(Into::into)),
            pb::mount::Kind::Tmpfs(tmpfs) => MountKind::Tmpfs(tmpfs.options.map(Into::into)),
        };
        Ok(Mount {
            kind,
            source: mount.source,
            target: mount.target,
            read_only: mount.read_only,
            consistency: mount.consistency,
        })
    }
}

impl From<&BindOptions> for pb::BindOptions {
    fn from(options: &BindOptions) -> Self {
        pb::BindOptions {
            propagation: options.propagation.clone(),
            non_recursive: options.non_recursive,
            create_mountpoint: options.create_mountpoint,
            read_only_non_recursive: options.read_only_non_recursive,
            read_only_force_recursive: options.read_only_force_recursive,
        }
    }
}

impl From<pb::BindOptions> for BindOptions {
    fn from(options: pb::BindOptions) -> Self {
        BindOptions {
            propagation: options.propagation,
            non_recursive: options.non_recursive,
            create_mountpoint: options.create_mountpoint,
            read_only_non_recursive: options.read_only_non_recursive,
            read_only_force_recursive: options.read_only_force_recursive,
        }
    }
}

impl From<&VolumeOptions> for pb::VolumeOptions {
    fn from(options: &VolumeOptions) -> Self {
        pb::VolumeOptions {
            no_copy: options.no_copy,
            labels: options.labels.clone(),
            driver: options.driver.as_ref().map(Into::into),
            subpath: options.subpath.clone(),
        }
    }
}

impl From<pb::VolumeOptions> for VolumeOptions {
    fn from(options: pb::VolumeOptions) -> Self {
        VolumeOptions {
            no_copy: options.no_copy,
            labels: options.labels,
            driver: options.driver.map(Into::into),
            subpath: options.subpath,
        }
    }
}

impl From<&TmpfsOptions> for pb::TmpfsOptions {
    fn from(options: &TmpfsOptions) -> Self {
        pb::TmpfsOptions {
            size_bytes: options.size_bytes,
            mode: options.mode,
            options: options
                .options
                .iter()
                .map(|parts| pb::MountOption {
                    parts: parts.clone(),
                })
                .collect(),
        }
    }
}

impl From<pb::TmpfsOptions> for TmpfsOptions {
    fn from(options: pb::TmpfsOptions) -> Self {
        TmpfsOptions {
            size_bytes: options.size_bytes,
            mode: options.mode,
            options: options.options.into_iter().map(|o| o.parts).collect(),
        }
    }
}

impl From<&DnsConfig> for pb::DnsConfig {
    fn from(dns: &DnsConfig) -> Self {
        pb::DnsConfig {
            nameservers: dns.nameservers.clone(),
            search: dns.search.clone(),
            options: dns.options.clone(),
        }
    }
}

impl From<pb::DnsConfig> for DnsConfig {
    fn from(dns: pb::DnsConfig) -> Self {
        DnsConfig {
            nameservers: dns.nameservers,
            search: dns.search,
            options: dns.options,
        }
    }
}

impl From<&Ulimit> for pb::Ulimit {
    fn from(limit: &Ulimit) -> Self {
        pb::Ulimit {
            name: limit.name.clone(),
            soft: limit.soft,
            hard: limit.hard,
        }
    }
}

impl From<pb::Ulimit> for Ulimit {
    fn from(limit: pb::Ulimit) -> Self {
        Ulimit {
            name: limit.name,
            soft: limit.soft,
            hard: limit.hard,
        }
    }
}
