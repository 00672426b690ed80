//! The mounts that the spec asks for: binds, tmpfs and the host's files under `/etc`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType};
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use super::error::{Context, SetupError};
use super::propagation;
use super::root::{Kind, Root, attach, new_mount, stat};
use crate::spec::{ContainerSpec, Mount, Propagation, ReadOnlyRecursion};
use crate::sys::{self, MountAttributes};

/// A mount whose source is at hand.
pub(super) struct Prepared {
    target: PathBuf,
    source: Source,
}

enum Source {
    /// A detached copy of the host's mount.
    Bind {
        mount: OwnedFd,
        kind: Kind,
        options: BindOptions,
    },
    Tmpfs(Tmpfs),
}

/// What a bind becomes.
#[derive(Clone, Copy)]
struct BindOptions {
    readonly: bool,
    below: ReadOnlyRecursion,
    recursive: bool,
    propagation: Propagation,
}

/// Opens all sources on the host, before the host's mounts are cut off: only now they still belong
/// to the host's peer groups, which `slave` and `shared` need. Sorted so that parents are mounted
/// first.
pub(super) fn prepare(spec: &ContainerSpec) -> Result<Vec<Prepared>, SetupError> {
    let files = [
        ("/etc/hosts", &spec.hosts_file),
        ("/etc/hostname", &spec.hostname_file),
        ("/etc/resolv.conf", &spec.resolv_file),
    ];
    let mut prepared = Vec::new();
    for (target, source) in files {
        if let Some(source) = source {
            let options = BindOptions {
                readonly: false,
                below: ReadOnlyRecursion::Off,
                recursive: false,
                propagation: Propagation::Rprivate,
            };
            prepared.push(bind(source, Path::new(target), options)?);
        }
    }
    for mount in &spec.mounts {
        prepared.push(match mount {
            Mount::Bind {
                source,
                target,
                readonly,
                recursive,
                propagation,
                readonly_recursive,
            } => {
                let options = BindOptions {
                    readonly: *readonly,
                    below: *readonly_recursive,
                    recursive: *recursive,
                    propagation: *propagation,
                };
                bind(source, target, options)?
            }
            Mount::Tmpfs {
                target,
                size,
                mode,
                options,
            } => Prepared {
                target: target.clone(),
                source: Source::Tmpfs(
                    Tmpfs::parse(*size, *mode, options).map_err(SetupError::new)?,
                ),
            },
        });
    }
    prepared.sort_by_key(|mount| mount.target.components().count());
    Ok(prepared)
}

fn bind(source: &Path, target: &Path, options: BindOptions) -> Result<Prepared, SetupError> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if options.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = match rustix::mount::open_tree(CWD, source, flags) {
        Err(rustix::io::Errno::NOENT) => {
            return Err(SetupError::new(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                source.display()
            )));
        }
        other => other.context(|| format!("cannot bind mount {}", source.display()))?,
    };
    propagation::check(source, options.propagation)?;
    let status = stat(mount.as_fd()).context(|| format!("cannot read {}", source.display()))?;
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => Kind::Directory,
        _ => Kind::File,
    };
    Ok(Prepared {
        target: target.to_owned(),
        source: Source::Bind {
            mount,
            kind,
            options,
        },
    })
}

impl BindOptions {
    /// Changes the detached mounts.
    fn apply(self, mount: BorrowedFd<'_>) -> std::io::Result<()> {
        let (propagation, whole_tree) = propagation_flag(self.propagation);
        let travel = MountAttributes {
            propagation,
            recursive: self.recursive && whole_tree,
            ..MountAttributes::default()
        };
        if !self.readonly {
            return sys::mount_setattr(mount, travel);
        }
        let readonly = MountAttributes {
            readonly: true,
            recursive: self.recursive && self.below != ReadOnlyRecursion::Off,
            ..MountAttributes::default()
        };
        if readonly.recursive == travel.recursive {
            // Docker's default: both in one call.
            let both = MountAttributes {
                readonly: true,
                ..travel
            };
            match sys::mount_setattr(mount, both) {
                Err(_) if self.below == ReadOnlyRecursion::IfPossible => {}
                other => return other,
            }
        }
        sys::mount_setattr(mount, travel)?;
        match sys::mount_setattr(mount, readonly) {
            Err(_) if self.below == ReadOnlyRecursion::IfPossible => {
                let top = MountAttributes {
                    recursive: false,
                    ..readonly
                };
                sys::mount_setattr(mount, top)
            }
            other => other,
        }
    }
}

fn propagation_flag(propagation: Propagation) -> (u64, bool) {
    match propagation {
        Propagation::Private => (libc::MS_PRIVATE, false),
        Propagation::Rprivate => (libc::MS_PRIVATE, true),
        Propagation::Slave => (libc::MS_SLAVE, false),
        Propagation::Rslave => (libc::MS_SLAVE, true),
        Propagation::Shared => (libc::MS_SHARED, false),
        Propagation::Rshared => (libc::MS_SHARED, true),
    }
}

impl Prepared {
    /// Mounts it inside the root.
    pub(super) fn attach(self, root: &Root) -> Result<(), SetupError> {
        let path = self.target.clone();
        self.try_attach(root).map_err(|error| {
            SetupError::new(format!(
                "cannot mount on {}: {}",
                path.display(),
                error.message
            ))
        })
    }

    fn try_attach(self, root: &Root) -> Result<(), SetupError> {
        let existed = root.open(&self.target, rustix::fs::OFlags::PATH).is_ok();
        match self.source {
            Source::Bind {
                mount,
                kind,
                options,
            } => {
                let target = root.target(&self.target, kind)?;
                check_target(target.as_fd())?;
                options
                    .apply(mount.as_fd())
                    .context(|| "cannot set its options")?;
                attach(mount.as_fd(), target.as_fd()).context(|| match kind {
                    Kind::Directory => "the source is a directory",
                    Kind::File => "the source is a file",
                })
            }
            Source::Tmpfs(mut tmpfs) => {
                let target = root.target(&self.target, Kind::Directory)?;
                check_target(target.as_fd())?;
                if existed && tmpfs.mode.is_none() {
                    // As runc: the directory that it hides keeps its mode.
                    tmpfs.mode = stat(target.as_fd()).ok().map(|s| s.st_mode & 0o7777);
                }
                let mount = tmpfs.mount().context(|| "cannot make a tmpfs")?;
                attach(mount.as_fd(), target.as_fd()).context(|| "cannot mount the tmpfs")
            }
        }
    }
}

/// Nothing may be mounted over what the kernel says of processes: programs trust it.
fn check_target(target: BorrowedFd<'_>) -> Result<(), SetupError> {
    let status = rustix::fs::fstatfs(target).context(|| "cannot read the mount point")?;
    if status.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(SetupError::new("it is inside /proc"));
    }
    Ok(())
}

/// In words, what is wrong with the spec's mounts; the sources are looked at later.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    for mount in &spec.mounts {
        let target = mount.target();
        let shown = target.display();
        let mut parts = target.components();
        if parts.next() != Some(Component::RootDir) {
            return Err(format!(
                "the mount target \"{shown}\" is not an absolute path"
            ));
        }
        if parts.clone().any(|part| part == Component::ParentDir) {
            return Err(format!("the mount target \"{shown}\" contains \"..\""));
        }
        if parts.next().is_none() {
            return Err("invalid mount target: destination can't be '/'".into());
        }
        match mount {
            Mount::Bind { source, .. } if !source.is_absolute() => {
                return Err(format!(
                    "the bind source \"{}\" is not an absolute path",
                    source.display()
                ));
            }
            Mount::Bind {
                readonly,
                recursive,
                readonly_recursive: ReadOnlyRecursion::Force,
                ..
            } if !readonly || !recursive => {
                let other = match readonly {
                    false => "!ReadOnly",
                    true => "BindOptions.NonRecursive",
                };
                return Err(format!(
                    "mount options conflict: {other} && BindOptions.ReadOnlyForceRecursive"
                ));
            }
            Mount::Tmpfs {
                size,
                mode,
                options,
                ..
            } => {
                Tmpfs::parse(*size, *mode, options)?;
            }
            Mount::Bind { .. } => {}
        }
    }
    Ok(())
}

/// A tmpfs as asked for.
#[derive(Debug, PartialEq, Eq)]
struct Tmpfs {
    mode: Option<u32>,
    data: Vec<(String, String)>,
    attributes: MountAttrFlags,
}

impl Tmpfs {
    /// Starts from Docker's `nosuid,nodev,noexec`; a later option beats an earlier one.
    fn parse(size: Option<u64>, mode: Option<u32>, options: &[String]) -> Result<Tmpfs, String> {
        let mut tmpfs = Tmpfs {
            mode,
            data: Vec::new(),
            attributes: MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC,
        };
        if let Some(size) = size {
            tmpfs.data.push(("size".into(), size.to_string()));
        }
        for option in options
            .iter()
            .flat_map(|o| o.split(','))
            .filter(|o| !o.is_empty())
        {
            tmpfs.option(option)?;
        }
        Ok(tmpfs)
    }

    fn option(&mut self, option: &str) -> Result<(), String> {
        let flag = |name: &str| match name {
            "ro" | "rw" => Some(MountAttrFlags::MOUNT_ATTR_RDONLY),
            "nosuid" | "suid" => Some(MountAttrFlags::MOUNT_ATTR_NOSUID),
            "nodev" | "dev" => Some(MountAttrFlags::MOUNT_ATTR_NODEV),
            "noexec" | "exec" => Some(MountAttrFlags::MOUNT_ATTR_NOEXEC),
            "noatime" => Some(MountAttrFlags::MOUNT_ATTR_NOATIME),
            _ => None,
        };
        if let Some(flag) = flag(option) {
            let set = option == "ro" || option.starts_with("no");
            self.attributes.set(flag, set);
            return Ok(());
        }
        let invalid = || format!("invalid tmpfs option \"{option}\"");
        match option.split_once('=').ok_or_else(invalid)? {
            ("mode", value) => {
                self.mode = Some(u32::from_str_radix(value, 8).map_err(|_| invalid())?);
            }
            (key @ ("size" | "uid" | "gid" | "nr_inodes"), value) if !value.is_empty() => {
                self.data.retain(|(known, _)| known != key);
                self.data.push((key.into(), value.into()));
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }

    fn mount(&self) -> rustix::io::Result<OwnedFd> {
        let mode = format!("{:o}", self.mode.unwrap_or(0o1777));
        let mut options: Vec<(&str, &str)> = vec![("mode", &mode)];
        options.extend(self.data.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        new_mount("tmpfs", &options, self.attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size: Option<u64>, options: &[&str]) -> Result<String, String> {
        let options: Vec<String> = options.iter().map(|s| s.to_string()).collect();
        let tmpfs = Tmpfs::parse(size, None, &options)?;
        let data: Vec<String> = tmpfs.data.iter().map(|(k, v)| format!("{k}={v}")).collect();
        Ok(format!(
            "{:x} {:?} {}",
            tmpfs.attributes.bits(),
            tmpfs.mode,
            data.join(" ")
        ))
    }

    #[test]
    fn tmpfs_options() {
        assert_eq!(check(None, &[]), Ok("e None ".into()));
        assert_eq!(
            check(Some(4096), &["exec,ro"]),
            Ok("7 None size=4096".into())
        );
        assert_eq!(
            check(Some(4096), &["size=64k", "mode=700", "uid=5"]),
            Ok("e Some(448) size=64k uid=5".into())
        );
        assert_eq!(
            check(None, &["mode=9"]),
            Err("invalid tmpfs option \"mode=9\"".into())
        );
        assert_eq!(
            check(None, &["huge=always"]),
            Err("invalid tmpfs option \"huge=always\"".into())
        );
        assert_eq!(
            check(None, &["fast"]),
            Err("invalid tmpfs option \"fast\"".into())
        );
    }
}
