//! Which devices a container may use: Docker's default list, as lines of v1 `devices.allow` and as
//! a BPF program for v2.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Kinds as in `struct bpf_cgroup_dev_ctx`.
const BLOCK: u32 = 1;
const CHARACTER: u32 = 2;
/// Accesses as in `struct bpf_cgroup_dev_ctx`.
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;
const ANY_ACCESS: u32 = MKNOD | READ | WRITE;

/// What a container may do with devices.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DeviceAccess<'a> {
    /// Docker's default list.
    Default,
    /// These, too.
    More(&'a [Rule]),
    /// Whatever the groups above allow.
    All,
}

/// Devices that may be used; `None` stands for any number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    kind: u32,
    major: Option<u32>,
    minor: Option<u32>,
    access: u32,
}

impl Rule {
    /// For one device; `permissions` are letters of `rwm`.
    pub(crate) fn device(block: bool, major: u32, minor: u32, permissions: &str) -> Rule {
        let letters = [('r', READ), ('w', WRITE), ('m', MKNOD)];
        let asked = letters.iter().filter(|(l, _)| permissions.contains(*l));
        Rule {
            kind: if block { BLOCK } else { CHARACTER },
            major: Some(major),
            minor: Some(minor),
            access: asked.fold(0, |access, (_, bit)| access | bit),
        }
    }
}

const fn usable(major: u32, minor: Option<u32>) -> Rule {
    Rule {
        kind: CHARACTER,
        major: Some(major),
        minor,
        access: ANY_ACCESS,
    }
}

const fn makeable(kind: u32) -> Rule {
    Rule {
        kind,
        major: None,
        minor: None,
        access: MKNOD,
    }
}

/// Everything else is denied.
pub(super) const ALLOWED: &[Rule] = &[
    makeable(CHARACTER),
    makeable(BLOCK),
    usable(1, Some(3)), // null
    usable(1, Some(5)), // zero
    usable(1, Some(7)), // full
    usable(1, Some(8)), // random
    usable(1, Some(9)), // urandom
    usable(5, Some(0)), // tty
    usable(5, Some(1)), // console
    usable(5, Some(2)), // ptmx
    usable(136, None),  // pseudo-terminals
];

impl fmt::Display for Rule {
    /// As `devices.allow` reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == BLOCK { 'b' } else { 'c' };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if self.access & bit != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const AND_IMMEDIATE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction {
        code,
        registers: from << 4 | to,
        offset,
        immediate,
    }
}

/// The program: r2 is the kind, r3 the access, r4 and r5 the device's numbers; returns 1 to allow.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, 2, 1, 0, 0),
        instruction(MOVE, 3, 2, 0, 0),
        instruction(AND_IMMEDIATE, 2, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT, 3, 0, 0, 16),
        instruction(LOAD_WORD, 4, 1, 4, 0),
        instruction(LOAD_WORD, 5, 1, 8, 0),
    ];
    let answer = |value| {
        [
            instruction(MOVE_IMMEDIATE, 0, 0, 0, value),
            instruction(EXIT, 0, 0, 0, 0),
        ]
    };
    for rule in rules {
        let mut block = vec![instruction(JUMP_NOT_EQUAL, 2, 0, 0, rule.kind as i32)];
        if rule.access != ANY_ACCESS {
            // Something of the asked access is not in the rule's: not this rule.
            block.push(instruction(MOVE, 6, 3, 0, 0));
            block.push(instruction(AND_IMMEDIATE, 6, 0, 0, !rule.access as i32));
            block.push(instruction(JUMP_NOT_EQUAL, 6, 0, 0, 0));
        }
        for (register, number) in [(4, rule.major), (5, rule.minor)] {
            if let Some(number) = number {
                block.push(instruction(JUMP_NOT_EQUAL, register, 0, 0, number as i32));
            }
        }
        block.extend(answer(1));
        let length = block.len();
        for (i, step) in block.iter_mut().enumerate() {
            if step.code == JUMP_NOT_EQUAL {
                step.offset = i16::try_from(length - i - 1).expect("blocks are short");
            }
        }
        program.extend(block);
    }
    program.extend(answer(0));
    program
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of groups above ours (a systemd unit's, a host container's) stay in force.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The head of `union bpf_attr` for loading.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// The head of `union bpf_attr` for attaching.
#[repr(C)]
struct AttachAttributes {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<i32> {
    // SAFETY: `attributes` is the head of `union bpf_attr`; the kernel reads so many bytes of it, and what
    // it points at lives in the caller.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as i32)
}

/// Loads the program for Docker's default list once; it is attached to each container's group.
pub(crate) fn load() -> io::Result<OwnedFd> {
    load_program(&program(ALLOWED))
}

/// Restricts one group to the default list and `more`.
pub(super) fn restrict(group: &OwnedFd, more: &[Rule]) -> io::Result<()> {
    let program = load_program(&program(&[ALLOWED, more].concat()))?;
    attach(&program, group)
}

fn load_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)?;
    // SAFETY: the kernel has just given us this descriptor (close-on-exec, as all of bpf's are).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Puts the program into force for a group.
pub(super) fn attach(program: &OwnedFd, group: &OwnedFd) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: group.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attributes).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small interpreter of the instructions that [`program`] emits.
    fn run(kind: u32, access: u32, major: u32, minor: u32) -> bool {
        run_with(ALLOWED, kind, access, (major, minor))
    }

    fn run_with(rules: &[Rule], kind: u32, access: u32, (major, minor): (u32, u32)) -> bool {
        let context = [access << 16 | kind, major, minor];
        let program = program(rules);
        let (mut registers, mut pc) = ([0u64; 11], 0);
        loop {
            let i = program[pc];
            pc += 1;
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            match i.code {
                LOAD_WORD => registers[to] = u64::from(context[i.offset as usize / 4]),
                MOVE => registers[to] = registers[from],
                MOVE_IMMEDIATE => registers[to] = i.immediate as u64,
                AND_IMMEDIATE => registers[to] &= i.immediate as i64 as u64,
                SHIFT_RIGHT => registers[to] >>= i.immediate,
                JUMP_NOT_EQUAL if registers[to] != i.immediate as i64 as u64 => {
                    pc += i.offset as usize;
                }
                JUMP_NOT_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_allows_dockers_devices_only() {
        assert!(run(CHARACTER, READ | WRITE, 1, 3));
        assert!(run(CHARACTER, READ, 136, 17));
        assert!(run(CHARACTER, MKNOD, 10, 229));
        assert!(run(BLOCK, MKNOD, 8, 0));
        assert!(!run(BLOCK, READ, 8, 0));
        assert!(!run(BLOCK, MKNOD | READ, 8, 0));
        assert!(!run(CHARACTER, READ, 1, 1));
        assert!(!run(CHARACTER, WRITE, 10, 229));
        assert!(!run(BLOCK, READ, 1, 3));
    }

    #[test]
    fn asked_devices_come_on_top() {
        let more = [
            Rule::device(true, 7, 3, "r"),
            Rule::device(false, 10, 229, "rwm"),
        ];
        let rules = [ALLOWED, &more].concat();
        assert!(run_with(&rules, BLOCK, READ, (7, 3)));
        assert!(!run_with(&rules, BLOCK, READ | WRITE, (7, 3)));
        assert!(!run_with(&rules, BLOCK, READ, (7, 4)));
        assert!(run_with(&rules, CHARACTER, READ | WRITE, (10, 229)));
        assert!(run_with(&rules, CHARACTER, READ, (1, 3)));
        assert!(!run_with(&rules, CHARACTER, READ, (10, 200)));
        assert_eq!(more[0].to_string(), "b 7:3 r");
    }

    #[test]
    fn rules_in_the_words_of_v1() {
        let rules: Vec<String> = ALLOWED.iter().map(Rule::to_string).collect();
        assert_eq!(rules[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(rules.last().map(String::as_str), Some("c 136:* rwm"));
    }
}
