//! From limits to the values of control files.

use super::{CgroupError, Layout, V1Controller};
use crate::spec::Resources;

/// Length in microseconds of the period over which CPU time is limited (the kernel's and Docker's
/// default).
const CPU_PERIOD: u64 = 100_000;
/// The kernel refuses a quota below one millisecond.
const MIN_CPU_QUOTA: u64 = 1_000;

/// Control files and their values, in the order of writing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) v1: Vec<(V1Controller, ControlFile)>,
    pub(super) v2: Vec<ControlFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ControlFile {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Swap is not accounted on every host: its file may be absent.
    pub(super) optional: bool,
}

impl ControlFile {
    fn new(name: &'static str, value: impl ToString) -> Self {
        ControlFile {
            name,
            value: value.to_string(),
            optional: false,
        }
    }

    fn optional(self) -> Self {
        ControlFile {
            optional: true,
            ..self
        }
    }
}

/// CPU time in microseconds per period for so many billionths of a CPU.
pub(super) fn cpu_quota(nano_cpus: u64) -> u64 {
    let quota = u128::from(nano_cpus) * u128::from(CPU_PERIOD) / 1_000_000_000;
    u64::try_from(quota).unwrap_or(u64::MAX).max(MIN_CPU_QUOTA)
}

/// What to write where on this host. A limit for which no controller is there is an error.
pub(super) fn limits(layout: &Layout, resources: &Resources) -> Result<Limits, CgroupError> {
    let mut limits = Limits::default();
    if let Some(nano_cpus) = resources.nano_cpus.filter(|n| *n > 0) {
        let quota = cpu_quota(nano_cpus);
        limits.add(
            layout,
            ("CPU time", V1Controller::Cpu),
            &[
                ControlFile::new("cpu.cfs_period_us", CPU_PERIOD),
                ControlFile::new("cpu.cfs_quota_us", quota),
            ],
            &[ControlFile::new("cpu.max", format!("{quota} {CPU_PERIOD}"))],
        )?;
    }
    if let Some(memory) = resources.memory_bytes.filter(|n| *n > 0) {
        // Memory first: v1 refuses a sum of memory and swap below the memory limit. Docker's
        // default: as much swap as memory; v1's limit is for both together.
        let both = memory.saturating_mul(2);
        limits.add(
            layout,
            ("memory", V1Controller::Memory),
            &[
                ControlFile::new("memory.limit_in_bytes", memory),
                ControlFile::new("memory.memsw.limit_in_bytes", both).optional(),
            ],
            &[
                ControlFile::new("memory.max", memory),
                ControlFile::new("memory.swap.max", memory).optional(),
            ],
        )?;
    }
    if let Some(pids) = resources.pids_limit.filter(|n| *n > 0) {
        let file = ControlFile::new("pids.max", pids);
        limits.add(
            layout,
            ("processes", V1Controller::Pids),
            std::slice::from_ref(&file),
            std::slice::from_ref(&file),
        )?;
    }
    Ok(limits)
}

impl Limits {
    fn add(
        &mut self,
        layout: &Layout,
        (what, controller): (&'static str, V1Controller),
        v1: &[ControlFile],
        v2: &[ControlFile],
    ) -> Result<(), CgroupError> {
        if layout.v1_root(controller).is_some() {
            self.v1
                .extend(v1.iter().map(|file| (controller, file.clone())));
        } else if layout.v2_has(controller.name()) {
            self.v2.extend_from_slice(v2);
        } else {
            return Err(CgroupError::NoController {
                what,
                controller: controller.name(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::tests::{HYBRID, PURE_V2, layout};
    use super::*;

    fn check(mountinfo: &str, controllers: &str, resources: &Resources) -> Vec<String> {
        let limits = limits(&layout(mountinfo, controllers), resources).unwrap();
        let v1 = limits
            .v1
            .iter()
            .map(|(c, f)| format!("{}/{}={}", c.name(), f.name, f.value));
        let v2 = limits.v2.iter().map(|f| format!("{}={}", f.name, f.value));
        v1.chain(v2).collect()
    }

    fn resources() -> Resources {
        Resources {
            nano_cpus: Some(1_500_000_000),
            memory_bytes: Some(64 << 20),
            pids_limit: Some(100),
        }
    }

    #[test]
    fn limits_go_to_the_version_that_has_the_controller() {
        assert_eq!(
            check(HYBRID, "", &resources()),
            [
                "cpu/cpu.cfs_period_us=100000",
                "cpu/cpu.cfs_quota_us=150000",
                "memory/memory.limit_in_bytes=67108864",
                "memory/memory.memsw.limit_in_bytes=134217728",
                "pids/pids.max=100"
            ]
        );
        assert_eq!(
            check(PURE_V2, "cpuset cpu io memory pids", &resources()),
            [
                "cpu.max=150000 100000",
                "memory.max=67108864",
                "memory.swap.max=67108864",
                "pids.max=100"
            ]
        );
        assert!(check(HYBRID, "", &Resources::default()).is_empty());
    }

    #[test]
    fn a_limit_without_a_controller_is_refused() {
        let error = limits(&layout(PURE_V2, "cpu pids"), &resources()).unwrap_err();
        let expected =
            "a limit of memory was asked for, but this host has no cgroup controller \"memory\"";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn quotas_are_microseconds_per_tenth_of_a_second() {
        assert_eq!(cpu_quota(500_000_000), 50_000);
        assert_eq!(cpu_quota(1), 1_000);
        assert_eq!(cpu_quota(u64::MAX), 1_844_674_407_370_955);
    }
}
