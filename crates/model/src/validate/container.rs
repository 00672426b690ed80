//! A container's specification.

use super::{Invalid, cluster, files, first_duplicate, invalid, limits, mount, template};
use crate::container::{ContainerSpec, Device, DnsConfig, Healthcheck, SeccompOption};
use std::net::IpAddr;
use std::time::Duration;

/// Longest host name that the kernel takes.
const MAX_HOSTNAME: usize = 64;
/// Most bytes of a system call filter: Docker's own has some 12 KiB.
const MAX_SECCOMP: usize = 1 << 20;

pub(super) fn container(spec: &ContainerSpec, host_network: bool) -> Result<(), Invalid> {
    if spec.image.is_empty() {
        return invalid("ContainerSpec: image reference must be provided");
    }
    cluster::labels("the container", &spec.labels)?;
    words(spec)?;
    environment(&spec.env)?;
    hostname(&spec.hostname)?;
    if !spec.dir.is_empty() && !spec.dir.starts_with('/') {
        return invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.dir
        ));
    }
    limits::signal(&spec.stop_signal)?;
    mount::mounts(&spec.mounts)?;
    spec.healthcheck.as_ref().map_or(Ok(()), healthcheck)?;
    files::references(spec)?;
    devices(&spec.devices)?;
    hosts(&spec.hosts)?;
    spec.dns.as_ref().map_or(Ok(()), dns)?;
    limits::sysctls(&spec.sysctls, host_network)?;
    limits::capabilities(&spec.cap_add)?;
    limits::capabilities(&spec.cap_drop)?;
    limits::ulimits(&spec.ulimits)?;
    seccomp(spec)?;
    if !(-1000..=1000).contains(&spec.oom_score_adj) {
        return invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            spec.oom_score_adj
        ));
    }
    Ok(())
}

/// The kernel takes no text with a zero byte in it.
fn words(spec: &ContainerSpec) -> Result<(), Invalid> {
    let single = [
        ("Dir", &spec.dir),
        ("User", &spec.user),
        ("Hostname", &spec.hostname),
    ];
    let many = [
        ("Command", &spec.command),
        ("Args", &spec.args),
        ("Groups", &spec.groups),
    ];
    let many = many
        .iter()
        .flat_map(|(field, list)| list.iter().map(move |word| (*field, word)));
    for (field, word) in single.into_iter().chain(many) {
        if word.contains('\0') {
            return invalid(format!(
                "ContainerSpec: {field} must not contain a zero byte"
            ));
        }
    }
    let is_group = |group: &&String| {
        group.is_empty() || group.contains(|c: char| c == ':' || c.is_whitespace())
    };
    if let Some(group) = spec.groups.iter().find(is_group) {
        return invalid(format!(
            "ContainerSpec: {group:?} is not a group: use a name or a number"
        ));
    }
    Ok(())
}

fn environment(env: &[String]) -> Result<(), Invalid> {
    for variable in env {
        if variable.is_empty() || variable.starts_with('=') || variable.contains('\0') {
            return invalid(format!("invalid environment variable: {variable:?}"));
        }
        template::check("env", variable)?;
    }
    Ok(())
}

fn hostname(name: &str) -> Result<(), Invalid> {
    template::check("hostname", name)?;
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    if !template::is_in(name) && (name.len() > MAX_HOSTNAME || name.contains(is_odd)) {
        return invalid(format!("invalid hostname format: {name}"));
    }
    Ok(())
}

fn healthcheck(check: &Healthcheck) -> Result<(), Invalid> {
    for (field, duration) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if duration != Duration::ZERO && duration < Healthcheck::MIN_DURATION {
            return invalid(format!(
                "ContainerSpec: {field} in HealthConfig cannot be less than 1ms"
            ));
        }
    }
    if i64::try_from(check.retries).is_err() {
        return invalid("ContainerSpec: Retries in HealthConfig cannot be negative");
    }
    match check.test.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["NONE"] | ["CMD-SHELL", _] | ["CMD", _, ..] => Ok(()),
        ["NONE", ..] => invalid("Healthcheck.Test: NONE takes no command"),
        ["CMD-SHELL", ..] => invalid("Healthcheck.Test: CMD-SHELL takes one command line"),
        ["CMD"] => invalid("Healthcheck.Test: CMD takes a command"),
        [kind, ..] => invalid(format!(
            "Unknown healthcheck type {kind:?}: use NONE, CMD or CMD-SHELL"
        )),
    }
}

fn devices(devices: &[Device]) -> Result<(), Invalid> {
    for device in devices {
        for path in [&device.host_path, &device.container_path] {
            if !path.starts_with('/') || path.contains('\0') || path.split('/').any(|p| p == "..") {
                return invalid(format!(
                    "Starling.Devices: {path:?} is not an absolute path"
                ));
            }
        }
        let permissions = &device.permissions;
        let fits = !permissions.is_empty() && permissions.bytes().all(|b| b"rwm".contains(&b));
        if !fits || first_duplicate(permissions.bytes()).is_some() {
            return invalid(format!(
                "invalid device permissions: {permissions:?}: use some of r, w and m"
            ));
        }
    }
    match first_duplicate(devices.iter().map(|d| &d.container_path)) {
        Some(path) => invalid(format!("Starling.Devices: {path} is given twice")),
        None => Ok(()),
    }
}

fn hosts(hosts: &[String]) -> Result<(), Invalid> {
    for line in hosts {
        let mut words = line.split_ascii_whitespace();
        let address = words
            .next()
            .is_some_and(|word| word.parse::<IpAddr>().is_ok());
        if !address || words.next().is_none() || line.contains(['\n', '\0', '#']) {
            return invalid(format!(
                "invalid extra host {line:?}: use \"ADDRESS NAME [ALIAS…]\""
            ));
        }
    }
    Ok(())
}

fn dns(dns: &DnsConfig) -> Result<(), Invalid> {
    if let Some(server) = dns
        .nameservers
        .iter()
        .find(|s| s.parse::<IpAddr>().is_err())
    {
        return invalid(format!(
            "invalid DNS name server: {server} is not an ip address"
        ));
    }
    let is_word =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '\0');
    for (what, list) in [("search domain", &dns.search), ("option", &dns.options)] {
        if let Some(word) = list.iter().find(|word| !is_word(word)) {
            return invalid(format!("invalid DNS {what}: {word:?}"));
        }
    }
    Ok(())
}

fn seccomp(spec: &ContainerSpec) -> Result<(), Invalid> {
    let Some(SeccompOption::Custom(profile)) =
        spec.privileges.as_ref().and_then(|p| p.seccomp.as_ref())
    else {
        return Ok(());
    };
    if profile.is_empty() || profile.len() > MAX_SECCOMP {
        return invalid(
            "Privileges.Seccomp: the mode custom takes a profile of at most 1 MiB in Profile",
        );
    }
    Ok(())
}
