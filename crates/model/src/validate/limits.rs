//! Names that the kernel knows: capabilities, resource limits, kernel parameters, signals.

use super::{Invalid, first_duplicate, invalid};
use crate::Labels;
use crate::container::Ulimit;

/// Linux capabilities without their prefix (`linux/capability.h`).
pub const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Resource limits as Docker names them (`go-units`).
pub const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Names with or without `CAP_`, in any case, and `ALL`.
pub(super) fn capabilities(names: &[String]) -> Result<(), Invalid> {
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if upper != "ALL" && !CAPABILITIES.contains(&bare) {
            return invalid(format!("invalid capability: {name:?}"));
        }
    }
    Ok(())
}

pub(super) fn ulimits(limits: &[Ulimit]) -> Result<(), Invalid> {
    for Ulimit { name, soft, hard } in limits {
        if !ULIMITS.contains(&name.as_str()) {
            return invalid(format!("invalid ulimit type: {name}"));
        }
        if *soft < -1 || *hard < -1 {
            return invalid(format!(
                "invalid ulimit {name}={soft}:{hard}: use -1 for unlimited"
            ));
        }
        if *hard != -1 && (*soft > *hard || *soft == -1) {
            return invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            ));
        }
    }
    match first_duplicate(limits.iter().map(|l| &l.name)) {
        Some(name) => invalid(format!("ulimit {name} is given twice")),
        None => Ok(()),
    }
}

/// Parameters of the container's own namespaces: others would change the host.
pub(super) fn sysctls(sysctls: &Labels, host_network: bool) -> Result<(), Invalid> {
    const IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    for (name, value) in sysctls {
        let is_name = name
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic()));
        let is_net = name.starts_with("net.");
        let is_own = IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") || is_net;
        if !is_name || name.contains("..") || name.contains('/') || !is_own {
            return invalid(format!(
                "sysctl '{name}' is not allowed: use net.*, fs.mqueue.* or a parameter of System V IPC"
            ));
        }
        if is_net && host_network {
            return invalid(format!(
                "sysctl '{name}' not allowed in host network namespace"
            ));
        }
        if value.contains(['\0', '\n']) {
            return invalid(format!("sysctl '{name}': its value must be one line"));
        }
    }
    Ok(())
}

/// A signal by name, with or without `SIG`, or by number.
pub(super) fn signal(text: &str) -> Result<(), Invalid> {
    const NAMES: [&str; 33] = [
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    ];
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |limit: &str, sign: char, most: u8| {
        name.strip_prefix(limit).is_some_and(|rest| {
            let offset = rest.strip_prefix(sign).and_then(|n| n.parse::<u8>().ok());
            rest.is_empty() || offset.is_some_and(|n| n <= most)
        })
    };
    let known = text.is_empty()
        || NAMES.contains(&name)
        || name == "XFSZ"
        || real_time("RTMIN", '+', 15)
        || real_time("RTMAX", '-', 14)
        || text.parse::<u8>().is_ok_and(|n| (1..=64).contains(&n));
    if known {
        Ok(())
    } else {
        invalid(format!("invalid signal: {text}"))
    }
}
