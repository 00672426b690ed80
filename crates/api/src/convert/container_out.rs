//! A container's specification as it is echoed.

use super::nanos;
use api_types::mount as json_mount;
use api_types::task as json;
use model::container::{ContainerSpec, Mount, MountKind};

pub(super) fn container_spec(spec: &ContainerSpec) -> json::ContainerSpec {
    json::ContainerSpec {
        image: spec.image.clone(),
        labels: spec.labels.clone(),
        command: spec.command.clone(),
        args: spec.args.clone(),
        hostname: spec.hostname.clone(),
        env: spec.env.clone(),
        dir: spec.dir.clone(),
        user: spec.user.clone(),
        groups: spec.groups.clone(),
        privileges: spec.privileges.as_ref().map(|p| json::Privileges {
            no_new_privileges: p.no_new_privileges,
            ..Default::default()
        }),
        init: spec.init,
        stop_signal: spec.stop_signal.clone(),
        read_only: spec.read_only,
        mounts: spec.mounts.iter().map(mount).collect(),
        stop_grace_period: spec.stop_grace_period.map(nanos),
        hosts: spec.hosts.clone(),
        dns_config: spec.dns.as_ref().map(|d| json::DnsConfig {
            nameservers: d.nameservers.clone(),
            search: d.search.clone(),
            options: d.options.clone(),
        }),
        isolation: spec.isolation.clone(),
        sysctls: spec.sysctls.clone(),
        capability_add: spec.cap_add.clone(),
        capability_drop: spec.cap_drop.clone(),
        ulimits: spec
            .ulimits
            .iter()
            .map(|u| api_types::container::Ulimit {
                name: u.name.clone(),
                soft: u.soft,
                hard: u.hard,
            })
            .collect(),
        oom_score_adj: spec.oom_score_adj,
        ..Default::default()
    }
}

fn mount(mount: &Mount) -> json_mount::Mount {
    let mut out = json_mount::Mount {
        source: mount.source.clone(),
        target: mount.target.clone(),
        read_only: mount.read_only,
        consistency: mount.consistency.clone(),
        ..Default::default()
    };
    match &mount.kind {
        MountKind::Bind(options) => {
            out.kind = "bind".into();
            out.bind_options = options.as_ref().map(|o| json_mount::BindOptions {
                propagation: o.propagation.clone(),
                non_recursive: o.non_recursive,
                create_mountpoint: o.create_mountpoint,
                ..Default::default()
            });
        }
        MountKind::Tmpfs(options) => {
            out.kind = "tmpfs".into();
            out.tmpfs_options = options.as_ref().map(|o| json_mount::TmpfsOptions {
                size_bytes: o.size_bytes,
                mode: o.mode,
                ..Default::default()
            });
        }
    }
    out
}
