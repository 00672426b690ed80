//! Parts of a service's spec that commands fill in.

use crate::error::Result;
use crate::reference::Reference;
use crate::session::{Session, object};
use api_types::image::DistributionInspect;
use api_types::network::{Network, NetworkAttachmentConfig};
use api_types::service::{ServiceSpec, UpdateConfig};
use api_types::swarm::Platform;
use api_types::task::{ContainerSpec, ResourceRequirements, RestartPolicy};

/// The defaults of swarm mode, which a client sends whole as soon as one of them is changed. Nanoseconds.
const RESTART_DELAY: i64 = 5_000_000_000;
const MONITOR: i64 = 5_000_000_000;

pub(super) fn default_restart_policy() -> RestartPolicy {
    RestartPolicy {
        condition: "any".to_owned(),
        delay: Some(RESTART_DELAY),
        max_attempts: Some(0),
        window: None,
    }
}

pub(super) fn default_update_config() -> UpdateConfig {
    UpdateConfig {
        parallelism: 1,
        delay: 0,
        failure_action: "pause".to_owned(),
        monitor: MONITOR,
        max_failure_ratio: 0.0,
        order: "stop-first".to_owned(),
    }
}

pub(super) fn container(spec: &mut ServiceSpec) -> &mut ContainerSpec {
    spec.task_template.container_spec.get_or_insert_default()
}

pub(super) fn resources(spec: &mut ServiceSpec) -> &mut ResourceRequirements {
    let resources = spec.task_template.resources.get_or_insert_default();
    resources.limits.get_or_insert_default();
    resources.reservations.get_or_insert_default();
    resources
}

/// The networks with their ids in place of names, in the order of the ids, so that the same networks make the same spec.
pub(super) async fn resolve_networks(
    session: &Session,
    networks: &[NetworkAttachmentConfig],
) -> Result<Vec<NetworkAttachmentConfig>> {
    let mut resolved = Vec::new();
    for network in networks {
        let target = network_id(session, &network.target).await?;
        resolved.push(NetworkAttachmentConfig {
            target,
            ..network.clone()
        });
    }
    resolved.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(resolved)
}

pub(super) async fn network_name(session: &Session, id: &str) -> Result<String> {
    let network: Network = session
        .client
        .get(&object("/networks", id, "")?, &[])
        .await?;
    Ok(network.name)
}

pub(super) async fn network_id(session: &Session, name: &str) -> Result<String> {
    let network: Network = session
        .client
        .get(&object("/networks", name, "")?, &[("scope", "swarm")])
        .await?;
    Ok(network.id)
}

/// Writes the image's name out with a tag, and asks the registry for its digest and platforms unless `resolve` is false. A
/// registry that does not answer is no reason to stop.
pub(super) async fn pin_image(
    session: &mut Session,
    spec: &mut ServiceSpec,
    resolve: bool,
) -> Result<()> {
    let Ok(reference) = Reference::parse(&container(spec).image).map(Reference::with_default_tag)
    else {
        return Ok(());
    };
    container(spec).image = reference.to_string();
    if !resolve || !session.client.speaks("1.30").await? {
        return Ok(());
    }
    let found: Result<DistributionInspect> = session
        .client
        .get(
            &object("/distribution", &reference.to_string(), "/json")?,
            &[],
        )
        .await;
    match found {
        Ok(found) => {
            if reference.digest.is_none() && !found.descriptor.digest.is_empty() {
                container(spec).image = Reference {
                    digest: Some(found.descriptor.digest),
                    ..reference
                }
                .to_string();
            }
            let platforms = found
                .platforms
                .unwrap_or_default()
                .into_iter()
                .map(|platform| Platform {
                    architecture: platform.architecture,
                    os: platform.os,
                });
            spec.task_template
                .placement
                .get_or_insert_default()
                .platforms = platforms.collect();
            Ok(())
        }
        Err(
            err @ (crate::error::Error::Connect { .. } | crate::error::Error::Permission { .. }),
        ) => Err(err),
        Err(err) => {
            session.console.complain(format!("image {reference} could not be pinned to a digest ({err}): each node uses the copy that it has or pulls by itself, so that nodes may run different versions"));
            Ok(())
        }
    }
}
