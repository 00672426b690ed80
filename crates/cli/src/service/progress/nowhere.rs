//! Global services and jobs that get no task, since no node is one for them.
//!
//! Docker's client waits for ever here. A service for nodes that come later is a thing that operators want, and so the
//! service is kept. But far more often it is a typing error in a constraint, and whoever waits wants to know that
//! nothing runs: a script that goes on as if all was well would be the worst end. `--detach` is for the others.

use crate::error::{Error, Result};
use crate::plan::DRY_RUN;
use crate::session::Session;
use api_types::service::Service;
use api_types::starling::Plan;
use api_types::swarm::Node;
use api_types::system::VersionInfo;

use super::super::update;

/// The platform in the version of our own daemon.
const OUR_PLATFORM: &str = "Starling";

/// Why no node will get a task of the service; none when there are some to come.
pub(super) async fn reason(session: &Session, service: &Service) -> Result<Option<String>> {
    // Docker's daemon has no dry run: it would take the question for an update.
    let version: VersionInfo = session.client.get("/version", &[]).await?;
    if version.platform.name != OUR_PLATFORM {
        return Ok(None);
    }
    let answer = update::post(session, service, &[("registryAuthFrom", "spec"), DRY_RUN]).await;
    let answer = match answer {
        // Somebody has just changed the service; the next look sees that.
        Err(Error::Api { status, .. }) if status < 500 => return Ok(None),
        answer => answer?,
    };
    let plan: Plan = api_types::from_json(&answer).map_err(|err| Error::Answer {
        path: "the dry run".to_owned(),
        why: err.to_string(),
    })?;
    if has_tasks(&plan, &service.spec.name) {
        return Ok(None);
    }
    let nodes: Vec<Node> = session.client.get("/nodes", &[]).await?;
    Ok(Some(words(service, &nodes)))
}

/// Whether the plan gives the service any task at all, be it one that waits for room.
fn has_tasks(plan: &Plan, name: &str) -> bool {
    let starts = plan.start.iter().any(|task| task.service_name == name);
    let replaces = plan.replace.iter().any(|one| one.old.service_name == name);
    let waits = plan.unplaced.iter().any(|task| task.service_name == name);
    starts || replaces || waits
}

fn words(service: &Service, nodes: &[Node]) -> String {
    let is_down = |node: &&Node| node.status.state == "down";
    let is_closed = |node: &&Node| matches!(node.spec.availability.as_str(), "pause" | "drain");
    let down = nodes.iter().filter(is_down).count();
    let closed = nodes
        .iter()
        .filter(|node| !is_down(node) && is_closed(node))
        .count();
    let counts = [
        (down, "that are down".to_owned()),
        (closed, "paused or drained".to_owned()),
        (nodes.len() - down - closed, unsuitable(service)),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, why)| format!("{why}: {count}"))
        .collect();
    format!(
        "no node runs a task of {name} (nodes {}). The service is kept, and runs on each node that suits it later; \
         use --detach to create it before its nodes",
        counts.join(", "),
        name = service.spec.name,
    )
}

/// What a node that could take tasks does not meet.
fn unsuitable(service: &Service) -> String {
    let placement = service.spec.task_template.placement.clone();
    let placement = placement.unwrap_or_default();
    let constraints = placement.constraints.join(", ");
    let platforms: Vec<String> = placement
        .platforms
        .iter()
        .map(|platform| format!("{}/{}", platform.os, platform.architecture))
        .collect();
    let platforms = platforms.join(", ");
    match (constraints.is_empty(), platforms.is_empty()) {
        (false, true) => format!("not satisfying {constraints}"),
        (true, false) => format!("not of the image's platforms {platforms}"),
        (false, false) => {
            format!("not satisfying {constraints} or not of the image's platforms {platforms}")
        }
        (true, true) => "that do not suit it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::starling::{PlannedReplacement, PlannedTask, Unplaced};
    use api_types::swarm::Platform;
    use api_types::task::Placement;

    fn node(state: &str, availability: &str) -> Node {
        let mut node = Node::default();
        node.status.state = state.into();
        node.spec.availability = availability.into();
        node
    }

    #[test]
    fn nodes_are_counted_by_what_keeps_them_out() {
        let nodes = [
            node("down", "active"),
            node("ready", "drain"),
            node("ready", "pause"),
            node("ready", "active"),
        ];
        let mut service = Service::default();
        service.spec.name = "web".into();
        service.spec.task_template.placement = Some(Placement {
            constraints: vec!["node.labels.disk==ssd".into()],
            ..Placement::default()
        });
        let text = words(&service, &nodes);
        let counts = "(nodes that are down: 1, paused or drained: 2, not satisfying node.labels.disk==ssd: 1)";
        assert!(
            text.starts_with(&format!("no node runs a task of web {counts}")),
            "{text}"
        );
        let text = words(&service, &nodes[..1]);
        assert!(text.contains("(nodes that are down: 1)"), "{text}");
    }

    #[test]
    fn platforms_are_named() {
        let mut service = Service::default();
        assert_eq!(unsuitable(&service), "that do not suit it");
        service.spec.task_template.placement = Some(Placement {
            platforms: vec![Platform {
                os: "linux".into(),
                architecture: "s390x".into(),
            }],
            ..Placement::default()
        });
        let text = "not of the image's platforms linux/s390x";
        assert_eq!(unsuitable(&service), text);
    }

    #[test]
    fn only_tasks_of_the_service_count() {
        let task = |name: &str| PlannedTask {
            service_name: name.into(),
            ..PlannedTask::default()
        };
        let starts = |name: &str| Plan {
            start: vec![task(name)],
            stop: vec![task("web")],
            ..Plan::default()
        };
        assert!(has_tasks(&starts("web"), "web") && !has_tasks(&starts("db"), "web"));
        let replaces = Plan {
            replace: vec![PlannedReplacement {
                old: task("web"),
                ..PlannedReplacement::default()
            }],
            ..Plan::default()
        };
        assert!(has_tasks(&replaces, "web"));
        let waits = Plan {
            unplaced: vec![Unplaced {
                service_name: "web".into(),
                ..Unplaced::default()
            }],
            ..Plan::default()
        };
        assert!(has_tasks(&waits, "web"));
    }
}
