//! From an assignment to a container.

use super::template::expand;
use super::{
    NODE_ID_LABEL, SERVICE_ID_LABEL, SERVICE_NAME_LABEL, TASK_ID_LABEL, TASK_LABEL, TASK_NAME_LABEL,
};
use crate::config::{
    ContainerConfig, DeviceConfig, DnsConfig, HealthConfig, NetworkMode, ResourceConfig,
    SeccompConfig, UlimitConfig,
};
use crate::error::CreateError;
use model::assignment::AssignedTask;
use model::container::{
    AppArmorMode, ContainerSpec, Device, Healthcheck, SeccompOption, SelinuxContext, Ulimit,
};
use model::task::{GenericResource, GenericValue, Limits, Platform};
use model::{Labels, NodeId};
use std::collections::BTreeMap;

/// The node that a task runs on, for labels, templates and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeContext {
    /// Its id.
    pub id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// What it is.
    pub platform: Platform,
    /// Services may ask for devices and privileges here.
    pub allows_privileged: bool,
}

/// Docker's name of a task's container: the slot of a global service is its node.
pub(crate) fn task_name(task: &AssignedTask, node: &NodeContext) -> String {
    format!("{}.{}.{}", task.service_name, slot(task, node), task.id)
}

pub(crate) fn slot(task: &AssignedTask, node: &NodeContext) -> String {
    match task.slot {
        0 => node.id.to_string(),
        slot => slot.to_string(),
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T, CreateError> {
    Err(CreateError::Invalid(text.into()))
}

/// What a task's container is to be, with Docker's name and labels.
///
/// # Errors
/// When the task asks for what is not built or not allowed here, or for nonsense.
pub fn container_config(
    task: &AssignedTask,
    node: &NodeContext,
) -> Result<ContainerConfig, CreateError> {
    let spec = &task.spec.container;
    check(spec, node)?;
    let context = super::template::context(task, node);
    let text = |text: &str| expand(text, &context).map_err(CreateError::Invalid);
    let texts = |list: &[String]| list.iter().map(|item| text(item)).collect::<Result<_, _>>();
    let mut env: Vec<String> = texts(&spec.env)?;
    env.extend(resource_variables(&task.generic));
    let network = if task.spec.uses_host_network() {
        NetworkMode::Host
    } else {
        NetworkMode::Loopback
    };
    let privileges = spec.privileges.clone().unwrap_or_default();
    Ok(ContainerConfig {
        name: task_name(task, node),
        image: spec.image.clone(),
        entrypoint: spec.command.clone(),
        command: spec.args.clone(),
        env,
        working_dir: spec.dir.clone(),
        user: spec.user.clone(),
        hostname: text(&spec.hostname)?,
        labels: labels(task, node),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period,
        network,
        mounts: super::mounts::mounts(&spec.mounts, text)?,
        read_only: spec.read_only,
        no_new_privileges: privileges.no_new_privileges,
        cap_add: spec.cap_add.clone(),
        cap_drop: spec.cap_drop.clone(),
        sysctls: spec.sysctls.clone(),
        ulimits: spec.ulimits.iter().map(ulimit).collect(),
        oom_score_adj: oom_score_adj(spec.oom_score_adj)?,
        resources: resources(task.spec.limits()),
        extra_hosts: spec.hosts.clone(),
        dns: dns(spec),
        log: super::logging::log(task.spec.log_driver.as_ref())?,
        groups: spec.groups.clone(),
        init: spec.init == Some(true),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        devices: spec.devices.iter().map(device).collect(),
        privileged: spec.privileged,
        seccomp: seccomp(privileges.seccomp.as_ref())?,
        apparmor: match privileges.apparmor {
            Some(AppArmorMode::Disabled) => Some("unconfined".into()),
            Some(AppArmorMode::Default) | None => None,
        },
        selinux: privileges.selinux.as_ref().and_then(selinux),
        injects: false,
    })
}

/// What is not allowed here, or not built.
fn check(spec: &ContainerSpec, node: &NodeContext) -> Result<(), CreateError> {
    let asks = match (spec.privileged, spec.devices.is_empty()) {
        (true, _) => Some("privileges"),
        (false, false) => Some("devices of the host"),
        (false, true) => None,
    };
    if let Some(what) = asks.filter(|_| !node.allows_privileged) {
        return invalid(format!(
            "this node does not allow services to ask for {what}: start its daemon with \
             --allow-privileged-services (or \"allow-privileged-services\": true in its configuration file)"
        ));
    }
    let isolation = spec.isolation.to_ascii_lowercase();
    if !matches!(isolation.as_str(), "" | "default") {
        return invalid(format!(
            "invalid isolation ({}): only \"default\" is supported on Linux",
            spec.isolation
        ));
    }
    Ok(())
}

/// Docker's variables for generic resources: `DOCKER_RESOURCE_GPU=a,b`, or a number.
fn resource_variables(resources: &[GenericResource]) -> Vec<String> {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for resource in resources {
        let value = match &resource.value {
            GenericValue::Discrete(number) => number.to_string(),
            GenericValue::Named(name) => name.clone(),
        };
        kinds.entry(&resource.kind).or_default().push(value);
    }
    let variable = |(kind, values): (&str, Vec<String>)| {
        format!(
            "DOCKER_RESOURCE_{}={}",
            kind.to_uppercase(),
            values.join(",")
        )
    };
    kinds.into_iter().map(variable).collect()
}

fn healthcheck(check: &Healthcheck) -> HealthConfig {
    HealthConfig {
        test: check.test.clone(),
        interval: check.interval,
        timeout: check.timeout,
        start_period: check.start_period,
        start_interval: check.start_interval,
        retries: check.retries,
    }
}

/// A device without a path inside, or without permissions, gets Docker's defaults.
fn device(device: &Device) -> DeviceConfig {
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    DeviceConfig {
        host: device.host_path.clone().into(),
        container: or(&device.container_path, &device.host_path).into(),
        permissions: or(&device.permissions, "rwm"),
    }
}

fn seccomp(option: Option<&SeccompOption>) -> Result<SeccompConfig, CreateError> {
    Ok(match option {
        None | Some(SeccompOption::Default) => SeccompConfig::Default,
        Some(SeccompOption::Unconfined) => SeccompConfig::Unconfined,
        Some(SeccompOption::Custom(profile)) => match String::from_utf8(profile.clone()) {
            Ok(profile) => SeccompConfig::Custom(profile),
            Err(_) => return invalid("the seccomp profile is no text"),
        },
    })
}

/// Parts that are not given are those of the usual policy of containers.
fn selinux(context: &SelinuxContext) -> Option<String> {
    let parts = [
        (&context.user, "system_u"),
        (&context.role, "system_r"),
        (&context.kind, "container_t"),
        (&context.level, "s0"),
    ];
    if context.disable || parts.iter().all(|(part, _)| part.is_empty()) {
        return None;
    }
    let parts = parts.map(|(part, default)| match part.as_str() {
        "" => default.to_owned(),
        part => part.to_owned(),
    });
    Some(parts.join(":"))
}

/// The system's labels win over the user's.
fn labels(task: &AssignedTask, node: &NodeContext) -> Labels {
    let mut labels = task.spec.container.labels.clone();
    let system = [
        (TASK_LABEL, String::new()),
        (TASK_ID_LABEL, task.id.to_string()),
        (TASK_NAME_LABEL, task_name(task, node)),
        (NODE_ID_LABEL, node.id.to_string()),
        (SERVICE_ID_LABEL, task.service.to_string()),
        (SERVICE_NAME_LABEL, task.service_name.to_string()),
    ];
    labels.extend(system.map(|(name, value)| (name.to_owned(), value)));
    labels
}

fn ulimit(ulimit: &Ulimit) -> UlimitConfig {
    UlimitConfig {
        name: ulimit.name.clone(),
        soft: ulimit.soft,
        hard: ulimit.hard,
    }
}

/// 0 is what Docker's CLI leaves out.
fn oom_score_adj(score: i64) -> Result<Option<i32>, CreateError> {
    match i32::try_from(score) {
        Ok(0) => Ok(None),
        Ok(score) if (-1000..=1000).contains(&score) => Ok(Some(score)),
        _ => Err(CreateError::Invalid(format!(
            "Invalid value {score}, range for oom score adj is [-1000, 1000]"
        ))),
    }
}

fn resources(limits: Limits) -> ResourceConfig {
    let positive = |limit: i64| u64::try_from(limit).unwrap_or(0);
    ResourceConfig {
        nano_cpus: positive(limits.nano_cpus),
        memory_bytes: positive(limits.memory_bytes),
        pids: positive(limits.pids),
    }
}

fn dns(spec: &ContainerSpec) -> DnsConfig {
    let dns = spec.dns.clone().unwrap_or_default();
    DnsConfig {
        nameservers: dns.nameservers,
        search: dns.search,
        options: dns.options,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use model::container::Privileges;
    use model::task::{NetworkAttachment, ResourceRequirements};
    use model::{DesiredState, TaskSpec};
    use std::sync::Arc;
    use std::time::Duration;

    pub(in crate::task) fn node() -> NodeContext {
        NodeContext {
            id: "node1".into(),
            hostname: "box".into(),
            platform: Platform {
                architecture: "x86_64".into(),
                os: "linux".into(),
            },
            allows_privileged: false,
        }
    }

    pub(in crate::task) fn task(change: impl FnOnce(&mut TaskSpec)) -> AssignedTask {
        let mut spec = TaskSpec::default();
        change(&mut spec);
        AssignedTask {
            id: "task1".into(),
            service: "service1".into(),
            service_name: "web".into(),
            service_labels: Arc::new([("tier".to_owned(), "front".to_owned())].into()),
            slot: 3,
            spec: Arc::new(spec),
            desired: DesiredState::Running,
            generic: vec![],
            registry_auth: None,
        }
    }

    fn refused(change: impl FnOnce(&mut TaskSpec)) -> String {
        container_config(&task(change), &node())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_task_becomes_a_container_with_dockers_name_and_labels() {
        let task = task(|spec| {
            let container = &mut spec.container;
            container.image = "busybox:1".into();
            container.command = vec!["top".into()];
            container.args = vec!["-b".into()];
            container.env = vec!["SLOT={{.Task.Slot}}".into()];
            container.hostname = "{{.Service.Name}}-{{.Task.Slot}}".into();
            container.labels.insert("mine".into(), "1".into());
            container
                .labels
                .insert(TASK_ID_LABEL.into(), "a lie".into());
            container.stop_grace_period = Some(Duration::from_secs(3));
            spec.resources = Some(ResourceRequirements {
                limits: Some(Limits {
                    nano_cpus: 500_000_000,
                    memory_bytes: 64 << 20,
                    pids: 0,
                }),
                ..ResourceRequirements::default()
            });
            spec.networks = vec![NetworkAttachment {
                target: "host".into(),
                aliases: vec![],
            }];
        });
        let config = container_config(&task, &node()).unwrap();
        assert_eq!(config.name, "web.3.task1");
        assert_eq!(config.entrypoint, ["top"]);
        assert_eq!(config.command, ["-b"]);
        assert_eq!(config.env, ["SLOT=3"]);
        assert_eq!(config.hostname, "web-3");
        assert_eq!(config.network, NetworkMode::Host);
        assert_eq!(config.stop_timeout, Some(Duration::from_secs(3)));
        assert_eq!(config.resources.nano_cpus, 500_000_000);
        let labels: Vec<(&str, &str)> = config
            .labels
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(
            labels,
            [
                (NODE_ID_LABEL, "node1"),
                (SERVICE_ID_LABEL, "service1"),
                (SERVICE_NAME_LABEL, "web"),
                (TASK_LABEL, ""),
                (TASK_ID_LABEL, "task1"),
                (TASK_NAME_LABEL, "web.3.task1"),
                ("mine", "1"),
            ]
        );
    }

    #[test]
    fn generic_resources_are_variables() {
        let mut task = task(|spec| spec.container.env = vec!["A=1".into()]);
        let resource = |kind: &str, value| GenericResource {
            kind: kind.into(),
            value,
        };
        task.generic = vec![
            resource("gpu", GenericValue::Named("a".into())),
            resource("gpu", GenericValue::Named("b".into())),
            resource("fpga", GenericValue::Discrete(3)),
        ];
        let env = container_config(&task, &node()).unwrap().env;
        let expected = ["A=1", "DOCKER_RESOURCE_FPGA=3", "DOCKER_RESOURCE_GPU=a,b"];
        assert_eq!(env, expected);
    }

    #[test]
    fn security_options_are_taken_over() {
        let task = task(|spec| {
            spec.container.privileges = Some(Privileges {
                no_new_privileges: true,
                selinux: Some(SelinuxContext {
                    kind: "my_t".into(),
                    ..SelinuxContext::default()
                }),
                seccomp: Some(SeccompOption::Custom(b"{}".to_vec())),
                apparmor: Some(AppArmorMode::Disabled),
            });
        });
        let config = container_config(&task, &node()).unwrap();
        assert!(config.no_new_privileges);
        assert_eq!(config.selinux.as_deref(), Some("system_u:system_r:my_t:s0"));
        assert_eq!(config.seccomp, SeccompConfig::Custom("{}".into()));
        assert_eq!(config.apparmor.as_deref(), Some("unconfined"));
        let disabled = SelinuxContext {
            disable: true,
            ..SelinuxContext::default()
        };
        assert_eq!(selinux(&disabled), None);
    }

    #[test]
    fn privileges_are_for_nodes_that_allow_them() {
        let device = || Device {
            host_path: "/dev/fuse".into(),
            container_path: String::new(),
            permissions: String::new(),
        };
        let text = refused(|spec| spec.container.privileged = true);
        assert!(text.contains("--allow-privileged-services"), "{text}");
        let text = refused(|spec| spec.container.devices = vec![device()]);
        assert!(text.contains("devices of the host"), "{text}");
        let allowed = NodeContext {
            allows_privileged: true,
            ..node()
        };
        let task = task(|spec| {
            spec.container.privileged = true;
            spec.container.devices = vec![device()];
        });
        let config = container_config(&task, &allowed).unwrap();
        assert!(config.privileged);
        let device = &config.devices[0];
        assert_eq!(device.container, device.host);
        assert_eq!(device.permissions, "rwm");
    }

    #[test]
    fn nonsense_is_refused() {
        let isolation = refused(|spec| spec.container.isolation = "hyperv".into());
        assert!(isolation.contains("hyperv"), "{isolation}");
        let score = refused(|spec| spec.container.oom_score_adj = 2000);
        assert!(score.contains("[-1000, 1000]"), "{score}");
        let template = refused(|spec| spec.container.env = vec!["A={{.Nope}}".into()]);
        assert!(template.contains("invalid template"), "{template}");
    }
}
