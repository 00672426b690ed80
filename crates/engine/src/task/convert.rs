//! From an assignment to a container.

use super::template::expand;
use super::{
    NODE_ID_LABEL, SERVICE_ID_LABEL, SERVICE_NAME_LABEL, TASK_ID_LABEL, TASK_LABEL, TASK_NAME_LABEL,
};
use crate::config::{
    ContainerConfig, DnsConfig, LogConfig, MountConfig, MountKind, NetworkMode, ResourceConfig,
    UlimitConfig,
};
use crate::error::CreateError;
use model::assignment::AssignedTask;
use model::container::{
    BindOptions, ContainerSpec, Mount, MountKind as Kind, TmpfsOptions, Ulimit,
};
use model::task::{Limits, LogDriver, Platform};
use model::{Labels, NodeId};

/// The node that a task runs on, for labels and templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeContext {
    /// Its id.
    pub id: NodeId,
    /// Its host name.
    pub hostname: String,
    /// What it is.
    pub platform: Platform,
}

/// Docker's name of a task's container.
pub(crate) fn task_name(task: &AssignedTask) -> String {
    format!("{}.{}.{}", task.service_name, task.slot, task.id)
}

/// What a task's container is to be, with Docker's name and labels.
///
/// # Errors
/// When the task asks for what is not built, or for nonsense.
pub fn container_config(
    task: &AssignedTask,
    node: &NodeContext,
) -> Result<ContainerConfig, CreateError> {
    let spec = &task.spec.container;
    unsupported(spec)?;
    let text = |text: &str| expand(text, task, node).map_err(CreateError::Invalid);
    let texts = |list: &[String]| list.iter().map(|item| text(item)).collect::<Result<_, _>>();
    let network = if task.spec.uses_host_network() {
        NetworkMode::Host
    } else {
        NetworkMode::Loopback
    };
    Ok(ContainerConfig {
        name: task_name(task),
        image: spec.image.clone(),
        entrypoint: spec.command.clone(),
        command: spec.args.clone(),
        env: texts(&spec.env)?,
        working_dir: spec.dir.clone(),
        user: spec.user.clone(),
        hostname: text(&spec.hostname)?,
        labels: labels(task, node),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period,
        network,
        mounts: mounts(&spec.mounts, text)?,
        read_only: spec.read_only,
        no_new_privileges: spec
            .privileges
            .as_ref()
            .is_some_and(|p| p.no_new_privileges),
        cap_add: spec.cap_add.clone(),
        cap_drop: spec.cap_drop.clone(),
        sysctls: spec.sysctls.clone(),
        ulimits: spec.ulimits.iter().map(ulimit).collect(),
        oom_score_adj: oom_score_adj(spec.oom_score_adj)?,
        resources: resources(task.spec.limits()),
        extra_hosts: spec.hosts.clone(),
        dns: dns(spec),
        log: log(task.spec.log_driver.as_ref())?,
    })
}

fn unsupported(spec: &ContainerSpec) -> Result<(), CreateError> {
    let asked = [
        (!spec.groups.is_empty(), "a list of supplementary groups"),
        (spec.init == Some(true), "an init process in the container"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(CreateError::Unsupported(what)),
        None => Ok(()),
    }
}

/// The system's labels win over the user's.
fn labels(task: &AssignedTask, node: &NodeContext) -> Labels {
    let mut labels = task.spec.container.labels.clone();
    let system = [
        (TASK_LABEL, String::new()),
        (TASK_ID_LABEL, task.id.to_string()),
        (TASK_NAME_LABEL, task_name(task)),
        (NODE_ID_LABEL, node.id.to_string()),
        (SERVICE_ID_LABEL, task.service.to_string()),
        (SERVICE_NAME_LABEL, task.service_name.to_string()),
    ];
    labels.extend(system.map(|(name, value)| (name.to_owned(), value)));
    labels
}

fn mounts(
    mounts: &[Mount],
    text: impl Fn(&str) -> Result<String, CreateError>,
) -> Result<Vec<MountConfig>, CreateError> {
    let convert = |mount: &Mount| {
        let kind = match &mount.kind {
            Kind::Bind(options) => bind(&text(&mount.source)?, options.as_ref()),
            Kind::Tmpfs(options) => tmpfs(options.as_ref()),
        };
        Ok(MountConfig {
            target: text(&mount.target)?.into(),
            read_only: mount.read_only,
            kind,
        })
    };
    mounts.iter().map(convert).collect()
}

fn bind(source: &str, options: Option<&BindOptions>) -> MountKind {
    let options = options.cloned().unwrap_or_default();
    MountKind::Bind {
        source: source.into(),
        propagation: options.propagation,
        recursive: !options.non_recursive,
        create_source: options.create_mountpoint,
    }
}

fn tmpfs(options: Option<&TmpfsOptions>) -> MountKind {
    let options = options.cloned().unwrap_or_default();
    MountKind::Tmpfs {
        size: u64::try_from(options.size_bytes)
            .ok()
            .filter(|size| *size > 0),
        mode: (options.mode != 0).then_some(options.mode),
    }
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

fn log(driver: Option<&LogDriver>) -> Result<LogConfig, CreateError> {
    let mut log = LogConfig::default();
    let Some(driver) = driver else {
        return Ok(log);
    };
    if !matches!(driver.name.as_str(), "" | "json-file") {
        let text = format!(
            "logger: no log driver named '{}' is registered (only json-file is)",
            driver.name
        );
        return Err(CreateError::Invalid(text));
    }
    for (name, value) in &driver.options {
        let invalid = || CreateError::Invalid(format!("invalid log option {name}={value}"));
        match name.as_str() {
            "max-size" => log.max_size = size(value).ok_or_else(invalid)?,
            "max-file" => log.max_files = value.parse().map_err(|_| invalid())?,
            _ => {
                let text = format!("unknown log opt '{name}' for json-file log driver");
                return Err(CreateError::Invalid(text));
            }
        }
    }
    Ok(log)
}

/// Docker's sizes: `10m`, `1.5k` are not both taken; whole numbers with a unit of 1024.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use model::task::{NetworkAttachment, ResourceRequirements};
    use model::{DesiredState, TaskSpec};
    use std::path::PathBuf;
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
                reservations: None,
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
    fn mounts_are_taken_over() {
        let task = task(|spec| {
            let mount = |kind, source: &str| Mount {
                kind,
                source: source.into(),
                target: "/t".into(),
                read_only: true,
                consistency: String::new(),
            };
            let tmpfs = TmpfsOptions {
                size_bytes: 4096,
                mode: 0o700,
            };
            spec.container.mounts = vec![
                mount(Kind::Bind(None), "/srv/{{.Task.Slot}}"),
                mount(Kind::Tmpfs(Some(tmpfs)), ""),
            ];
        });
        let mounts = container_config(&task, &node()).unwrap().mounts;
        let MountKind::Bind {
            source,
            recursive,
            create_source,
            ..
        } = &mounts[0].kind
        else {
            panic!("{mounts:?}");
        };
        assert_eq!(
            (source, *recursive, *create_source),
            (&PathBuf::from("/srv/3"), true, false)
        );
        let expected = MountKind::Tmpfs {
            size: Some(4096),
            mode: Some(0o700),
        };
        assert_eq!(mounts[1].kind, expected);
        assert!(mounts[1].read_only);
    }

    #[test]
    fn log_options_are_read() {
        let with = |name: &str, value: &str| {
            let options = [(name.to_owned(), value.to_owned())].into();
            let name = "json-file".into();
            log(Some(&LogDriver { name, options }))
        };
        assert_eq!(with("max-size", "20m").unwrap().max_size, 20 << 20);
        assert_eq!(with("max-file", "7").unwrap().max_files, 7);
        assert!(with("max-size", "many").is_err());
        assert!(with("nope", "1").is_err());
        let text = refused(|spec| {
            let (name, options) = ("syslog".into(), Labels::new());
            spec.log_driver = Some(LogDriver { name, options });
        });
        assert!(text.contains("syslog"), "{text}");
    }

    #[test]
    fn what_is_not_built_is_refused() {
        let groups = refused(|spec| spec.container.groups = vec!["wheel".into()]);
        assert_eq!(
            groups,
            "a list of supplementary groups is not supported yet"
        );
        let init = refused(|spec| spec.container.init = Some(true));
        assert!(init.contains("init"), "{init}");
        let score = refused(|spec| spec.container.oom_score_adj = 2000);
        assert!(score.contains("[-1000, 1000]"), "{score}");
        let template = refused(|spec| spec.container.env = vec!["A={{.Nope}}".into()]);
        assert!(template.contains("invalid template"), "{template}");
    }
}
