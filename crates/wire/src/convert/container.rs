//! Container specs.

use super::{each, maybe};
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::ContainerSpec;
use model::container::{
    BindOptions, DnsConfig, Mount, MountKind, Privileges, TmpfsOptions, Ulimit,
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
            privileges: spec.privileges.as_ref().map(|p| pb::Privileges {
                no_new_privileges: p.no_new_privileges,
            }),
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
            privileges: spec.privileges.map(|p| Privileges {
                no_new_privileges: p.no_new_privileges,
            }),
        })
    }
}

impl From<&Mount> for pb::Mount {
    fn from(mount: &Mount) -> Self {
        let kind = match &mount.kind {
            MountKind::Bind(options) => pb::mount::Kind::Bind(pb::Bind {
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
        }
    }
}

impl From<pb::BindOptions> for BindOptions {
    fn from(options: pb::BindOptions) -> Self {
        BindOptions {
            propagation: options.propagation,
            non_recursive: options.non_recursive,
            create_mountpoint: options.create_mountpoint,
        }
    }
}

impl From<&TmpfsOptions> for pb::TmpfsOptions {
    fn from(options: &TmpfsOptions) -> Self {
        pb::TmpfsOptions {
            size_bytes: options.size_bytes,
            mode: options.mode,
        }
    }
}

impl From<pb::TmpfsOptions> for TmpfsOptions {
    fn from(options: pb::TmpfsOptions) -> Self {
        TmpfsOptions {
            size_bytes: options.size_bytes,
            mode: options.mode,
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
