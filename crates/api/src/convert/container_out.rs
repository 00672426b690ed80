//! A container's specification as it is echoed.

use super::{mount, nanos};
use api_types::container as json_container;
use api_types::task as json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::container::{AppArmorMode, ContainerSpec, Healthcheck, Privileges, SeccompOption};
use model::payload::FileTarget;

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
        privileges: spec.privileges.as_ref().map(privileges),
        init: spec.init,
        stop_signal: spec.stop_signal.clone(),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        read_only: spec.read_only,
        mounts: spec.mounts.iter().map(mount::print).collect(),
        stop_grace_period: spec.stop_grace_period.map(nanos),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        hosts: spec.hosts.clone(),
        dns_config: spec.dns.as_ref().map(|d| json::DnsConfig {
            nameservers: d.nameservers.clone(),
            search: d.search.clone(),
            options: d.options.clone(),
        }),
        secrets: references_to_secrets(spec),
        configs: references_to_configs(spec),
        isolation: spec.isolation.clone(),
        sysctls: spec.sysctls.clone(),
        capability_add: spec.cap_add.clone(),
        capability_drop: spec.cap_drop.clone(),
        ulimits: spec
            .ulimits
            .iter()
            .map(|u| json_container::Ulimit {
                name: u.name.clone(),
                soft: u.soft,
                hard: u.hard,
            })
            .collect(),
        oom_score_adj: spec.oom_score_adj,
    }
}

fn references_to_secrets(spec: &ContainerSpec) -> Vec<json::SecretReference> {
    let reference = |r: &model::payload::SecretRef| json::SecretReference {
        file: Some(target(&r.file)),
        secret_id: r.id.to_string(),
        secret_name: r.name.clone(),
    };
    spec.secrets.iter().map(reference).collect()
}

fn references_to_configs(spec: &ContainerSpec) -> Vec<json::ConfigReference> {
    let reference = |r: &model::payload::ConfigRef| json::ConfigReference {
        file: r.file.as_ref().map(target),
        runtime: r.file.is_none().then(Default::default),
        config_id: r.id.to_string(),
        config_name: r.name.clone(),
    };
    spec.configs.iter().map(reference).collect()
}

fn target(file: &FileTarget) -> json::FileTarget {
    json::FileTarget {
        name: file.name.clone(),
        uid: file.uid.clone(),
        gid: file.gid.clone(),
        mode: file.mode,
    }
}

fn healthcheck(check: &Healthcheck) -> json_container::HealthConfig {
    json_container::HealthConfig {
        test: check.test.clone(),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
        retries: i64::try_from(check.retries).unwrap_or(i64::MAX),
    }
}

fn privileges(privileges: &Privileges) -> json::Privileges {
    let seccomp = privileges.seccomp.as_ref().map(|option| {
        let (mode, profile) = match option {
            SeccompOption::Default => ("default", String::new()),
            SeccompOption::Unconfined => ("unconfined", String::new()),
            SeccompOption::Custom(profile) => ("custom", STANDARD.encode(profile)),
        };
        json::SeccompOpts {
            mode: mode.into(),
            profile,
        }
    });
    let app_armor = privileges.apparmor.map(|mode| json::AppArmorOpts {
        mode: match mode {
            AppArmorMode::Default => "default".into(),
            AppArmorMode::Disabled => "disabled".into(),
        },
    });
    json::Privileges {
        credential_spec: None,
        se_linux_context: privileges
            .selinux
            .as_ref()
            .map(|context| json::SeLinuxContext {
                disable: context.disable,
                user: context.user.clone(),
                role: context.role.clone(),
                kind: context.kind.clone(),
                level: context.level.clone(),
            }),
        seccomp,
        app_armor,
        no_new_privileges: privileges.no_new_privileges,
    }
}
