//! System calls that neither std nor rustix has.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Turns a result of -1 into the system's error.
pub(crate) fn check(result: impl Into<i64>) -> io::Result<i64> {
    let result = result.into();
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// libc's constant of this name has too few bits.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Which side of a clone we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloned {
    Child,
    /// The child's pid.
    Parent(i32),
}

/// A fork with new namespaces, born in `cgroup` if given.
///
/// # Safety The process must have one thread: the child has a copy of the memory, and locks that
/// another thread held would stay locked in it.
pub(crate) unsafe fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    // SAFETY: all fields are integers, for which zeroes are valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` is valid; without CLONE_VM the child gets its own copy of memory and stack, as after
    // fork, and the caller has one thread only.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const args,
            size_of::<libc::clone_args>(),
        )
    })?;
    Ok(match pid {
        0 => Cloned::Child,
        pid => Cloned::Parent(pid as i32),
    })
}

/// A fork whose child is its brother: a child of this process's parent, in the PID namespace for this
/// process's children. By the old call, which the seccomp filters of containers allow.
///
/// # Safety As of [`clone3`].
pub(crate) unsafe fn clone_sibling() -> io::Result<Cloned> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: null pointers for what is not asked for; without CLONE_VM the child gets its own copy of memory
    // and stack, as after fork, and the caller has one thread only.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags as libc::c_ulong,
            0usize,
            0usize,
            0usize,
            0usize,
        )
    })?;
    Ok(match pid {
        0 => Cloned::Child,
        pid => Cloned::Parent(pid as i32),
    })
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers. Descriptors that Rust objects still own must not be used afterwards; both
    // callers forget them (a new process image, or one that keeps only what lies below `first`).
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) })?;
    Ok(())
}

/// Which attributes of a mount change.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountAttributes {
    pub(crate) readonly: bool,
    /// `MS_PRIVATE` and so on, or 0 for no change.
    pub(crate) propagation: u64,
    /// Also of the mounts below.
    pub(crate) recursive: bool,
}

const MOUNT_ATTR_RDONLY: u64 = 1;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Changes the mount whose root `mount` is.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, change: MountAttributes) -> io::Result<()> {
    let attributes = MountAttr {
        set: if change.readonly {
            MOUNT_ATTR_RDONLY
        } else {
            0
        },
        clear: 0,
        propagation: change.propagation,
        user_namespace: 0,
    };
    let recursive = if change.recursive {
        libc::AT_RECURSIVE
    } else {
        0
    };
    // SAFETY: the empty path and `attributes` are valid for the call, the size is the struct's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

/// Exit code in Docker's way from wait(2)'s status.
pub(crate) fn exit_code(status: i32) -> i32 {
    if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    }
}

/// Field 22 of `/proc/PID/stat`: when the process started, in clock ticks since boot. `None` when
/// it is gone.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may contain anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn start_time_is_stable_and_absent_for_no_process() {
        let own = std::process::id() as i32;
        let first = super::start_time(own);
        assert!(first.is_some_and(|t| t > 0));
        assert_eq!(first, super::start_time(own));
        assert_eq!(super::start_time(i32::MAX), None);
    }

    #[test]
    fn exit_codes_are_dockers() {
        assert_eq!(super::exit_code(7 << 8), 7);
        assert_eq!(super::exit_code(libc::SIGKILL), 137);
        assert_eq!(super::exit_code(libc::SIGTERM), 143);
        assert_eq!(super::exit_code(libc::SIGSEGV | 0x80), 139);
    }
}
