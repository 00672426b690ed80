//! Services as they are answered.

use super::container_out::container_spec;
use super::{additions, nanos, objects, timestamp};
use api_types::network::NetworkAttachmentConfig;
use api_types::service as json;
use api_types::task as json_task;
use api_types::{Driver, Version};
use model::Service;
use model::service::{
    EndpointMode, EndpointSpec, FailureAction, Mode, ServiceSpec, UpdateConfig, UpdateOrder,
    UpdateState, UpdateStatus,
};
use model::task::{ResourceRequirements, RestartCondition, RestartPolicy, TaskSpec};
use std::time::Duration;

/// Counts of a service's tasks for `status=true`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceCounts {
    pub(crate) running: u64,
    pub(crate) desired: u64,
    pub(crate) completed: u64,
}

/// `defaults` fills in what the client left out, as `insertDefaults=true` asks for.
pub(crate) fn service(
    service: &Service,
    counts: Option<ServiceCounts>,
    defaults: bool,
) -> json::Service {
    let endpoint_spec = service.spec.endpoint.as_ref().map(endpoint_spec);
    json::Service {
        id: service.id.to_string(),
        version: Version {
            index: service.meta.version,
        },
        created_at: timestamp(service.meta.created_at),
        updated_at: timestamp(service.meta.updated_at),
        spec: service_spec(&service.spec, defaults),
        previous_spec: service
            .previous_spec
            .as_ref()
            .map(|s| service_spec(s, false)),
        endpoint: json::Endpoint {
            spec: endpoint_spec.unwrap_or_default(),
            ..Default::default()
        },
        update_status: service.update_status.as_ref().map(update_status),
        service_status: counts.map(|c| json::ServiceStatus {
            running_tasks: c.running,
            desired_tasks: c.desired,
            completed_tasks: c.completed,
        }),
        job_status: service.job.map(|job| json::JobStatus {
            job_iteration: Version {
                index: job.iteration,
            },
            last_execution: timestamp(job.last_execution),
        }),
        starling: additions::of_service(service),
    }
}

fn update_status(status: &UpdateStatus) -> json::UpdateStatus {
    let is_over = matches!(
        status.state,
        UpdateState::Completed | UpdateState::RollbackCompleted
    );
    json::UpdateStatus {
        state: status.state.name().into(),
        started_at: status.started_at.map(timestamp),
        completed_at: status.completed_at.filter(|_| is_over).map(timestamp),
        message: status.message.clone(),
    }
}

/// A spec as it was sent, or with `defaults` in what was left out.
pub(crate) fn service_spec(spec: &ServiceSpec, defaults: bool) -> json::ServiceSpec {
    let config = |config: &Option<UpdateConfig>| {
        let config = if defaults && !spec.mode.is_job() {
            Some(config.clone().unwrap_or_default())
        } else {
            config.clone()
        };
        config.map(|c| update_config(&c, defaults))
    };
    json::ServiceSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        task_template: task_spec(&spec.task, defaults),
        mode: mode(spec, defaults),
        update_config: config(&spec.update),
        rollback_config: config(&spec.rollback),
        networks: Vec::new(),
        endpoint_spec: spec.endpoint.as_ref().map(endpoint_spec),
        starling: additions::of_spec(spec),
    }
}

fn mode(spec: &ServiceSpec, defaults: bool) -> json::ServiceMode {
    let mut mode = json::ServiceMode::default();
    match spec.mode {
        Mode::Replicated { replicas } => {
            let replicas = replicas.or_else(|| defaults.then(|| spec.replicas()));
            mode.replicated = Some(json::ReplicatedService { replicas });
        }
        Mode::Global => mode.global = Some(json::GlobalService {}),
        Mode::ReplicatedJob {
            max_concurrent,
            total_completions,
        } => {
            let filled = spec.completions().filter(|_| defaults);
            mode.replicated_job = Some(json::ReplicatedJob {
                max_concurrent: max_concurrent.or(filled.map(|(concurrent, _)| concurrent)),
                total_completions: total_completions.or(filled.map(|(_, total)| total)),
            });
        }
        Mode::GlobalJob => mode.global_job = Some(json::GlobalJob {}),
    }
    mode
}

fn endpoint_spec(spec: &EndpointSpec) -> json::EndpointSpec {
    let mode = match spec.mode {
        None => "",
        Some(EndpointMode::Vip) => "vip",
        Some(EndpointMode::DnsRr) => "dnsrr",
    };
    json::EndpointSpec {
        mode: mode.into(),
        ports: Vec::new(),
    }
}

fn update_config(config: &UpdateConfig, defaults: bool) -> json::UpdateConfig {
    let monitor = if defaults {
        Some(config.monitor())
    } else {
        config.monitor
    };
    json::UpdateConfig {
        parallelism: config.parallelism,
        delay: nanos(config.delay),
        failure_action: match config.failure_action {
            FailureAction::Pause => "pause".into(),
            FailureAction::Continue => "continue".into(),
            FailureAction::Rollback => "rollback".into(),
        },
        monitor: monitor.map_or(0, nanos),
        max_failure_ratio: config.max_failure_ratio,
        order: order(config.order).into(),
    }
}

/// The name of an order of stop and start.
pub(super) fn order(order: UpdateOrder) -> &'static str {
    match order {
        UpdateOrder::StopFirst => "stop-first",
        UpdateOrder::StartFirst => "start-first",
    }
}

/// Docker's default time between the stop signal and SIGKILL.
const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);

/// The template of tasks, as sent or with defaults.
pub(super) fn task_spec(spec: &TaskSpec, defaults: bool) -> json_task::TaskSpec {
    let platforms =
        |p: &model::task::Placement| p.platforms.iter().map(objects::platform).collect();
    let networks = spec.networks.iter().map(|n| NetworkAttachmentConfig {
        target: n.target.clone(),
        aliases: n.aliases.clone(),
        ..Default::default()
    });
    let mut out = json_task::TaskSpec {
        container_spec: Some(container_spec(&spec.container)),
        resources: spec.resources.as_ref().map(resources),
        restart_policy: spec.restart.as_ref().map(restart_policy),
        placement: spec.placement.as_ref().map(|p| json_task::Placement {
            constraints: p.constraints.clone(),
            preferences: p.preferences.iter().map(|p| preference(p)).collect(),
            max_replicas: p.max_replicas,
            platforms: platforms(p),
        }),
        networks: networks.collect(),
        log_driver: spec.log_driver.as_ref().map(|d| Driver {
            name: d.name.clone(),
            options: d.options.clone(),
        }),
        force_update: spec.force_update,
        runtime: spec.runtime.clone(),
        ..Default::default()
    };
    if defaults {
        insert_defaults(&mut out);
    }
    out
}

/// swarmkit's defaults (`api/defaults/service.go`).
fn insert_defaults(spec: &mut json_task::TaskSpec) {
    if let Some(container) = &mut spec.container_spec {
        container
            .stop_grace_period
            .get_or_insert(nanos(DEFAULT_STOP_GRACE));
        container.dns_config.get_or_insert_default();
    }
    let resources = spec.resources.get_or_insert_default();
    resources.limits.get_or_insert_default();
    resources.reservations.get_or_insert_default();
    spec.placement.get_or_insert_default();
    let policy = spec
        .restart_policy
        .get_or_insert_with(|| restart_policy(&RestartPolicy::default()));
    policy
        .delay
        .get_or_insert(nanos(RestartPolicy::DEFAULT_DELAY));
}

fn resources(asked: &ResourceRequirements) -> json_task::ResourceRequirements {
    let is_reserved = asked.reservations.is_some() || !asked.generic.is_empty();
    json_task::ResourceRequirements {
        limits: asked.limits.map(|l| json_task::Limit {
            nano_cpus: l.nano_cpus,
            memory_bytes: l.memory_bytes,
            pids: l.pids,
        }),
        reservations: is_reserved
            .then(|| objects::resources(asked.reservations.unwrap_or_default(), &asked.generic)),
    }
}

fn restart_policy(policy: &RestartPolicy) -> json_task::RestartPolicy {
    json_task::RestartPolicy {
        condition: match policy.condition {
            RestartCondition::None => "none".into(),
            RestartCondition::OnFailure => "on-failure".into(),
            RestartCondition::Any => "any".into(),
        },
        delay: policy.delay.map(nanos),
        max_attempts: Some(policy.max_attempts),
        window: (!policy.window.is_zero()).then(|| nanos(policy.window)),
    }
}

fn preference(descriptor: &str) -> json_task::PlacementPreference {
    json_task::PlacementPreference {
        spread: Some(json_task::SpreadOver {
            spread_descriptor: descriptor.to_owned(),
        }),
    }
}
