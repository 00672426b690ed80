//! Starting a container, or a program in one: what the supervisor itself does for it, all of which is
//! quick.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};

use crate::cgroup::{self, Group};
use crate::container::capabilities::CapabilitySet;
use crate::container::{self, ChildStreams, Host, Plan, exec};
use crate::spec::{ContainerSpec, ExecSpec, Rootfs};
use crate::sys::{self, Cloned};

/// Docker's ids have 64 digits; file and cgroup names must stay plain.
const MAX_ID: usize = 128;

/// What starts processes.
pub(super) struct Launcher {
    pub(super) host: Host,
    /// Where v1 does not restrict devices.
    device_program: Option<OwnedFd>,
    /// What the supervisor itself has.
    available: CapabilitySet,
    /// Whether containers cannot write to this executable, see `startup::seal`.
    sealed: bool,
}

/// A container that sets itself up.
pub(super) struct Launched {
    pub(super) pid: i32,
    pub(super) start_time: u64,
    pub(super) ends: Ends,
    pub(super) report: OwnedFd,
}

/// The supervisor's ends of a container's streams.
#[derive(Default)]
pub(super) struct Ends {
    /// Nothing is written to it: it only stays open.
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    /// Through which a terminal's master comes.
    pub(super) console: Option<OwnedFd>,
}

/// A program that joins a container.
pub(super) struct Joined {
    /// Enters the container and makes the program's process there.
    pub(super) helper: i32,
    pub(super) output: OwnedFd,
    pub(super) report: OwnedFd,
}

impl Launcher {
    pub(super) fn new(
        host: Host,
        device_program: Option<OwnedFd>,
        available: CapabilitySet,
        sealed: bool,
    ) -> Launcher {
        Launcher {
            host,
            device_program,
            available,
            sealed,
        }
    }

    /// In words, what of the spec cannot be; otherwise what its processes get.
    pub(super) fn check(&self, spec: Box<ContainerSpec>) -> Result<Plan, String> {
        check_id(&spec.id)?;
        if spec.init && !self.sealed {
            return Err(
                "an init (--init) is not possible: this kernel cannot protect its executable from \
                 containers (Linux 5.12 can)"
                    .into(),
            );
        }
        let Rootfs::Overlay {
            lower,
            upper,
            work,
            merged,
        } = &spec.rootfs;
        for path in lower.iter().chain([upper, work, merged]) {
            check_absolute(path)?;
        }
        check_absolute(spec.log.path())?;
        let group = Group::new(&spec.cgroup_parent, &spec.id)?;
        let (capabilities, filter) = container::validate(&spec, self.available)?;
        Ok(Plan {
            spec,
            group,
            capabilities,
            filter,
            root: None,
        })
    }

    /// Clones the container's first process. When it fails nothing is left.
    pub(super) fn launch(&self, plan: &Plan) -> Result<Launched, String> {
        let layout = &self.host.layout;
        // Where more devices were asked for, the container's first process restricts its group itself.
        let usual = plan.spec.devices.is_empty() && !plan.spec.privileged;
        let device_program = self.device_program.as_ref().filter(|_| usual);
        let directory = cgroup::prepare(layout, &plan.group, device_program)
            .map_err(|error| error.to_string())?;
        let launched = self.clone(plan, directory.as_ref());
        launched.map_err(|error| {
            // The next container of this id finds and replaces what cannot be removed now.
            let _ = plan.group.remove(layout);
            format!("cannot create the container's process: {error}")
        })
    }

    fn clone(&self, plan: &Plan, directory: Option<&OwnedFd>) -> io::Result<Launched> {
        let (report, child_report) = pipe()?;
        let (ends, streams) = streams(&plan.spec, child_report)?;
        let flags = container::clone_flags(plan.spec.network);
        // SAFETY: start-up made sure that there is one thread, and nothing here starts another.
        match unsafe { sys::clone3(flags, directory.map(AsFd::as_fd)) }? {
            Cloned::Child => container::run(&self.host, plan, &streams),
            Cloned::Parent(pid) => Ok(Launched {
                pid,
                // It is our child and not reaped yet, so it is in /proc even if it ended.
                start_time: sys::start_time(pid).unwrap_or_default(),
                ends,
                report,
            }),
        }
    }

    /// Clones a process that joins the container whose first process is `first`, our child.
    pub(super) fn join(&self, plan: &Plan, first: i32, exec: &ExecSpec) -> io::Result<Joined> {
        let (output, child_output) = pipe()?;
        let (report, child_report) = pipe()?;
        let first = Pid::from_raw(first).ok_or(io::ErrorKind::NotFound)?;
        let first = rustix::process::pidfd_open(first, PidfdFlags::empty())?;
        let directory = match plan.group.v2_path(&self.host.layout) {
            Some(path) => Some(OwnedFd::from(File::open(path)?)),
            None => None,
        };
        let streams = ChildStreams {
            stdin: File::open("/dev/null")?.into(),
            stdout: child_output.try_clone()?,
            stderr: child_output,
            report: child_report,
            extra: Some(first),
        };
        // SAFETY: start-up made sure that there is one thread, and nothing here starts another.
        match unsafe { sys::clone3(0, directory.as_ref().map(AsFd::as_fd)) }? {
            Cloned::Child => exec::run(&self.host, plan, exec, &streams),
            Cloned::Parent(helper) => Ok(Joined {
                helper,
                output,
                report,
            }),
        }
    }
}

/// Both ends of what a container asked for.
fn streams(spec: &ContainerSpec, report: OwnedFd) -> io::Result<(Ends, ChildStreams)> {
    let null = || File::open("/dev/null").map(OwnedFd::from);
    if spec.tty {
        let flags = SocketFlags::CLOEXEC;
        let kind = SocketType::SEQPACKET;
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let ends = Ends {
            console: Some(ours),
            ..Ends::default()
        };
        // Until the terminal is there.
        let streams = ChildStreams {
            stdin: null()?,
            stdout: null()?,
            stderr: null()?,
            report,
            extra: Some(theirs),
        };
        return Ok((ends, streams));
    }
    let (child_stdin, stdin) = match spec.open_stdin {
        true => rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map(|(r, w)| (r, Some(w)))?,
        false => (null()?, None),
    };
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let ends = Ends {
        stdin,
        stdout: Some(stdout),
        stderr: Some(stderr),
        console: None,
    };
    let streams = ChildStreams {
        stdin: child_stdin,
        stdout: child_stdout,
        stderr: child_stderr,
        report,
        extra: None,
    };
    Ok((ends, streams))
}

fn check_id(id: &str) -> Result<(), String> {
    let plain = id.starts_with(|c: char| c.is_ascii_alphanumeric())
        && id.len() <= MAX_ID
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if !plain {
        return Err(format!("invalid container id: \"{id}\""));
    }
    Ok(())
}

fn check_absolute(path: &Path) -> Result<(), String> {
    if !path.is_absolute() {
        return Err(format!("\"{}\" is not an absolute path", path.display()));
    }
    Ok(())
}

/// Reading end, which does not block, and writing end, which does.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok((reader, writer))
}
