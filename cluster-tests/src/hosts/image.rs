//! The image that the tests and the demo run: Debian's static busybox and links to it, nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tar::{Builder, EntryType, Header};

use super::api::Api;

/// Name of the image on each host.
pub const IMAGE: &str = "starling-test:1";

const BUSYBOX: &str = "/bin/busybox";

/// The root file system as a tar, for `POST /images/create?fromSrc=-`.
pub fn rootfs_tar() -> Result<Vec<u8>> {
    let program = fs::read(BUSYBOX)
        .with_context(|| format!("no {BUSYBOX}: apt-get install busybox-static"))?;
    ensure!(
        is_static(&program),
        "{BUSYBOX} is not statically linked: apt-get install busybox-static"
    );
    let applets = Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .context("cannot list busybox's applets")?;
    let mut tar = Builder::new(Vec::new());
    for directory in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        let mode = if directory == "tmp" { 0o1777 } else { 0o755 };
        append(&mut tar, directory, EntryType::Directory, mode, b"")?;
    }
    append(&mut tar, "bin/busybox", EntryType::Regular, 0o755, &program)?;
    for applet in String::from_utf8(applets.stdout)?
        .lines()
        .filter(|name| *name != "busybox")
    {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut header, Path::new("bin").join(applet), "busybox")?;
    }
    append(
        &mut tar,
        "etc/passwd",
        EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\n",
    )?;
    append(
        &mut tar,
        "etc/group",
        EntryType::Regular,
        0o644,
        b"root:x:0:\n",
    )?;
    Ok(tar.into_inner()?)
}

/// Imports it on one host.
pub(super) fn import(api: &Api, rootfs: Vec<u8>) -> Result<()> {
    let (name, tag) = IMAGE.split_once(':').expect("the constant has a tag");
    api.upload(
        &format!("/images/create?fromSrc=-&repo={name}&tag={tag}"),
        rootfs,
    )?;
    api.get(&format!("/images/{IMAGE}/json"))
        .context("the image is not there after its import")?;
    Ok(())
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    data: &[u8],
) -> Result<()> {
    let mut header = header(kind, mode, data.len() as u64);
    Ok(tar.append_data(&mut header, path, data)?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Whether an ELF file (64 bit, little endian) asks for no interpreter, that is, no dynamic linker.
fn is_static(elf: &[u8]) -> bool {
    const PROGRAM_INTERPRETER: u32 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = elf.get(at..at + size)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    // Offsets of the ELF header, see elf(5): e_phoff, e_phentsize, e_phnum.
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return false;
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && (0..count).all(|row| {
            let entry = usize::try_from(table + row * size).unwrap_or(usize::MAX - 4);
            number(entry, 4).is_some_and(|kind| kind != u64::from(PROGRAM_INTERPRETER))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_told_from_a_static_one() {
        // This test program is linked as the workspace is: static. The shell of a Debian system is not.
        let me = fs::read(std::env::current_exe().expect("own path")).expect("own file");
        assert!(is_static(&me));
        let shell = fs::read("/bin/sh").expect("/bin/sh");
        assert!(!is_static(&shell));
        assert!(!is_static(b"#!/bin/sh\n"));
    }

    #[test]
    fn the_root_file_system_holds_busybox_and_a_shell() {
        let rootfs = rootfs_tar().expect("busybox-static is installed");
        let mut archive = tar::Archive::new(rootfs.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .expect("entries")
            .map(|entry| {
                entry
                    .expect("entry")
                    .path()
                    .expect("path")
                    .display()
                    .to_string()
            })
            .collect();
        for wanted in ["bin/busybox", "bin/sh", "bin/sleep", "etc/passwd"] {
            assert!(
                paths.iter().any(|path| path == wanted),
                "no {wanted} in {paths:?}"
            );
        }
    }
}
