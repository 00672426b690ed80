//! From lists of system calls to a BPF program: a binary search over ranges of numbers (a linear
//! list of 300 comparisons would cost each first system call a microsecond), then blocks that look
//! at arguments.

use std::collections::BTreeMap;

use libc::{c_long, sock_filter};

use super::profile;
use crate::container::capabilities::{Capability, CapabilitySet};

/// Offsets in `struct seccomp_data`.
pub(super) const NR: u32 = 0;
pub(super) const ARCH: u32 = 4;
/// Low half of the first argument (both architectures are little-endian).
const ARG0_LOW: u32 = 16;

/// `AUDIT_ARCH_*` of the native architecture.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = 0xc000_00b7;

pub(super) const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
pub(super) const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
pub(super) const JUMP_EQ: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
pub(super) const JUMP_GE: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
pub(super) const JUMP_SET: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
pub(super) const JUMP_GT: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
pub(super) const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
pub(super) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Allow,
    /// EPERM: a call that the profile does not allow.
    Refuse,
    /// ENOSYS: as if the kernel did not have it.
    Unknown,
    /// By the first argument.
    Personality,
    Clone,
    Socket,
}

impl Action {
    fn return_value(self) -> u32 {
        match self {
            Action::Allow => libc::SECCOMP_RET_ALLOW,
            Action::Unknown => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
            _ => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        }
    }
}

/// The filter for a container with these capabilities.
pub(crate) fn compile(capabilities: CapabilitySet) -> Vec<sock_filter> {
    let mut program = vec![
        statement(LOAD, ARCH),
        jump(JUMP_EQ, NATIVE_ARCH, 1, 0),
        statement(RETURN, Action::Unknown.return_value()),
        statement(LOAD, NR),
    ];
    let ranges = ranges(&actions(capabilities));
    search(&ranges, &mut program, &|action, program| {
        leaf(*action, program)
    });
    program
}

fn actions(capabilities: CapabilitySet) -> BTreeMap<c_long, Action> {
    let lists = [
        profile::ALLOWED,
        profile::ALLOWED_NEW,
        profile::ALLOWED_NATIVE,
        profile::ALLOWED_NATIVE_NEW,
    ];
    let mut actions: BTreeMap<c_long, Action> = lists
        .into_iter()
        .flatten()
        .map(|call| (*call, Action::Allow))
        .collect();
    actions.insert(libc::SYS_personality, Action::Personality);
    actions.insert(libc::SYS_socket, Action::Socket);
    if !capabilities.contains(Capability::SysAdmin) {
        actions.insert(libc::SYS_clone, Action::Clone);
        // Its flags lie behind a pointer: ENOSYS makes C libraries use clone, whose flags we see.
        actions.insert(libc::SYS_clone3, Action::Unknown);
    }
    for (capability, calls) in profile::BY_CAPABILITY {
        if capabilities.contains(*capability) {
            actions.extend(calls.iter().map(|call| (*call, Action::Allow)));
        }
    }
    actions
}

/// Starts of ranges in which all calls have one action; the first starts at 0.
fn ranges(actions: &BTreeMap<c_long, Action>) -> Vec<(u32, Action)> {
    let mut ranges: Vec<(u32, Action)> = Vec::new();
    for number in 0..=profile::NEWEST_KNOWN {
        let action = actions.get(&number).copied().unwrap_or(Action::Refuse);
        if ranges.last().is_none_or(|(_, last)| *last != action) {
            ranges.push((number as u32, action));
        }
    }
    // Also x32 calls, whose numbers start at 0x40000000.
    ranges.push((profile::NEWEST_KNOWN as u32 + 1, Action::Unknown));
    ranges
}

/// Emits a search tree over ranges of numbers, of which each starts where the last one ends; `leaf`
/// emits what ends the program in one.
pub(super) fn search<L>(
    ranges: &[(u32, L)],
    program: &mut Vec<sock_filter>,
    leaf: &dyn Fn(&L, &mut Vec<sock_filter>),
) {
    if let [(_, last)] = ranges {
        leaf(last, program);
        return;
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    // A conditional jump reaches 255 instructions, which the upper levels exceed: the way to the
    // right half is an unconditional jump, whose offset has 32 bits.
    program.push(jump(JUMP_GE, right[0].0, 0, 1));
    let to_right = program.len();
    program.push(statement(JUMP, 0));
    search(left, program, leaf);
    program[to_right].k = (program.len() - to_right - 1) as u32;
    search(right, program, leaf);
}

fn leaf(action: Action, program: &mut Vec<sock_filter>) {
    let refuse = statement(RETURN, Action::Refuse.return_value());
    let allow = statement(RETURN, Action::Allow.return_value());
    match action {
        Action::Allow | Action::Refuse | Action::Unknown => {
            program.push(statement(RETURN, action.return_value()));
        }
        Action::Clone => {
            program.push(statement(LOAD, ARG0_LOW));
            program.push(jump(JUMP_SET, profile::NAMESPACE_FLAGS, 0, 1));
            program.extend([refuse, allow]);
        }
        Action::Personality => any_of(profile::PERSONALITIES, allow, refuse, program),
        Action::Socket => any_of(profile::REFUSED_FAMILIES, refuse, allow, program),
    }
}

/// `if first argument is one of values { then } else { otherwise }`.
fn any_of(
    values: &[u32],
    then: sock_filter,
    otherwise: sock_filter,
    program: &mut Vec<sock_filter>,
) {
    program.push(statement(LOAD, ARG0_LOW));
    for (i, value) in values.iter().enumerate() {
        let rest = u8::try_from(values.len() - i).expect("short lists of values");
        program.push(jump(JUMP_EQ, *value, rest, 0));
    }
    program.extend([otherwise, then]);
}

pub(super) fn statement(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

pub(super) fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::super::interpreter::run;
    use super::*;
    use crate::container::capabilities::DEFAULT;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    fn check(capabilities: CapabilitySet, call: c_long, arg0: u64) -> u32 {
        run(&compile(capabilities), NATIVE_ARCH, call as u32, &[arg0])
    }

    fn with(capability: Capability) -> CapabilitySet {
        CapabilitySet(DEFAULT.0 | CapabilitySet::of(&[capability]).0)
    }

    #[test]
    fn every_number_gets_the_action_of_its_list() {
        for capabilities in [DEFAULT, CapabilitySet(0), with(Capability::SysAdmin)] {
            let program = compile(capabilities);
            assert!(program.len() < 1000, "{} instructions", program.len());
            let expected = actions(capabilities);
            for number in 0..1000 {
                let result = run(&program, NATIVE_ARCH, number, &[]);
                let wanted = match expected.get(&c_long::from(number)) {
                    Some(Action::Allow | Action::Personality | Action::Clone | Action::Socket) => {
                        ALLOW
                    }
                    Some(Action::Unknown) => ENOSYS,
                    Some(Action::Refuse) | None if number <= 466 => EPERM,
                    _ => ENOSYS,
                };
                assert_eq!(result, wanted, "system call {number}");
            }
        }
    }

    #[test]
    fn other_architectures_and_x32_do_not_exist() {
        let program = compile(DEFAULT);
        for arch in [0x4000_0003, 0x4000_0028, 0] {
            assert_eq!(run(&program, arch, libc::SYS_read as u32, &[]), ENOSYS);
        }
        assert_eq!(run(&program, NATIVE_ARCH, 0x4000_0000, &[]), ENOSYS);
        assert_eq!(run(&program, NATIVE_ARCH, u32::MAX, &[]), ENOSYS);
    }

    #[test]
    fn calls_that_depend_on_their_arguments() {
        let newuser = libc::CLONE_NEWUSER as u64;
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u64;
        assert_eq!(check(DEFAULT, libc::SYS_clone, thread), ALLOW);
        assert_eq!(check(DEFAULT, libc::SYS_clone, newuser | thread), EPERM);
        assert_eq!(check(DEFAULT, libc::SYS_clone3, 0), ENOSYS);
        assert_eq!(
            check(with(Capability::SysAdmin), libc::SYS_clone, newuser),
            ALLOW
        );
        assert_eq!(
            check(with(Capability::SysAdmin), libc::SYS_clone3, 0),
            ALLOW
        );
        assert_eq!(check(DEFAULT, libc::SYS_personality, 0xffff_ffff), ALLOW);
        assert_eq!(check(DEFAULT, libc::SYS_personality, 0x2_0008), ALLOW);
        assert_eq!(check(DEFAULT, libc::SYS_personality, 0x4_0000), EPERM);
        assert_eq!(
            check(DEFAULT, libc::SYS_socket, libc::AF_INET6 as u64),
            ALLOW
        );
        assert_eq!(
            check(DEFAULT, libc::SYS_socket, libc::AF_VSOCK as u64),
            EPERM
        );
        assert_eq!(check(DEFAULT, libc::SYS_socket, libc::AF_ALG as u64), EPERM);
    }

    #[test]
    fn groups_of_calls_come_with_their_capability() {
        assert_eq!(check(DEFAULT, libc::SYS_mount, 0), EPERM);
        assert_eq!(check(with(Capability::SysAdmin), libc::SYS_mount, 0), ALLOW);
        assert_eq!(check(DEFAULT, libc::SYS_chroot, 0), ALLOW);
        assert_eq!(check(CapabilitySet(0), libc::SYS_chroot, 0), EPERM);
        assert_eq!(check(DEFAULT, libc::SYS_init_module, 0), EPERM);
        assert_eq!(
            check(with(Capability::SysModule), libc::SYS_init_module, 0),
            ALLOW
        );
        assert_eq!(check(DEFAULT, libc::SYS_keyctl, 0), EPERM);
        assert_eq!(check(DEFAULT, libc::SYS_io_uring_setup, 0), EPERM);
    }
}
