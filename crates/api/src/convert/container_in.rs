//! A container's specification as a client sends it.

use super::{duration, duration_or, invalid, mount, unless};
use crate::ApiError;
use api_types::container as json_container;
use api_types::task as json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::PayloadId;
use model::container::{
    AppArmorMode, ContainerSpec, DnsConfig, Healthcheck, Privileges, SeccompOption, SelinuxContext,
    Ulimit,
};
use model::payload::{ConfigRef, FileTarget, SecretRef};

const FIELD: &str = "TaskTemplate.ContainerSpec";

pub(super) fn container_spec(spec: json::ContainerSpec) -> Result<ContainerSpec, ApiError> {
    if !spec.image.is_empty()
        && let Err(error) = images::Reference::parse_normalized(&spec.image)
    {
        return Err(invalid(format!(
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
    let mounts = spec.mounts.into_iter().map(mount::read);
    let secrets = spec.secrets.into_iter().map(secret);
    let configs = spec.configs.into_iter().map(config);
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
        mounts: mounts.collect::<Result<_, _>>()?,
        init: spec.init,
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        healthcheck: spec.healthcheck.map(healthcheck).transpose()?,
        secrets: secrets.collect::<Result<_, _>>()?,
        configs: configs.collect::<Result<_, _>>()?,
        hosts: spec.hosts,
        dns: spec.dns_config.map(|d| DnsConfig {
            nameservers: d.nameservers,
            search: d.search,
            options: d.options,
        }),
        isolation: spec.isolation,
        sysctls: spec.sysctls,
        cap_add: spec.capability_add,
        cap_drop: spec.capability_drop,
        ulimits: spec.ulimits.into_iter().map(ulimit).collect(),
        oom_score_adj: spec.oom_score_adj,
        privileges: spec.privileges.map(privileges).transpose()?,
        ..Default::default()
    })
}

fn ulimit(limit: json_container::Ulimit) -> Ulimit {
    Ulimit {
        name: limit.name,
        soft: limit.soft,
        hard: limit.hard,
    }
}

fn healthcheck(check: json_container::HealthConfig) -> Result<Healthcheck, ApiError> {
    let time = |nanos: i64, field: &str| {
        let text = format!("ContainerSpec: {field} in HealthConfig cannot be less than 1ms");
        duration_or(nanos, &text)
    };
    Ok(Healthcheck {
        interval: time(check.interval, "Interval")?,
        timeout: time(check.timeout, "Timeout")?,
        start_period: time(check.start_period, "StartPeriod")?,
        start_interval: time(check.start_interval, "StartInterval")?,
        retries: u64::try_from(check.retries)
            .map_err(|_| invalid("ContainerSpec: Retries in HealthConfig cannot be negative"))?,
        test: check.test,
    })
}

fn secret(reference: json::SecretReference) -> Result<SecretRef, ApiError> {
    let file = reference
        .file
        .ok_or_else(|| invalid("malformed secret reference, no target provided"))?;
    Ok(SecretRef {
        id: PayloadId::from(reference.secret_id),
        name: reference.secret_name,
        file: target(file),
    })
}

fn config(reference: json::ConfigReference) -> Result<ConfigRef, ApiError> {
    match (&reference.file, &reference.runtime) {
        (None, None) => return Err(invalid("malformed config reference, no target provided")),
        (Some(_), Some(_)) => {
            return Err(invalid(
                "malformed config reference, it has a File and a Runtime target",
            ));
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    Ok(ConfigRef {
        id: PayloadId::from(reference.config_id),
        name: reference.config_name,
        file: reference.file.map(target),
    })
}

fn target(file: json::FileTarget) -> FileTarget {
    FileTarget {
        name: file.name,
        uid: file.uid,
        gid: file.gid,
        mode: file.mode,
    }
}

fn privileges(asked: json::Privileges) -> Result<Privileges, ApiError> {
    unless(
        asked.credential_spec.is_some(),
        &format!("{FIELD}.Privileges.CredentialSpec"),
    )?;
    let selinux = |context: json::SeLinuxContext| SelinuxContext {
        disable: context.disable,
        user: context.user,
        role: context.role,
        kind: context.kind,
        level: context.level,
    };
    let apparmor = |options: json::AppArmorOpts| match options.mode.as_str() {
        "" | "default" => Ok(AppArmorMode::Default),
        "disabled" => Ok(AppArmorMode::Disabled),
        other => Err(ApiError::bad_request(format!(
            "{FIELD}.Privileges.AppArmor.Mode: '{other}' is unknown, use default or disabled"
        ))),
    };
    Ok(Privileges {
        no_new_privileges: asked.no_new_privileges,
        selinux: asked.se_linux_context.map(selinux),
        seccomp: asked.seccomp.map(seccomp).transpose()?,
        apparmor: asked.app_armor.map(apparmor).transpose()?,
    })
}

fn seccomp(options: json::SeccompOpts) -> Result<SeccompOption, ApiError> {
    let field = format!("{FIELD}.Privileges.Seccomp");
    let bad = |text: &str| ApiError::bad_request(format!("{field}{text}"));
    if options.mode != "custom" && !options.profile.is_empty() {
        return Err(bad(".Profile can only be given with the mode custom"));
    }
    match options.mode.as_str() {
        "" | "default" => Ok(SeccompOption::Default),
        "unconfined" => Ok(SeccompOption::Unconfined),
        "custom" => {
            let profile = STANDARD
                .decode(&options.profile)
                .map_err(|_| bad(".Profile is not base64"))?;
            if !serde_json::from_slice(&profile).is_ok_and(|v: serde_json::Value| v.is_object()) {
                return Err(bad(
                    ".Profile is not a profile in JSON, which the mode custom needs",
                ));
            }
            Ok(SeccompOption::Custom(profile))
        }
        other => Err(bad(&format!(
            ".Mode: '{other}' is unknown, use default, unconfined or custom"
        ))),
    }
}
