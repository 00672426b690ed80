//! `/_ping`, `/version`, `/info`.

use crate::ApiError;
use crate::backend::LocalState;
use crate::body::{self, Body, full, json};
use crate::convert;
use crate::router::Call;
use api_types::swarm;
use http::{HeaderValue, Response, header};
use model::control::{Query, Selector};
use std::time::Duration;

/// What the header `Swarm` of a ping says: the state, with the role when active.
fn swarm_header(call: &Call) -> &'static str {
    let local = call.api.swarm.local();
    match local.state {
        LocalState::Active if local.control_available => "active/manager",
        LocalState::Active => "active/worker",
        other => other.name(),
    }
}

pub(crate) fn ping(call: &Call, head: bool) -> Response<Body> {
    let mut response = Response::new(full(if head { "" } else { "OK" }));
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert("Swarm", HeaderValue::from_static(swarm_header(call)));
    response
}

pub(crate) fn version(call: &Call) -> Response<Body> {
    body::json(&call.api.host.version())
}

pub(crate) async fn info(call: Call) -> Result<Response<Body>, ApiError> {
    let mut info = call.api.host.info();
    let containers = call.api.containers.list().await;
    let count = |state: &str| {
        containers
            .iter()
            .filter(|c| c.summary.state == state)
            .count() as i64
    };
    info.containers = containers.len() as i64;
    info.containers_running = count("running");
    info.containers_paused = count("paused");
    info.containers_stopped = info.containers - info.containers_running - info.containers_paused;
    info.images = call.api.images.list().len() as i64;
    let generic = call.api.host.generic_resources();
    info.generic_resources = (!generic.is_empty()).then(|| convert::generic_resources(&generic));
    info.swarm = swarm_info(&call).await;
    Ok(json(&info))
}

/// What this host knows by itself, and on a manager what the cluster says. A cluster without a leader must not
/// make `/info` fail.
async fn swarm_info(call: &Call) -> swarm::Info {
    let local = call.api.swarm.local();
    let mut info = swarm::Info {
        node_id: local.node_id,
        node_addr: local.node_addr,
        local_node_state: local.state.name().into(),
        control_available: local.control_available,
        error: local.error,
        remote_managers: None,
        ..Default::default()
    };
    if !local.managers.is_empty() {
        let peers = local
            .managers
            .into_iter()
            .map(|(node_id, addr)| swarm::Peer { node_id, addr });
        info.remote_managers = Some(peers.collect());
    }
    if !info.control_available {
        return info;
    }
    let asked = async {
        tokio::join!(
            call.api.swarm.query(Query::Cluster),
            call.api.swarm.query(Query::Nodes(Selector::All))
        )
    };
    let Ok(answers) = tokio::time::timeout(CLUSTER_WAIT, asked).await else {
        info.error = NO_LEADER.into();
        return info;
    };
    match answers {
        (Ok(cluster), Ok(nodes)) => {
            info.nodes = nodes.nodes.len() as i64;
            info.managers = nodes
                .nodes
                .iter()
                .filter(|n| n.node.manager.is_some())
                .count() as i64;
            info.cluster = cluster
                .cluster
                .map(|c| convert::cluster_info(&c, call.api.swarm.tls_info(&c)));
            if info.managers == 2 {
                info.warnings.push(TWO_MANAGERS.into());
            }
        }
        (Err(error), _) | (_, Err(error)) => info.error = error.to_string(),
    }
    info
}

/// Time for the cluster to say what it is: `/info` is asked to find out what is wrong, so it must not wait for
/// what may never come.
const CLUSTER_WAIT: Duration = Duration::from_secs(2);

/// Docker's words for a cluster that does not answer.
const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

const TWO_MANAGERS: &str = "WARNING: Running Swarm in a two-manager configuration. This configuration provides\n         no fault tolerance, and poses a high risk to lose control over the cluster.\n         Add a third manager to survive the loss of one.";
