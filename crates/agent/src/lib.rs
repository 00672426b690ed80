//! A worker node: session with the leader, journal of assignments, the worker state machine.
//!
//! ```text
//! link (finds the leader, keeps one session, heartbeats) --assignments--> driver <--outcomes-- actions (executor)
//!                        <--reports--                                       |
//!                                                              worker (pure) + journal
//! ```
//! The [`worker`] decides; everything else carries out. The agent knows nothing of containers: that is the
//! [`Executor`]'s business. When the session is lost, or the agent ends, tasks keep running.
#![forbid(unsafe_code)]

mod actions;
mod driver;
mod executor;
mod journal;
mod link;
mod logs;
mod session;
mod status;
#[cfg(test)]
mod tests;
pub mod worker;

pub use driver::{AgentConfig, AgentHandle, RunError, run};
pub use executor::{ExecError, Executor, LogFrame, Say, Started};
pub use journal::{Journal, Row, RowError, decode_row, encode_record, task_key};
pub use session::{ConnectError, Connector, endpoint};
pub use status::AgentStatus;
