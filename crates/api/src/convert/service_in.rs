//! A service's specification as a client sends it.

use super::container_in::container_spec;
use super::{duration_or, invalid, unless};
use crate::ApiError;
use api_types::network::NetworkAttachmentConfig;
use api_types::service as json;
use api_types::task as json_task;
use model::Driver;
use model::service::{
    DEFAULT_REPLICAS, EndpointMode, EndpointSpec, FailureAction, Mode, ServiceSpec, UpdateConfig,
    UpdateOrder,
};
use model::task::{
    GenericResource, GenericValue, HOST_NETWORK, HOST_NETWORK_ID, Limits, NetworkAttachment,
    Placement, Platform, ResourceRequirements, Resources, RestartCondition, RestartPolicy,
    TaskSpec,
};
use std::sync::Arc;
use std::time::Duration;

/// Converts what Docker's clients know and refuses what is not built, by the name of the field. What Starling adds
/// comes after it: see [`super::settle_additions`].
pub(crate) fn service_spec(spec: json::ServiceSpec) -> Result<ServiceSpec, ApiError> {
    let mut template = spec.task_template;
    if template.networks.is_empty() {
        template.networks = spec.networks;
    }
    let config =
        |config: Option<json::UpdateConfig>, of| config.map(|c| update_config(&c, of)).transpose();
    Ok(ServiceSpec {
        name: spec.name,
        labels: spec.labels,
        mode: mode(spec.mode)?,
        task: Arc::new(task_spec(template)?),
        update: config(spec.update_config, "update")?,
        rollback: config(spec.rollback_config, "rollback")?,
        endpoint: spec.endpoint_spec.map(endpoint).transpose()?,
        ..Default::default()
    })
}

fn mode(mode: json::ServiceMode) -> Result<Mode, ApiError> {
    match (
        mode.replicated,
        mode.global,
        mode.replicated_job,
        mode.global_job,
    ) {
        // The numbers are filled in, as in Docker: its command line cannot show a service without them.
        (None, None, None, None) => Ok(Mode::Replicated {
            replicas: Some(DEFAULT_REPLICAS),
        }),
        (Some(replicated), None, None, None) => Ok(Mode::Replicated {
            replicas: Some(replicated.replicas.unwrap_or(DEFAULT_REPLICAS)),
        }),
        (None, Some(_), None, None) => Ok(Mode::Global),
        (None, None, Some(job), None) => {
            let concurrent = job.max_concurrent.unwrap_or(1);
            Ok(Mode::ReplicatedJob {
                max_concurrent: Some(concurrent),
                total_completions: Some(job.total_completions.unwrap_or(concurrent)),
            })
        }
        (None, None, None, Some(_)) => Ok(Mode::GlobalJob),
        _ => Err(ApiError::bad_request("must specify only one service mode")),
    }
}

/// `of` is `update` or `rollback`, for refusals that Docker does not have for a rollback; its own say `update` for both.
fn update_config(config: &json::UpdateConfig, of: &str) -> Result<UpdateConfig, ApiError> {
    let failure_action = match config.failure_action.as_str() {
        "" | "pause" => FailureAction::Pause,
        "continue" => FailureAction::Continue,
        "rollback" => FailureAction::Rollback,
        other => {
            return Err(ApiError::bad_request(format!(
                "unrecognized update failure action {other}"
            )));
        }
    };
    let duration =
        |nanos, what| duration_or(nanos, &format!("TaskSpec: {of}-{what} cannot be negative"));
    let monitor = duration(config.monitor, "monitor")?;
    Ok(UpdateConfig {
        parallelism: config.parallelism,
        delay: duration(config.delay, "delay")?,
        failure_action,
        monitor: (!monitor.is_zero()).then_some(monitor),
        max_failure_ratio: config.max_failure_ratio,
        order: order(&config.order)
            .ok_or_else(|| bad("unrecognized update order", &config.order))?,
    })
}

fn bad(what: &str, text: &str) -> ApiError {
    ApiError::bad_request(format!("{what} {text}"))
}

/// Reads an order of stop and start; an empty text is the default one.
pub(super) fn order(text: &str) -> Option<UpdateOrder> {
    match text {
        "" | "stop-first" => Some(UpdateOrder::StopFirst),
        "start-first" => Some(UpdateOrder::StartFirst),
        _ => None,
    }
}

fn endpoint(spec: json::EndpointSpec) -> Result<EndpointSpec, ApiError> {
    unless(
        !spec.ports.is_empty(),
        "EndpointSpec.Ports (publishing ports)",
    )?;
    let mode = match spec.mode.as_str() {
        "" => None,
        "vip" => Some(EndpointMode::Vip),
        "dnsrr" => Some(EndpointMode::DnsRr),
        other => {
            return Err(ApiError::bad_request(format!(
                r#"invalid resolution mode: "{other}""#
            )));
        }
    };
    Ok(EndpointSpec { mode })
}

fn task_spec(spec: json_task::TaskSpec) -> Result<TaskSpec, ApiError> {
    unless(
        spec.plugin_spec.is_some() || spec.runtime == "plugin",
        "TaskTemplate.PluginSpec",
    )?;
    if spec.network_attachment_spec.is_some() || !matches!(spec.runtime.as_str(), "" | "container")
    {
        return Err(ApiError::bad_request(format!(
            "TaskTemplate.Runtime: '{}' is not a runtime for services, use 'container'",
            spec.runtime
        )));
    }
    let networks = spec.networks.into_iter().map(network);
    Ok(TaskSpec {
        container: container_spec(spec.container_spec.unwrap_or_default())?,
        resources: spec.resources.map(resources).transpose()?,
        restart: spec.restart_policy.map(restart_policy).transpose()?,
        placement: spec.placement.map(placement).transpose()?,
        networks: networks.collect::<Result<_, _>>()?,
        log_driver: spec
            .log_driver
            .map(|d| log_driver(d, "TaskTemplate.LogDriver"))
            .transpose()?,
        force_update: spec.force_update,
        runtime: spec.runtime,
    })
}

fn resources(asked: json_task::ResourceRequirements) -> Result<ResourceRequirements, ApiError> {
    let limits = |l: json_task::Limit| Limits {
        nano_cpus: l.nano_cpus,
        memory_bytes: l.memory_bytes,
        pids: l.pids,
    };
    let reserved = |r: &json_task::Resources| Resources {
        nano_cpus: r.nano_cpus,
        memory_bytes: r.memory_bytes,
    };
    let reservations = asked.reservations.as_ref().map(reserved);
    let asked_for = asked.reservations.map(|r| r.generic_resources);
    let generic = asked_for.into_iter().flatten().map(generic);
    Ok(ResourceRequirements {
        limits: asked.limits.map(limits),
        reservations,
        generic: generic.collect::<Result<_, _>>()?,
    })
}

fn generic(asked: json_task::GenericResource) -> Result<GenericResource, ApiError> {
    match (asked.named, asked.discrete) {
        (None, Some(discrete)) => Ok(GenericResource {
            kind: discrete.kind,
            value: GenericValue::Discrete(discrete.value),
        }),
        (Some(named), None) => Ok(GenericResource {
            kind: named.kind,
            value: GenericValue::Named(named.value),
        }),
        _ => Err(invalid(
            "invalid generic resource: it is either a NamedResourceSpec or a DiscreteResourceSpec",
        )),
    }
}

fn restart_policy(policy: json_task::RestartPolicy) -> Result<RestartPolicy, ApiError> {
    let condition = match policy.condition.as_str() {
        "" | "any" => RestartCondition::Any,
        "on-failure" => RestartCondition::OnFailure,
        "none" => RestartCondition::None,
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid RestartCondition: {other:?}"
            )));
        }
    };
    let delay = policy
        .delay
        .map(|d| duration_or(d, "TaskSpec: restart-delay cannot be negative"));
    let window = policy.window.map_or(Ok(Duration::ZERO), |w| {
        duration_or(w, "TaskSpec: restart-window cannot be negative")
    });
    Ok(RestartPolicy {
        condition,
        delay: delay.transpose()?,
        max_attempts: policy.max_attempts.unwrap_or(0),
        window: window?,
    })
}

fn placement(asked: json_task::Placement) -> Result<Placement, ApiError> {
    let spread = |preference: json_task::PlacementPreference| {
        let spread = preference.spread.ok_or_else(|| {
            ApiError::bad_request("TaskTemplate.Placement.Preferences: only Spread is known")
        })?;
        Ok(spread.spread_descriptor)
    };
    let platform = |p: api_types::swarm::Platform| Platform {
        architecture: p.architecture,
        os: p.os,
    };
    let preferences = asked.preferences.into_iter().map(spread);
    Ok(Placement {
        constraints: asked.constraints,
        preferences: preferences.collect::<Result<_, ApiError>>()?,
        max_replicas: asked.max_replicas,
        platforms: asked.platforms.into_iter().map(platform).collect(),
    })
}

fn network(asked: NetworkAttachmentConfig) -> Result<NetworkAttachment, ApiError> {
    match asked.target.as_str() {
        HOST_NETWORK | HOST_NETWORK_ID => {}
        "bridge" => {
            return Err(ApiError::not_built(
                "TaskTemplate.Networks: the network bridge",
            ));
        }
        "ingress" => {
            let text = r#"Service cannot be explicitly attached to the ingress network "ingress""#;
            return Err(ApiError::bad_request(text));
        }
        other => return Err(ApiError::not_found(format!("network {other} not found"))),
    }
    unless(
        !asked.driver_opts.is_empty(),
        "TaskTemplate.Networks.DriverOpts",
    )?;
    unless(!asked.aliases.is_empty(), "TaskTemplate.Networks.Aliases")?;
    Ok(NetworkAttachment {
        target: HOST_NETWORK_ID.into(),
        aliases: Vec::new(),
    })
}

/// Drivers that Docker has and this engine has not are not built; `field` says where it was asked for.
pub(super) fn log_driver(driver: api_types::Driver, field: &str) -> Result<Driver, ApiError> {
    unless(
        !matches!(driver.name.as_str(), "" | "json-file"),
        &format!("{field} {}", driver.name),
    )?;
    Ok(Driver {
        name: driver.name,
        options: driver.options,
    })
}
