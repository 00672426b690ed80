//! `image import`.

use std::io::Cursor;

use images::{ErrorKind, ImportError};

use crate::support::{Member, TestStore, gzip, simple_layer, tar};

#[tokio::test]
async fn an_import_makes_an_image_as_docker_does() {
    let store = TestStore::new();
    let layer = simple_layer("hello");
    let changes = ["CMD [\"sh\"]", "ENV A=b", "WORKDIR /srv", "EXPOSE 80"].map(str::to_owned);
    let id = store
        .images
        .import(
            Cursor::new(gzip(&layer)),
            Some("local/base"),
            &changes,
            "from the tests",
        )
        .await
        .unwrap();
    let image = store.images.inspect("local/base:latest").unwrap();
    assert_eq!(image.id, id);
    assert_eq!(image.repo_tags(), ["local/base:latest"]);
    assert_eq!(image.repo_digests(), Vec::<String>::new());
    assert_eq!(
        (image.comment.as_str(), image.os.as_str()),
        ("from the tests", "linux")
    );
    assert_eq!(
        image.architecture,
        if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        }
    );
    assert_eq!(image.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!(image.config.env, ["A=b"]);
    assert_eq!(image.config.working_dir, "/srv");
    assert_eq!(
        image.layers,
        [images::Digest::of(&layer)],
        "the diff ID is of the uncompressed tar"
    );
    assert_eq!(image.size, 5);
    assert!(image.last_tagged.is_some());
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as i64;
    assert!(
        (now - image.created_unix_nanos()).abs() < 60_000_000_000,
        "{}",
        image.created
    );
    let history = store.images.history("local/base").unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].comment.as_str(), history[0].size),
        ("from the tests", 5)
    );
    assert_eq!(history[0].id.as_ref(), Some(&id));
    assert_eq!(
        std::fs::read_to_string(store.layer(&id).join("etc/content")).unwrap(),
        "hello"
    );
}

#[tokio::test]
async fn an_import_without_a_name_can_be_found_by_its_id() {
    let store = TestStore::new();
    let id = store.import(simple_layer("x")).await.unwrap();
    for name in [
        id.as_str(),
        id.hex(),
        id.short(),
        &id.hex()[..5],
        &format!("sha256:{}", &id.hex()[..7]),
    ] {
        assert_eq!(store.images.inspect(name).unwrap().id, id, "{name}");
    }
    assert_eq!(
        store.images.inspect(id.as_str()).unwrap().comment,
        "Imported from -"
    );
    let text = store.images.inspect("nothing").unwrap_err().to_string();
    assert_eq!(text, "No such image: nothing:latest");
}

#[tokio::test]
async fn the_same_tar_shares_its_layer() {
    let store = TestStore::new();
    let layer = simple_layer("x");
    let first = store
        .images
        .import(Cursor::new(layer.clone()), Some("a"), &[], "")
        .await
        .unwrap();
    let second = store
        .images
        .import(
            Cursor::new(gzip(&layer)),
            Some("b"),
            &["USER 1".to_owned()],
            "",
        )
        .await
        .unwrap();
    assert_ne!(first, second);
    assert_eq!(store.entries("layers").len(), 1);
    // Two configurations and one layer: the second blob was not needed.
    assert_eq!(store.entries("blobs/sha256").len(), 3);
    assert!(store.entries("tmp").is_empty());
}

#[tokio::test]
async fn wrong_requests_change_nothing() {
    let store = TestStore::new();
    let before = store.contents();
    let digest = format!("x@sha256:{}", "0".repeat(64));
    for (name, change, want) in [
        (
            "UPPER",
            "CMD x",
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
        (digest.as_str(), "CMD x", "cannot import digest reference"),
        (
            "x",
            "RUN x",
            "change \"RUN x\": RUN is not a valid change command",
        ),
    ] {
        let tar = Cursor::new(simple_layer("x"));
        let error = store
            .images
            .import(tar, Some(name), &[change.to_owned()], "")
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), want);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    let evil = store
        .import(tar(&[Member::file("../x", b"")]))
        .await
        .unwrap_err();
    assert_eq!(evil.kind(), ErrorKind::InvalidArgument);
    assert!(matches!(evil, ImportError::Layer(_)));
    assert_eq!(store.contents(), before);
}
