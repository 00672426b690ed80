//! One container, from the clone to its program: what its first process does to itself.
//!
//! All of this runs in the child, so that the supervisor never waits for it. The child is a copy of
//! the single-threaded supervisor; it keeps only its standard streams and the pipe on which it
//! reports.

pub(crate) mod capabilities;
pub(crate) mod console;
pub(crate) mod devices;
pub(crate) mod error;
pub(crate) mod exec;
pub(crate) mod files;
mod filesystems;
pub(crate) mod init;
pub(crate) mod labels;
pub(crate) mod limits;
pub(crate) mod mounts;
mod network;
mod process;
pub(crate) mod program;
mod propagation;
mod root;
mod user;

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use crate::cgroup::{self, DeviceAccess, Group, Layout};
use crate::seccomp::{self, Filter};
use crate::spec::{ContainerSpec, Network, Rootfs, Seccomp};
use crate::sys::check;
use capabilities::CapabilitySet;
use devices::Node;
use error::{Context, SetupError};
use root::{Kind, Root};

use process::{Birth, Given, Program};
pub(crate) use process::{ChildStreams, REPORT_EXEC, REPORT_FAILURE, REPORT_PID};

/// What all containers of this host have in common.
pub(crate) struct Host {
    pub(crate) layout: Layout,
    /// The limit of open files that the supervisor was started with; it may have raised its own.
    pub(crate) open_files: libc::rlimit,
    /// The filter for Docker's default capabilities, compiled once.
    pub(crate) default_filter: Filter,
    /// The arguments with which this executable becomes a supervisor, and so an init.
    pub(crate) selector: Vec<String>,
}

/// A container as it was checked: what its processes get.
pub(crate) struct Plan {
    pub(crate) spec: Box<ContainerSpec>,
    pub(crate) group: Group,
    pub(crate) capabilities: CapabilitySet,
    pub(crate) filter: FilterChoice,
    /// Once its program was executed.
    pub(crate) root: Option<RootId>,
}

/// Names a container's root directory: its device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RootId(pub(crate) u64, pub(crate) u64);

impl RootId {
    /// Of the root directory of this process.
    fn own() -> Result<RootId, SetupError> {
        let status = rustix::fs::stat("/").context(|| "cannot read the root directory")?;
        Ok(RootId(status.st_dev, status.st_ino))
    }
}

/// In words, what of the spec cannot be, as far as it says itself; otherwise the capabilities and the filter of its
/// processes. `available` is what the supervisor has.
pub(crate) fn validate(
    spec: &ContainerSpec,
    available: CapabilitySet,
) -> Result<(CapabilitySet, FilterChoice), String> {
    program::validate(spec)?;
    limits::validate(spec)?;
    mounts::validate(spec)?;
    devices::validate(spec)?;
    files::validate(spec)?;
    labels::validate(spec)?;
    let asked = capabilities::resolve(&spec.cap_add, &spec.cap_drop, available)?;
    let capabilities = match spec.privileged {
        true => available,
        false => asked,
    };
    let filter = match &spec.seccomp {
        Seccomp::Unconfined => FilterChoice::None,
        Seccomp::Default if spec.privileged => FilterChoice::None,
        Seccomp::Default => FilterChoice::Default,
        Seccomp::Custom(json) => {
            let filter = seccomp::compile_profile(json, capabilities)?;
            FilterChoice::Custom(Rc::new(filter))
        }
    };
    Ok((capabilities, filter))
}

/// Which system call filter.
pub(crate) enum FilterChoice {
    None,
    /// Docker's, for the container's capabilities.
    Default,
    Custom(Rc<Filter>),
}

impl Plan {
    /// Lets go of what only the start needs, secrets among it.
    pub(crate) fn shrink(&mut self) {
        let spec = &mut self.spec;
        spec.files = Vec::new();
        spec.mounts = Vec::new();
        spec.devices = Vec::new();
        spec.sysctls = Vec::new();
        spec.args = Vec::new();
        spec.seccomp = Seccomp::Default;
        let Rootfs::Overlay { lower, .. } = &mut spec.rootfs;
        *lower = Vec::new();
    }
}

/// The namespaces that are made by the clone; the cgroup one is made later, after entering the
/// groups.
pub(crate) fn clone_flags(network: Network) -> u64 {
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    if network == Network::Loopback {
        flags |= libc::CLONE_NEWNET;
    }
    flags as u64
}

/// The whole life of the child. Its extra stream is the socket for the terminal, if it gets one.
pub(crate) fn run(host: &Host, plan: &Plan, streams: &ChildStreams) -> ! {
    process::run(streams, |given| set_up_and_exec(host, plan, given))
}

fn set_up_and_exec(host: &Host, plan: &Plan, given: &mut Given) -> Result<Infallible, SetupError> {
    let spec = &plan.spec;
    process::prepare(host, spec)?;
    let devices = devices::gather(spec)?;
    enter_cgroups(host, plan, &devices)?;
    set_hostname(&spec.hostname)?;
    if spec.network == Network::Loopback {
        network::raise_loopback().context(|| "cannot raise the loopback device")?;
    }
    let init = spec.init.then(init::open).transpose()?;
    let socket = given.extra.take();
    if let Some(terminal) = build_root(host, spec, &devices, socket)? {
        console::take(&terminal)?;
    }
    let program = Program {
        args: &spec.args,
        env: &spec.env,
        cwd: &spec.cwd,
        user: &spec.user,
        birth: init.as_ref().map_or(Birth::Here, Birth::Init),
    };
    process::become_program(host, plan, program, given)
}

fn enter_cgroups(host: &Host, plan: &Plan, devices: &[Node]) -> Result<(), SetupError> {
    let rules: Vec<_>;
    let access = if plan.spec.privileged {
        DeviceAccess::All
    } else if devices.is_empty() {
        DeviceAccess::Default
    } else {
        rules = devices.iter().map(|node| node.rule).collect();
        DeviceAccess::More(&rules)
    };
    cgroup::enter(&host.layout, &plan.group, &plan.spec.resources, access)
        .map_err(|error| SetupError::new(error.to_string()))?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) })
        .context(|| "cannot make a cgroup namespace")?;
    Ok(())
}

fn set_hostname(name: &str) -> Result<(), SetupError> {
    // SAFETY: the pointer is valid for so many bytes.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
        .context(|| format!("cannot set the hostname \"{name}\""))?;
    Ok(())
}

/// Returns the container's terminal, if there is a socket for it.
fn build_root(
    host: &Host,
    spec: &ContainerSpec,
    devices: &[Node],
    socket: Option<OwnedFd>,
) -> Result<Option<OwnedFd>, SetupError> {
    let prepared = mounts::prepare(spec)?;
    root::separate_from_host()?;
    let root = Root::mount(&spec.rootfs)?;
    let mounted = filesystems::mount_all(&root, spec, &host.layout)?;
    for mount in prepared {
        mount.attach(&root)?;
    }
    devices::make(&root, devices)?;
    files::mount(&root, &mounted.dev, &spec.files)?;
    let terminal = socket.map(|socket| console::make(&root, socket.as_fd()));
    let terminal = terminal.transpose()?;
    limits::apply_sysctls(spec, &mounted.proc)?;
    if !spec.privileged {
        filesystems::protect(&root, &mounted)?;
    }
    if !spec.cwd.is_empty() && spec.cwd != "/" {
        root.target(Path::new(&spec.cwd), Kind::Directory)?;
    }
    if spec.readonly_root {
        root.make_readonly()?;
    }
    root.enter()?;
    Ok(terminal)
}
