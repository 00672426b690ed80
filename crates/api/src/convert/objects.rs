//! Nodes and tasks.

use super::service_out::task_spec;
use super::{additions, timestamp};
use crate::ApiError;
use api_types::Version;
use api_types::network::{NetworkAttachment, SwarmNetwork, SwarmNetworkSpec};
use api_types::{swarm as json, task as json_task};
use model::Task;
use model::control::FoundNode;
use model::node::{Availability, NodeSpec, Role};
use model::task::{
    GenericResource, GenericValue, HOST_NETWORK, HOST_NETWORK_ID, Platform, Resources,
};

pub(super) fn resources(resources: Resources, generic: &[GenericResource]) -> json_task::Resources {
    json_task::Resources {
        nano_cpus: resources.nano_cpus,
        memory_bytes: resources.memory_bytes,
        generic_resources: generic_resources(generic),
    }
}

/// Generic resources, offered, asked for or given.
pub(crate) fn generic_resources(resources: &[GenericResource]) -> Vec<json_task::GenericResource> {
    resources.iter().map(generic_resource).collect()
}

fn generic_resource(resource: &GenericResource) -> json_task::GenericResource {
    let kind = resource.kind.clone();
    match &resource.value {
        GenericValue::Discrete(value) => json_task::GenericResource {
            named: None,
            discrete: Some(json_task::DiscreteGenericResource {
                kind,
                value: *value,
            }),
        },
        GenericValue::Named(value) => json_task::GenericResource {
            named: Some(json_task::NamedGenericResource {
                kind,
                value: value.clone(),
            }),
            discrete: None,
        },
    }
}

pub(super) fn platform(platform: &Platform) -> json::Platform {
    json::Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
    }
}

/// Plugins that swarm clients look for in a node's description: all of them are built in.
const PLUGINS: [(&str, &str); 4] = [
    ("Log", "json-file"),
    ("Network", "host"),
    ("Network", "null"),
    ("Volume", "local"),
];

/// A node.
pub(crate) fn node(found: &FoundNode, tls: &json::TlsInfo) -> json::Node {
    let node = &found.node;
    let said = node.description.clone().unwrap_or_default();
    let reachability = if found.reachable {
        "reachable"
    } else {
        "unreachable"
    };
    json::Node {
        id: node.id.to_string(),
        version: Version {
            index: node.meta.version,
        },
        created_at: timestamp(node.meta.created_at),
        updated_at: timestamp(node.meta.updated_at),
        spec: node_spec_out(&node.spec),
        description: json::NodeDescription {
            hostname: said.hostname,
            platform: platform(&said.platform),
            resources: resources(said.resources, &said.generic),
            engine: json::EngineDescription {
                engine_version: said.engine_version,
                labels: said.engine_labels,
                plugins: PLUGINS
                    .iter()
                    .map(|(kind, name)| json::PluginDescription {
                        kind: (*kind).into(),
                        name: (*name).into(),
                    })
                    .collect(),
            },
            tls_info: tls.clone(),
            csi_info: Vec::new(),
        },
        status: json::NodeStatus {
            state: node.status.state.name().into(),
            message: node.status.message.clone(),
            addr: node.status.addr.clone(),
        },
        manager_status: node.manager.as_ref().map(|m| json::ManagerStatus {
            leader: found.leader,
            reachability: reachability.into(),
            addr: m.addr.clone(),
        }),
    }
}

/// A node's spec as clients see it.
pub(crate) fn node_spec_out(spec: &NodeSpec) -> json::NodeSpec {
    json::NodeSpec {
        name: spec.name.clone(),
        labels: spec.labels.clone(),
        role: spec.role.name().into(),
        availability: spec.availability.name().into(),
        starling: additions::of_node(spec.drain),
    }
}

/// Reads a role.
pub(crate) fn role(text: &str) -> Result<Role, ApiError> {
    match text.to_ascii_lowercase().as_str() {
        "worker" => Ok(Role::Worker),
        "manager" => Ok(Role::Manager),
        _ => Err(ApiError::bad_request(format!("invalid Role: {text:?}"))),
    }
}

/// What a client wishes of a node. Role and availability have to be given; additions that are not mentioned stay as they are in
/// `current`, as long as they apply.
pub(crate) fn node_spec(spec: json::NodeSpec, current: &NodeSpec) -> Result<NodeSpec, ApiError> {
    let role = role(&spec.role)?;
    let availability = availability(&spec.availability).ok_or_else(|| {
        ApiError::bad_request(format!("invalid Availability: {:?}", spec.availability))
    })?;
    // How a drain goes ends with it: a client that does not know of it drains the next time as Docker does.
    let drain = current
        .drain
        .filter(|_| availability == Availability::Drain);
    Ok(NodeSpec {
        name: spec.name,
        labels: spec.labels,
        role,
        availability,
        drain: additions::drain(spec.starling, drain)?,
    })
}

/// Reads an availability.
pub(crate) fn availability(text: &str) -> Option<Availability> {
    match text.to_ascii_lowercase().as_str() {
        "active" => Some(Availability::Active),
        "pause" => Some(Availability::Pause),
        "drain" => Some(Availability::Drain),
        _ => None,
    }
}

/// A task.
pub(crate) fn task(task: &Task) -> json_task::Task {
    let status = &task.status;
    let networks = if task.spec.uses_host_network() {
        vec![host_network()]
    } else {
        Vec::new()
    };
    json_task::Task {
        id: task.id.to_string(),
        version: Version {
            index: task.meta.changed,
        },
        created_at: timestamp(task.meta.created_at),
        updated_at: timestamp(status.applied_at.max(task.meta.updated_at)),
        spec: task_spec(&task.spec, false),
        service_id: task.service.to_string(),
        slot: slot(task),
        node_id: task
            .node
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        status: json_task::TaskStatus {
            timestamp: timestamp(status.timestamp),
            state: status.state.name().into(),
            message: status.message.clone(),
            err: status.error.clone(),
            container_status: status
                .container
                .as_ref()
                .map(|c| json_task::ContainerStatus {
                    container_id: c.id.clone(),
                    pid: c.pid,
                    exit_code: c.exit_code,
                }),
            port_status: json_task::PortStatus::default(),
        },
        desired_state: task.desired.name().into(),
        networks_attachments: networks,
        generic_resources: generic_resources(&task.generic),
        job_iteration: task.job_iteration.map(|index| Version { index }),
        ..Default::default()
    }
}

fn host_network() -> NetworkAttachment {
    NetworkAttachment {
        network: SwarmNetwork {
            id: HOST_NETWORK_ID.into(),
            spec: SwarmNetworkSpec {
                name: HOST_NETWORK.into(),
                scope: "swarm".into(),
                ..Default::default()
            },
            ..Default::default()
        },
        addresses: Vec::new(),
    }
}

/// Clients look for a job's tasks in slots from 0; ours count from 1 everywhere, and 0 is a global service's.
fn slot(task: &model::Task) -> i64 {
    let first = u64::from(task.job_iteration.is_some());
    i64::try_from(task.slot.saturating_sub(first)).unwrap_or(i64::MAX)
}
