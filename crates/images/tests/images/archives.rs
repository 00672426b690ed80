//! `image load` and `image save`, with archives of our own and of skopeo and umoci.

use std::io::Cursor;
use std::process::Command;

use images::{ErrorKind, LoadError, Progress, SaveError};
use serde_json::Value;

use crate::support::{
    Member, TestStore, archive, config, digest, gzip, read_through, recorder, run, simple_archive,
    simple_layer, skopeo, tar,
};

#[tokio::test]
async fn a_docker_archive_is_loaded() {
    let store = TestStore::new();
    let (base, top) = (simple_layer("base"), simple_layer("top"));
    let config = config(&[&base, &top], "sh");
    let bytes = archive(
        &config,
        &[&base, &top],
        &["busybox:1", "localhost:5000/team/app:v2"],
    );
    let (progress, messages) = recorder();
    let loaded = store
        .images
        .load(Cursor::new(bytes), progress)
        .await
        .unwrap();
    let lines: Vec<String> = loaded.iter().map(images::Loaded::message).collect();
    assert_eq!(
        lines,
        [
            "Loaded image: busybox:1",
            "Loaded image: localhost:5000/team/app:v2"
        ]
    );
    let image = store.images.inspect("busybox:1").unwrap();
    assert_eq!(
        image.id.as_str(),
        digest(&config),
        "the ID is the digest of the configuration"
    );
    assert_eq!(
        store
            .images
            .inspect("localhost:5000/team/app:v2")
            .unwrap()
            .id,
        image.id
    );
    assert_eq!(
        (
            image.author.as_str(),
            image.architecture.as_str(),
            image.size
        ),
        ("the tests", "amd64", 7)
    );
    assert_eq!(image.config.env, ["PATH=/bin"]);
    assert_eq!(image.config.labels["a"], "b");
    assert_eq!(image.created, "2024-01-02T03:04:05Z");
    assert_eq!(image.created_unix_nanos(), 1_704_164_645_000_000_000);
    let rootfs = store.images.rootfs(&image.id).unwrap();
    assert_eq!(rootfs.lower.len(), 2);
    assert_eq!(
        read_through(&rootfs.lower, "etc/content"),
        "top",
        "topmost first"
    );
    assert_eq!(
        std::fs::read_to_string(rootfs.lower[1].join("etc/content")).unwrap(),
        "base"
    );
    let history = store.images.history("busybox:1").unwrap();
    assert_eq!(
        history.iter().map(|step| step.size).collect::<Vec<_>>(),
        [3, 4]
    );
    assert_eq!(history[0].tags, ["busybox:1", "localhost:5000/team/app:v2"]);
    assert!(
        messages
            .lock()
            .unwrap()
            .iter()
            .any(|message| message.status == "Loading layer")
    );
    assert!(store.entries("tmp").is_empty());
}

#[tokio::test]
async fn an_image_without_names_is_told_by_its_id() {
    let store = TestStore::new();
    let loaded = store.load(simple_archive("x", &[])).await.unwrap();
    assert_eq!(
        loaded[0].message(),
        format!("Loaded image ID: {}", loaded[0].id)
    );
    assert_eq!(store.images.list().len(), 1);
}

#[tokio::test]
async fn compressed_layers_and_archives_are_loaded() {
    let store = TestStore::new();
    let layer = simple_layer("x");
    let config = config(&[&layer], "sh");
    let gzipped = archive(&config, &[&gzip(&layer)], &["gz:1"]);
    store.load(gzip(&gzipped)).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(
        directory.path().join("archive"),
        archive(&config, &[&layer], &["plain:1"]),
    )
    .unwrap();
    store
        .load(std::fs::read(directory.path().join("archive")).unwrap())
        .await
        .unwrap();
    assert_eq!(
        store.images.inspect("gz:1").unwrap().id,
        store.images.inspect("plain:1").unwrap().id
    );
    assert_eq!(store.entries("layers").len(), 1);
    // Two gzip streams one after another, as pigz makes.
    let other = simple_layer("several streams");
    let two = [gzip(&other[..700]), gzip(&other[700..])].concat();
    store
        .load(archive(
            &crate::support::config(&[&other], "x"),
            &[&two],
            &["two:1"],
        ))
        .await
        .unwrap();
}

#[tokio::test]
async fn old_archives_with_links_between_layers_are_loaded() {
    let store = TestStore::new();
    let layer = simple_layer("x");
    let config = config(&[&layer, &layer], "sh");
    let manifest =
        br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar"]}]"#;
    let members = [
        Member::dir("a/"),
        Member::file("a/VERSION", b"1.0"),
        Member::file("a/layer.tar", &layer),
        Member::symlink("b/layer.tar", "../a/layer.tar"),
        Member::file("c.json", &config),
        Member::file("./manifest.json", manifest),
    ];
    let loaded = store.load(tar(&members)).await.unwrap();
    assert_eq!(store.images.rootfs(&loaded[0].id).unwrap().lower.len(), 2);
    assert_eq!(store.images.inspect(loaded[0].id.as_str()).unwrap().size, 2);
}

#[tokio::test]
async fn what_is_saved_can_be_loaded_again_with_the_same_ids() {
    let store = TestStore::new();
    let (base, top) = (simple_layer("base"), simple_layer("top"));
    let first = config(&[&base, &top], "one");
    let second = config(&[&base], "two");
    store
        .load(archive(&first, &[&gzip(&base), &top], &["one:1", "one:2"]))
        .await
        .unwrap();
    store
        .load(archive(&second, &[&base], &["reg.example:5000/two:latest"]))
        .await
        .unwrap();
    let saved = store.save(&["one", "reg.example:5000/two"]).await;
    assert_eq!(
        saved,
        store.save(&["one", "reg.example:5000/two"]).await,
        "the same images make the same archive"
    );
    let other = TestStore::new();
    let loaded = other.load(saved).await.unwrap();
    let lines: Vec<String> = loaded.iter().map(images::Loaded::message).collect();
    let want = [
        "Loaded image: one:1",
        "Loaded image: one:2",
        "Loaded image: reg.example:5000/two:latest",
    ];
    assert_eq!(lines, want);
    for name in ["one:1", "one:2", "reg.example:5000/two"] {
        let (ours, theirs) = (
            store.images.inspect(name).unwrap(),
            other.images.inspect(name).unwrap(),
        );
        assert_eq!(
            (&ours.id, &ours.layers, ours.size),
            (&theirs.id, &theirs.layers, theirs.size)
        );
    }
    assert_eq!(store.entries("layers"), other.entries("layers"));
}

#[tokio::test]
async fn a_name_or_an_id_saves_what_it_says() {
    let store = TestStore::new();
    let loaded = store
        .load(simple_archive("x", &["a:1", "a:2", "b:1"]))
        .await
        .unwrap();
    let id = loaded[0].id.as_str();
    for (names, want) in [
        (vec!["a:1"], Some(vec!["a:1"])),
        (vec!["a"], Some(vec!["a:1", "a:2"])),
        (vec!["b:1", "a:2"], Some(vec!["a:2", "b:1"])),
        (vec![id], None),
        (vec![&id[7..19]], None),
        (vec![&id[7..19], "b:1"], Some(vec!["b:1"])),
    ] {
        let saved = store.save(&names).await;
        assert_eq!(
            manifest(&saved)[0]["RepoTags"],
            serde_json::json!(want),
            "{names:?}"
        );
    }
    for (names, want) in [
        (vec![], "no image was named: give at least one name or ID"),
        (vec!["zz"], "No such image: zz:latest"),
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let error = store.images.save(&names).await.unwrap_err();
        assert_eq!(error.to_string(), want);
    }
    assert!(matches!(
        store.images.save(&["zz".to_owned()]).await,
        Err(SaveError::Lookup(_))
    ));
}

/// `manifest.json` of an archive.
fn manifest(archive: &[u8]) -> Value {
    let mut tar = tar::Archive::new(archive);
    let mut entries = tar.entries().unwrap().map(Result::unwrap);
    let entry = entries
        .find(|entry| entry.path().unwrap().ends_with("manifest.json"))
        .unwrap();
    serde_json::from_reader(entry).unwrap()
}

#[tokio::test]
async fn skopeo_reads_what_we_save_and_we_read_what_skopeo_and_umoci_write() {
    let store = TestStore::new();
    store
        .load(simple_archive("x", &["busybox:1"]))
        .await
        .unwrap();
    let id = store.images.inspect("busybox:1").unwrap().id.clone();
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("saved.tar"), store.save(&["busybox:1"]).await).unwrap();

    let ours = format!("docker-archive:{}:busybox:1", path("saved.tar"));
    let inspected: Value =
        serde_json::from_str(&skopeo(&["inspect", "--config", "--raw", &ours])).unwrap();
    assert_eq!(inspected["config"]["Cmd"], serde_json::json!(["x"]));
    // As an OCI layout it is read by the same file.
    let layout = path("unpacked");
    std::fs::create_dir(&layout).unwrap();
    run(Command::new("tar").args(["-x", "-f", &path("saved.tar"), "-C", &layout]));
    let raw: Value =
        serde_json::from_str(&skopeo(&["inspect", "--raw", &format!("oci:{layout}")])).unwrap();
    assert_eq!(raw["config"]["digest"], id.as_str());

    // Docker-archives of skopeo.
    skopeo(&[
        "copy",
        "-q",
        &ours,
        &format!("docker-archive:{}:again:2", path("again.tar")),
    ]);
    let other = TestStore::new();
    let loaded = other
        .load(std::fs::read(path("again.tar")).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (&loaded[0].id, loaded[0].message().as_str()),
        (&id, "Loaded image: again:2")
    );

    // OCI layouts of skopeo, gzip and zstd.
    for format in ["gzip", "zstd"] {
        let layout = path(format);
        let target = format!("oci:{layout}:reg.example/app:{format}");
        skopeo(&[
            "copy",
            "-q",
            "--dest-compress",
            "--dest-compress-format",
            format,
            &ours,
            &target,
        ]);
        let tar = run(Command::new("tar").args(["-c", "-f", "-", "-C", &layout, "."])).stdout;
        let fresh = TestStore::new();
        let loaded = fresh.load(tar).await.unwrap();
        assert_eq!(
            loaded[0].message(),
            format!("Loaded image: reg.example/app:{format}")
        );
        let rootfs = fresh.images.rootfs(&loaded[0].id).unwrap();
        assert_eq!(read_through(&rootfs.lower, "etc/content"), "x", "{format}");
    }

    // An image that umoci built: an empty one with a layer inserted.
    let built = path("built");
    std::fs::write(path("file"), "from umoci").unwrap();
    run(Command::new("umoci").args(["init", "--layout", &built]));
    run(Command::new("umoci").args(["new", "--image", &format!("{built}:v1")]));
    let insert = [
        "insert",
        "--image",
        &format!("{built}:v1"),
        &path("file"),
        "/etc/file",
    ];
    run(Command::new("umoci").args(insert));
    run(Command::new("umoci").args(["gc", "--layout", &built]));
    let tar = run(Command::new("tar").args(["-c", "-f", "-", "-C", &built, "."])).stdout;
    let loaded = store.load(tar).await.unwrap();
    assert_eq!(loaded[0].name, None, "a bare tag is no name");
    let rootfs = store.images.rootfs(&loaded[0].id).unwrap();
    assert_eq!(read_through(&rootfs.lower, "etc/file"), "from umoci");
}

#[tokio::test]
async fn a_newer_image_takes_the_name() {
    let store = TestStore::new();
    let old = store.load(simple_archive("old", &["app:1"])).await.unwrap();
    let (progress, messages) = recorder();
    let new = store
        .images
        .load(Cursor::new(simple_archive("new", &["app:1"])), progress)
        .await
        .unwrap();
    assert_eq!(store.images.inspect("app:1").unwrap().id, new[0].id);
    let dangling = store.images.inspect(old[0].id.as_str()).unwrap();
    assert!(dangling.tags.is_empty());
    let messages = messages.lock().unwrap();
    let told = format!(
        "The image app:1 already exists, renaming the old one with ID {} to empty string",
        old[0].id
    );
    assert!(
        messages.iter().any(|message| message.status == told),
        "{messages:?}"
    );
}

#[tokio::test]
async fn wrong_archives_change_nothing() {
    let store = TestStore::new();
    store
        .load(simple_archive("there", &["there:1"]))
        .await
        .unwrap();
    let before = store.contents();
    let layer = simple_layer("x");
    let good_config = config(&[&layer], "x");
    let other = simple_layer("y");
    let manifest = |config: &str, layers: &str| {
        Member::file(
            "manifest.json",
            format!(r#"[{{"Config":"{config}","RepoTags":["x:1"],"Layers":[{layers}]}}]"#)
                .as_bytes(),
        )
    };
    let hex = "0".repeat(64);
    let cases: Vec<(Vec<u8>, String)> = vec![
        (Vec::new(), LoadError::NotAnImage.to_string()),
        (simple_layer("x"), LoadError::NotAnImage.to_string()),
        (b"no tar at all".repeat(100), "cannot read the image archive: a member's header has a wrong checksum; is it a tar, written by `docker save` or similar?".into()),
        (tar(&[manifest("c.json", "")]), r#"the image archive names "c.json" but does not contain it"#.into()),
        (tar(&[manifest("c.json", r#""l.tar""#), Member::file("c.json", &good_config)]), r#"the image archive names "l.tar" but does not contain it"#.into()),
        (tar(&[manifest("c.json", ""), Member::file("c.json", &good_config)]), "the manifest has 0 layers, but the configuration has 1".into()),
        (archive(&good_config, &[&other], &[]), format!("layer layer0/layer.tar: the content has the digest {}, but {} was promised", digest(&other), digest(&layer))),
        (archive(&good_config, &[&gzip(&layer)[..50]], &[]), "layer layer0/layer.tar: the tar is damaged or cut short".into()),
        (archive(&good_config, &[&layer], &["UP:1"]), "the image archive has the name \"UP:1\": invalid reference format: repository name (library/UP) must be lowercase".into()),
        (archive(b"{", &[], &[]), "the image configuration cannot be read: ".into()),
        (archive(br#"{"os":"windows","rootfs":{"diff_ids":[]}}"#, &[], &[]), "image operating system \"windows\" cannot be used on this platform".into()),
        (tar(&[Member::file("manifest.json", b"[1]")]), "manifest.json cannot be read: ".into()),
        (tar(&[Member::file("../manifest.json", b"[]")]), "cannot read the image archive: the name \"../manifest.json\" leads out of it".into()),
        (tar(&[Member::file(&format!("{hex}.json"), &good_config), manifest(&format!("{hex}.json"), "")]), format!("layer {hex}.json: the content has the digest {}, but sha256:{hex} was promised", digest(&good_config))),
        (tar(&[Member::file("index.json", br#"{"schemaVersion":2}"#)]), "the manifest cannot be read: it is neither".into()),
        (tar(&[Member::file("index.json", format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"sha256:{hex}","size":1}}]}}"#).as_bytes())]), format!("the image archive names \"blobs/sha256/{hex}\" but")),
        (tar(&[Member::file("index.json", format!(r#"{{"schemaVersion":2,"manifests":[{{"digest":"sha256:{hex}","size":1}}]}}"#).as_bytes()), Member::file(&format!("blobs/sha256/{hex}"), b"x")]), format!("layer blobs/sha256/{hex}: the content has the digest {}", digest(b"x"))),
        (archive(&good_config, &[&tar(&[Member::file("../x", b"")])], &[]), "layer layer0/layer.tar: refused: entry \"../x\" tries to leave".into()),
    ];
    for (bytes, want) in cases {
        let error = store.load(bytes).await.expect_err(&want);
        assert!(
            error.to_string().starts_with(&want),
            "{error}\nwanted: {want}"
        );
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_eq!(store.contents(), before, "{want}");
    }
}

/// A second image of an archive is wrong: the first does not come either.
#[tokio::test]
async fn an_archive_is_loaded_whole_or_not_at_all() {
    let store = TestStore::new();
    let before = store.contents();
    let layer = simple_layer("x");
    let manifest = br#"[{"Config":"a.json","RepoTags":["a:1"],"Layers":["l"]},{"Config":"b.json","RepoTags":["b:1"],"Layers":["m"]}]"#;
    let members = [
        Member::file("a.json", &config(&[&layer], "a")),
        Member::file("b.json", &config(&[&layer, &layer], "b")),
        Member::file("l", &layer),
        Member::file("m", &layer),
        Member::file("manifest.json", manifest),
    ];
    store.load(tar(&members)).await.unwrap_err();
    assert_eq!(store.contents(), before);
}

#[tokio::test]
async fn a_stream_that_is_cut_at_any_place_changes_nothing() {
    let store = TestStore::new();
    let before = store.contents();
    let bytes = simple_archive("x", &["x:1"]);
    // Up to the last file, which is less than a block: without what fills the tar's end it is whole.
    let end = bytes.len() - 1024 - 512;
    for cut in (0..end).step_by(256) {
        let error = store
            .load(bytes[..cut].to_vec())
            .await
            .expect_err("a cut archive");
        assert!(!matches!(error, LoadError::Store(_)), "{cut}: {error}");
    }
    assert_eq!(store.contents(), before);
    store.load(bytes).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_fails_or_goes_changes_nothing() {
    let store = TestStore::new();
    let before = store.contents();
    let bytes = simple_archive("x", &["x:1"]);
    let broken = tokio_util::io::StreamReader::new(futures_util::stream::iter([
        Ok(bytes::Bytes::copy_from_slice(&bytes[..1000])),
        Err(std::io::Error::other("connection reset")),
    ]));
    let error = store
        .images
        .load(broken, Progress::none())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the image archive: connection reset"
    );
    assert_eq!(store.contents(), before);
    // A reader of a saved archive that goes away leaves nothing behind, either.
    store.load(bytes).await.unwrap();
    drop(store.images.save(&["x:1".to_owned()]).await.unwrap());
    store.images.remove("x:1", false, &|_| Vec::new()).unwrap();
}
