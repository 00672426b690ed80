//! A container's specification as a client sends it.

use super::{duration, unless};
use crate::ApiError;
use api_types::mount as json_mount;
use api_types::task as json;
use model::container::{
    BindOptions, ContainerSpec, DnsConfig, Mount, MountKind, Privileges, TmpfsOptions, Ulimit,
};

const FIELD: &str = "TaskTemplate.ContainerSpec";

pub(super) fn container_spec(spec: json::ContainerSpec) -> Result<ContainerSpec, ApiError> {
    refuse_what_is_not_built(&spec)?;
    if !spec.image.is_empty()
        && let Err(error) = images::Reference::parse_normalized(&spec.image)
    {
        return Err(ApiError::bad_request(format!(
            "ContainerSpec: {:?} is not a valid repository/tag: {error}",
            spec.image
        )));
    }
    if !matches!(spec.isolation.as_str(), "" | "default") {
        return Err(ApiError::bad_request(format!(
            "{FIELD}.Isolation: '{}' does not exist on Linux",
            spec.isolation
        )));
    }
    let grace = spec
        .stop_grace_period
        .map(|d| duration(d, &format!("{FIELD}.StopGracePeriod")));
    let ulimit = |u: api_types::container::Ulimit| Ulimit {
        name: u.name,
        soft: u.soft,
        hard: u.hard,
    };
    let dns = |d: json::DnsConfig| DnsConfig {
        nameservers: d.nameservers,
        search: d.search,
        options: d.options,
    };
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
        stop_grace_period: grace.transpose()?,
        read_only: spec.read_only,
        mounts: spec
            .mounts
            .into_iter()
            .map(mount)
            .collect::<Result<_, _>>()?,
        init: spec.init,
        hosts: spec.hosts,
        dns: spec.dns_config.map(dns),
        isolation: spec.isolation,
        sysctls: spec.sysctls,
        cap_add: spec.capability_add,
        cap_drop: spec.capability_drop,
        ulimits: spec.ulimits.into_iter().map(ulimit).collect(),
        oom_score_adj: spec.oom_score_adj,
        privileges: spec.privileges.map(|p| Privileges {
            no_new_privileges: p.no_new_privileges,
        }),
    })
}

/// What Docker's CLI sends without being asked (`Init: false`, `DNSConfig: {}`, null privileges) passes.
fn refuse_what_is_not_built(spec: &json::ContainerSpec) -> Result<(), ApiError> {
    let field = |name: &str| format!("{FIELD}.{name}");
    unless(spec.tty, &field("TTY"))?;
    unless(spec.open_stdin, &field("OpenStdin"))?;
    unless(spec.init == Some(true), &field("Init"))?;
    unless(spec.healthcheck.is_some(), &field("Healthcheck"))?;
    unless(!spec.groups.is_empty(), &field("Groups"))?;
    unless(!spec.secrets.is_empty(), &field("Secrets"))?;
    unless(!spec.configs.is_empty(), &field("Configs"))?;
    let dns = spec.dns_config.as_ref();
    unless(
        dns.is_some_and(|d| *d != json::DnsConfig::default()),
        &field("DNSConfig"),
    )?;
    let Some(privileges) = &spec.privileges else {
        return Ok(());
    };
    unless(
        privileges.credential_spec.is_some(),
        &field("Privileges.CredentialSpec"),
    )?;
    unless(
        privileges.se_linux_context.is_some(),
        &field("Privileges.SELinuxContext"),
    )?;
    unless(privileges.seccomp.is_some(), &field("Privileges.Seccomp"))?;
    unless(
        privileges.app_armor.is_some(),
        &field("Privileges.AppArmor"),
    )
}

fn mount(asked: json_mount::Mount) -> Result<Mount, ApiError> {
    let field = |name: &str| format!("{FIELD}.Mounts.{name}");
    let kind = match asked.kind.as_str() {
        "bind" => MountKind::Bind(asked.bind_options.as_ref().map(bind_options).transpose()?),
        "tmpfs" => MountKind::Tmpfs(
            asked
                .tmpfs_options
                .as_ref()
                .map(tmpfs_options)
                .transpose()?,
        ),
        "" | "volume" => return Err(ApiError::not_built(&field("Type volume"))),
        "npipe" | "cluster" | "image" => {
            return Err(ApiError::not_built(&field(&format!("Type {}", asked.kind))));
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid mount type: '{other}'"
            )));
        }
    };
    let stray = match &kind {
        MountKind::Bind(_) => asked.tmpfs_options.is_some() || asked.volume_options.is_some(),
        MountKind::Tmpfs(_) => asked.bind_options.is_some() || asked.volume_options.is_some(),
    };
    if stray {
        return Err(ApiError::bad_request(format!(
            "invalid mount config for type \"{}\": it has options of another type",
            asked.kind
        )));
    }
    Ok(Mount {
        kind,
        source: asked.source,
        target: asked.target,
        read_only: asked.read_only,
        consistency: asked.consistency,
    })
}

fn bind_options(asked: &json_mount::BindOptions) -> Result<BindOptions, ApiError> {
    let special = asked.read_only_non_recursive || asked.read_only_force_recursive;
    unless(
        special,
        &format!("{FIELD}.Mounts.BindOptions.ReadOnlyNonRecursive and ReadOnlyForceRecursive"),
    )?;
    if !matches!(
        asked.propagation.as_str(),
        "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared"
    ) {
        return Err(ApiError::bad_request(format!(
            "invalid propagation mode: {}",
            asked.propagation
        )));
    }
    Ok(BindOptions {
        propagation: asked.propagation.clone(),
        non_recursive: asked.non_recursive,
        create_mountpoint: asked.create_mountpoint,
    })
}

fn tmpfs_options(asked: &json_mount::TmpfsOptions) -> Result<TmpfsOptions, ApiError> {
    unless(
        !asked.options.is_empty(),
        &format!("{FIELD}.Mounts.TmpfsOptions.Options"),
    )?;
    if asked.size_bytes < 0 {
        return Err(ApiError::bad_request(
            "invalid tmpfs size: it cannot be negative",
        ));
    }
    Ok(TmpfsOptions {
        size_bytes: asked.size_bytes,
        mode: asked.mode,
    })
}
