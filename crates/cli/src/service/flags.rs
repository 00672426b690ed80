//! The flags that `service create` and `service update` share, and what each does to a spec.

use super::own::OwnFlags;
use super::spec;
use crate::error::{Error, Result};
use crate::parse::{unsigned, words};
use crate::units::{
    parse_bytes, parse_cpus, parse_duration, parse_positive_duration, parse_probe_duration,
};
use api_types::service::ServiceSpec;
use api_types::task::ContainerSpec;
use clap::Args;
use std::num::ParseFloatError;

/// A flag that may stand alone for true, or with `=false`.
pub(super) fn flag(text: &str) -> std::result::Result<bool, String> {
    crate::parse::boolean(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
}

fn ratio(text: &str) -> std::result::Result<f32, String> {
    text.parse::<f32>()
        .map_err(|err: ParseFloatError| err.to_string())
        .and_then(|ratio| {
            if (0.0..=1.0).contains(&ratio) {
                Ok(ratio)
            } else {
                Err("must be from 0 to 1".to_owned())
            }
        })
}

fn positive_memory(text: &str) -> std::result::Result<i64, String> {
    parse_bytes(text)
}

/// What the service does when a batch goes wrong, how many at a time, and so on.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Update and rollback")]
pub(super) struct UpdateFlags {
    /// Tasks updated at the same time, 0 for all at once (default 1)
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub update_parallelism: Option<u64>,
    /// Time between updates of tasks (default 0s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub update_delay: Option<i64>,
    /// Time for which each updated task is watched for failure (default 5s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub update_monitor: Option<i64>,
    /// What to do when an update fails (default pause)
    #[arg(long, value_name = "ACTION", value_parser = ["pause", "continue", "rollback"])]
    pub update_failure_action: Option<String>,
    /// Share of failed tasks that an update bears, from 0 to 1 (default 0)
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub update_max_failure_ratio: Option<f32>,
    /// Whether the old task stops before the new one starts, or after (default stop-first)
    #[arg(long, value_name = "ORDER", value_parser = ["start-first", "stop-first"])]
    pub update_order: Option<String>,
    /// Tasks rolled back at the same time, 0 for all at once (default 1)
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub rollback_parallelism: Option<u64>,
    /// Time between rollbacks of tasks (default 0s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub rollback_delay: Option<i64>,
    /// Time for which each task that was rolled back is watched (default 5s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub rollback_monitor: Option<i64>,
    /// What to do when a rollback fails (default pause)
    #[arg(long, value_name = "ACTION", value_parser = ["pause", "continue"])]
    pub rollback_failure_action: Option<String>,
    /// Share of failed tasks that a rollback bears, from 0 to 1 (default 0)
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    pub rollback_max_failure_ratio: Option<f32>,
    /// Order of starting and stopping in a rollback (default stop-first)
    #[arg(long, value_name = "ORDER", value_parser = ["start-first", "stop-first"])]
    pub rollback_order: Option<String>,
}

/// What a container may use.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Resources")]
pub(super) struct ResourceFlags {
    /// Processors that a task may use at most, e.g. 0.5
    #[arg(long, value_name = "CPUS", value_parser = parse_cpus)]
    pub limit_cpu: Option<i64>,
    /// Memory that a task may use at most, e.g. 512M
    #[arg(long, value_name = "BYTES", value_parser = positive_memory)]
    pub limit_memory: Option<i64>,
    /// Processes that a task may have at most, 0 for any number
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub limit_pids: Option<i64>,
    /// Processors kept free for each task
    #[arg(long, value_name = "CPUS", value_parser = parse_cpus)]
    pub reserve_cpu: Option<i64>,
    /// Memory kept free for each task
    #[arg(long, value_name = "BYTES", value_parser = positive_memory)]
    pub reserve_memory: Option<i64>,
}

/// When a task that ended gets a successor.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Restart")]
pub(super) struct RestartFlags {
    /// When to restart a task that ended (default any)
    #[arg(long, value_name = "CONDITION", value_parser = ["none", "on-failure", "any"])]
    pub restart_condition: Option<String>,
    /// Time before a restart (default 5s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub restart_delay: Option<i64>,
    /// Restarts before giving up, 0 for any number
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub restart_max_attempts: Option<u64>,
    /// Time in which the attempts are counted, 0 for ever
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub restart_window: Option<i64>,
}

/// How a container's health is probed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Health")]
pub(super) struct HealthFlags {
    /// Command that tells whether the container is healthy
    #[arg(long, value_name = "COMMAND")]
    pub health_cmd: Option<String>,
    /// Time between probes
    #[arg(long, value_name = "DURATION", value_parser = parse_probe_duration)]
    pub health_interval: Option<i64>,
    /// Time that a probe may take
    #[arg(long, value_name = "DURATION", value_parser = parse_probe_duration)]
    pub health_timeout: Option<i64>,
    /// Failed probes in a row that make a container unhealthy
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub health_retries: Option<i64>,
    /// Time that a container has for its start
    #[arg(long, value_name = "DURATION", value_parser = parse_probe_duration)]
    pub health_start_period: Option<i64>,
    /// Time between probes during the start
    #[arg(long, value_name = "DURATION", value_parser = parse_probe_duration)]
    pub health_start_interval: Option<i64>,
    /// Do not use the image's own health check
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub no_healthcheck: Option<bool>,
}

/// What runs in the container.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Container")]
pub(super) struct ContainerFlags {
    /// Working directory in the container
    #[arg(short = 'w', long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User and group, as <name|uid>[:<group|gid>]
    #[arg(short = 'u', long, value_name = "USER")]
    pub user: Option<String>,
    /// Host name in the container
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Replace the image's entrypoint; one text, cut into words as a shell does
    #[arg(long, value_name = "COMMAND", value_parser = words::split_all, allow_hyphen_values = true)]
    pub entrypoint: Option<words::Words>,
    /// Run an init process in the container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub init: Option<bool>,
    /// Give the container a terminal
    #[arg(short = 't', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub tty: Option<bool>,
    /// Mount the root file system read only
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub read_only: Option<bool>,
    /// Signal that asks the container to stop
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Time before the container is killed (default 10s)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub stop_grace_period: Option<i64>,
    /// Add capabilities of Linux
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_add: Vec<String>,
    /// Drop capabilities of Linux
    #[arg(long, value_name = "CAPABILITY")]
    pub cap_drop: Vec<String>,
    /// Adjust the preference of the OOM killer, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i64>,
    /// Isolation technology: 'default' is the only one on Linux
    #[arg(long, value_name = "KIND")]
    pub isolation: Option<String>,
    /// Account of a service on Windows; refused, as containers here are Linux ones
    #[arg(long, value_name = "SPEC")]
    pub credential_spec: Option<String>,
}

/// All flags that both commands have.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SharedFlags {
    /// Return at once, do not wait for the service to converge
    #[arg(short = 'd', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub detach: Option<bool>,
    /// Do not show progress
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Number of tasks
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub replicas: Option<u64>,
    /// Tasks of a job that run at the same time (default: as many as --replicas)
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub max_concurrent: Option<u64>,
    /// Most tasks on one node, 0 for any number
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub replicas_max_per_node: Option<u64>,
    /// How other containers find the service: vip or dnsrr (default vip)
    #[arg(long, value_name = "MODE")]
    pub endpoint_mode: Option<String>,
    /// Driver for the containers' output; json-file is the only one
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Options of that driver: max-size=10m and max-file=3 bound the files of a container
    #[arg(long, value_name = "OPTION", value_parser = crate::parse::lists::key_value)]
    pub log_opt: Vec<(String, String)>,
    /// Do not ask the registry for the image's digest and platforms
    #[arg(long)]
    pub no_resolve_image: bool,
    /// Send the credentials for the registry to the nodes
    #[arg(long)]
    pub with_registry_auth: bool,
    #[command(flatten)]
    pub(super) container: ContainerFlags,
    #[command(flatten)]
    pub(super) resources: ResourceFlags,
    #[command(flatten)]
    pub(super) restart: RestartFlags,
    #[command(flatten)]
    pub(super) update: UpdateFlags,
    #[command(flatten)]
    pub(super) health: HealthFlags,
    #[command(flatten)]
    pub(super) own: OwnFlags,
}

impl SharedFlags {
    /// Changes what was asked for, and nothing else. Replicas are the callers' business.
    pub(super) fn apply(&self, spec: &mut ServiceSpec) -> Result<()> {
        self.container.apply(spec::container(spec))?;
        self.resources.apply(spec);
        self.restart.apply(spec);
        self.update.apply(spec);
        self.health.apply(spec::container(spec))?;
        self.own.apply(spec);
        if let Some(most) = self.replicas_max_per_node {
            spec.task_template
                .placement
                .get_or_insert_default()
                .max_replicas = most;
        }
        if let Some(mode) = &self.endpoint_mode {
            spec.endpoint_spec.get_or_insert_default().mode = mode.to_ascii_lowercase();
        }
        self.apply_log_driver(spec)
    }

    fn apply_log_driver(&self, spec: &mut ServiceSpec) -> Result<()> {
        match &self.log_driver {
            Some(name) if name.is_empty() => spec.task_template.log_driver = None,
            Some(name) => {
                spec.task_template.log_driver = Some(api_types::Driver {
                    name: name.clone(),
                    options: crate::parse::lists::map(&self.log_opt),
                })
            }
            None if !self.log_opt.is_empty() => {
                return Err(Error::usage(
                    "--log-opt needs --log-driver: name the driver that the options are for",
                ));
            }
            None => {}
        }
        Ok(())
    }
}

fn set<T: Clone>(field: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        field.clone_from(value);
    }
}

impl ContainerFlags {
    fn apply(&self, container: &mut ContainerSpec) -> Result<()> {
        set(&mut container.dir, &self.workdir);
        set(&mut container.user, &self.user);
        set(&mut container.hostname, &self.hostname);
        set(
            &mut container.command,
            &self.entrypoint.as_ref().map(|words| words.0.clone()),
        );
        set(&mut container.tty, &self.tty);
        set(&mut container.read_only, &self.read_only);
        set(&mut container.stop_signal, &self.stop_signal);
        set(&mut container.oom_score_adj, &self.oom_score_adj);
        set(&mut container.isolation, &self.isolation);
        container.init = self.init.or(container.init);
        container.stop_grace_period = self.stop_grace_period.or(container.stop_grace_period);
        if let Some(text) = &self.credential_spec {
            self.apply_credentials(container, text)?;
        }
        if !self.cap_add.is_empty() || !self.cap_drop.is_empty() {
            crate::parse::lists::change_capabilities(
                &mut container.capability_add,
                &mut container.capability_drop,
                &self.cap_add,
                &self.cap_drop,
            );
        }
        Ok(())
    }

    fn apply_credentials(&self, container: &mut ContainerSpec, text: &str) -> Result<()> {
        match text.split_once("://") {
            Some(("config" | "file" | "registry", _)) => Err(Error::usage(
                "--credential-spec names an account of Windows, and containers here are Linux ones: leave the flag out",
            )),
            // What another client set can be taken away.
            _ if text.is_empty() => {
                if let Some(privileges) = &mut container.privileges {
                    privileges.credential_spec = None;
                }
                Ok(())
            }
            _ => Err(Error::usage(
                "invalid credential spec: value must be prefixed with \"config://\", \"file://\", or \"registry://\"",
            )),
        }
    }
}

impl ResourceFlags {
    fn apply(&self, spec: &mut ServiceSpec) {
        if self.limit_cpu.is_some() || self.limit_memory.is_some() || self.limit_pids.is_some() {
            let limits = spec::resources(spec).limits.get_or_insert_default();
            set(&mut limits.nano_cpus, &self.limit_cpu);
            set(&mut limits.memory_bytes, &self.limit_memory);
            set(&mut limits.pids, &self.limit_pids);
        }
        if self.reserve_cpu.is_some() || self.reserve_memory.is_some() {
            let reservations = spec::resources(spec).reservations.get_or_insert_default();
            set(&mut reservations.nano_cpus, &self.reserve_cpu);
            set(&mut reservations.memory_bytes, &self.reserve_memory);
        }
    }
}

impl RestartFlags {
    fn apply(&self, spec: &mut ServiceSpec) {
        if self.restart_condition.is_none()
            && self.restart_delay.is_none()
            && self.restart_max_attempts.is_none()
            && self.restart_window.is_none()
        {
            return;
        }
        let policy = spec
            .task_template
            .restart_policy
            .get_or_insert_with(spec::default_restart_policy);
        set(&mut policy.condition, &self.restart_condition);
        policy.delay = self.restart_delay.or(policy.delay);
        policy.max_attempts = self.restart_max_attempts.or(policy.max_attempts);
        policy.window = self.restart_window.or(policy.window);
    }
}

impl UpdateFlags {
    /// Whether one of the flags for updates or rollbacks was given, which jobs do not have.
    pub(super) fn any(&self) -> bool {
        self.any_update() || self.any_rollback()
    }

    fn any_update(&self) -> bool {
        self.update_parallelism.is_some()
            || self.update_delay.is_some()
            || self.update_monitor.is_some()
            || self.update_failure_action.is_some()
            || self.update_max_failure_ratio.is_some()
            || self.update_order.is_some()
    }

    fn any_rollback(&self) -> bool {
        self.rollback_parallelism.is_some()
            || self.rollback_delay.is_some()
            || self.rollback_monitor.is_some()
            || self.rollback_failure_action.is_some()
            || self.rollback_max_failure_ratio.is_some()
            || self.rollback_order.is_some()
    }

    fn apply(&self, spec: &mut ServiceSpec) {
        if self.any_update() {
            let config = spec
                .update_config
                .get_or_insert_with(spec::default_update_config);
            set(&mut config.parallelism, &self.update_parallelism);
            set(&mut config.delay, &self.update_delay);
            set(&mut config.monitor, &self.update_monitor);
            set(&mut config.failure_action, &self.update_failure_action);
            set(
                &mut config.max_failure_ratio,
                &self.update_max_failure_ratio,
            );
            set(&mut config.order, &self.update_order);
        }
        if self.any_rollback() {
            let config = spec
                .rollback_config
                .get_or_insert_with(spec::default_update_config);
            set(&mut config.parallelism, &self.rollback_parallelism);
            set(&mut config.delay, &self.rollback_delay);
            set(&mut config.monitor, &self.rollback_monitor);
            set(&mut config.failure_action, &self.rollback_failure_action);
            set(
                &mut config.max_failure_ratio,
                &self.rollback_max_failure_ratio,
            );
            set(&mut config.order, &self.rollback_order);
        }
    }
}

impl HealthFlags {
    /// Whether one of the durations was given, be it zero.
    pub(super) fn has_times(&self) -> bool {
        self.health_interval.is_some()
            || self.health_timeout.is_some()
            || self.health_start_period.is_some()
            || self.health_start_interval.is_some()
    }

    fn apply(&self, container: &mut ContainerSpec) -> Result<()> {
        let given = self.health_cmd.is_some()
            || self.health_interval.is_some()
            || self.health_timeout.is_some()
            || self.health_retries.is_some()
            || self.health_start_period.is_some()
            || self.health_start_interval.is_some();
        match self.no_healthcheck {
            Some(true) if given => {
                return Err(Error::usage(
                    "--no-healthcheck conflicts with --health-* options",
                ));
            }
            Some(true) => {
                container.healthcheck = Some(api_types::container::HealthConfig {
                    test: vec!["NONE".to_owned()],
                    ..Default::default()
                })
            }
            _ if !given => {}
            _ => {
                let health = container.healthcheck.get_or_insert_default();
                if health.test == ["NONE"] {
                    health.test.clear();
                }
                if let Some(command) = &self.health_cmd {
                    health.test = if command.is_empty() {
                        Vec::new()
                    } else {
                        vec!["CMD-SHELL".to_owned(), command.clone()]
                    };
                }
                set(&mut health.interval, &self.health_interval);
                set(&mut health.timeout, &self.health_timeout);
                set(&mut health.retries, &self.health_retries);
                set(&mut health.start_period, &self.health_start_period);
                set(&mut health.start_interval, &self.health_start_interval);
            }
        }
        Ok(())
    }
}
