//! From rules with conditions on arguments to a BPF program.

use std::collections::BTreeMap;

use libc::sock_filter;

pub(super) use super::compiler::NATIVE_ARCH;
use super::compiler::{
    AND, ARCH, JUMP_EQ, JUMP_GE, JUMP_GT, LOAD, NR, RETURN, jump, search, statement,
};

/// The kernel takes no longer programs (`BPF_MAXINSNS`).
const MAX_PROGRAM: usize = 4096;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// How an argument is compared, all 64 bits of it, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// The argument and this mask equal the value.
    Masked(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u32,
    pub(super) comparison: Comparison,
    pub(super) value: u64,
}

/// What happens to a call when all conditions are met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

/// A whole profile; actions are the filter's return values.
pub(super) struct Rules {
    default: u32,
    /// The highest number that its author knew.
    pub(super) newest_known: Option<u32>,
    calls: BTreeMap<u32, Call>,
}

/// What is said of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Call {
    /// Without conditions; it covers the alternatives, as in libseccomp.
    always: Option<u32>,
    /// The first one whose conditions are met counts.
    alternatives: Vec<Alternative>,
}

impl Rules {
    pub(super) fn new(default: u32) -> Rules {
        Rules {
            default,
            newest_known: None,
            calls: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, number: u32, alternatives: &[Alternative]) {
        let call = self.calls.entry(number).or_default();
        for alternative in alternatives {
            if alternative.conditions.is_empty() {
                // Two that contradict each other: the stricter one.
                let other = call.always.unwrap_or(alternative.action);
                call.always = Some(stricter(other, alternative.action));
            } else {
                call.alternatives.push(alternative.clone());
            }
        }
    }

    fn leaf(&self, number: u32) -> Leaf<'_> {
        match self.calls.get(&number) {
            Some(call) => call.always.map_or(Leaf::Depends(call), Leaf::Always),
            None => Leaf::Always(self.default),
        }
    }

    /// A profile that forbids by default speaks only of calls that its author knew: newer ones do
    /// not exist, so that libraries fall back to older ones.
    fn beyond(&self) -> u32 {
        match self.default & libc::SECCOMP_RET_ACTION_FULL {
            _ if self.newest_known.is_none() => self.default,
            libc::SECCOMP_RET_ALLOW | libc::SECCOMP_RET_LOG | libc::SECCOMP_RET_TRACE => {
                self.default
            }
            _ => ENOSYS,
        }
    }
}

/// The kernel's order: as signed numbers, the lower action wins.
fn stricter(a: u32, b: u32) -> u32 {
    let rank = |action: u32| (action & libc::SECCOMP_RET_ACTION_FULL) as i32;
    if rank(a) <= rank(b) { a } else { b }
}

/// What a range of numbers leads to.
#[derive(Clone, PartialEq, Eq)]
enum Leaf<'a> {
    Always(u32),
    Depends(&'a Call),
}

/// The program; in words, when it is too long.
pub(super) fn compile(rules: &Rules) -> Result<Vec<sock_filter>, String> {
    let known = rules.newest_known.map_or(0, |newest| newest + 1);
    let mut ranges: Vec<(u32, Leaf<'_>)> = Vec::new();
    let leaves = (0..known).map(|number| (number, rules.leaf(number)));
    for (number, leaf) in leaves.chain([(known, Leaf::Always(rules.beyond()))]) {
        if ranges.last().is_none_or(|(_, last)| *last != leaf) {
            ranges.push((number, leaf));
        }
    }
    let mut program = vec![
        statement(LOAD, ARCH),
        jump(JUMP_EQ, NATIVE_ARCH, 1, 0),
        statement(RETURN, ENOSYS),
        statement(LOAD, NR),
    ];
    search(&ranges, &mut program, &|leaf, program| match leaf {
        Leaf::Always(action) => program.push(statement(RETURN, *action)),
        Leaf::Depends(call) => {
            for alternative in &call.alternatives {
                program.extend(block(alternative));
            }
            program.push(statement(RETURN, rules.default));
        }
    });
    if program.len() > MAX_PROGRAM {
        return Err(format!(
            "it makes a filter of {} instructions, the kernel takes {MAX_PROGRAM}",
            program.len()
        ));
    }
    Ok(program)
}

/// Where a jump goes, until it is known how far that is.
const TO_NEXT: u8 = 254;
const TO_END: u8 = 255;

/// Returns the action when all conditions are met, and falls off its end otherwise.
fn block(alternative: &Alternative) -> Vec<sock_filter> {
    let mut block = Vec::new();
    for condition in &alternative.conditions {
        let start = block.len();
        block.extend(test(condition));
        resolve(&mut block[start..], TO_NEXT);
    }
    block.push(statement(RETURN, alternative.action));
    resolve(&mut block, TO_END);
    block
}

/// Makes all jumps to `mark` lead behind the last instruction.
fn resolve(instructions: &mut [sock_filter], mark: u8) {
    let length = instructions.len();
    for (i, instruction) in instructions.iter_mut().enumerate() {
        if matches!(instruction.code, JUMP_EQ | JUMP_GE | JUMP_GT) {
            let far = u8::try_from(length - i - 1).expect("six conditions make 40 instructions");
            for target in [&mut instruction.jt, &mut instruction.jf] {
                if *target == mark {
                    *target = far;
                }
            }
        }
    }
}

/// Goes on when the condition is met, and to the end of the block otherwise. Both halves of the
/// argument; both architectures are little-endian.
fn test(condition: &Condition) -> Vec<sock_filter> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Masked, NotEqual};
    let low = 16 + 8 * condition.argument;
    let (load_low, load_high) = (statement(LOAD, low), statement(LOAD, low + 4));
    let (value_low, value_high) = (condition.value as u32, (condition.value >> 32) as u32);
    let (met, not_met) = (TO_NEXT, TO_END);
    match condition.comparison {
        Equal => vec![
            load_high,
            jump(JUMP_EQ, value_high, 0, not_met),
            load_low,
            jump(JUMP_EQ, value_low, met, not_met),
        ],
        Masked(mask) => vec![
            load_high,
            statement(AND, (mask >> 32) as u32),
            jump(JUMP_EQ, value_high, 0, not_met),
            load_low,
            statement(AND, mask as u32),
            jump(JUMP_EQ, value_low, met, not_met),
        ],
        NotEqual => vec![
            load_high,
            jump(JUMP_EQ, value_high, 0, met),
            load_low,
            jump(JUMP_EQ, value_low, not_met, met),
        ],
        Greater | GreaterOrEqual | Less | LessOrEqual => {
            let inclusive = matches!(condition.comparison, GreaterOrEqual | Less);
            let upwards = matches!(condition.comparison, Greater | GreaterOrEqual);
            let (above, below) = match upwards {
                true => (met, not_met),
                false => (not_met, met),
            };
            vec![
                load_high,
                jump(JUMP_GT, value_high, above, 0),
                jump(JUMP_EQ, value_high, 0, below),
                load_low,
                jump(
                    if inclusive { JUMP_GE } else { JUMP_GT },
                    value_low,
                    above,
                    below,
                ),
            ]
        }
    }
}
