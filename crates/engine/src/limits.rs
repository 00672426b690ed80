//! Whether this host can give the resource limits that a container asks for.

use crate::config::UlimitConfig;

/// CAP_SYS_RESOURCE's bit: who has it may raise hard limits.
const CAP_SYS_RESOURCE: u32 = 24;

/// Docker's names, and the words of `/proc/PID/limits`.
const NAMES: [(&str, &str); 16] = [
    ("core", "Max core file size"),
    ("cpu", "Max cpu time"),
    ("data", "Max data size"),
    ("fsize", "Max file size"),
    ("locks", "Max file locks"),
    ("memlock", "Max locked memory"),
    ("msgqueue", "Max msgqueue size"),
    ("nice", "Max nice priority"),
    ("nofile", "Max open files"),
    ("nproc", "Max processes"),
    ("rss", "Max resident set"),
    ("rtprio", "Max realtime priority"),
    ("rttime", "Max realtime timeout"),
    ("sigpending", "Max pending signals"),
    ("stack", "Max stack size"),
    ("as", "Max address space"),
];

/// Says what is wrong with the limits, if anything is.
pub(crate) fn check(ulimits: &[UlimitConfig]) -> Result<(), String> {
    if ulimits.is_empty() {
        return Ok(());
    }
    let read = |path: &str| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
    };
    check_against(
        ulimits,
        &read("/proc/self/limits")?,
        &read("/proc/self/status")?,
    )
}

fn check_against(ulimits: &[UlimitConfig], limits: &str, status: &str) -> Result<(), String> {
    let may_raise = may_raise(status);
    for ulimit in ulimits {
        let Some((name, words)) = NAMES.iter().find(|(name, _)| *name == ulimit.name) else {
            return Err(format!("invalid ulimit type: {}", ulimit.name));
        };
        let (soft, hard) = (unsigned(ulimit.soft), unsigned(ulimit.hard));
        if soft > hard {
            return Err(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {} ({name})",
                ulimit.soft, ulimit.hard
            ));
        }
        let of_host = hard_limit(limits, words).unwrap_or(u64::MAX);
        if hard > of_host && !may_raise {
            return Err(format!(
                "ulimit {name}={} is above this host's hard limit of {of_host}, which the daemon cannot raise \
                 without CAP_SYS_RESOURCE: ask for less, or raise the limit of the daemon",
                ulimit.hard
            ));
        }
    }
    Ok(())
}

/// -1 is unlimited.
pub(crate) fn unsigned(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}

fn hard_limit(limits: &str, words: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(words))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn may_raise(status: &str) -> bool {
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let caps = caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok());
    caps.is_some_and(|caps| caps & (1 << CAP_SYS_RESOURCE) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
        Max cpu time              unlimited            unlimited            seconds   \n\
        Max open files            1024                 20000                files     \n";

    fn refused(name: &str, soft: i64, hard: i64, caps: &str) -> Option<String> {
        let ulimit = UlimitConfig {
            name: name.into(),
            soft,
            hard,
        };
        check_against(&[ulimit], LIMITS, &format!("Name:\tx\nCapEff:\t{caps}\n")).err()
    }

    #[test]
    fn more_than_the_host_has_needs_the_capability() {
        let (without, with) = ("000001fffeffffff", "000001ffffffffff");
        assert_eq!(refused("nofile", 20000, 20000, without), None);
        let text = refused("nofile", 1024, 20001, without).unwrap();
        assert!(text.contains("hard limit of 20000"), "{text}");
        assert!(refused("nofile", -1, -1, without).is_some());
        assert_eq!(refused("nofile", -1, -1, with), None);
        assert_eq!(refused("cpu", -1, -1, without), None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(
            refused("nope", 1, 1, "0").unwrap(),
            "invalid ulimit type: nope"
        );
        assert!(refused("nofile", 2, 1, "0").unwrap().contains("2 > 1"));
    }

    #[test]
    fn this_host_can_give_what_it_has() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let (_, words) = NAMES.iter().find(|(name, _)| *name == "nofile").unwrap();
        let hard = hard_limit(&limits, words).unwrap();
        let hard = i64::try_from(hard).unwrap_or(-1);
        let name = "nofile".into();
        check(&[UlimitConfig {
            name,
            soft: 16,
            hard,
        }])
        .unwrap();
    }
}
