//! The `local` driver's options: a file system that is mounted while a container uses the volume.

use super::Volume;
use crate::error::VolumeError;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::ToSocketAddrs;
use std::path::Path;

/// Options that Docker's driver knows, and which other ones each needs.
const OPTIONS: [(&str, &[&str]); 3] = [
    ("type", &["device"]),
    ("o", &["device", "type"]),
    ("device", &["type"]),
];
/// Tries to unmount what is busy: whoever looks at it (a backup, a shell) may be done in a moment.
const UNMOUNT_TRIES: u32 = 5;
/// Pause between two of them.
const UNMOUNT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Says what is wrong with the options, in Docker's words.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<(), VolumeError> {
    let invalid = |text: String| Err(VolumeError::Invalid(text));
    for name in options.keys() {
        if name == "size" {
            let text = "quota size requested but no quota support: limit the file system of the device instead";
            return invalid(text.into());
        }
        let Some((_, needs)) = OPTIONS.iter().find(|(known, _)| known == name) else {
            return invalid(format!("invalid option: \"{name}\""));
        };
        let missing = |other: &&&str| options.get(**other).is_none_or(String::is_empty);
        if let Some(other) = needs.iter().find(missing) {
            return invalid(format!("missing required option: \"{other}\""));
        }
    }
    Ok(())
}

/// Mounts the volume's device. A volume without options has none; one that is mounted already stays so.
pub(super) fn mount(volume: &Volume) -> Result<(), VolumeError> {
    let option = |name: &str| volume.options.get(name).map_or("", String::as_str);
    let (kind, device) = (option("type"), option("device"));
    if device.is_empty() || is_mounted(&volume.mountpoint) {
        return Ok(());
    }
    let failed = |source: io::Error| VolumeError::Mount {
        name: volume.name.clone(),
        device: device.into(),
        source,
    };
    let (flags, data) = flags(option("o"));
    let data = resolved(kind, data).map_err(failed)?;
    let data = CString::new(data.join(",")).map_err(|e| failed(e.into()))?;
    let data = (!data.is_empty()).then_some(data);
    let target = &volume.mountpoint;
    rustix::mount::mount(device, target, kind, flags, data.as_deref())
        .map_err(|errno| failed(errno.into()))?;
    // A bind takes no other flag at first.
    let rest = flags - (MountFlags::BIND | MountFlags::REC);
    if flags.contains(MountFlags::BIND) && !rest.is_empty() {
        let again = rustix::mount::mount_remount(target, MountFlags::BIND | rest, c"");
        if let Err(errno) = again {
            // The first error is the one to tell.
            let _ = unmount(target);
            return Err(failed(errno.into()));
        }
    }
    Ok(())
}

/// What is not mounted is no error.
pub(super) fn unmount(target: &Path) -> io::Result<()> {
    for _ in 0..UNMOUNT_TRIES {
        if !is_mounted(target) {
            return Ok(());
        }
        match rustix::mount::unmount(target, UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(Errno::BUSY) => std::thread::sleep(UNMOUNT_PAUSE),
            Err(errno) => return Err(errno.into()),
        }
    }
    if is_mounted(target) {
        return Err(Errno::BUSY.into());
    }
    Ok(())
}

fn is_mounted(path: &Path) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let looked = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS);
    looked.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Flags of mount(2), and what is for the file system itself.
fn flags(options: &str) -> (MountFlags, Vec<String>) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').map(str::trim).filter(|o| !o.is_empty()) {
        let (on, flag) = match option {
            "defaults" => continue,
            "ro" => (true, MountFlags::RDONLY),
            "rw" => (false, MountFlags::RDONLY),
            "nosuid" => (true, MountFlags::NOSUID),
            "suid" => (false, MountFlags::NOSUID),
            "nodev" => (true, MountFlags::NODEV),
            "dev" => (false, MountFlags::NODEV),
            "noexec" => (true, MountFlags::NOEXEC),
            "exec" => (false, MountFlags::NOEXEC),
            "sync" => (true, MountFlags::SYNCHRONOUS),
            "async" => (false, MountFlags::SYNCHRONOUS),
            "dirsync" => (true, MountFlags::DIRSYNC),
            "noatime" => (true, MountFlags::NOATIME),
            "atime" => (false, MountFlags::NOATIME),
            "nodiratime" => (true, MountFlags::NODIRATIME),
            "diratime" => (false, MountFlags::NODIRATIME),
            "relatime" => (true, MountFlags::RELATIME),
            "norelatime" => (false, MountFlags::RELATIME),
            "strictatime" => (true, MountFlags::STRICTATIME),
            "bind" => (true, MountFlags::BIND),
            "rbind" => (true, MountFlags::BIND | MountFlags::REC),
            other => {
                data.push(other.to_owned());
                continue;
            }
        };
        flags.set(flag, on);
    }
    (flags, data)
}

/// The kernel wants the address of a server of files, not its name.
fn resolved(kind: &str, data: Vec<String>) -> io::Result<Vec<String>> {
    if !kind.starts_with("nfs") && kind != "cifs" {
        return Ok(data);
    }
    let resolve = |option: String| match option.strip_prefix("addr=") {
        None => Ok(option),
        Some(name) => {
            let mut found = (name, 0).to_socket_addrs()?;
            let found = found.next().ok_or_else(|| {
                io::Error::other(format!(
                    "error resolving passed in network volume address: {name}"
                ))
            })?;
            Ok(format!("addr={}", found.ip()))
        }
    };
    data.into_iter().map(resolve).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
        pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    #[test]
    fn options_are_checked_as_docker_does() {
        assert!(check(&options("")).is_ok());
        assert!(check(&options("type=tmpfs device=tmpfs o=size=1m")).is_ok());
        for (given, text) in [
            ("foo=1", "invalid option: \"foo\""),
            ("type=nfs", "missing required option: \"device\""),
            ("device=/x", "missing required option: \"type\""),
        ] {
            assert_eq!(check(&options(given)).unwrap_err().to_string(), text);
        }
        assert!(check(&options("size=1g")).is_err());
    }

    #[test]
    fn flags_and_data_are_told_apart() {
        let (set, data) = flags("ro,size=1m,nosuid,suid,uid=7");
        assert_eq!(set, MountFlags::RDONLY);
        assert_eq!(data, ["size=1m", "uid=7"]);
        let data = resolved("nfs", vec!["addr=127.0.0.1".into(), "nolock".into()]).unwrap();
        assert_eq!(data, ["addr=127.0.0.1", "nolock"]);
    }
}
