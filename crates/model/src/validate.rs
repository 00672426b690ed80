//! Validation of what clients ask for, with Docker's texts where tools match them. Nothing is changed here.

use crate::cluster::{CLUSTER_NAME, ClusterSpec};
use crate::constraint;
use crate::container::{ContainerSpec, MountKind};
use crate::service::{ServiceSpec, UpdateConfig};
use crate::task::TaskSpec;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest service name: a DNS label.
pub const MAX_NAME_LEN: usize = 63;
/// Least CPU that may be asked for: the kernel's quota is in steps of 1 ms per 100 ms at best.
pub const MIN_NANO_CPUS: i64 = 1_000_000;
/// Least memory that may be asked for, as in Docker services.
pub const MIN_MEMORY_BYTES: i64 = 4 << 20;
/// Most replicas of one service: a bound against slips of the finger, far above what is run.
pub const MAX_REPLICAS: u64 = 1_000_000;
/// Least validity of a node certificate, as in Docker.
pub const MIN_CERT_EXPIRY: Duration = Duration::from_secs(3600);

/// What is wrong with a request, in words for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// A name of a service: `^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$`, at most 63 characters.
pub fn service_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return invalid("meta: name must be provided");
    }
    let alnum = |b: u8| b.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    let ok = alnum(bytes[0])
        && alnum(bytes[bytes.len() - 1])
        && bytes.iter().all(|b| alnum(*b) || b"-_".contains(b));
    if !ok {
        return invalid("name must be valid as a DNS name component");
    }
    if name.len() > MAX_NAME_LEN {
        return invalid("name must be 63 characters or fewer");
    }
    Ok(())
}

/// The whole specification of a service.
pub fn service(spec: &ServiceSpec) -> Result<(), Invalid> {
    service_name(&spec.name)?;
    if spec.replicas() > MAX_REPLICAS {
        return invalid(format!("replicas must be at most {MAX_REPLICAS}"));
    }
    task(&spec.task)?;
    if let Some(update) = &spec.update {
        update_config(update)?;
    }
    Ok(())
}

fn update_config(config: &UpdateConfig) -> Result<(), Invalid> {
    if !(0.0..=1.0).contains(&config.max_failure_ratio) {
        return invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1");
    }
    Ok(())
}

fn task(spec: &TaskSpec) -> Result<(), Invalid> {
    container(&spec.container)?;
    let limits = spec.limits();
    let reservations = spec.reservations();
    for (nano_cpus, memory_bytes) in [
        (limits.nano_cpus, limits.memory_bytes),
        (reservations.nano_cpus, reservations.memory_bytes),
    ] {
        if nano_cpus != 0 && nano_cpus < MIN_NANO_CPUS {
            return invalid(format!(
                "invalid cpu value {}: Must be at least 0.001",
                nano_cpus as f64 / 1e9
            ));
        }
        if memory_bytes != 0 && memory_bytes < MIN_MEMORY_BYTES {
            return invalid(format!(
                "invalid memory value {memory_bytes}: Must be at least 4MiB"
            ));
        }
    }
    if limits.pids < 0 {
        return invalid(format!(
            "invalid pids limit {}: Must be 0 or more",
            limits.pids
        ));
    }
    if let Some(placement) = &spec.placement {
        constraint::parse_all(&placement.constraints).map_err(|e| Invalid(e.to_string()))?;
    }
    Ok(())
}

fn container(spec: &ContainerSpec) -> Result<(), Invalid> {
    if spec.image.is_empty() {
        return invalid("ContainerSpec: image reference must be provided");
    }
    let mut targets = BTreeSet::new();
    for mount in &spec.mounts {
        if !mount.target.starts_with('/') {
            return invalid(format!(
                "invalid mount target, must be an absolute path: {}",
                mount.target
            ));
        }
        if !targets.insert(mount.target.trim_end_matches('/')) {
            return invalid(format!(
                "ContainerSpec: duplicate mount point: {}",
                mount.target
            ));
        }
        match &mount.kind {
            MountKind::Bind(_) if !mount.source.starts_with('/') => {
                return invalid(format!(
                    "invalid bind mount source, must be an absolute path: {}",
                    mount.source
                ));
            }
            MountKind::Tmpfs(_) if !mount.source.is_empty() => {
                return invalid("invalid tmpfs mount: it has no source");
            }
            MountKind::Volume(_) if mount.source.starts_with('/') => {
                return invalid(format!(
                    "invalid volume mount source, must not be an absolute path: {}",
                    mount.source
                ));
            }
            MountKind::Bind(_) | MountKind::Volume(_) | MountKind::Tmpfs(_) => {}
        }
    }
    if let Some(variable) = spec
        .env
        .iter()
        .find(|e| e.is_empty() || e.starts_with('=') || e.contains('\0'))
    {
        return invalid(format!("invalid environment variable: {variable:?}"));
    }
    if !spec.dir.is_empty() && !spec.dir.starts_with('/') {
        return invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.dir
        ));
    }
    if !(-1000..=1000).contains(&spec.oom_score_adj) {
        return invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            spec.oom_score_adj
        ));
    }
    Ok(())
}

/// The specification of the cluster.
pub fn cluster(spec: &ClusterSpec) -> Result<(), Invalid> {
    if spec.name != CLUSTER_NAME {
        return invalid(r#"swarm spec must be named "default""#);
    }
    if spec.node_cert_expiry < MIN_CERT_EXPIRY {
        return invalid(format!(
            "minimum certificate expiry time is: {}s",
            MIN_CERT_EXPIRY.as_secs()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "web", "a-b", "a__b", "0x"] {
            assert_eq!(service_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "a.b", "a b", "é", &"x".repeat(64)] {
            assert!(service_name(bad).is_err(), "{bad}");
        }
    }
}
