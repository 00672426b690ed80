//! A worker node: session with the leader, journal of assignments, the worker state machine.
#![forbid(unsafe_code)]

pub mod worker;
