//! Tags, look-up, removal and what it frees.

use images::{ContainerUse, ErrorKind, ImageId, Removed};

use crate::support::{TestStore, archive, config, simple_archive, simple_layer};

fn nobody(_: &ImageId) -> Vec<ContainerUse> {
    Vec::new()
}

const CONTAINER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn used(running: bool) -> impl Fn(&ImageId) -> Vec<ContainerUse> {
    move |_| {
        vec![ContainerUse {
            id: CONTAINER.to_owned(),
            running,
        }]
    }
}

/// Removes and tells what was done, one a line, with names for IDs.
fn remove(
    store: &TestStore,
    name: &str,
    force: bool,
    in_use: &dyn Fn(&ImageId) -> Vec<ContainerUse>,
) -> String {
    match store.images.remove(name, force, in_use) {
        Ok(removed) => {
            let line = |removed: &Removed| match removed {
                Removed::Untagged(name) => format!("untagged {name}"),
                Removed::Deleted(id) => format!("deleted {}", &id[..10]),
            };
            removed.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("! {error}"),
    }
}

#[tokio::test]
async fn tags_are_given_and_moved() {
    let store = TestStore::new();
    let first = store.load(simple_archive("1", &["a:1"])).await.unwrap()[0]
        .id
        .clone();
    let second = store.load(simple_archive("2", &["b:1"])).await.unwrap()[0]
        .id
        .clone();
    assert_eq!(store.images.tag("a:1", "x").unwrap(), first);
    assert_eq!(store.images.inspect("x:latest").unwrap().id, first);
    assert_eq!(store.images.tag("b:1", "x:latest").unwrap(), second);
    assert_eq!(store.images.inspect("x").unwrap().id, second);
    assert_eq!(store.images.inspect("a:1").unwrap().repo_tags(), ["a:1"]);
    assert_eq!(
        store.images.inspect("b:1").unwrap().repo_tags(),
        ["b:1", "x:latest"]
    );
    store
        .images
        .tag(second.short(), "localhost:5000/y")
        .unwrap();
    assert_eq!(
        store.images.inspect("localhost:5000/y:latest").unwrap().id,
        second
    );
    for (source, target, want, kind) in [
        (
            "nope",
            "x",
            "No such image: nope:latest",
            ErrorKind::NotFound,
        ),
        (
            "a:1",
            "UP",
            "invalid reference format: repository name (library/UP) must be lowercase",
            ErrorKind::InvalidArgument,
        ),
        (
            "a:1",
            "a b",
            "invalid reference format",
            ErrorKind::InvalidArgument,
        ),
    ] {
        let error = store.images.tag(source, target).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (want, kind));
    }
    let digest = format!("x@sha256:{}", "0".repeat(64));
    let error = store.images.tag("a:1", &digest).unwrap_err();
    assert_eq!(
        error.to_string(),
        "refusing to create a tag with a digest reference"
    );
}

#[tokio::test]
async fn images_are_found_by_names_and_beginnings_of_ids() {
    let store = TestStore::new();
    let id = store
        .load(simple_archive("1", &["busybox:1"]))
        .await
        .unwrap()[0]
        .id
        .clone();
    for name in [
        "busybox:1",
        "library/busybox:1",
        "docker.io/busybox:1",
        "docker.io/library/busybox:1",
        id.as_str(),
        id.hex(),
        id.short(),
    ] {
        assert_eq!(store.images.inspect(name).unwrap().id, id, "{name}");
    }
    for (name, want) in [
        ("busybox", "No such image: busybox:latest"),
        ("busybox:2", "No such image: busybox:2"),
        (
            "other.example/busybox:1",
            "No such image: other.example/busybox:1",
        ),
        ("zz", "No such image: zz:latest"),
        (
            "UP",
            "invalid reference format: repository name (library/UP) must be lowercase",
        ),
        ("", "invalid reference format"),
    ] {
        assert_eq!(
            store.images.inspect(name).unwrap_err().to_string(),
            want,
            "{name:?}"
        );
    }
    // An ID that is not there, and a digest that the tag's image does not have.
    let other = "0".repeat(64);
    for name in [
        other.clone(),
        format!("sha256:{other}"),
        format!("busybox:1@sha256:{other}"),
    ] {
        assert_eq!(
            store.images.inspect(&name).unwrap_err().to_string(),
            format!("No such image: {name}")
        );
    }
    // More images until two begin alike.
    let mut ids = vec![id];
    while !ids.iter().enumerate().any(|(at, id)| {
        ids[..at]
            .iter()
            .any(|other| other.hex()[..1] == id.hex()[..1])
    }) {
        let content = format!("more {}", ids.len());
        ids.push(
            store.load(simple_archive(&content, &[])).await.unwrap()[0]
                .id
                .clone(),
        );
    }
    let twice = &ids[ids.len() - 1].hex()[..1];
    let error = store.images.inspect(twice).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("image ID {twice} is ambiguous (2 matches found): give more of its digits")
    );
}

#[tokio::test]
async fn images_are_listed_newest_first() {
    let store = TestStore::new();
    for (content, created) in [
        ("a", "2020-01-01T00:00:00Z"),
        ("b", "2022-01-01T00:00:00Z"),
        ("c", "2021-01-01T00:00:00+02:00"),
    ] {
        let layer = simple_layer(content);
        let config = String::from_utf8(config(&[&layer], content))
            .unwrap()
            .replace("2024-01-02T03:04:05Z", created);
        store
            .load(archive(
                config.as_bytes(),
                &[&layer],
                &[&format!("{content}:1")],
            ))
            .await
            .unwrap();
    }
    let names: Vec<String> = store
        .images
        .list()
        .iter()
        .flat_map(|image| image.repo_tags())
        .collect();
    assert_eq!(names, ["b:1", "c:1", "a:1"]);
}

#[tokio::test]
async fn a_name_is_taken_away_and_the_last_takes_the_image_along() {
    let store = TestStore::new();
    let id = store
        .load(simple_archive("1", &["a:1", "a:2"]))
        .await
        .unwrap()[0]
        .id
        .clone();
    let chain = store.entries("layers")[0][..3].to_owned();
    assert_eq!(remove(&store, "a:1", false, &nobody), "untagged a:1");
    assert_eq!(
        store.images.inspect(id.as_str()).unwrap().repo_tags(),
        ["a:2"]
    );
    let want = format!(
        "untagged a:2\ndeleted {}\ndeleted sha256:{chain}",
        &id.as_str()[..10]
    );
    assert_eq!(remove(&store, "a:2", false, &nobody), want);
    assert_eq!(
        remove(&store, "a:2", false, &nobody),
        "! No such image: a:2"
    );
    assert!(store.images.list().is_empty());
    for directory in ["blobs/sha256", "layers", "records"] {
        assert!(store.entries(directory).is_empty(), "{directory}");
    }
}

#[tokio::test]
async fn removal_by_id_takes_one_name_along_but_not_several() {
    let store = TestStore::new();
    let id = store
        .load(simple_archive("1", &["a:1", "b:1"]))
        .await
        .unwrap()[0]
        .id
        .clone();
    let short = id.short().to_owned();
    let want = format!(
        "! conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    );
    assert_eq!(remove(&store, &short, false, &nobody), want);
    let forced = remove(&store, &short, true, &nobody);
    assert!(
        forced.starts_with("untagged a:1\nuntagged b:1\ndeleted sha256:"),
        "{forced}"
    );
    let id = store.load(simple_archive("1", &["a:1"])).await.unwrap()[0]
        .id
        .clone();
    let by_id = remove(&store, id.as_str(), false, &nobody);
    assert!(
        by_id.starts_with("untagged a:1\ndeleted sha256:"),
        "{by_id}"
    );
    let id = store.load(simple_archive("1", &[])).await.unwrap()[0]
        .id
        .clone();
    let untagged = remove(&store, id.hex(), false, &nobody);
    assert!(untagged.starts_with("deleted sha256:"), "{untagged}");
}

#[tokio::test]
async fn an_image_in_use_is_not_removed() {
    let store = TestStore::new();
    let id = store.load(simple_archive("1", &["a:1"])).await.unwrap()[0]
        .id
        .clone();
    let short = id.short();
    let container = &CONTAINER[..12];
    let by_name = format!(
        "! conflict: unable to remove repository reference \"a:1\" (must force) - container {container} is using its referenced image {short}"
    );
    for running in [true, false] {
        assert_eq!(remove(&store, "a:1", false, &used(running)), by_name);
    }
    let running = format!(
        "! conflict: unable to delete {short} (cannot be forced) - image is being used by running container {container}"
    );
    assert_eq!(remove(&store, short, false, &used(true)), running);
    assert_eq!(remove(&store, short, true, &used(true)), running);
    let stopped = format!(
        "! conflict: unable to delete {short} (must be forced) - image is being used by stopped container {container}"
    );
    assert_eq!(remove(&store, short, false, &used(false)), stopped);
    // One of two names may go.
    store.images.tag("a:1", "a:2").unwrap();
    assert_eq!(remove(&store, "a:2", false, &used(true)), "untagged a:2");
    // With force the last name goes and the image stays, without a name.
    assert_eq!(remove(&store, "a:1", true, &used(true)), "untagged a:1");
    assert!(store.images.inspect(id.as_str()).unwrap().tags.is_empty());
    let error = store.images.remove(short, false, &used(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(remove(&store, short, true, &used(false)).starts_with("deleted sha256:"));
}

#[tokio::test]
async fn layers_that_images_share_stay_until_the_last_goes() {
    let store = TestStore::new();
    let (base, one, two) = (
        simple_layer("base"),
        simple_layer("one"),
        simple_layer("two"),
    );
    store
        .load(archive(
            &config(&[&base, &one], "1"),
            &[&base, &one],
            &["one:1"],
        ))
        .await
        .unwrap();
    store
        .load(archive(
            &config(&[&base, &two], "2"),
            &[&base, &two],
            &["two:1"],
        ))
        .await
        .unwrap();
    assert_eq!(store.entries("layers").len(), 3);
    store.images.remove("one:1", false, &nobody).unwrap();
    assert_eq!(store.entries("layers").len(), 2);
    assert_eq!(store.entries("blobs/sha256").len(), 3);
    let rootfs = store
        .images
        .rootfs(&store.images.inspect("two:1").unwrap().id)
        .unwrap();
    assert!(rootfs.lower.iter().all(|layer| layer.is_dir()));
    drop(rootfs);
    store.images.remove("two:1", false, &nobody).unwrap();
    assert!(store.entries("layers").is_empty() && store.entries("blobs/sha256").is_empty());
}

#[tokio::test]
async fn layers_that_a_container_holds_stay_until_it_gives_them_up() {
    let store = TestStore::new();
    let (base, top) = (simple_layer("base"), simple_layer("top"));
    store
        .load(archive(
            &config(&[&base, &top], "1"),
            &[&base, &top],
            &["a:1"],
        ))
        .await
        .unwrap();
    let id = store.images.inspect("a:1").unwrap().id.clone();
    let rootfs = store.images.rootfs(&id).unwrap();
    assert_eq!(rootfs.config.cmd.as_deref(), Some(&["1".to_owned()][..]));
    let chain_id = rootfs.hold.chain_id.clone().unwrap();
    // A stopped container's image is removed by force.
    store.images.remove("a:1", true, &used(false)).unwrap();
    assert!(store.images.inspect("a:1").is_err());
    assert!(rootfs.lower.iter().all(|layer| layer.is_dir()));
    store.images.gc().unwrap();
    assert!(rootfs.lower.iter().all(|layer| layer.is_dir()));
    // The daemon restarts: the engine takes the layers of its containers before anything is collected.
    drop(rootfs);
    let store = store.reopen();
    let hold = store.images.hold_layers(&chain_id).unwrap();
    assert_eq!(hold.lower.len(), 2);
    store.images.gc().unwrap();
    assert!(hold.lower.iter().all(|layer| layer.is_dir()));
    drop(hold);
    assert_eq!(store.images.gc().unwrap().layers, 2);
    assert!(store.images.hold_layers(&chain_id).is_err());
    assert!(store.images.rootfs(&id).is_err());
}

#[tokio::test]
async fn a_name_that_is_a_beginning_of_an_id_is_taken_as_an_id_as_in_docker() {
    let store = TestStore::new();
    let id = store.load(simple_archive("1", &["a:1"])).await.unwrap()[0]
        .id
        .clone();
    // A repository called like the beginning of the ID.
    let name = id.hex()[..4].to_owned();
    store.images.tag("a:1", &name).unwrap();
    assert_eq!(store.images.inspect(&name).unwrap().id, id);
}

#[tokio::test]
async fn an_empty_image_has_no_layers() {
    let store = TestStore::new();
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let id = store
        .load(archive(config, &[], &["scratch-like:1"]))
        .await
        .unwrap()[0]
        .id
        .clone();
    let rootfs = store.images.rootfs(&id).unwrap();
    assert!(rootfs.lower.is_empty() && rootfs.hold.chain_id.is_none());
}
