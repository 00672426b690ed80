//! Facts of this host, for `/info`, `/version` and the node's description.

use crate::config::Config;
use api_types::StringMap;
use api_types::system::{
    Commit, ComponentVersion, IndexInfo, Info, PlatformName, PluginsInfo, RegistryConfig, Runtime,
    VersionInfo,
};
use async_trait::async_trait;
use engine::host;
use model::NodeDescription;
use model::task::GenericResource;
use nix::sys::utsname::uname;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The engine's version, everywhere the same.
const VERSION: &str = api::ENGINE_VERSION;

/// What is known of this host when the daemon starts.
pub(crate) struct Host {
    id: String,
    config: Config,
}

impl Host {
    /// `id` names this engine for ever.
    pub(crate) fn new(id: String, config: Config) -> Host {
        Host { id, config }
    }

    /// What this node says of itself to the managers.
    pub(crate) fn describe(&self) -> NodeDescription {
        NodeDescription {
            hostname: host::hostname(),
            platform: host::platform(),
            resources: host::resources(),
            engine_version: VERSION.into(),
            engine_labels: self.config.labels.clone(),
            generic: self.config.generic_resources.clone(),
            allows_privileged: self.config.allow_privileged_services,
        }
    }
}

fn kernel_release() -> String {
    uname().map_or_else(
        |_| String::new(),
        |uts| uts.release().to_string_lossy().into_owned(),
    )
}

/// Docker's word for the architecture in `/version`.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `PRETTY_NAME` and `VERSION_ID` of the distribution.
fn operating_system() -> (String, String) {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map_or_else(String::new, |v| v.trim_matches('"').to_owned())
    };
    (field("PRETTY_NAME"), field("VERSION_ID"))
}

pub(crate) fn unix_nanos() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Networks are listed, names are registries of their own, as Docker shows them.
fn registries(insecure: &[String]) -> RegistryConfig {
    let (networks, names): (Vec<_>, Vec<_>) = insecure
        .iter()
        .cloned()
        .partition(|text| text.contains('/'));
    let index = |name: String| {
        let index = IndexInfo {
            name: name.clone(),
            ..Default::default()
        };
        (name, index)
    };
    let always = ["::1/128", "127.0.0.0/8"].map(str::to_owned);
    RegistryConfig {
        insecure_registry_cidrs: always.into_iter().chain(networks).collect(),
        index_configs: names.into_iter().map(index).collect(),
        ..Default::default()
    }
}

/// Version 2 alone, or 1 (also when version 2 is mounted beside it).
fn cgroup_version() -> &'static str {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "2"
    } else {
        "1"
    }
}

#[async_trait]
impl api::backend::Host for Host {
    fn info(&self) -> Info {
        let (platform, resources) = (host::platform(), host::resources());
        let (operating_system, os_version) = operating_system();
        let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
        let labels = self
            .config
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Info {
            id: self.id.clone(),
            driver: "overlay2".into(),
            plugins: PluginsInfo {
                volume: vec![engine::LOCAL_DRIVER.into()],
                network: vec!["host".into(), "null".into()],
                authorization: None,
                log: vec!["json-file".into()],
            },
            memory_limit: true,
            cpu_cfs_period: true,
            cpu_cfs_quota: true,
            pids_limit: true,
            ipv4_forwarding: forwarding.is_ok_and(|text| text.trim() == "1"),
            debug: self.config.log_level == "debug",
            n_fd: i64::try_from(open_files).unwrap_or(0),
            system_time: api_types::Timestamp::from_unix_nanos(unix_nanos()).to_string(),
            logging_driver: "json-file".into(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: cgroup_version().into(),
            kernel_version: kernel_release(),
            operating_system,
            os_version,
            os_type: platform.os,
            architecture: platform.architecture,
            index_server_address: "https://index.docker.io/v1/".into(),
            registry_config: Some(registries(&self.config.insecure_registries)),
            ncpu: resources.nano_cpus / host::NANOS_PER_CPU,
            mem_total: resources.memory_bytes,
            docker_root_dir: self.config.data_root.display().to_string(),
            name: host::hostname(),
            labels,
            server_version: VERSION.into(),
            runtimes: BTreeMap::from([(
                "starling".to_owned(),
                Runtime {
                    path: "starling".into(),
                    ..Default::default()
                },
            )]),
            default_runtime: "starling".into(),
            live_restore_enabled: true,
            runc_commit: Commit {
                id: "N/A".into(),
                ..Default::default()
            },
            containerd_commit: Commit {
                id: "N/A".into(),
                ..Default::default()
            },
            init_commit: Commit {
                id: "N/A".into(),
                ..Default::default()
            },
            security_options: vec![
                "name=seccomp,profile=builtin".into(),
                "name=cgroupns".into(),
            ],
            ..Default::default()
        }
    }

    fn generic_resources(&self) -> Vec<GenericResource> {
        self.config.generic_resources.clone()
    }

    fn version(&self) -> VersionInfo {
        let details = StringMap::from([
            ("ApiVersion".to_owned(), api_types::API_VERSION.to_owned()),
            (
                "MinAPIVersion".to_owned(),
                api_types::MIN_API_VERSION.to_owned(),
            ),
            ("Arch".to_owned(), go_arch().to_owned()),
            ("Os".to_owned(), "linux".to_owned()),
            ("KernelVersion".to_owned(), kernel_release()),
            ("Experimental".to_owned(), "false".to_owned()),
        ]);
        VersionInfo {
            platform: PlatformName {
                name: "Starling".into(),
            },
            components: vec![ComponentVersion {
                name: "Engine".into(),
                version: VERSION.into(),
                details,
            }],
            version: VERSION.into(),
            api_version: api_types::API_VERSION.into(),
            min_api_version: api_types::MIN_API_VERSION.into(),
            os: "linux".into(),
            arch: go_arch().into(),
            kernel_version: kernel_release(),
            ..Default::default()
        }
    }

    fn random(&self) -> u128 {
        random()
    }

    fn now(&self) -> i64 {
        unix_nanos()
    }
}

/// Random bits of the kernel.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    getrandom(&mut bytes);
    u128::from_le_bytes(bytes)
}

/// Fills `bytes` from the kernel's generator. It cannot fail for so few bytes once the system has booted.
pub(crate) fn getrandom(bytes: &mut [u8]) {
    use ring::rand::{SecureRandom, SystemRandom};
    SystemRandom::new()
        .fill(bytes)
        .expect("the kernel's random numbers");
}
