//! `service ls` and `service ps`.

use super::{ListArgs, PsArgs};
use crate::error::{Error, Result};
use crate::listing::{Layout, Row, natural_order, row};
use crate::reference;
use crate::session::{Session, filter_query, filters};
use crate::table::short_id;
use crate::tasks;
use api_types::service::{PortConfig, Service};
use api_types::{Filters, task::Task};

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Mode", "MODE"),
        ("Replicas", "REPLICAS"),
        ("Image", "IMAGE"),
        ("Ports", "PORTS"),
    ],
    table: r"{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}",
};

/// What tasks can be chosen by; Docker's client does not know `label` here.
const FILTERS: [&str; 5] = ["id", "name", "node", "desired-state", "label"];

pub(super) async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    let filters = filter_query(&filters(&args.filter)?);
    let mut query: Vec<(&str, &str)> = filters
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    if !args.format.quiet {
        query.push(("status", "true"));
    }
    let mut services: Vec<Service> = session.client.get("/services", &query).await?;
    services.sort_by(|a, b| natural_order(&a.spec.name, &b.spec.name));
    args.format
        .write(session, &LAYOUT, services.iter().map(service_row).collect())
}

fn service_row(service: &Service) -> Row {
    let image = service
        .spec
        .task_template
        .container_spec
        .as_ref()
        .map_or("", |container| &container.image);
    row([
        ("ID", short_id(&service.id).into()),
        ("Name", service.spec.name.clone().into()),
        ("Mode", mode(service).into()),
        ("Replicas", replicas(service).into()),
        ("Image", reference::display(image).into()),
        ("Ports", ports(&service.endpoint.ports).into()),
    ])
}

fn mode(service: &Service) -> &'static str {
    let mode = &service.spec.mode;
    match () {
        () if mode.global.is_some() => "global",
        () if mode.replicated.is_some() => "replicated",
        () if mode.replicated_job.is_some() => "replicated job",
        () if mode.global_job.is_some() => "global job",
        () => "",
    }
}

fn replicas(service: &Service) -> String {
    let status = service.service_status.clone().unwrap_or_default();
    let counts = format!("{}/{}", status.running_tasks, status.desired_tasks);
    if let Some(job) = &service.spec.mode.replicated_job {
        return format!(
            "{counts} ({}/{} completed)",
            status.completed_tasks,
            job.total_completions.unwrap_or(0)
        );
    }
    if service.spec.mode.global_job.is_some() {
        return format!(
            "{counts} ({}/{} completed)",
            status.completed_tasks,
            status.desired_tasks + status.completed_tasks
        );
    }
    if super::running::stopped(service).is_some() {
        return format!("{counts} (stopped)");
    }
    match service
        .spec
        .task_template
        .placement
        .as_ref()
        .map_or(0, |placement| placement.max_replicas)
    {
        most if most > 0 && service.spec.mode.replicated.is_some() => {
            format!("{counts} (max {most} per node)")
        }
        _ => counts,
    }
}

/// Ports on all hosts, neighbours put together: `*:8000-8002->80-82/tcp`.
fn ports(ports: &[PortConfig]) -> String {
    let mut ports: Vec<&PortConfig> = ports
        .iter()
        .filter(|port| port.publish_mode == "ingress")
        .collect();
    ports.sort_by(|a, b| (&a.protocol, a.published_port).cmp(&(&b.protocol, b.published_port)));
    let mut ranges: Vec<(&PortConfig, &PortConfig)> = Vec::new();
    for port in ports {
        match ranges.last_mut() {
            Some(range) if continues(range, port) => range.1 = port,
            _ => ranges.push((port, port)),
        }
    }
    let span = |first: u32, last: u32| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let texts = ranges.iter().map(|(first, last)| {
        format!(
            "*:{}->{}/{}",
            span(first.published_port, last.published_port),
            span(first.target_port, last.target_port),
            first.protocol
        )
    });
    texts.collect::<Vec<_>>().join(", ")
}

/// Whether a port is the next of a range: of one target, or of targets that grow as well.
fn continues((first, last): &(&PortConfig, &PortConfig), port: &PortConfig) -> bool {
    let grows = last.target_port + 1 == port.target_port;
    let same = first.target_port == last.target_port && last.target_port == port.target_port;
    let many_targets = first.target_port != last.target_port;
    last.protocol == port.protocol
        && last.published_port + 1 == port.published_port
        && (same || grows && (many_targets || first.published_port == last.published_port))
}

pub(super) async fn ps(session: &mut Session, args: &PsArgs) -> Result<()> {
    let mut wanted = Filters::new();
    let mut complaints = Vec::new();
    for name in &args.services {
        match service_id(session, name).await? {
            Some(id) => {
                wanted.add("service", id);
            }
            None => complaints.push(format!("no such service: {name}")),
        }
    }
    if wanted.is_empty() {
        return Err(Error::Failed(complaints.join("\n")));
    }
    let asked = filters(&args.flags.filter)?;
    for name in FILTERS {
        for value in asked.values(name) {
            wanted.add(name, tasks::node_reference(session, name, value).await?);
        }
    }
    asked
        .allow(&FILTERS)
        .map_err(|err| Error::usage(err.to_string()))?;
    let found: Vec<Task> = session
        .client
        .get("/tasks", &[("filters", &wanted.to_json())])
        .await?;
    tasks::write(session, found, &args.flags).await?;
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed(complaints.join("\n")))
    }
}

/// A service by id, by name, or by the beginning of its id, as long as there is only one.
async fn service_id(session: &Session, name: &str) -> Result<Option<String>> {
    let mut found = Vec::new();
    for key in ["id", "name"] {
        let mut filters = Filters::new();
        filters.add(key, name);
        let services: Vec<Service> = session
            .client
            .get("/services", &[("filters", &filters.to_json())])
            .await?;
        found.extend(services);
    }
    if let Some(exact) = found
        .iter()
        .find(|service| service.id == name)
        .or_else(|| found.iter().find(|service| service.spec.name == name))
    {
        return Ok(Some(exact.id.clone()));
    }
    let mut ids: Vec<&String> = found
        .iter()
        .map(|service| &service.id)
        .filter(|id| id.starts_with(name))
        .collect();
    ids.dedup();
    match ids.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).clone())),
        several => Err(Error::usage(format!(
            "multiple services found with provided prefix: {name} ({} of them)",
            several.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::service::{ReplicatedService, ServiceStatus};

    #[test]
    fn counts() {
        let mut service = Service {
            service_status: Some(ServiceStatus {
                running_tasks: 2,
                desired_tasks: 3,
                completed_tasks: 1,
            }),
            ..Service::default()
        };
        service.spec.mode.replicated = Some(ReplicatedService::default());
        assert_eq!(
            (mode(&service), replicas(&service)),
            ("replicated", "2/3".into())
        );
        service
            .spec
            .task_template
            .placement
            .get_or_insert_default()
            .max_replicas = 2;
        assert_eq!(replicas(&service), "2/3 (max 2 per node)");
        service.spec.mode.replicated_job = Some(Default::default());
        assert_eq!(replicas(&service), "2/3 (1/0 completed)");
    }

    #[test]
    fn ranges_of_ports() {
        let port = |published: u32, target: u32, protocol: &str| PortConfig {
            protocol: protocol.into(),
            published_port: published,
            target_port: target,
            publish_mode: "ingress".into(),
            ..PortConfig::default()
        };
        assert_eq!(
            ports(&[
                port(81, 81, "tcp"),
                port(80, 80, "tcp"),
                port(53, 53, "udp"),
                port(90, 80, "tcp")
            ]),
            "*:80-81->80-81/tcp, *:90->80/tcp, *:53->53/udp"
        );
        assert_eq!(
            ports(&[
                port(80, 80, "tcp"),
                port(81, 80, "tcp"),
                port(82, 81, "tcp")
            ]),
            "*:80-81->80/tcp, *:82->81/tcp"
        );
        assert_eq!(ports(&[]), "");
    }
}
