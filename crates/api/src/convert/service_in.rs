//! A service's specification as a client sends it.

use super::container_in::container_spec;
use super::{duration, unless};
use crate::ApiError;
use api_types::network::NetworkAttachmentConfig;
use api_types::service as json;
use api_types::task as json_task;
use model::service::{
    EndpointMode, EndpointSpec, FailureAction, Mode, ServiceSpec, UpdateConfig, UpdateOrder,
};
use model::task::{
    HOST_NETWORK, HOST_NETWORK_ID, Limits, LogDriver, NetworkAttachment, Placement, Platform,
    ResourceRequirements, Resources, RestartCondition, RestartPolicy, TaskSpec,
};
use std::sync::Arc;
use std::time::Duration;

/// Converts and refuses what is not built, by the name of the field.
pub(crate) fn service_spec(spec: json::ServiceSpec) -> Result<ServiceSpec, ApiError> {
    let mut template = spec.task_template;
    if template.networks.is_empty() {
        template.networks = spec.networks;
    }
    Ok(ServiceSpec {
        name: spec.name,
        labels: spec.labels,
        mode: mode(&spec.mode)?,
        task: Arc::new(task_spec(template)?),
        update: spec
            .update_config
            .map(|c| update_config(&c, "UpdateConfig"))
            .transpose()?,
        rollback: spec
            .rollback_config
            .map(|c| update_config(&c, "RollbackConfig"))
            .transpose()?,
        endpoint: spec.endpoint_spec.map(endpoint).transpose()?,
    })
}

fn mode(mode: &json::ServiceMode) -> Result<Mode, ApiError> {
    let given = [
        mode.replicated.is_some(),
        mode.global.is_some(),
        mode.replicated_job.is_some(),
        mode.global_job.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(ApiError::bad_request("must specify only one service mode"));
    }
    unless(mode.global.is_some(), "Mode.Global")?;
    unless(mode.replicated_job.is_some(), "Mode.ReplicatedJob")?;
    unless(mode.global_job.is_some(), "Mode.GlobalJob")?;
    Ok(Mode::Replicated {
        replicas: mode.replicated.as_ref().and_then(|r| r.replicas),
    })
}

fn update_config(config: &json::UpdateConfig, field: &str) -> Result<UpdateConfig, ApiError> {
    let failure_action = match config.failure_action.as_str() {
        "" | "pause" => FailureAction::Pause,
        "continue" => FailureAction::Continue,
        "rollback" => {
            return Err(ApiError::not_built(&format!(
                "{field}.FailureAction rollback"
            )));
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "unrecognized update failure action {other}"
            )));
        }
    };
    let order = match config.order.as_str() {
        "" | "stop-first" => UpdateOrder::StopFirst,
        "start-first" => UpdateOrder::StartFirst,
        other => {
            return Err(ApiError::bad_request(format!(
                "unrecognized update order {other}"
            )));
        }
    };
    let monitor = duration(config.monitor, &format!("{field}.Monitor"))?;
    Ok(UpdateConfig {
        parallelism: config.parallelism,
        delay: duration(config.delay, &format!("{field}.Delay"))?,
        failure_action,
        monitor: (!monitor.is_zero()).then_some(monitor),
        max_failure_ratio: config.max_failure_ratio,
        order,
    })
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
    let container = spec.container_spec.unwrap_or_default();
    Ok(TaskSpec {
        container: container_spec(container)?,
        resources: spec.resources.map(resources).transpose()?,
        restart: spec.restart_policy.map(restart_policy).transpose()?,
        placement: spec.placement.map(placement).transpose()?,
        networks: spec
            .networks
            .into_iter()
            .map(network)
            .collect::<Result<_, _>>()?,
        log_driver: spec.log_driver.map(log_driver).transpose()?,
        force_update: spec.force_update,
        runtime: spec.runtime,
    })
}

fn resources(asked: json_task::ResourceRequirements) -> Result<ResourceRequirements, ApiError> {
    let generic = asked
        .reservations
        .as_ref()
        .is_some_and(|r| !r.generic_resources.is_empty());
    unless(
        generic,
        "TaskTemplate.Resources.Reservations.GenericResources",
    )?;
    let limits = |l: json_task::Limit| Limits {
        nano_cpus: l.nano_cpus,
        memory_bytes: l.memory_bytes,
        pids: l.pids,
    };
    let reservations = |r: json_task::Resources| Resources {
        nano_cpus: r.nano_cpus,
        memory_bytes: r.memory_bytes,
    };
    Ok(ResourceRequirements {
        limits: asked.limits.map(limits),
        reservations: asked.reservations.map(reservations),
    })
}

fn restart_policy(policy: json_task::RestartPolicy) -> Result<RestartPolicy, ApiError> {
    let condition = match policy.condition.as_str() {
        "" | "any" => RestartCondition::Any,
        "on-failure" => RestartCondition::OnFailure,
        "none" => RestartCondition::None,
        other => {
            return Err(ApiError::bad_request(format!(
                "unrecognized restart condition {other}"
            )));
        }
    };
    let field = "TaskTemplate.RestartPolicy";
    Ok(RestartPolicy {
        condition,
        delay: policy
            .delay
            .map(|d| duration(d, &format!("{field}.Delay")))
            .transpose()?,
        max_attempts: policy.max_attempts.unwrap_or(0),
        window: policy.window.map_or(Ok(Duration::ZERO), |w| {
            duration(w, &format!("{field}.Window"))
        })?,
    })
}

fn placement(asked: json_task::Placement) -> Result<Placement, ApiError> {
    unless(
        !asked.preferences.is_empty(),
        "TaskTemplate.Placement.Preferences",
    )?;
    let platform = |p: api_types::swarm::Platform| Platform {
        architecture: p.architecture,
        os: p.os,
    };
    Ok(Placement {
        constraints: asked.constraints,
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

fn log_driver(driver: api_types::Driver) -> Result<LogDriver, ApiError> {
    if !matches!(driver.name.as_str(), "" | "json-file") {
        return Err(ApiError::not_built(&format!(
            "TaskTemplate.LogDriver {}",
            driver.name
        )));
    }
    if let Some(option) = driver
        .options
        .keys()
        .find(|o| !matches!(o.as_str(), "max-size" | "max-file"))
    {
        return Err(ApiError::bad_request(format!(
            "unknown log opt '{option}' for json-file log driver"
        )));
    }
    Ok(LogDriver {
        name: driver.name,
        options: driver.options,
    })
}
