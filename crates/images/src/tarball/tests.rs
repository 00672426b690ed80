//! Tars of GNU tar (the `tar` command), of the `tar` crate, and made by hand.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use super::*;

/// All members with their data.
fn read_all(tar: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let mut reader = TarReader::new(tar);
    let mut members = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        members.push((entry, data));
    }
    Ok(members)
}

/// What the `tar` command makes of `names` in `directory`.
fn gnu_tar(directory: &Path, options: &[&str], names: &[&str]) -> Vec<u8> {
    let output = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .args(options)
        .args(["-c", "-f", "-"])
        .args(names)
        .output();
    let output = output.expect("tar is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn long_names_of_all_formats() {
    let directory = tempfile::tempdir().unwrap();
    let deep = format!("{}/{}", "d".repeat(120), "f".repeat(150));
    std::fs::create_dir(directory.path().join("d".repeat(120))).unwrap();
    std::fs::write(directory.path().join(&deep), b"content").unwrap();
    std::os::unix::fs::symlink(&deep, directory.path().join("link")).unwrap();
    for format in ["--format=gnu", "--format=pax", "--format=oldgnu"] {
        let tar = gnu_tar(directory.path(), &[format], &[&deep, "link"]);
        let members = read_all(&tar).unwrap();
        assert_eq!(members.len(), 2, "{format}");
        assert_eq!(members[0].0.name, deep.as_bytes(), "{format}");
        assert_eq!(members[0].1, b"content", "{format}");
        assert_eq!(members[1].0.kind, EntryKind::Symlink, "{format}");
        assert_eq!(members[1].0.link, deep.as_bytes(), "{format}");
    }
    // The prefix field of ustar has place for a directory of up to 155 bytes.
    let short = format!("{}/short", "d".repeat(120));
    std::fs::write(directory.path().join(&short), b"x").unwrap();
    let tar = gnu_tar(directory.path(), &["--format=ustar"], &[&short]);
    assert_eq!(read_all(&tar).unwrap()[0].0.name, short.as_bytes());
}

#[test]
fn sparse_files_of_all_formats() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(directory.path().join("holes")).unwrap();
    let mut want = vec![0; 3 << 20];
    // Enough runs for a second map block of the old format.
    for at in (0..30).map(|i| i * 100_000 + 4096) {
        use std::io::Seek;
        file.seek(std::io::SeekFrom::Start(at)).unwrap();
        file.write_all(b"data").unwrap();
        want[usize::try_from(at).unwrap()..][..4].copy_from_slice(b"data");
    }
    file.set_len(want.len() as u64).unwrap();
    drop(file);
    std::fs::write(directory.path().join("after"), b"after").unwrap();
    for options in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let tar = gnu_tar(
            directory.path(),
            &[&["--sparse"], options].concat(),
            &["holes", "after"],
        );
        assert!(tar.len() < want.len(), "{options:?}: the tar is sparse");
        let members = read_all(&tar).unwrap();
        let (entry, data) = &members[0];
        assert_eq!(entry.name, b"holes", "{options:?}");
        assert_eq!(entry.size, want.len() as u64, "{options:?}");
        let mut got = vec![0; want.len()];
        let mut data = data.as_slice();
        for chunk in entry.sparse.as_ref().expect("it has a map") {
            let (offset, length) = (chunk.offset as usize, chunk.length as usize);
            data.read_exact(&mut got[offset..offset + length]).unwrap();
        }
        assert!(data.is_empty() && got == want, "{options:?}");
        assert_eq!(members[1].1, b"after", "{options:?}");
    }
}

#[test]
fn pax_values_may_be_any_bytes() {
    let value = b"line\nnext=1\n\0\xff 12 a=b\n";
    let record = [b" SCHILY.xattr.user.x=", &value[..], b"\n"].concat();
    let record = [(record.len() + 2).to_string().as_bytes(), &record].concat();
    let mut tar = Vec::new();
    member(
        &mut tar,
        "pax",
        b'x',
        &[&record[..], b"25 mtime=1700000000.2500\n"].concat(),
    );
    member(&mut tar, "name", b'0', b"data");
    let members = read_all(&tar).unwrap();
    assert_eq!(members[0].0.xattrs, [(b"user.x".to_vec(), value.to_vec())]);
    assert_eq!(members[0].0.mtime, (1_700_000_000, 250_000_000));
    for wrong in [
        "24 mtime=1700000000.2500\n",
        "26 mtime=1700000000.2500\n",
        "x a=b\n",
        "6 a=b",
        "6 a:b\n",
        "2 \n",
        "99999999999999999999 a=b\n",
    ] {
        let mut tar = Vec::new();
        member(&mut tar, "pax", b'x', wrong.as_bytes());
        member(&mut tar, "name", b'0', b"data");
        assert!(read_all(&tar).is_err(), "{wrong:?}");
    }
}

#[test]
fn what_the_tar_crate_writes_is_read() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o4755);
    header.set_uid(70_000_000);
    header.set_gid(3);
    header.set_mtime(12);
    header.set_size(3);
    builder
        .append_data(&mut header, "a/b", &b"abc"[..])
        .unwrap();
    header.set_entry_type(tar::EntryType::Char);
    header.set_device_major(1).unwrap();
    header.set_device_minor(3).unwrap();
    header.set_size(0);
    builder
        .append_data(&mut header, "null", std::io::empty())
        .unwrap();
    let members = read_all(&builder.into_inner().unwrap()).unwrap();
    let (entry, data) = &members[0];
    assert_eq!(
        (entry.mode, entry.uid, entry.gid, entry.mtime, entry.size),
        (0o4755, 70_000_000, 3, (12, 0), 3)
    );
    assert_eq!(data, b"abc");
    assert_eq!(members[1].0.kind, EntryKind::CharDevice);
    assert_eq!(members[1].0.device, (1, 3));
}

#[test]
fn damaged_tars_are_refused() {
    let mut tar = Vec::new();
    member(&mut tar, "a", b'0', &[7; 1000]);
    member(&mut tar, "b", b'0', &[8; 10]);
    assert_eq!(
        read_all(&tar).unwrap().len(),
        2,
        "the end may be the end of the stream"
    );
    for length in 1..tar.len() {
        // Cut between two members, or in what fills the last block, it is whole as far as a tar can tell.
        let whole = matches!(length, 1512..=1536 | 2058..);
        assert_eq!(read_all(&tar[..length]).is_ok(), whole, "{length}");
    }
    let mut damaged = tar.clone();
    damaged[0] = b'x';
    let error = read_all(&damaged).unwrap_err();
    assert_eq!(error.to_string(), "a member's header has a wrong checksum");
    let mut holed = tar[..1536].to_vec();
    holed.extend([0; 512]);
    holed.extend(&tar[1536..]);
    assert!(read_all(&holed).is_err(), "one empty block between members");
    let mut tar = Vec::new();
    member(&mut tar, "long", b'L', &[b'n'; (1 << 20) + 1]);
    assert!(read_all(&tar).is_err(), "a name of more than 1 MiB");
    let mut tar = Vec::new();
    member(&mut tar, "long", b'L', b"name");
    assert!(read_all(&tar).is_err(), "a long name of nothing");
    let mut tar = Vec::new();
    member(&mut tar, "odd", b'?', b"");
    assert_eq!(
        read_all(&tar).unwrap_err().to_string(),
        "a member has an unknown type"
    );
}

#[test]
fn global_headers_hold_until_they_are_taken_back() {
    let mut tar = Vec::new();
    member(&mut tar, "g", b'g', b"9 uid=12\n");
    member(&mut tar, "a", b'0', b"");
    member(&mut tar, "x", b'x', b"9 uid=13\n");
    member(&mut tar, "b", b'0', b"");
    member(&mut tar, "g", b'g', b"7 uid=\n");
    member(&mut tar, "c", b'0', b"");
    let uids: Vec<u64> = read_all(&tar)
        .unwrap()
        .iter()
        .map(|(entry, _)| entry.uid)
        .collect();
    assert_eq!(uids, [12, 13, 0]);
}

fn member(tar: &mut Vec<u8>, name: &str, kind: u8, data: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(data.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.extend(header.as_bytes());
    tar.extend(data);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}
