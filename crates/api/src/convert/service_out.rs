//! Services as they are answered.

use super::container_out::container_spec;
use super::{nanos, timestamp};
use api_types::network::NetworkAttachmentConfig;
use api_types::service as json;
use api_types::task as json_task;
use api_types::{Driver, Version};
use model::Service;
use model::service::{
    EndpointMode, EndpointSpec, FailureAction, Mode, ServiceSpec, UpdateConfig, UpdateOrder,
    UpdateState, UpdateStatus,
};
use model::task::{RestartCondition, TaskSpec};
use std::time::Duration;

/// Counts of a service's tasks for `status=true`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ServiceCounts {
    pub(crate) running: u64,
    pub(crate) desired: u64,
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
            completed_tasks: 0,
        }),
        job_status: None,
    }
}

fn update_status(status: &UpdateStatus) -> json::UpdateStatus {
    let state = match status.state {
        UpdateState::Updating => "updating",
        UpdateState::Paused => "paused",
        UpdateState::Completed => "completed",
    };
    json::UpdateStatus {
        state: state.into(),
        started_at: status.started_at.map(timestamp),
        completed_at: status
            .completed_at
            .filter(|_| status.state == UpdateState::Completed)
            .map(timestamp),
        message: status.message.clone(),
    }
}

fn service_spec(spec: &ServiceSpec, defaults: bool) -> json::ServiceSpec {
    let Mode::Replicated { replicas } = spec.mode;
    let replicas = if defaults {
        Some(spec.replicas())
    } else {
        replicas
    };
    let config = |config: &Option<UpdateConfig>| {
        let config = if defaults {
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
        mode: json::ServiceMode {
            replicated: Some(json::ReplicatedService { replicas }),
            ..Default::default()
        },
        update_config: config(&spec.update),
        rollback_config: config(&spec.rollback),
        networks: Vec::new(),
        endpoint_spec: spec.endpoint.as_ref().map(endpoint_spec),
    }
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
        },
        monitor: monitor.map_or(0, nanos),
        max_failure_ratio: config.max_failure_ratio,
        order: match config.order {
            UpdateOrder::StopFirst => "stop-first".into(),
            UpdateOrder::StartFirst => "start-first".into(),
        },
    }
}

/// Docker's default time between the stop signal and SIGKILL.
const DEFAULT_STOP_GRACE: Duration = Duration::from_secs(10);

pub(super) fn task_spec(spec: &TaskSpec, defaults: bool) -> json_task::TaskSpec {
    let mut container = container_spec(&spec.container);
    let mut restart = spec.restart.clone();
    if defaults {
        container
            .stop_grace_period
            .get_or_insert(nanos(DEFAULT_STOP_GRACE));
        let policy = restart.get_or_insert_default();
        policy
            .delay
            .get_or_insert(model::task::RestartPolicy::DEFAULT_DELAY);
    }
    json_task::TaskSpec {
        container_spec: Some(container),
        resources: spec
            .resources
            .as_ref()
            .map(|r| json_task::ResourceRequirements {
                limits: r.limits.map(|l| json_task::Limit {
                    nano_cpus: l.nano_cpus,
                    memory_bytes: l.memory_bytes,
                    pids: l.pids,
                }),
                reservations: r.reservations.map(super::objects::resources),
            }),
        restart_policy: restart.map(|policy| json_task::RestartPolicy {
            condition: match policy.condition {
                RestartCondition::None => "none".into(),
                RestartCondition::OnFailure => "on-failure".into(),
                RestartCondition::Any => "any".into(),
            },
            delay: policy.delay.map(nanos),
            max_attempts: Some(policy.max_attempts),
            window: (!policy.window.is_zero()).then(|| nanos(policy.window)),
        }),
        placement: spec.placement.as_ref().map(|p| json_task::Placement {
            constraints: p.constraints.clone(),
            preferences: Vec::new(),
            max_replicas: p.max_replicas,
            platforms: p.platforms.iter().map(super::objects::platform).collect(),
        }),
        networks: spec
            .networks
            .iter()
            .map(|n| NetworkAttachmentConfig {
                target: n.target.clone(),
                aliases: n.aliases.clone(),
                ..Default::default()
            })
            .collect(),
        log_driver: spec.log_driver.as_ref().map(|d| Driver {
            name: d.name.clone(),
            options: d.options.clone(),
        }),
        force_update: spec.force_update,
        runtime: spec.runtime.clone(),
        ..Default::default()
    }
}
