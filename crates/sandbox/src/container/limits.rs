//! Resource limits (setrlimit) and sysctls.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::error::{Context, SetupError};
use crate::spec::{ContainerSpec, Network, Rlimit};
use crate::sys::check;

/// Docker's names.
const RESOURCES: [(&str, u32); 16] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// In Docker's kernels that have them: in namespaces of the container, so it may set them.
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// What Docker sets in a container's own network namespace: root in it may open any port and ping.
const NETWORK_DEFAULTS: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

fn resource(name: &str) -> Result<u32, String> {
    RESOURCES
        .iter()
        .find_map(|(known, resource)| (*known == name).then_some(*resource))
        .ok_or_else(|| format!("invalid ulimit type: {name}"))
}

/// In words, what is wrong with the spec's limits and sysctls.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    for limit in &spec.rlimits {
        resource(&limit.name)?;
        if limit.soft > limit.hard {
            return Err(format!(
                "ulimit {}: soft limit must be less than or equal to hard limit: {} > {}",
                limit.name, limit.soft, limit.hard
            ));
        }
    }
    if let Some(score) = spec.oom_score_adj
        && !(-1000..=1000).contains(&score)
    {
        return Err(format!(
            "invalid value {score}, range for oom score adj is [-1000, 1000]"
        ));
    }
    spec.sysctls
        .iter()
        .try_for_each(|(name, _)| validate_sysctl(name, spec.network))
}

fn validate_sysctl(name: &str, network: Network) -> Result<(), String> {
    if name.starts_with("net.") && network == Network::Host {
        return Err(format!(
            "sysctl \"{name}\" not allowed in host network namespace"
        ));
    }
    let ours =
        IPC_SYSCTLS.contains(&name) || name.starts_with("fs.mqueue.") || name.starts_with("net.");
    if !ours {
        return Err(format!(
            "sysctl \"{name}\" is not in a separate kernel namespace"
        ));
    }
    Ok(())
}

/// Sets what is asked. Beyond the hard limit only CAP_SYS_RESOURCE helps, which a host may lack.
pub(super) fn apply_rlimits(limits: &[Rlimit]) -> Result<(), SetupError> {
    for limit in limits {
        let resource = resource(&limit.name).map_err(SetupError::new)?;
        let value = libc::rlimit {
            rlim_cur: limit.soft,
            rlim_max: limit.hard,
        };
        // SAFETY: the pointer is valid for the call.
        let result = check(unsafe { libc::setrlimit(resource, &raw const value) });
        if let Err(error) = result {
            return Err(SetupError::new(refusal(limit, resource, &error)));
        }
    }
    Ok(())
}

fn refusal(limit: &Rlimit, resource: u32, error: &io::Error) -> String {
    let Rlimit { name, soft, hard } = limit;
    if error.raw_os_error() != Some(libc::EPERM) {
        return format!("cannot set ulimit {name}={soft}:{hard}: {error}");
    }
    let mut current = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is valid for the call.
    unsafe { libc::getrlimit(resource, &raw mut current) };
    format!(
        "cannot set ulimit {name}={soft}:{hard}: this host's hard limit is {}, and to raise it root needs \
         CAP_SYS_RESOURCE (and for nofile a fs.nr_open as high): ask for less, or raise the daemon's own limit",
        current.rlim_max
    )
}

/// The kernel's preference for this process when memory is short.
pub(super) fn apply_oom_score(score: Option<i32>) -> Result<(), SetupError> {
    let score = score.unwrap_or(0);
    std::fs::write("/proc/self/oom_score_adj", score.to_string()).context(|| {
        format!("cannot set oom_score_adj to {score} (to lower it, root needs CAP_SYS_RESOURCE)")
    })
}

/// Sets the namespaces' own sysctls; `proc` is the container's `/proc`.
pub(super) fn apply_sysctls(spec: &ContainerSpec, proc: &OwnedFd) -> Result<(), SetupError> {
    if spec.network != Network::Host {
        for (name, value) in NETWORK_DEFAULTS {
            let asked = spec.sysctls.iter().any(|(other, _)| other == name);
            if !asked {
                // Older kernels have not all of them.
                let _ = write(proc, name, value);
            }
        }
    }
    for (name, value) in &spec.sysctls {
        write(proc, name, value).context(|| format!("cannot set sysctl {name}={value}"))?;
    }
    Ok(())
}

fn write(proc: &OwnedFd, name: &str, value: &str) -> io::Result<()> {
    // No dot is left, so the path cannot lead out of sys/.
    let path = format!("sys/{}", name.replace('.', "/"));
    let file = rustix::fs::openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::Write::write_all(&mut std::fs::File::from(file), value.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sysctls_of_own_namespaces() {
        assert_eq!(
            validate_sysctl("net.core.somaxconn", Network::Loopback),
            Ok(())
        );
        assert_eq!(validate_sysctl("kernel.shmmax", Network::Host), Ok(()));
        assert_eq!(
            validate_sysctl("net.core.somaxconn", Network::Host),
            Err("sysctl \"net.core.somaxconn\" not allowed in host network namespace".into())
        );
        for name in [
            "kernel.panic",
            "vm.swappiness",
            "kernel.shmmax/../panic",
            "",
        ] {
            assert_eq!(
                validate_sysctl(name, Network::Loopback),
                Err(format!(
                    "sysctl \"{name}\" is not in a separate kernel namespace"
                ))
            );
        }
    }
}
