//! Capabilities: Docker's default set, adding and dropping, and putting a set into force.

use std::io;

use crate::sys::check;

/// All capabilities of Linux 6, in the order of their numbers (`linux/capability.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(
    dead_code,
    reason = "the numbers follow from the order, so those that nothing names must stand here, too"
)]
pub(crate) enum Capability {
    Chown = 0,
    DacOverride,
    DacReadSearch,
    Fowner,
    Fsetid,
    Kill,
    Setgid,
    Setuid,
    Setpcap,
    LinuxImmutable,
    NetBindService,
    NetBroadcast,
    NetAdmin,
    NetRaw,
    IpcLock,
    IpcOwner,
    SysModule,
    SysRawio,
    SysChroot,
    SysPtrace,
    SysPacct,
    SysAdmin,
    SysBoot,
    SysNice,
    SysResource,
    SysTime,
    SysTtyConfig,
    Mknod,
    Lease,
    AuditWrite,
    AuditControl,
    Setfcap,
    MacOverride,
    MacAdmin,
    Syslog,
    WakeAlarm,
    BlockSuspend,
    AuditRead,
    Perfmon,
    Bpf,
    CheckpointRestore,
}

/// Names by number, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CapabilitySet(pub(crate) u64);

impl CapabilitySet {
    pub(crate) const fn of(list: &[Capability]) -> CapabilitySet {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u8;
            i += 1;
        }
        CapabilitySet(bits)
    }

    pub(crate) fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    fn names(self) -> String {
        let names: Vec<String> = (0..NAMES.len())
            .filter(|bit| self.0 & (1 << bit) != 0)
            .map(|bit| format!("CAP_{}", NAMES[bit]))
            .collect();
        names.join(", ")
    }
}

/// What a container gets when nothing is asked: Docker's 14.
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::of(&[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
]);

/// The set that a container gets. `available` is what the supervisor itself has: `ALL` and the
/// default ones are limited to it, what is asked by name and not available is an error.
pub(crate) fn resolve(
    add: &[String],
    drop: &[String],
    available: CapabilitySet,
) -> Result<CapabilitySet, String> {
    let (add_all, add) = parse(add)?;
    let (drop_all, drop) = parse(drop)?;
    let missing = CapabilitySet(add.0 & !available.0);
    if missing.0 != 0 {
        return Err(format!(
            "{} cannot be added: this host's root does not have it",
            missing.names()
        ));
    }
    // Docker's rule: adding ALL beats dropping ALL, and named ones are the exceptions.
    let set = match (add_all, drop_all) {
        (true, _) => available.0 & !drop.0,
        (false, true) => add.0,
        (false, false) => (DEFAULT.0 & available.0 & !drop.0) | add.0,
    };
    Ok(CapabilitySet(set))
}

/// Whether ALL is among the names, and the others.
fn parse(names: &[String]) -> Result<(bool, CapabilitySet), String> {
    let (mut all, mut set) = (false, CapabilitySet::default());
    for name in names {
        if short(name) == "ALL" {
            all = true;
            continue;
        }
        let one = by_name(name).ok_or_else(|| format!("unknown capability: \"{name}\""))?;
        set.0 |= one.0;
    }
    Ok((all, set))
}

fn short(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// The set of one capability; with or without `CAP_`.
pub(crate) fn by_name(name: &str) -> Option<CapabilitySet> {
    let short = short(name);
    let bit = NAMES.iter().position(|known| *known == short)?;
    Some(CapabilitySet(1 << bit))
}

/// What this process may give away: its permitted set, as far as it is in its bounding set.
pub(crate) fn available() -> io::Result<CapabilitySet> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .ok_or_else(|| io::Error::other(format!("/proc/self/status has no field {name}")))
    };
    Ok(CapabilitySet(field("CapPrm")? & field("CapBnd")?))
}

/// Drops everything else from the bounding set: no later program of the container can regain it.
pub(crate) fn limit_bounding_set(set: CapabilitySet) -> io::Result<()> {
    // From 0 up to the first number that the running kernel does not know.
    for capability in 0..64u32 {
        // SAFETY: prctl with these options takes no pointers.
        let known = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) };
        if known < 0 {
            break;
        }
        if known == 0 || set.0 & (1 << capability) != 0 {
            continue;
        }
        // SAFETY: as above.
        check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) })?;
    }
    Ok(())
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two halves.
const VERSION_3: u32 = 0x2008_0522;

/// Sets the effective and permitted set of this thread; the inheritable and, with it, the ambient
/// one become empty.
pub(crate) fn apply(set: CapabilitySet) -> io::Result<()> {
    let half = |bits: u64| Data {
        effective: bits as u32,
        permitted: bits as u32,
        inheritable: 0,
    };
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let data = [half(set.0), half(set.0 >> 32)];
    // SAFETY: both pointers are valid for the call; version 3 reads two `Data`.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: CapabilitySet = CapabilitySet(0x1ff_ffff_ffff);

    fn check(add: &[&str], drop: &[&str], available: CapabilitySet) -> Result<u64, String> {
        let owned = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        resolve(&owned(add), &owned(drop), available).map(|set| set.0)
    }

    #[test]
    fn dockers_rules_of_adding_and_dropping() {
        assert_eq!(check(&[], &[], EVERYTHING), Ok(0xa804_25fb));
        assert_eq!(check(&["NET_ADMIN"], &[], EVERYTHING), Ok(0xa804_35fb));
        assert_eq!(check(&[], &["cap_chown"], EVERYTHING), Ok(0xa804_25fa));
        assert_eq!(check(&[], &["ALL"], EVERYTHING), Ok(0));
        assert_eq!(check(&["CAP_KILL"], &["ALL"], EVERYTHING), Ok(1 << 5));
        assert_eq!(check(&["ALL"], &["CHOWN"], EVERYTHING), Ok(0x1ff_ffff_fffe));
        assert_eq!(check(&["CHOWN"], &["CHOWN"], EVERYTHING), Ok(0xa804_25fb));
    }

    #[test]
    fn what_the_host_does_not_have_is_refused_by_name_and_left_out_of_all() {
        let poor = CapabilitySet(EVERYTHING.0 & !(1 << Capability::SysResource as u8));
        assert_eq!(check(&["ALL"], &[], poor), Ok(poor.0));
        assert_eq!(check(&[], &[], CapabilitySet(1)), Ok(1));
        let error = check(&["SYS_RESOURCE"], &[], poor).unwrap_err();
        assert!(
            error.starts_with("CAP_SYS_RESOURCE cannot be added"),
            "{error}"
        );
        let error = check(&["FLY"], &[], EVERYTHING).unwrap_err();
        assert_eq!(error, "unknown capability: \"FLY\"");
    }

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(Capability::SysAdmin as u8, 21);
        assert_eq!(Capability::CheckpointRestore as u8, 40);
        assert_eq!(NAMES[Capability::SysAdmin as usize], "SYS_ADMIN");
        assert_eq!(NAMES[Capability::AuditRead as usize], "AUDIT_READ");
    }
}
