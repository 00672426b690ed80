//! One container: namespaces, cgroups, mounts, seccomp, capabilities; and the supervisor.
//!
//! Two halves that share only [`spec`], [`state`] and the wire format:
//!
//! * the **supervisor** ([`supervisor_main`]): a small, single-threaded process per host, parent of
//!   all containers. It clones them, writes their log files, reaps them and outlives the daemon;
//! * the **client** ([`client::Supervisor`]): what the daemon uses, on tokio, to drive it.

mod base64_bytes;
mod cgroup;
pub mod client;
mod container;
mod logfile;
mod orphans;
mod protocol;
mod record;
mod seccomp;
pub mod spec;
pub mod state;
mod supervisor;
mod sys;

pub use client::{
    ClientError, ConnectError, ExecError, ExecHandle, StartError, Started, Supervisor,
    SupervisorConfig,
};
pub use orphans::{OrphanError, kill_orphans};
pub use spec::{ContainerSpec, ExecSpec};
pub use state::{ContainerState, Event, ExecResult, Exit, Status};
pub use supervisor::supervisor_main;
