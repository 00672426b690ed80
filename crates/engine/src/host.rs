//! What this host is and has.

use model::task::{Platform, Resources};

/// Billionths in a CPU: the unit of [`Resources::nano_cpus`].
pub const NANOS_PER_CPU: i64 = 1_000_000_000;
/// `/proc/meminfo` counts in KiB.
const KIB: i64 = 1024;

/// The host's name.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Machine type as `uname -m` says, and operating system.
pub fn platform() -> Platform {
    Platform {
        architecture: std::env::consts::ARCH.into(),
        os: "linux".into(),
    }
}

/// CPUs and memory.
pub fn resources() -> Resources {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Resources {
        nano_cpus: i64::try_from(cpus).unwrap_or(1) * NANOS_PER_CPU,
        memory_bytes: total_memory(&meminfo),
    }
}

fn total_memory(meminfo: &str) -> i64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    number.unwrap_or(0) * KIB
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(
            total_memory("MemTotal:       16 kB\nMemFree: 1 kB\n"),
            16384
        );
        assert!(resources().memory_bytes > 1 << 20);
        assert!(resources().nano_cpus >= NANOS_PER_CPU);
        assert!(!hostname().is_empty());
    }
}
