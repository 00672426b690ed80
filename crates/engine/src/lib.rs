//! This host's containers: life cycle, logs.
//!
//! [`Engine`] keeps the records of containers in a table (one tree of the daemon's store), their files under the data
//! root, and has the supervisor (crate `sandbox`) run them. It knows nothing of services or clusters; what tasks of a
//! service need is in [`task`].
//!
//! # On disk
//! ```text
//! <data root>/containers/<id>/   hostname, hosts, resolv.conf, <id>-json.log[.1, .2]
//! <data root>/rootfs/<id>/       upper, work and merged of the overlay
//! <data root>/volumes/<name>/    volume.json, _data
//! <data root>/mounts/            parts of volumes while a container is being started
//! <data root>/trash/             what is being deleted
//! ```
//! The table is written before a container can start, and before the supervisor forgets its end. When it is lost, the
//! containers are not known any more: they are killed and their files are deleted; tasks are replaced by the cluster.
//!
//! # After a restart
//! Of the daemon: what the supervisor holds is adopted. Of the supervisor: a new one kills what the old one left and
//! reports it as ended. Of the host: nothing runs, so all that ran has ended with exit code 255.
#![forbid(unsafe_code)]

mod clock;
mod config;
mod create;
mod engine;
mod error;
mod events;
mod files;
mod health;
pub mod host;
mod image;
mod inject;
mod lifecycle;
mod limits;
pub mod logs;
mod merge;
mod paths;
mod record;
mod remove;
pub mod signal;
mod spec;
mod supervise;
pub mod task;
mod template;
mod volumes;
mod writer;

pub use config::{
    ContainerConfig, DEFAULT_STOP_TIMEOUT, DeviceConfig, DnsConfig, EngineConfig, HealthConfig,
    LogConfig, MountConfig, MountKind, NetworkMode, PREFER_OFFLINE_VARIABLE, ReadOnlyRecursion,
    ResourceConfig, SeccompConfig, UlimitConfig, VolumeMount,
};
pub use engine::Engine;
pub use error::{
    CreateError, FindError, ImageError, LogError, OpenError, RemoveError, StartError, StopError,
    VolumeError,
};
pub use events::{ContainerAction, ContainerEvent};
pub use health::{Health, HealthStatus, PROBE_FAILED, Probe, ProbeResult};
pub use image::Say;
pub use images::Table;
pub use inject::{Injected, InjectedFile, InjectedVariable};
pub use record::{ContainerRecord, ContainerView, EXIT_UNKNOWN, Phase, Process, State};
pub use sandbox::spec::DEFAULT_SHM_SIZE as SHM_SIZE;
pub use volumes::{
    ANONYMOUS_LABEL, LOCAL_DRIVER, Pruned, Volume, VolumeEvent, VolumeRequest, VolumeView,
};
