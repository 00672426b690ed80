//! The form of a service for people, with the headings that Docker's has, and what Docker does not have.

use crate::pretty::{Sheet, pair};
use crate::units::{binary_size, format_duration, human_duration};
use api_types::service::{Service, UpdateConfig};
use api_types::task::{ContainerSpec, Resources};
use api_types::{StringMap, Timestamp};
use bytes::Bytes;

pub(super) fn service(bytes: &Bytes) -> Result<String, api_types::DecodeError> {
    let service: Service = api_types::from_json(bytes)?;
    Ok(text(&service, Timestamp::now()))
}

fn text(service: &Service, now: Timestamp) -> String {
    let spec = &service.spec;
    let mut sheet = Sheet::default();
    sheet.line("");
    sheet.line(format!("ID:\t\t{}", service.id));
    sheet.line(format!("Name:\t\t{}", spec.name));
    if !spec.labels.is_empty() {
        sheet.line("Labels:");
        pairs(&mut sheet, &spec.labels);
    }
    mode(&mut sheet, service);
    update_status(&mut sheet, service, now);
    placement(&mut sheet, service);
    if let Some(config) = &spec.update_config {
        update_config(&mut sheet, "Update", config);
    }
    if let Some(config) = &spec.rollback_config {
        update_config(&mut sheet, "Rollback", config);
    }
    let nothing = ContainerSpec::default();
    let container = spec.task_template.container_spec.as_ref();
    container_spec(&mut sheet, container.unwrap_or(&nothing));
    files(&mut sheet, container.unwrap_or(&nothing));
    log_driver(&mut sheet, service);
    resources(&mut sheet, service);
    endpoint(&mut sheet, service);
    health(&mut sheet, container.unwrap_or(&nothing));
    ours(&mut sheet, service);
    // Docker's form ends with an empty line.
    sheet.line("");
    sheet.finish()
}

fn pairs(sheet: &mut Sheet, map: &StringMap) {
    for (name, value) in map {
        sheet.line(format!(" {}", pair(name, value)));
    }
}

fn mode(sheet: &mut Sheet, service: &Service) {
    let mode = &service.spec.mode;
    let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
    if mode.global.is_some() {
        sheet.line("Service Mode:\tGlobal");
    } else if let Some(job) = &mode.replicated_job {
        sheet.line("Service Mode:\tReplicated Job");
        sheet.field(" Concurrent:\t", number(job.max_concurrent));
        sheet.field(" Completions:\t", number(job.total_completions));
    } else if mode.global_job.is_some() {
        sheet.line("Service Mode:\tGlobal Job");
    } else {
        sheet.line("Service Mode:\tReplicated");
        let replicas = mode.replicated.as_ref().and_then(|mode| mode.replicas);
        sheet.field(" Replicas:\t", number(replicas));
    }
    if let Some(before) = super::running::stopped(service) {
        sheet.line(format!(" Stopped:\tgoes back to {before} replicas"));
    }
}

fn update_status(sheet: &mut Sheet, service: &Service, now: Timestamp) {
    let Some(status) = service
        .update_status
        .as_ref()
        .filter(|status| !status.state.is_empty())
    else {
        return;
    };
    let ago = |time: Timestamp| format!("{} ago", human_duration(now.since(time)));
    sheet.line("UpdateStatus:");
    sheet.line(format!(" State:\t\t{}", status.state));
    if let Some(started) = status.started_at {
        sheet.line(format!(" Started:\t{}", ago(started)));
    }
    if let Some(completed) = status.completed_at.filter(|_| status.state == "completed") {
        sheet.line(format!(" Completed:\t{}", ago(completed)));
    }
    sheet.line(format!(" Message:\t{}", status.message));
}

fn placement(sheet: &mut Sheet, service: &Service) {
    sheet.line("Placement:");
    let Some(placement) = &service.spec.task_template.placement else {
        return;
    };
    let list = |texts: Vec<&str>| match texts.len() {
        0 => String::new(),
        _ => format!("[{}]", texts.join(" ")),
    };
    let constraints = placement.constraints.iter().map(String::as_str);
    sheet.field(" Constraints:\t", list(constraints.collect()));
    let preferences = placement.preferences.iter();
    let spreads: Vec<String> = preferences
        .filter_map(|preference| preference.spread.as_ref())
        .map(|spread| format!("spread={}", spread.spread_descriptor))
        .collect();
    sheet.field(
        " Preferences:   ",
        list(spreads.iter().map(String::as_str).collect()),
    );
    if placement.max_replicas > 0 {
        sheet.line(format!(
            " Max Replicas Per Node:   {}",
            placement.max_replicas
        ));
    }
}

fn update_config(sheet: &mut Sheet, what: &str, config: &UpdateConfig) {
    let some = |nanos: i64| match nanos {
        0 => String::new(),
        nanos => format_duration(nanos),
    };
    sheet.line(format!("{what}Config:"));
    sheet.line(format!(" Parallelism:\t{}", config.parallelism));
    sheet.field(" Delay:\t\t", some(config.delay));
    sheet.line(format!(" On failure:\t{}", config.failure_action));
    sheet.field(" Monitoring Period: ", some(config.monitor));
    sheet.line(format!(" Max failure ratio: {}", config.max_failure_ratio));
    let heading = format!(" {what} order:");
    sheet.line(format!("{heading:<20}{}", config.order));
}

fn container_spec(sheet: &mut Sheet, container: &ContainerSpec) {
    // Docker ends each word of a list with a blank.
    let words = |list: &[String]| {
        list.iter()
            .map(|word| format!("{word} "))
            .collect::<String>()
    };
    sheet.line("ContainerSpec:");
    sheet.line(format!(" Image:\t\t{}", container.image));
    sheet.field(" Args:\t\t", words(&container.args));
    sheet.field(" Env:\t\t", words(&container.env));
    sheet.field(" Dir:\t\t", &container.dir);
    let init = container.init.map_or_else(String::new, |on| on.to_string());
    sheet.field(" Init:\t\t", init);
    sheet.field(" User: ", &container.user);
    if !container.capability_add.is_empty() || !container.capability_drop.is_empty() {
        sheet.line("Capabilities:");
        sheet.field(" Add: ", container.capability_add.join(", "));
        sheet.field(" Drop: ", container.capability_drop.join(", "));
    }
    if !container.sysctls.is_empty() {
        sheet.line("SysCtls:");
        for (name, value) in &container.sysctls {
            sheet.line(format!(" {name}: {value}"));
        }
    }
    if !container.ulimits.is_empty() {
        sheet.line("Ulimits:");
        for limit in &container.ulimits {
            sheet.line(format!(" {}: {}:{}", limit.name, limit.soft, limit.hard));
        }
    }
}

fn files(sheet: &mut Sheet, container: &ContainerSpec) {
    if !container.mounts.is_empty() {
        sheet.line("Mounts:");
    }
    for mount in &container.mounts {
        sheet.line(format!(" Target:\t{}", mount.target));
        sheet.line(format!("  Source:\t{}", mount.source));
        sheet.line(format!("  ReadOnly:\t{}", mount.read_only));
        sheet.line(format!("  Type:\t\t{}", mount.kind));
    }
    let name = |file: &Option<api_types::task::FileTarget>| {
        file.as_ref()
            .map_or_else(String::new, |file| file.name.clone())
    };
    let configs = container.configs.iter();
    let configs = configs.map(|config| (name(&config.file), &config.config_name));
    let secrets = container.secrets.iter();
    let secrets = secrets.map(|secret| (name(&secret.file), &secret.secret_name));
    targets(sheet, "Configs:", configs.collect());
    targets(sheet, "Secrets:", secrets.collect());
}

fn targets(sheet: &mut Sheet, heading: &str, files: Vec<(String, &String)>) {
    if !files.is_empty() {
        sheet.line(heading);
    }
    for (target, source) in files {
        sheet.line(format!(" Target:\t{target}"));
        sheet.line(format!("  Source:\t{source}"));
    }
}

fn log_driver(sheet: &mut Sheet, service: &Service) {
    let Some(driver) = &service.spec.task_template.log_driver else {
        return;
    };
    sheet.line("Log Driver:");
    sheet.field(" Name:\t\t", &driver.name);
    if !driver.options.is_empty() {
        sheet.line(" LogOpts:");
        for (name, value) in &driver.options {
            sheet.line(format!("  {name}:       {value}"));
        }
    }
}

fn resources(sheet: &mut Sheet, service: &Service) {
    let Some(resources) = &service.spec.task_template.resources else {
        return;
    };
    let cpus = |nanos: i64| match nanos {
        0 => String::new(),
        nanos => (nanos as f64 / 1e9).to_string(),
    };
    let memory = |bytes: i64| match bytes {
        0 => String::new(),
        bytes => binary_size(bytes),
    };
    let reserved = resources.reservations.clone().unwrap_or_default();
    let limits = resources.limits.clone().unwrap_or_default();
    if reserved == Resources::default() && limits == Default::default() {
        return;
    }
    sheet.line("Resources:");
    if reserved != Resources::default() {
        sheet.line(" Reservations:");
        sheet.field("  CPU:\t\t", cpus(reserved.nano_cpus));
        sheet.field("  Memory:\t", memory(reserved.memory_bytes));
        for resource in &reserved.generic_resources {
            if let Some(discrete) = &resource.discrete {
                sheet.line(format!("  {}:\t\t{}", discrete.kind, discrete.value));
            }
        }
    }
    if limits != Default::default() {
        sheet.line(" Limits:");
        sheet.field("  CPU:\t\t", cpus(limits.nano_cpus));
        sheet.field("  Memory:\t", memory(limits.memory_bytes));
        if limits.pids > 0 {
            sheet.line(format!("  PIDs:\t\t{}", limits.pids));
        }
    }
}

fn endpoint(sheet: &mut Sheet, service: &Service) {
    let networks: Vec<&str> = service
        .spec
        .task_template
        .networks
        .iter()
        .map(|network| network.target.as_str())
        .collect();
    sheet.field("Networks: ", networks.join(" "));
    let endpoint = service.spec.endpoint_spec.as_ref();
    let mode = endpoint.map_or("", |endpoint| &endpoint.mode);
    sheet.line(format!("Endpoint Mode:\t{mode}"));
    if !service.endpoint.ports.is_empty() {
        sheet.line("Ports:");
    }
    for port in &service.endpoint.ports {
        sheet.line(format!(" PublishedPort = {}", port.published_port));
        sheet.line(format!("  Protocol = {}", port.protocol));
        sheet.line(format!("  TargetPort = {}", port.target_port));
        sheet.line(format!("  PublishMode = {}", port.publish_mode));
    }
}

fn health(sheet: &mut Sheet, container: &ContainerSpec) {
    let Some(health) = &container.healthcheck else {
        return;
    };
    sheet.line(" Healthcheck:");
    sheet.line(format!("  Interval = {}", format_duration(health.interval)));
    sheet.line(format!("  Retries = {}", health.retries));
    sheet.line(format!(
        "  StartPeriod =\t{}",
        format_duration(health.start_period)
    ));
    sheet.line(format!("  Timeout =\t{}", format_duration(health.timeout)));
    if !health.test.is_empty() {
        sheet.line("  Tests:");
        for word in &health.test {
            sheet.line(format!("\t Test = {word}"));
        }
    }
}

/// What Docker does not have.
fn ours(sheet: &mut Sheet, service: &Service) {
    let mut own = Sheet::default();
    if let Some(spec) = &service.spec.starling {
        if let Some(deadline) = spec.progress_deadline.value() {
            own.line(format!(
                " Progress deadline:\t{}",
                format_duration(*deadline)
            ));
        }
        if spec.auto_rebalance.value() == Some(&true) {
            own.line(" Rebalances:\tyes");
        }
        if spec.privileged.value() == Some(&true) {
            own.line(" Privileged:\tyes");
        }
        for device in spec.devices.value().into_iter().flatten() {
            own.line(format!(
                " Device:\t{}:{}:{}",
                device.host_path, device.container_path, device.permissions
            ));
        }
        for secret in spec.secret_env.value().into_iter().flatten() {
            own.line(format!(
                " Secret in {}:\t{}",
                secret.variable, secret.secret_name
            ));
        }
    }
    if let Some(answer) = service.starling.as_ref().filter(|ours| ours.revision > 0) {
        own.line(format!(" Revision:\t{}", answer.revision));
    }
    let text = own.finish();
    if !text.is_empty() {
        sheet.line("Starling:");
        sheet.line(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let now = Timestamp::new(1_795_255_200, 0);
        text(&api_types::from_json(json.as_bytes()).unwrap(), now)
    }

    #[test]
    fn a_plain_service() {
        let text = shown(
            r#"{"ID":"s1","Spec":{"Name":"web","Labels":{"a":"b"},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:1","Args":["a","b"],"Init":false,"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}],"Secrets":[{"File":{"Name":"pw"},"SecretName":"db"}]},"Resources":{"Limits":{"NanoCPUs":500000000,"Pids":7},"Reservations":{"MemoryBytes":67108864}},"Placement":{"Constraints":["node.role==worker"],"MaxReplicas":2}},"Mode":{"Replicated":{"Replicas":3}},"UpdateConfig":{"Parallelism":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},"EndpointSpec":{"Mode":"vip"}},"UpdateStatus":{"State":"completed","StartedAt":"2026-11-21T09:58:00Z","CompletedAt":"2026-11-21T09:59:30Z","Message":"update completed"}}"#,
        );
        let expected = [
            "",
            "ID:\t\ts1",
            "Name:\t\tweb",
            "Labels:",
            " a=b",
            "Service Mode:\tReplicated",
            " Replicas:\t3",
            "UpdateStatus:",
            " State:\t\tcompleted",
            " Started:\t2 minutes ago",
            " Completed:\t30 seconds ago",
            " Message:\tupdate completed",
            "Placement:",
            " Constraints:\t[node.role==worker]",
            " Max Replicas Per Node:   2",
            "UpdateConfig:",
            " Parallelism:\t1",
            " On failure:\tpause",
            " Monitoring Period: 5s",
            " Max failure ratio: 0",
            " Update order:      stop-first",
            "ContainerSpec:",
            " Image:\t\tnginx:1",
            " Args:\t\ta b ",
            " Init:\t\tfalse",
            "Mounts:",
            " Target:\t/b",
            "  Source:\t/a",
            "  ReadOnly:\ttrue",
            "  Type:\t\tbind",
            "Secrets:",
            " Target:\tpw",
            "  Source:\tdb",
            "Resources:",
            " Reservations:",
            "  Memory:\t64MiB",
            " Limits:",
            "  CPU:\t\t0.5",
            "  PIDs:\t\t7",
            "Endpoint Mode:\tvip",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn what_docker_does_not_have() {
        let text = shown(
            r#"{"ID":"s1","Spec":{"Mode":{"Replicated":{"Replicas":0}},"Starling":{"Stopped":{"Replicas":4},"ProgressDeadline":120000000000,"Privileged":true,"Devices":[{"HostPath":"/dev/a","ContainerPath":"/dev/b","Permissions":"rw"}]}},"Starling":{"Revision":7}}"#,
        );
        for line in [
            " Stopped:\tgoes back to 4 replicas",
            " Progress deadline:\t2m0s",
            " Privileged:\tyes",
            " Device:\t/dev/a:/dev/b:rw",
            " Revision:\t7",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}: {text}");
        }
    }
}
