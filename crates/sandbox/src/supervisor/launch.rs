//! Starting a container: what the supervisor itself does for it, all of which is quick.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use libc::sock_filter;
use rustix::pipe::PipeFlags;

use crate::cgroup::{self, Group, Layout};
use crate::container::capabilities::{self, CapabilitySet};
use crate::container::{self, ChildStreams, Launch};
use crate::container::{limits, mounts, program};
use crate::seccomp;
use crate::spec::{ContainerSpec, Rootfs, Seccomp};
use crate::sys::{self, Cloned};

/// Docker's ids have 64 digits; file and cgroup names must stay plain.
const MAX_ID: usize = 128;

/// What all containers of this host have in common.
pub(super) struct Launcher {
    pub(super) layout: Layout,
    /// Where v1 does not restrict devices.
    device_program: Option<OwnedFd>,
    /// What the supervisor itself has.
    available: CapabilitySet,
    open_files: libc::rlimit,
    /// The filter for Docker's default capabilities, compiled once.
    default_filter: Vec<sock_filter>,
}

/// A container that sets itself up.
pub(super) struct Launched {
    pub(super) pid: i32,
    pub(super) start_time: u64,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) report: OwnedFd,
}

impl Launcher {
    pub(super) fn new(
        layout: Layout,
        device_program: Option<OwnedFd>,
        available: CapabilitySet,
        open_files: libc::rlimit,
    ) -> Launcher {
        Launcher {
            layout,
            device_program,
            available,
            open_files,
            default_filter: seccomp::compile(capabilities::DEFAULT),
        }
    }

    /// In words, what of the spec cannot be; otherwise its group and capabilities.
    pub(super) fn check(&self, spec: &ContainerSpec) -> Result<(Group, CapabilitySet), String> {
        check_id(&spec.id)?;
        if spec.init {
            return Err("an init process (--init) is not supported yet".into());
        }
        let unbuilt = [
            (spec.tty, "a terminal (--tty)"),
            (spec.open_stdin, "an open standard input"),
            (!spec.groups.is_empty(), "supplementary groups"),
            (!spec.devices.is_empty(), "devices"),
            (spec.privileged, "a privileged container"),
            (spec.selinux_label.is_some(), "an SELinux label"),
            (spec.apparmor_profile.is_some(), "an AppArmor profile"),
            (!spec.files.is_empty(), "files (secrets and configs)"),
            (
                matches!(spec.seccomp, Seccomp::Custom(_)),
                "a seccomp profile",
            ),
        ];
        if let Some((_, what)) = unbuilt.into_iter().find(|(asked, _)| *asked) {
            return Err(format!("{what} is not supported yet"));
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
        program::validate(spec)?;
        limits::validate(spec)?;
        mounts::validate(spec)?;
        let group = Group::new(&spec.cgroup_parent, &spec.id)?;
        let capabilities = capabilities::resolve(&spec.cap_add, &spec.cap_drop, self.available)?;
        Ok((group, capabilities))
    }

    /// Clones the container's first process. When it fails nothing is left.
    pub(super) fn launch(
        &self,
        spec: &ContainerSpec,
        group: &Group,
        capabilities: CapabilitySet,
    ) -> Result<Launched, String> {
        let directory = cgroup::prepare(&self.layout, group, self.device_program.as_ref())
            .map_err(|error| error.to_string())?;
        let launched = self.clone(spec, group, capabilities, directory.as_ref());
        launched.map_err(|error| {
            // The next container of this id finds and replaces what cannot be removed now.
            let _ = group.remove(&self.layout);
            format!("cannot create the container's process: {error}")
        })
    }

    fn clone(
        &self,
        spec: &ContainerSpec,
        group: &Group,
        capabilities: CapabilitySet,
        directory: Option<&OwnedFd>,
    ) -> io::Result<Launched> {
        let (stdout, child_stdout) = pipe()?;
        let (stderr, child_stderr) = pipe()?;
        let (report, child_report) = pipe()?;
        let streams = ChildStreams {
            stdin: File::open("/dev/null")?.into(),
            stdout: child_stdout,
            stderr: child_stderr,
            report: child_report,
        };
        let flags = container::clone_flags(spec.network);
        // SAFETY: start-up made sure that there is one thread, and nothing here starts another.
        match unsafe { sys::clone3(flags, directory.map(AsFd::as_fd)) }? {
            Cloned::Child => self.be_child(spec, group, capabilities, &streams),
            Cloned::Parent(pid) => Ok(Launched {
                pid,
                // It is our child and not reaped yet, so it is in /proc even if it ended.
                start_time: sys::start_time(pid).unwrap_or_default(),
                stdout,
                stderr,
                report,
            }),
        }
    }

    fn be_child(
        &self,
        spec: &ContainerSpec,
        group: &Group,
        capabilities: CapabilitySet,
        streams: &ChildStreams,
    ) -> ! {
        // Other sets are compiled here, where the memory goes with the child.
        let own_filter;
        let filter = match &spec.seccomp {
            Seccomp::Unconfined | Seccomp::Custom(_) => None,
            Seccomp::Default if capabilities == capabilities::DEFAULT => {
                Some(self.default_filter.as_slice())
            }
            Seccomp::Default => {
                own_filter = seccomp::compile(capabilities);
                Some(own_filter.as_slice())
            }
        };
        let launch = Launch {
            spec,
            layout: &self.layout,
            group,
            capabilities,
            filter,
            open_files: self.open_files,
        };
        container::run(&launch, streams)
    }
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
