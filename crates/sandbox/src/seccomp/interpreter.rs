//! For tests: runs the instructions that the compilers emit.

use libc::sock_filter;

use super::compiler::{AND, ARCH, JUMP, JUMP_EQ, JUMP_GE, JUMP_GT, JUMP_SET, LOAD, NR, RETURN};

/// What the program returns for a call; arguments that are not given are 0.
pub(super) fn run(program: &[sock_filter], arch: u32, nr: u32, args: &[u64]) -> u32 {
    let (mut accumulator, mut pc) = (0, 0);
    for _ in 0..10_000 {
        let i = program[pc];
        pc += 1;
        let condition = match i.code {
            RETURN => return i.k,
            LOAD => {
                accumulator = match i.k {
                    NR => nr,
                    ARCH => arch,
                    offset @ 16..64 if offset % 4 == 0 => {
                        let argument = args.get((offset as usize - 16) / 8).copied();
                        (argument.unwrap_or(0) >> (offset % 8 * 8)) as u32
                    }
                    other => panic!("load of offset {other}"),
                };
                continue;
            }
            AND => {
                accumulator &= i.k;
                continue;
            }
            JUMP => {
                pc += i.k as usize;
                continue;
            }
            JUMP_EQ => accumulator == i.k,
            JUMP_GE => accumulator >= i.k,
            JUMP_GT => accumulator > i.k,
            JUMP_SET => accumulator & i.k != 0,
            other => panic!("instruction {other:#x}"),
        };
        pc += if condition { i.jt } else { i.jf } as usize;
    }
    panic!("the program does not end")
}
