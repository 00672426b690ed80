//! The form of a node for people, with the headings that Docker's has.

use crate::image::go_time;
use crate::pretty::{Sheet, pair};
use crate::table::capitalized;
use crate::units::binary_size;
use api_types::swarm::Node;
use bytes::Bytes;
use std::collections::BTreeMap;

pub(super) fn node(bytes: &Bytes) -> Result<String, api_types::DecodeError> {
    let node: Node = api_types::from_json(bytes)?;
    let mut sheet = Sheet::default();
    sheet.line(format!("ID:\t\t\t{}", node.id));
    sheet.field("Name:\t\t\t", &node.spec.name);
    labels(&mut sheet, "Labels:", &node.spec.labels);
    sheet.line(format!(
        "Hostname:              \t{}",
        node.description.hostname
    ));
    sheet.line(format!(
        "Joined at:             \t{}",
        go_time(node.created_at)
    ));
    status(&mut sheet, &node);
    hardware(&mut sheet, &node);
    plugins(&mut sheet, &node);
    let engine = &node.description.engine;
    sheet.line(format!("Engine Version:\t\t{}", engine.engine_version));
    labels(&mut sheet, "Engine Labels:", &engine.labels);
    tls(&mut sheet, &node);
    Ok(sheet.finish())
}

fn labels(sheet: &mut Sheet, heading: &str, labels: &api_types::StringMap) {
    if !labels.is_empty() {
        sheet.line(heading);
        for (name, value) in labels {
            sheet.line(format!(" - {}", pair(name, value)));
        }
    }
}

fn status(sheet: &mut Sheet, node: &Node) {
    sheet.line("Status:");
    sheet.line(format!(" State:\t\t\t{}", capitalized(&node.status.state)));
    sheet.field(
        " Message:              \t",
        capitalized(&node.status.message),
    );
    sheet.line(format!(
        " Availability:         \t{}",
        capitalized(&node.spec.availability)
    ));
    if let Some(drain) = node
        .spec
        .starling
        .as_ref()
        .and_then(|ours| ours.drain.value())
    {
        let at_once = match drain.parallelism {
            0 => "all at once".to_owned(),
            count => format!("{count} at a time"),
        };
        sheet.line(format!(" Drain:\t\t\t{at_once}, {}", drain.order));
    }
    sheet.field(" Address:\t\t", &node.status.addr);
    if let Some(manager) = &node.manager_status {
        sheet.line("Manager Status:");
        sheet.line(format!(" Address:\t\t{}", manager.addr));
        sheet.line(format!(
            " Raft Status:\t\t{}",
            capitalized(&manager.reachability)
        ));
        let leader = if manager.leader { "Yes" } else { "No" };
        sheet.line(format!(" Leader:\t\t{leader}"));
    }
}

fn hardware(sheet: &mut Sheet, node: &Node) {
    let description = &node.description;
    sheet.line("Platform:");
    sheet.line(format!(" Operating System:\t{}", description.platform.os));
    sheet.line(format!(
        " Architecture:\t\t{}",
        description.platform.architecture
    ));
    sheet.line("Resources:");
    let cpus = description.resources.nano_cpus / 1_000_000_000;
    sheet.line(format!(" CPUs:\t\t\t{cpus}"));
    sheet.line(format!(
        " Memory:\t\t{}",
        binary_size(description.resources.memory_bytes)
    ));
    for resource in &description.resources.generic_resources {
        if let Some(named) = &resource.named {
            sheet.line(format!(" {}:\t\t{}", named.kind, named.value));
        } else if let Some(discrete) = &resource.discrete {
            sheet.line(format!(" {}:\t\t{}", discrete.kind, discrete.value));
        }
    }
}

fn plugins(sheet: &mut Sheet, node: &Node) {
    let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for plugin in &node.description.engine.plugins {
        kinds.entry(&plugin.kind).or_default().push(&plugin.name);
    }
    if !kinds.is_empty() {
        sheet.line("Plugins:");
        for (kind, names) in kinds {
            sheet.line(format!(" {kind}:\t\t{}", names.join(", ")));
        }
    }
}

fn tls(sheet: &mut Sheet, node: &Node) {
    let info = &node.description.tls_info;
    if info.trust_root.is_empty() && info.cert_issuer_subject.is_empty() {
        return;
    }
    sheet.line("TLS Info:");
    sheet.line(" TrustRoot:");
    sheet.line(&info.trust_root);
    sheet.line(format!(" Issuer Subject:\t{}", info.cert_issuer_subject));
    sheet.line(format!(
        " Issuer Public Key:\t{}",
        info.cert_issuer_public_key
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager() {
        let bytes = Bytes::from(
            r#"{"ID":"n1","CreatedAt":"2026-11-21T10:00:00Z","Spec":{"Labels":{"disk":"ssd"},"Role":"manager","Availability":"drain","Starling":{"Drain":{"Parallelism":2,"Order":"start-first"}}},"Description":{"Hostname":"h1","Platform":{"Architecture":"x86_64","OS":"linux"},"Resources":{"NanoCPUs":2000000000,"MemoryBytes":4294967296,"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":2}}]},"Engine":{"EngineVersion":"28.2.2","Plugins":[{"Type":"Volume","Name":"local"},{"Type":"Log","Name":"json-file"},{"Type":"Log","Name":"journald"}]}},"Status":{"State":"ready","Addr":"10.0.0.1"},"ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.0.0.1:2377"}}"#,
        );
        let expected = [
            "ID:\t\t\tn1",
            "Labels:",
            " - disk=ssd",
            "Hostname:              \th1",
            "Joined at:             \t2026-11-21 10:00:00 +0000 UTC",
            "Status:",
            " State:\t\t\tReady",
            " Availability:         \tDrain",
            " Drain:\t\t\t2 at a time, start-first",
            " Address:\t\t10.0.0.1",
            "Manager Status:",
            " Address:\t\t10.0.0.1:2377",
            " Raft Status:\t\tReachable",
            " Leader:\t\tYes",
            "Platform:",
            " Operating System:\tlinux",
            " Architecture:\t\tx86_64",
            "Resources:",
            " CPUs:\t\t\t2",
            " Memory:\t\t4GiB",
            " gpu:\t\t2",
            "Plugins:",
            " Log:\t\tjson-file, journald",
            " Volume:\t\tlocal",
            "Engine Version:\t\t28.2.2",
        ];
        assert_eq!(node(&bytes).unwrap(), expected.join("\n"));
    }
}
