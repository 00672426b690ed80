//! What becomes of a layer's tar on disk, and what is refused. Layers come in by `import`.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::support::{Member, TestStore, gzip, listing, tar};

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

fn is_whiteout(path: &Path) -> bool {
    let metadata = path.symlink_metadata().unwrap();
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

#[tokio::test]
async fn files_of_all_kinds_keep_their_attributes() {
    let store = TestStore::new();
    let members = [
        Member::dir("./")
            .mode(0o751)
            .owner(5, 6)
            .mtime(1_000_000_000),
        Member::dir("bin/").mode(0o1777).mtime(1_100_000_000),
        Member::file("bin/su", b"#!")
            .mode(0o4755)
            .owner(0, 42)
            .mtime(1_200_000_000),
        Member::file("bin/wall", b"x").mode(0o2755),
        Member::hard_link("bin/su2", "/bin/su"),
        Member::symlink("bin/sh", "su").owner(7, 8),
        Member::symlink("out", "/etc/passwd"),
        Member::symlink("up", "../../../../etc/passwd"),
        Member::hard_link("sh2", "bin/sh"),
        Member::char_device("dev/null", 1, 3).mode(0o666),
        Member::block_device("dev/loop0", 7, 0)
            .mode(0o660)
            .owner(0, 6),
        Member::fifo("run/pipe").mode(0o600),
        Member::file("empty", b"").mode(0),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    let found = listing(&root);
    for (name, want) in [
        ("bin", "41777 0:0"),
        ("bin/su", "104755 0:42"),
        ("bin/wall", "102755 0:0"),
        ("bin/su2", "104755 0:42"),
        ("bin/sh", "120777 7:8 -> su"),
        ("out", "120777 0:0 -> /etc/passwd"),
        ("up", "120777 0:0 -> ../../../../etc/passwd"),
        ("sh2", "120777 7:8 -> su"),
        ("dev", "40755 0:0"),
        ("dev/null", "20666 0:0"),
        ("dev/loop0", "60660 0:6"),
        ("run/pipe", "10600 0:0"),
        ("empty", "100000 0:0"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(want), "{name}");
    }
    assert_eq!(found.len(), 14, "{found:?}");
    let metadata = |name: &str| root.join(name).symlink_metadata().unwrap();
    assert_eq!(metadata("bin/su").ino(), metadata("bin/su2").ino());
    assert_eq!(metadata("dev/null").rdev(), rustix::fs::makedev(1, 3));
    assert_eq!(metadata("bin/su").mtime(), 1_200_000_000);
    assert_eq!(
        metadata("bin").mtime(),
        1_100_000_000,
        "a directory's time, although files were made in it"
    );
    let own = metadata(".");
    assert_eq!(
        (own.mode(), own.uid(), own.gid(), own.mtime()),
        (0o40751, 5, 6, 1_000_000_000)
    );
}

#[tokio::test]
async fn extended_attributes_are_set_and_overlays_own_are_not() {
    let store = TestStore::new();
    // A capability set with a newline byte in it, as real ones have.
    let capability =
        b"\x01\x00\x00\x02\x00\x04\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let members = [
        Member::file("ping", b"x")
            .xattr("security.capability", capability)
            .xattr("user.note", b"a\nb=c"),
        Member::dir("d/")
            .xattr("trusted.overlay.opaque", b"y")
            .xattr("trusted.mine", b"1"),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    assert_eq!(
        xattr(&root.join("ping"), "security.capability").as_deref(),
        Some(&capability[..])
    );
    assert_eq!(
        xattr(&root.join("ping"), "user.note").as_deref(),
        Some(&b"a\nb=c"[..])
    );
    assert_eq!(
        xattr(&root.join("d"), "trusted.mine").as_deref(),
        Some(&b"1"[..])
    );
    assert_eq!(xattr(&root.join("d"), "trusted.overlay.opaque"), None);
}

#[tokio::test]
async fn long_names_and_times_of_pax() {
    let store = TestStore::new();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(255));
    let members = [
        Member::file("short", b"x")
            .pax("path", long.as_bytes())
            .pax("mtime", b"1600000000.123456789"),
        Member::symlink("l", "t").pax("linkpath", "t".repeat(300).as_bytes()),
        Member::file("big-owner", b"").pax("uid", b"4000000000"),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    let metadata = root.join(&long).symlink_metadata().unwrap();
    assert_eq!(
        (metadata.mtime(), metadata.mtime_nsec()),
        (1_600_000_000, 123_456_789)
    );
    assert_eq!(
        std::fs::read_link(root.join("l"))
            .unwrap()
            .as_os_str()
            .len(),
        300
    );
    assert_eq!(
        root.join("big-owner").symlink_metadata().unwrap().uid(),
        4_000_000_000
    );
}

#[tokio::test]
async fn sparse_files_keep_their_holes() {
    let store = TestStore::new();
    let source = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(source.path().join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"end", (8 << 20) - 3).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax"],
        &["--format=pax", "--sparse-version=0.1"],
    ] {
        let mut command = std::process::Command::new("tar");
        command
            .arg("-C")
            .arg(source.path())
            .args(["-c", "-S", "-f", "-"])
            .args(format)
            .arg("holes");
        let id = store
            .import(crate::support::run(&mut command).stdout)
            .await
            .unwrap();
        let path = store.layer(&id).join("holes");
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.len(), 8 << 20, "{format:?}");
        assert!(
            metadata.blocks() * 512 < 1 << 20,
            "{format:?}: it has holes"
        );
        assert!(
            std::fs::read(path).unwrap().ends_with(b"\0end"),
            "{format:?}"
        );
        assert_eq!(store.images.inspect(id.as_str()).unwrap().size, 8 << 20);
    }
}

#[tokio::test]
async fn whiteouts_become_overlays() {
    let store = TestStore::new();
    let members = [
        Member::dir("etc/"),
        Member::file("etc/.wh.passwd", b""),
        Member::file(".wh.gone-dir", b""),
        Member::dir("var/"),
        Member::file("var/.wh..wh..opq", b""),
        Member::file("var/new", b"x"),
        // Of this layer itself: a whiteout is about the layers below only, before or after.
        Member::file("both-file", b"x"),
        Member::file(".wh.both-file", b""),
        Member::file(".wh.late-file", b""),
        Member::file("late-file", b"x"),
        Member::dir("both-dir/"),
        Member::file(".wh.both-dir", b""),
        Member::file(".wh.late-dir", b""),
        Member::dir("late-dir/"),
        // For aufs only.
        Member::file(".wh..wh.aufs", b""),
        Member::dir(".wh..wh.plnk/"),
        Member::file(".wh..hidden", b""),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    let opaque =
        |name: &str| xattr(&root.join(name), "trusted.overlay.opaque").as_deref() == Some(b"y");
    for name in ["etc/passwd", "gone-dir", ".hidden"] {
        assert!(is_whiteout(&root.join(name)), "{name}");
    }
    assert!(opaque("var") && !opaque("etc"));
    assert!(root.join("both-file").is_file() && root.join("late-file").is_file());
    assert!(
        opaque("both-dir") && opaque("late-dir"),
        "what is below is hidden, what is here is not"
    );
    let names: Vec<String> = listing(&root).into_keys().collect();
    assert!(!names.iter().any(|name| name.contains(".wh.")), "{names:?}");
}

/// The lower directories as the kernel sees them.
#[tokio::test]
async fn an_overlay_of_the_layers_shows_what_the_image_has() {
    let store = TestStore::new();
    let base = tar(&[
        Member::dir("a/"),
        Member::file("a/old", b"old"),
        Member::file("a/kept", b"kept"),
        Member::dir("b/"),
        Member::file("b/old", b"old"),
        Member::file("top", b"1"),
    ]);
    let upper = tar(&[
        Member::file("a/.wh.old", b""),
        Member::file("b/.wh..wh..opq", b""),
        Member::file("b/new", b"new"),
        Member::file("top", b"2"),
    ]);
    let config = crate::support::config(&[&base, &upper], "x");
    store
        .load(crate::support::archive(
            &config,
            &[&base, &upper],
            &["two:1"],
        ))
        .await
        .unwrap();
    let image = store.images.inspect("two:1").unwrap();
    let rootfs = store.images.rootfs(&image.id).unwrap();
    assert_eq!(rootfs.lower.len(), 2);
    let mount = Overlay::mount(&rootfs.lower);
    let names: Vec<String> = listing(mount.target.path()).into_keys().collect();
    assert_eq!(names, ["a", "a/kept", "b", "b/new", "top"]);
    assert_eq!(
        std::fs::read(mount.target.path().join("top")).unwrap(),
        b"2"
    );
}

#[tokio::test]
async fn an_opaque_root_hides_all_layers_below() {
    let store = TestStore::new();
    let base = tar(&[Member::file("old", b"x")]);
    let upper = tar(&[Member::file(".wh..wh..opq", b""), Member::file("new", b"x")]);
    let config = crate::support::config(&[&base, &upper], "x");
    store
        .load(crate::support::archive(
            &config,
            &[&base, &upper],
            &["two:1"],
        ))
        .await
        .unwrap();
    let rootfs = store
        .images
        .rootfs(&store.images.inspect("two:1").unwrap().id)
        .unwrap();
    assert_eq!(rootfs.lower.len(), 1);
    assert!(rootfs.lower[0].join("new").exists());
}

/// A read-only overlay, unmounted when it is dropped.
struct Overlay {
    target: tempfile::TempDir,
}

impl Overlay {
    fn mount(lower: &[std::path::PathBuf]) -> Self {
        let target = tempfile::tempdir().unwrap();
        let lower: Vec<String> = lower
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let options = format!("lowerdir={}", lower.join(":"));
        let mut command = std::process::Command::new("mount");
        crate::support::run(
            command
                .args(["-t", "overlay", "overlay", "-o", &options])
                .arg(target.path()),
        );
        Self { target }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(self.target.path())
            .status();
    }
}

#[tokio::test]
async fn later_entries_replace_earlier_ones() {
    let store = TestStore::new();
    let members = [
        Member::file("f", b"1"),
        Member::file("f", b"2"),
        Member::dir("d/"),
        Member::file("d/x", b"x"),
        Member::symlink("d", "elsewhere"),
        Member::symlink("s", "elsewhere"),
        Member::dir("s/"),
        Member::file("s/y", b"y"),
        Member::dir("m/").mode(0o700),
        Member::file("m/z", b"z"),
        Member::dir("m/").mode(0o711),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    assert_eq!(std::fs::read(root.join("f")).unwrap(), b"2");
    assert_eq!(
        std::fs::read_link(root.join("d")).unwrap(),
        Path::new("elsewhere")
    );
    assert!(root.join("s/y").is_file() && root.join("m/z").is_file());
    assert_eq!(root.join("m").metadata().unwrap().mode(), 0o40711);
}

#[tokio::test]
async fn a_link_within_the_layer_may_be_followed() {
    let store = TestStore::new();
    let members = [
        Member::dir("usr/lib/"),
        Member::symlink("lib", "usr/lib"),
        Member::file("lib/x", b"x"),
        Member::symlink("usr/up", "../usr/lib"),
        Member::file("usr/up/y", b"y"),
        Member::hard_link("z", "lib/x"),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    let root = store.layer(&id);
    assert!(
        root.join("usr/lib/x").is_file()
            && root.join("usr/lib/y").is_file()
            && root.join("z").is_file()
    );
    assert!(root.join("lib").is_symlink());
}

/// Each of these tries to write or link something outside of the layer. The canary must stay as it is.
#[tokio::test]
async fn what_tries_to_leave_the_root_is_refused() {
    let store = TestStore::new();
    let outside = tempfile::tempdir().unwrap();
    let canary = outside.path().join("canary");
    std::fs::write(&canary, b"untouched").unwrap();
    let absolute = outside.path().to_str().unwrap();
    let climb = format!("{}{absolute}", "../".repeat(16));
    let cases: Vec<(&str, Vec<Member>)> = vec![
        ("dots in a name", vec![Member::file("../evil", b"x")]),
        (
            "dots in the middle",
            vec![Member::file("a/../../evil", b"x")],
        ),
        ("dots after a slash", vec![Member::file("/../evil", b"x")]),
        ("a directory above", vec![Member::dir("../evil/")]),
        ("a link above", vec![Member::symlink("../evil", "x")]),
        (
            "an absolute link",
            vec![
                Member::symlink("l", absolute),
                Member::file("l/canary", b"evil"),
            ],
        ),
        (
            "a new file",
            vec![
                Member::symlink("l", absolute),
                Member::file("l/new", b"evil"),
            ],
        ),
        (
            "a new directory",
            vec![Member::symlink("l", absolute), Member::dir("l/new/")],
        ),
        (
            "deep below",
            vec![
                Member::symlink("l", absolute),
                Member::file("l/a/b/c", b"evil"),
            ],
        ),
        (
            "a climbing link",
            vec![
                Member::symlink("l", &climb),
                Member::file("l/canary", b"evil"),
            ],
        ),
        (
            "a chain",
            vec![
                Member::symlink("a", "b"),
                Member::symlink("b", absolute),
                Member::file("a/canary", b"evil"),
            ],
        ),
        (
            "a hard link",
            vec![Member::hard_link("h", &format!("../../{absolute}/canary"))],
        ),
        (
            "a hard link through a link",
            vec![
                Member::symlink("l", absolute),
                Member::hard_link("h", "l/canary"),
            ],
        ),
        (
            "a whiteout",
            vec![
                Member::symlink("l", absolute),
                Member::file("l/.wh.canary", b""),
            ],
        ),
        (
            "an opaque directory",
            vec![
                Member::symlink("l", absolute),
                Member::file("l/.wh..wh..opq", b""),
            ],
        ),
        (
            "a whiteout of dots",
            vec![Member::dir("a/"), Member::file("a/.wh...", b"")],
        ),
        (
            "a whiteout of a dot",
            vec![Member::dir("a/"), Member::file("a/.wh..", b"")],
        ),
        ("a whiteout of nothing", vec![Member::file(".wh.", b"")]),
        (
            "a link to the host's root",
            vec![Member::symlink("l", "/"), Member::file("l/tmp/evil", b"")],
        ),
        (
            "proc",
            vec![
                Member::symlink("l", "/proc/self/cwd"),
                Member::file("l/evil", b""),
            ],
        ),
        (
            "pax",
            vec![Member::file("x", b"").pax("path", b"../../evil")],
        ),
    ];
    let before = store.contents();
    for (what, members) in cases {
        let error = store
            .import(tar(&members))
            .await
            .expect_err(what)
            .to_string();
        let refused = error.starts_with("refused: entry ")
            && error.contains("tries to leave the root file system");
        assert!(refused, "{what}: {error}");
        assert_eq!(std::fs::read(&canary).unwrap(), b"untouched", "{what}");
        assert_eq!(canary.metadata().unwrap().nlink(), 1, "{what}");
        assert_eq!(
            std::fs::read_dir(outside.path()).unwrap().count(),
            1,
            "{what}"
        );
        assert_eq!(
            xattr(outside.path(), "trusted.overlay.opaque"),
            None,
            "{what}"
        );
        assert_eq!(store.contents(), before, "{what}");
    }
}

/// A hard link to an absolute path is one within the root, as for the files themselves.
#[tokio::test]
async fn absolute_names_are_within_the_root() {
    let store = TestStore::new();
    let members = [
        Member::file("/etc/x", b"mine"),
        Member::hard_link("/y", "/etc/x"),
    ];
    let id = store.import(tar(&members)).await.unwrap();
    assert_eq!(std::fs::read(store.layer(&id).join("y")).unwrap(), b"mine");
}

#[tokio::test]
async fn entries_that_cannot_be_made_are_errors() {
    let store = TestStore::new();
    let before = store.contents();
    for (members, want) in [
        (
            vec![Member::hard_link("h", "nowhere")],
            r#"entry "h": it is a hard link to "nowhere", which is not in this layer"#,
        ),
        (
            vec![Member::hard_link("h", "a/b/c")],
            r#"entry "h": it is a hard link to "a/b/c", which is not in this layer"#,
        ),
        (
            vec![Member::dir("d/"), Member::hard_link("h", "d")],
            r#"entry "h": it is a hard link to a directory"#,
        ),
        (
            vec![Member::hard_link("h", "/")],
            r#"entry "h": it is a hard link to the root"#,
        ),
        (
            vec![Member::file("h", b""), Member::hard_link("h", "h")],
            r#"entry "h": it is a hard link to itself"#,
        ),
        (
            vec![Member::symlink("s", "")],
            r#"entry "s": a symbolic link without a target"#,
        ),
        (
            vec![Member::file("f", b""), Member::file("f/x", b"")],
            r#"entry "f/x": something on its way is not a directory"#,
        ),
        (
            vec![Member::symlink("s", "no"), Member::file("s/x", b"")],
            r#"entry "s/x": it is below a symbolic link that leads nowhere"#,
        ),
        (
            vec![Member::symlink("s", "s"), Member::file("s/x", b"")],
            r#"entry "s/x": there are too many symbolic links on its way"#,
        ),
        (vec![Member::file("./", b"")], ""),
        (
            vec![Member::symlink("/", "x")],
            r#"entry "/": the root of the file system must be a directory"#,
        ),
        (
            vec![Member::file("x", b"").pax("uid", b"5000000000")],
            r#"entry "x": its owner's number is not possible"#,
        ),
        (
            vec![Member::file("x", b"").pax("path", "n".repeat(300).as_bytes())],
            "",
        ),
    ] {
        match store.import(tar(&members)).await {
            // A file whose name ends in a slash is a directory in old tars.
            Ok(id) => {
                assert_eq!(want, "");
                store
                    .images
                    .remove(id.as_str(), false, &|_| Vec::new())
                    .unwrap();
                continue;
            }
            Err(error) if want.is_empty() => assert!(
                error.to_string().contains("its name is too long"),
                "{error}"
            ),
            Err(error) => assert_eq!(error.to_string(), want),
        }
        assert_eq!(store.images.list().len(), 0);
    }
    assert_eq!(store.contents()[4], before[4]);
}

#[tokio::test]
async fn damaged_tars_are_refused_in_words() {
    let store = TestStore::new();
    let good = tar(&[Member::file("a", &[7; 5000]), Member::file("b", b"x")]);
    let before = store.contents();
    for cut in [100, 512, 600, 5000, 6000] {
        let error = store.import(good[..cut].to_vec()).await.err();
        // At 512 the header of `a` is whole, but not its data.
        let text = error.unwrap_or_else(|| panic!("cut at {cut}")).to_string();
        assert!(
            text.starts_with("the tar is damaged or cut short: "),
            "{cut}: {text}"
        );
    }
    let packed = gzip(&good);
    for cut in [5, packed.len() / 2, packed.len() - 4] {
        let text = store
            .import(packed[..cut].to_vec())
            .await
            .expect_err("a gzip that is cut")
            .to_string();
        assert!(
            text.starts_with("the tar is damaged or cut short: "),
            "{cut}: {text}"
        );
    }
    let mut wrong = packed.clone();
    let sum = wrong.len() - 6;
    wrong[sum] ^= 1;
    let text = store
        .import(wrong)
        .await
        .expect_err("a wrong checksum of gzip")
        .to_string();
    assert!(
        text.starts_with("the tar is damaged or cut short: "),
        "{text}"
    );
    let noise: Vec<u8> = (0..5000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for (bytes, want) in [
        (
            noise,
            "the tar is damaged or cut short: a member's header has a wrong checksum",
        ),
        (
            b"BZh91AY&SY".to_vec(),
            "bzip2 compression is not supported: compress with gzip or zstd, or not at all",
        ),
        (
            b"\xfd7zXZ\0\0\0".to_vec(),
            "xz compression is not supported: compress with gzip or zstd, or not at all",
        ),
        (Vec::new(), "cannot read the tar: nothing was sent"),
    ] {
        assert_eq!(store.import(bytes).await.unwrap_err().to_string(), want);
    }
    assert_eq!(store.contents(), before);
}
