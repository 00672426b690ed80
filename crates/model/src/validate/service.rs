//! A service as a whole.

use super::{Invalid, cluster, invalid, name, task};
use crate::service::{Mode, ServiceSpec, UpdateConfig};
use std::time::Duration;

/// Most replicas of one service: a bound against slips of the finger, far above what is run.
pub const MAX_REPLICAS: u64 = 1_000_000;
/// Least progress deadline: below it, no container starts in time.
const MIN_PROGRESS_DEADLINE: Duration = Duration::from_secs(1);

/// The whole specification of a service.
///
/// # Errors
/// With Docker's text where it has one.
pub fn service(spec: &ServiceSpec) -> Result<(), Invalid> {
    name::service_name(&spec.name)?;
    cluster::labels("the service", &spec.labels)?;
    mode(spec)?;
    task::task(&spec.task)?;
    for (config, of) in [(&spec.update, "update"), (&spec.rollback, "rollback")] {
        config.as_ref().map_or(Ok(()), |c| update_config(c, of))?;
    }
    additions(spec)
}

fn mode(spec: &ServiceSpec) -> Result<(), Invalid> {
    let negative = |count: u64| i64::try_from(count).is_err();
    match spec.mode {
        Mode::Replicated { replicas } if replicas.is_some_and(negative) => {
            return invalid("Number of replicas must be non-negative");
        }
        Mode::ReplicatedJob { max_concurrent, .. } if max_concurrent.is_some_and(negative) => {
            return invalid("Maximum concurrent jobs must not be negative");
        }
        Mode::ReplicatedJob {
            total_completions, ..
        } if total_completions.is_some_and(negative) => {
            return invalid("Total completed jobs must not be negative");
        }
        Mode::Replicated { .. } | Mode::Global | Mode::ReplicatedJob { .. } | Mode::GlobalJob => {}
    }
    if spec.replicas() > MAX_REPLICAS {
        return invalid(format!("replicas must be at most {MAX_REPLICAS}"));
    }
    if let Some((concurrent, total)) = spec.completions() {
        if concurrent.max(total) > MAX_REPLICAS {
            return invalid(format!(
                "MaxConcurrent and TotalCompletions must be at most {MAX_REPLICAS}"
            ));
        }
        if concurrent == 0 && total > 0 {
            return invalid("MaxConcurrent must be at least 1: a job that runs nothing never ends");
        }
    }
    let max_per_node = spec.task.placement.as_ref().map_or(0, |p| p.max_replicas);
    if spec.mode.is_global() && max_per_node > 0 {
        return invalid(
            "replicas-max-per-node can only be used with replicated or replicated-job mode",
        );
    }
    if spec.mode.is_job() && spec.update.is_some() {
        return invalid("Jobs may not have an update config");
    }
    if spec.mode.is_job() && spec.rollback.is_some() {
        return invalid("Jobs may not have a rollback config");
    }
    Ok(())
}

fn update_config(config: &UpdateConfig, of: &str) -> Result<(), Invalid> {
    if !(0.0..=1.0).contains(&config.max_failure_ratio) {
        return invalid(format!(
            "TaskSpec: {of}-maxfailureratio cannot be less than 0 or bigger than 1"
        ));
    }
    Ok(())
}

/// What Docker's services do not have.
fn additions(spec: &ServiceSpec) -> Result<(), Invalid> {
    if let Some(deadline) = spec.progress_deadline {
        if deadline < MIN_PROGRESS_DEADLINE {
            return invalid(
                "Starling.ProgressDeadline must be at least 1s, or null for no deadline",
            );
        }
        if spec.mode.is_job() {
            return invalid("Starling.ProgressDeadline: jobs are not updated, so they have none");
        }
    }
    if spec.auto_rebalance && !matches!(spec.mode, Mode::Replicated { .. }) {
        return invalid("Starling.AutoRebalance can only be used with replicated mode");
    }
    let Some(replicas) = spec.stopped else {
        return Ok(());
    };
    if replicas > MAX_REPLICAS {
        return invalid(format!(
            "Starling.Stopped.Replicas must be at most {MAX_REPLICAS}"
        ));
    }
    if spec.replicas() > 0 {
        return invalid(
            "Starling.Stopped: a stopped service has 0 replicas; send Stopped null to start it",
        );
    }
    Ok(())
}
