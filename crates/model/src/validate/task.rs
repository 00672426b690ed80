//! The template of tasks: resources, restart, placement, logs.

use super::{Invalid, container, first_duplicate, invalid, log_rotation};
use crate::constraint;
use crate::task::{GenericResource, GenericValue, Placement, TaskSpec};

/// Least CPU that may be asked for: the kernel's quota is in steps of 1 ms per 100 ms at best.
pub const MIN_NANO_CPUS: i64 = 1_000_000;
/// Least memory that may be asked for, as in Docker services.
pub const MIN_MEMORY_BYTES: i64 = 4 << 20;

pub(super) fn task(spec: &TaskSpec) -> Result<(), Invalid> {
    container::container(&spec.container, spec.uses_host_network())?;
    let limits = spec.limits();
    let reservations = spec.reservations();
    amounts(limits.nano_cpus, limits.memory_bytes)?;
    amounts(reservations.nano_cpus, reservations.memory_bytes)?;
    // -1 is unlimited, as for containers.
    if limits.pids < -1 {
        return invalid(format!(
            "invalid pids limit {}: use a number of processes, or 0 or -1 for no limit",
            limits.pids
        ));
    }
    generic(spec.generic_reservations())?;
    spec.placement.as_ref().map_or(Ok(()), placement)?;
    match &spec.log_driver {
        Some(driver) => log_rotation(driver).map(|_| ()),
        None => Ok(()),
    }
}

fn amounts(nano_cpus: i64, memory_bytes: i64) -> Result<(), Invalid> {
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
    Ok(())
}

/// Only numbers can be asked for; nodes have named things as well.
fn generic(resources: &[GenericResource]) -> Result<(), Invalid> {
    for resource in resources {
        let kind = &resource.kind;
        if kind.is_empty() {
            return invalid("invalid generic resource: Kind must be provided");
        }
        match resource.value {
            GenericValue::Named(_) => {
                return invalid(format!("invalid argument for resource {kind}"));
            }
            GenericValue::Discrete(count) if count < 1 => {
                return invalid(format!(
                    "invalid argument for resource {kind}: {count} is not at least 1"
                ));
            }
            GenericValue::Discrete(_) => {}
        }
    }
    match first_duplicate(resources.iter().map(|r| &r.kind)) {
        Some(kind) => invalid(format!("generic resource {kind} is asked for twice")),
        None => Ok(()),
    }
}

fn placement(placement: &Placement) -> Result<(), Invalid> {
    constraint::parse_all(&placement.constraints).map_err(|e| Invalid(e.to_string()))?;
    for descriptor in &placement.preferences {
        let label = descriptor
            .strip_prefix("node.labels.")
            .or_else(|| descriptor.strip_prefix("engine.labels."));
        if label.is_none_or(str::is_empty) {
            return invalid(format!(
                "placement preference {descriptor:?} is unknown: spread over node.labels.NAME or engine.labels.NAME"
            ));
        }
    }
    Ok(())
}
