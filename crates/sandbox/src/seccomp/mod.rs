//! The system call filter: Docker's default profile, or one in Docker's JSON format, compiled to
//! classic BPF for the native architecture. Every other architecture's calls (32-bit programs, x32)
//! get ENOSYS.

mod compiler;
mod custom;
#[cfg(test)]
mod interpreter;
mod names;
mod profile;
mod rules;

use std::io;

use libc::sock_filter;

use crate::container::capabilities::CapabilitySet;

pub(crate) use custom::compile as compile_profile;

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no mitigation of speculative store bypass because of the filter alone,
/// as runc does by default.
const SPEC_ALLOW: libc::c_ulong = 1 << 2;

/// A filter that can be put into force.
pub(crate) struct Filter {
    program: Vec<sock_filter>,
    /// `SECCOMP_FILTER_FLAG_*`.
    flags: libc::c_ulong,
}

/// Docker's default profile for a container with these capabilities.
pub(crate) fn compile(capabilities: CapabilitySet) -> Filter {
    Filter {
        program: compiler::compile(capabilities),
        flags: SPEC_ALLOW,
    }
}

/// Puts a filter into force for this thread and all its children. Needs CAP_SYS_ADMIN or
/// no_new_privs.
pub(crate) fn install(filter: &Filter) -> io::Result<()> {
    let program = &filter.program;
    let wanted = filter.flags;
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut(),
    };
    // Kernels before 4.17 do not know the flags.
    for flags in [wanted, 0] {
        // SAFETY: `filter` points at a program that outlives the call; the kernel only reads it.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const filter,
            )
        };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if flags == 0 || error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    unreachable!("the second round returns")
}
