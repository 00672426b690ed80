//! This host's containers, as the HTTP API shows them.

use api::ApiError;
use api::backend::{Containers, Listed};
use api_types::container as json;
use api_types::network::EndpointSettings;
use api_types::{StringMap, Timestamp, image as json_image};
use async_trait::async_trait;
use engine::{
    ContainerConfig, ContainerView, Engine, FindError, HealthStatus, LOCAL_DRIVER, MountConfig,
    MountKind, NetworkMode, Phase, SHM_SIZE, SeccompConfig,
};
use http::StatusCode;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The engine behind the API's trait.
pub(crate) struct EngineContainers {
    engine: Engine,
    data_root: std::path::PathBuf,
    cgroup_parent: String,
}

impl EngineContainers {
    pub(crate) fn new(engine: Engine, data_root: &Path, cgroup_parent: &str) -> EngineContainers {
        EngineContainers {
            engine,
            data_root: data_root.into(),
            cgroup_parent: cgroup_parent.into(),
        }
    }
}

#[async_trait]
impl Containers for EngineContainers {
    async fn list(&self) -> Vec<Listed> {
        let mut views = self.engine.list();
        views.sort_by_key(|view| std::cmp::Reverse(view.record.created_at));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let listed = |view| listed(view, now, &self.data_root);
        views.iter().map(listed).collect()
    }

    async fn inspect(&self, reference: &str) -> Result<json::Container, ApiError> {
        let view = self.engine.inspect(reference).map_err(|error| {
            let status = match error {
                FindError::NotFound(_) => StatusCode::NOT_FOUND,
                FindError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
            };
            ApiError::new(status, error.to_string())
        })?;
        Ok(inspected(&view, &self.data_root, &self.cgroup_parent))
    }

    fn users_of_image(&self, image: &images::ImageId) -> Vec<images::ContainerUse> {
        self.engine.users_of(image)
    }
}

fn network_name(mode: NetworkMode) -> &'static str {
    match mode {
        NetworkMode::Host => "host",
        NetworkMode::Loopback => "none",
    }
}

fn networks(mode: NetworkMode) -> BTreeMap<String, EndpointSettings> {
    BTreeMap::from([(network_name(mode).to_owned(), EndpointSettings::default())])
}

fn listed(view: &ContainerView, now: u64, data_root: &Path) -> Listed {
    let (record, state) = (&view.record, &view.state);
    let summary = json::Summary {
        id: record.id.clone(),
        names: vec![format!("/{}", record.config.name)],
        image: record.config.image.clone(),
        image_id: record.image_id.clone(),
        command: record.process.args().join(" "),
        created: i64::try_from(record.created_at / 1_000_000_000).unwrap_or(i64::MAX),
        labels: record.process.labels.clone(),
        state: state.phase.name().into(),
        status: status(view, now),
        host_config: json::SummaryHostConfig {
            network_mode: network_name(record.config.network).into(),
            annotations: StringMap::new(),
        },
        network_settings: Some(json::SummaryNetworkSettings {
            networks: networks(record.config.network),
        }),
        mounts: mount_points(view, data_root),
        ..Default::default()
    };
    let exit_code = (state.phase == Phase::Exited).then_some(i64::from(state.exit_code));
    Listed {
        summary,
        exit_code,
        health: state.health.as_ref().map_or("none", |h| h.status.name()),
    }
}

/// Docker's words for the state of a container.
fn status(view: &ContainerView, now: u64) -> String {
    let ago = |nanos: u64| human(now.saturating_sub(nanos / 1_000_000_000));
    match view.state.phase {
        Phase::Created => "Created".into(),
        Phase::Running => {
            let up = format!("Up {}", ago(view.state.started_at));
            match view.state.health.as_ref().map(|health| health.status) {
                None => up,
                Some(HealthStatus::Starting) => format!("{up} (health: starting)"),
                Some(status) => format!("{up} ({})", status.name()),
            }
        }
        Phase::Exited => format!(
            "Exited ({}) {} ago",
            view.state.exit_code,
            ago(view.state.finished_at)
        ),
        Phase::Removed => "Removal In Progress".into(),
    }
}

/// go-units' `HumanDuration`.
fn human(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match () {
        () if seconds < 1 => "Less than a second".into(),
        () if seconds == 1 => "1 second".into(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".into(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".into(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", hours / 24 / 365),
    }
}

fn mount_points(view: &ContainerView, data_root: &Path) -> Vec<json::MountPoint> {
    let mounts = view.record.config.mounts.iter();
    mounts.map(|mount| mount_point(mount, data_root)).collect()
}

fn mount_point(mount: &MountConfig, data_root: &Path) -> json::MountPoint {
    let mut point = json::MountPoint {
        destination: mount.target.display().to_string(),
        rw: !mount.read_only,
        ..Default::default()
    };
    match &mount.kind {
        MountKind::Bind {
            source,
            propagation,
            ..
        } => {
            point.kind = "bind".into();
            point.source = source.display().to_string();
            point.propagation = if propagation.is_empty() {
                "rprivate".into()
            } else {
                propagation.clone()
            };
        }
        MountKind::Volume(volume) => {
            point.kind = "volume".into();
            let directory = data_root.join("volumes").join(&volume.name).join("_data");
            point.source = directory.display().to_string();
            point.name.clone_from(&volume.name);
            point.driver = LOCAL_DRIVER.into();
            point.mode = "z".into();
        }
        MountKind::Tmpfs { .. } => point.kind = "tmpfs".into(),
    }
    point
}

fn time(nanos: u64) -> String {
    match i64::try_from(nanos) {
        Ok(0) | Err(_) => "0001-01-01T00:00:00Z".into(),
        Ok(nanos) => Timestamp::from_unix_nanos(nanos).to_string(),
    }
}

fn inspected(view: &ContainerView, data_root: &Path, cgroup_parent: &str) -> json::Container {
    let (record, process) = (&view.record, &view.record.process);
    let dir = data_root.join("containers").join(&record.id);
    let file = |name: &str| dir.join(name).display().to_string();
    let args = process.args();
    json::Container {
        id: record.id.clone(),
        created: time(record.created_at),
        path: args.first().cloned().unwrap_or_default(),
        args: args.into_iter().skip(1).collect(),
        state: Some(state(view)),
        image: record.image_id.clone(),
        resolv_conf_path: file("resolv.conf"),
        hostname_path: file("hostname"),
        hosts_path: file("hosts"),
        log_path: record.log_path.display().to_string(),
        name: format!("/{}", record.config.name),
        driver: "overlay2".into(),
        platform: "linux".into(),
        host_config: Some(host_config(view, cgroup_parent)),
        graph_driver: json_image::DriverData {
            data: None,
            name: "overlay2".into(),
        },
        mounts: mount_points(view, data_root),
        app_armor_profile: record.config.apparmor.clone().unwrap_or_default(),
        process_label: record.config.selinux.clone().unwrap_or_default(),
        config: Some(config(view)),
        network_settings: Some(json::NetworkSettings {
            networks: networks(record.config.network),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn state(view: &ContainerView) -> json::State {
    let state = &view.state;
    json::State {
        status: state.phase.name().into(),
        running: state.phase == Phase::Running,
        oom_killed: state.oom_killed,
        pid: i64::from(state.pid),
        exit_code: i64::from(state.exit_code),
        error: state.error.clone(),
        started_at: time(state.started_at),
        finished_at: time(state.finished_at),
        health: state.health.as_ref().map(health),
        ..Default::default()
    }
}

fn health(health: &engine::Health) -> json::Health {
    let result = |probe: &engine::ProbeResult| json::HealthcheckResult {
        start: time(probe.start),
        end: time(probe.end),
        exit_code: i64::from(probe.exit_code),
        output: probe.output.clone(),
    };
    json::Health {
        status: health.status.name().into(),
        failing_streak: i64::try_from(health.failing_streak).unwrap_or(i64::MAX),
        log: Some(health.log.iter().map(result).collect()),
    }
}

/// The check in effect; one that was switched off is shown as it was asked for.
fn healthcheck(view: &ContainerView) -> Option<json::HealthConfig> {
    let probe = view.record.process.probe.as_ref();
    let config = probe.map(|probe| &probe.config);
    let config = config.or(view.record.config.healthcheck.as_ref())?;
    let nanos = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    Some(json::HealthConfig {
        test: config.test.clone(),
        interval: nanos(config.interval),
        timeout: nanos(config.timeout),
        start_period: nanos(config.start_period),
        start_interval: nanos(config.start_interval),
        retries: i64::try_from(config.retries).unwrap_or(i64::MAX),
    })
}

fn config(view: &ContainerView) -> json::Config {
    let (asked, process) = (&view.record.config, &view.record.process);
    let words = |words: &[String]| (!words.is_empty()).then(|| json::StrSlice(words.to_vec()));
    json::Config {
        hostname: process.hostname.clone(),
        user: process.user.clone(),
        env: Some(process.env.clone()),
        cmd: words(&process.command),
        image: asked.image.clone(),
        working_dir: process.working_dir.clone(),
        entrypoint: words(&process.entrypoint),
        labels: process.labels.clone(),
        tty: asked.tty,
        open_stdin: asked.open_stdin,
        healthcheck: healthcheck(view),
        stop_signal: asked.stop_signal.clone(),
        stop_timeout: asked
            .stop_timeout
            .map(|t| i64::try_from(t.as_secs()).unwrap_or(i64::MAX)),
        ..Default::default()
    }
}

fn host_config(view: &ContainerView, cgroup_parent: &str) -> json::HostConfig {
    let asked = &view.record.config;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let list = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    let ulimits: Vec<json::Ulimit> = asked
        .ulimits
        .iter()
        .map(|u| json::Ulimit {
            name: u.name.clone(),
            hard: u.hard,
            soft: u.soft,
        })
        .collect();
    let log = StringMap::from([
        ("max-file".to_owned(), asked.log.max_files.to_string()),
        ("max-size".to_owned(), asked.log.max_size.to_string()),
    ]);
    json::HostConfig {
        log_config: json::LogConfig {
            kind: "json-file".into(),
            config: log,
        },
        network_mode: network_name(asked.network).into(),
        restart_policy: json::RestartPolicy {
            name: "no".into(),
            maximum_retry_count: 0,
        },
        cap_add: list(&asked.cap_add),
        cap_drop: list(&asked.cap_drop),
        cgroupns_mode: "private".into(),
        extra_hosts: list(&asked.extra_hosts),
        ipc_mode: "private".into(),
        oom_score_adj: i64::from(asked.oom_score_adj.unwrap_or(0)),
        readonly_rootfs: asked.read_only,
        security_opt: list(&security_options(asked)),
        privileged: asked.privileged,
        group_add: list(&asked.groups),
        init: asked.init.then_some(true),
        dns: list(&asked.dns.nameservers),
        dns_search: list(&asked.dns.search),
        dns_options: list(&asked.dns.options),
        shm_size: i64::try_from(SHM_SIZE).unwrap_or(i64::MAX),
        sysctls: asked.sysctls.clone(),
        runtime: "starling".into(),
        memory: signed(asked.resources.memory_bytes),
        nano_cpus: signed(asked.resources.nano_cpus),
        pids_limit: (asked.resources.pids > 0).then(|| signed(asked.resources.pids)),
        cgroup_parent: cgroup_parent.into(),
        ulimits: (!ulimits.is_empty()).then_some(ulimits),
        ..Default::default()
    }
}

/// As `docker run --security-opt` writes them.
fn security_options(asked: &ContainerConfig) -> Vec<String> {
    let mut options = Vec::new();
    if asked.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &asked.seccomp {
        SeccompConfig::Default => {}
        SeccompConfig::Unconfined => options.push("seccomp=unconfined".into()),
        SeccompConfig::Custom(profile) => options.push(format!("seccomp={profile}")),
    }
    let apparmor = asked.apparmor.as_ref();
    options.extend(apparmor.map(|profile| format!("apparmor={profile}")));
    options
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_read_as_dockers() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (300, "5 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (3 * 86400, "3 days"),
            (20 * 86400, "2 weeks"),
        ] {
            assert_eq!(super::human(seconds), text);
        }
    }
}
