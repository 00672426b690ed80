//! `/networks`: the predefined ones, since others are not built yet.

use crate::ApiError;
use crate::body::{Body, json};
use crate::router::Call;
use api_types::network::{Ipam, Network};
use http::Response;
use model::task::{HOST_NETWORK, HOST_NETWORK_ID};

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// `host` is offered to services, and so has the scope `swarm` where this host is in one.
fn predefined() -> Vec<Network> {
    let network = |id: &str, name: &str, scope: &str, driver: &str| Network {
        id: id.into(),
        name: name.into(),
        scope: scope.into(),
        driver: driver.into(),
        enable_ipv4: true,
        ipam: Ipam {
            driver: "default".into(),
            options: None,
            config: None,
        },
        ..Default::default()
    };
    let none = "none0000000000000000000000000000000000000000000000000000000000000";
    vec![
        network(HOST_NETWORK_ID, HOST_NETWORK, "swarm", "host"),
        network(&none[..64], "none", "local", "null"),
    ]
}

pub(crate) fn list(call: &Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    if !filters
        .values("type")
        .all(|t| matches!(t, "builtin" | "custom"))
    {
        return Err(ApiError::bad_request(
            "invalid filter: 'type' is 'builtin' or 'custom'",
        ));
    }
    let networks: Vec<_> = predefined()
        .into_iter()
        .filter(|n| {
            filters.exact("driver", &n.driver)
                && filters.exact("scope", &n.scope)
                && filters.prefix("id", &n.id)
                && filters.any("name", |name| n.name.contains(name))
                && filters.labels("label", &n.labels)
                && filters.any("type", |kind| kind == "builtin")
                && filters.any("dangling", |d| !matches!(d, "true" | "1"))
        })
        .collect();
    Ok(json(&networks))
}

pub(crate) fn inspect(call: &Call, id: &str) -> Result<Response<Body>, ApiError> {
    let scope = call.query.get("scope");
    let found = predefined().into_iter().find(|n| {
        (n.id == id || n.name == id || (!id.is_empty() && n.id.starts_with(id)))
            && (scope.is_empty() || scope == n.scope)
    });
    found
        .map(|n| json(&n))
        .ok_or_else(|| ApiError::not_found(format!("network {id} not found")))
}
