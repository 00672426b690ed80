//! Several hosts on one machine, made of namespaces, running the real `starling` binary.
//!
//! A host has network, PID, mount, UTS and IPC namespaces of its own, a first process that reaps, a private tmpfs on
//! `/run`, a data directory on disk, a control group and an address that exists only behind a switch without uplink.
//!
//! ```no_run
//! use cluster_tests::hosts::Cluster;
//! # fn main() -> anyhow::Result<()> {
//! let cluster = Cluster::builder().managers(3).workers(2).start()?;
//! cluster.host("w1").crash()?;
//! println!("{}", cluster.host("m1").api().get("/nodes")?);
//! # Ok(()) }
//! ```
//!
//! Needs root. Nothing is left behind: a keeper process outlives the test process, however that ends, and takes
//! everything down; what a killed keeper left is swept when the next cluster starts.

mod api;
mod background;
mod cgroups;
mod cluster;
mod daemon;
mod helper;
mod host;
mod image;
mod keeper;
mod process;
pub mod service;
mod story;
mod switch;
mod wait;

pub use api::{Api, ApiError, Reply, filters};
pub use background::Background;
pub use cluster::{Builder, Cluster, Role};
pub use daemon::Daemon;
pub use helper::{Boot, Enter, Keep, exit_code, run_boot, run_enter, run_init, run_keep};
pub use host::Host;
pub use image::{IMAGE, rootfs_tar};
pub use keeper::{base_dir, kept, sweep};
pub use process::{Process, ProcessId};
pub use story::Story;
pub use wait::eventually;
