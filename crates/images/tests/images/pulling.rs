//! `image pull` and `/distribution`, from Debian's docker-registry on loopback.

use std::sync::Arc;

use images::{
    Auth, Config, Digest, ErrorKind, Images, MemoryTable, Platform, Progress, ProgressMessage,
    Pulled,
};
use serde_json::{Value, json};

use crate::registry::{Registry, TokenRegistry};
use crate::support::{
    TestStore, archive, config, digest, read_through, recorder, simple_archive, simple_layer,
};

impl TestStore {
    async fn pull(&self, name: &str) -> Result<Pulled, images::PullError> {
        self.images.pull(name, None, None, Progress::none()).await
    }

    async fn pull_error(&self, name: &str) -> (String, ErrorKind) {
        let error = self.pull(name).await.expect_err(name);
        (error.to_string(), error.kind())
    }
}

fn statuses(messages: &[ProgressMessage]) -> Vec<String> {
    let line = |message: &ProgressMessage| match &message.id {
        Some(id) => format!("{id}: {}", message.status),
        None => message.status.clone(),
    };
    messages.iter().map(line).collect()
}

#[tokio::test]
async fn an_image_is_pulled_by_tag_and_by_digest() {
    let registry = Registry::start();
    let (base, top) = (simple_layer("base"), simple_layer("top"));
    let config = config(&[&base, &top], "sh");
    let pushed = registry.push(&archive(&config, &[&base, &top], &[]), "team/app:1", &[]);
    let store = TestStore::new();
    let name = registry.name("team/app");
    let (progress, messages) = recorder();
    let pulled = store
        .images
        .pull(&format!("{name}:1"), None, None, progress)
        .await
        .unwrap();
    assert_eq!(pulled.id.as_str(), digest(&config));
    assert_eq!(
        (pulled.digest.as_str(), pulled.newer),
        (pushed.as_str(), true)
    );
    let image = store.images.inspect(&format!("{name}:1")).unwrap();
    assert_eq!(image.repo_tags(), [format!("{name}:1")]);
    assert_eq!(image.repo_digests(), [format!("{name}@{pushed}")]);
    let rootfs = store.images.rootfs(&pulled.id).unwrap();
    assert_eq!(read_through(&rootfs.lower, "etc/content"), "top");

    let lines = statuses(&messages.lock().unwrap());
    assert_eq!(lines[0], "1: Pulling from team/app");
    let count = |status: &str| lines.iter().filter(|line| line.ends_with(status)).count();
    for status in [
        ": Pulling fs layer",
        ": Download complete",
        ": Verifying Checksum",
        ": Pull complete",
    ] {
        assert_eq!(count(status), 2, "{status}: {lines:?}");
    }
    assert!(count(": Downloading") >= 2 && count(": Extracting") >= 2);
    let want = [
        format!("Digest: {pushed}"),
        format!("Status: Downloaded newer image for {name}:1"),
    ];
    assert_eq!(lines[lines.len() - 2..], want);

    // Again: nothing is fetched.
    let (progress, messages) = recorder();
    let again = store
        .images
        .pull(&format!("{name}:1"), None, None, progress)
        .await
        .unwrap();
    assert_eq!((again.id, again.newer), (pulled.id.clone(), false));
    let lines = statuses(&messages.lock().unwrap());
    assert_eq!(
        lines.last().unwrap(),
        &format!("Status: Image is up to date for {name}:1")
    );
    assert!(
        lines.iter().any(|line| line.ends_with(": Already exists")),
        "{lines:?}"
    );

    // By digest, with and without a tag beside it: no tag is given.
    let fresh = TestStore::new();
    for reference in [format!("{name}@{pushed}"), format!("{name}:1@{pushed}")] {
        let pulled = fresh.pull(&reference).await.unwrap();
        assert_eq!(pulled.digest.as_str(), pushed);
        assert_eq!(fresh.images.inspect(&reference).unwrap().id, pulled.id);
        assert!(fresh.images.inspect(&reference).unwrap().tags.is_empty());
    }
    assert!(fresh.images.inspect(&format!("{name}:1")).is_err());
    assert!(store.entries("tmp").is_empty() && fresh.entries("tmp").is_empty());
}

#[tokio::test]
async fn names_with_digests_find_what_was_pulled_by_tag() {
    let registry = Registry::start();
    let pushed = registry.push(&simple_archive("1", &[]), "app:1", &[]);
    let store = TestStore::new();
    let name = registry.name("app");
    let id = store.pull(&format!("{name}:1")).await.unwrap().id;
    assert_eq!(
        store
            .images
            .inspect(&format!("{name}:1@{pushed}"))
            .unwrap()
            .id,
        id
    );
    assert_eq!(
        store
            .images
            .inspect(&format!("{name}@{pushed}"))
            .unwrap()
            .id,
        id
    );
    // Another name of the same image has that digest, too.
    store.images.tag(&format!("{name}:1"), "mine:2").unwrap();
    assert_eq!(
        store
            .images
            .inspect(&format!("mine:2@{pushed}"))
            .unwrap()
            .id,
        id
    );
    let other = Digest::of(b"other");
    assert!(store.images.inspect(&format!("{name}:1@{other}")).is_err());
    // The digest goes with the repository's last tag; the image stays for its other name.
    let removed = store
        .images
        .remove(&format!("{name}:1"), false, &|_| Vec::new())
        .unwrap();
    let want = [format!("{name}:1"), format!("{name}@{pushed}")].map(images::Removed::Untagged);
    assert_eq!(removed, want);
    assert_eq!(store.images.inspect("mine:2").unwrap().id, id);
}

#[tokio::test]
async fn a_tag_that_moved_is_pulled_anew() {
    let registry = Registry::start();
    let store = TestStore::new();
    let name = registry.name("app:latest");
    registry.push(&simple_archive("old", &[]), "app:latest", &[]);
    let old = store.pull(&name).await.unwrap();
    registry.push(&simple_archive("new", &[]), "app:latest", &[]);
    let new = store.pull(&registry.name("app")).await.unwrap();
    assert!(new.newer && new.id != old.id);
    assert_eq!(store.images.inspect(&name).unwrap().id, new.id);
    let dangling = store.images.inspect(old.id.as_str()).unwrap();
    assert!(dangling.tags.is_empty() && dangling.digests.len() == 1);
}

#[tokio::test]
async fn docker_and_oci_manifests_and_all_compressions_are_pulled() {
    let registry = Registry::start();
    let layer = simple_layer("x");
    let archive = archive(&config(&[&layer], "sh"), &[&layer], &[]);
    for (tag, options) in [
        ("v2s2", &["--format", "v2s2"][..]),
        ("oci", &["--format", "oci"]),
        (
            "zstd",
            &["--format", "oci", "--dest-compress-format", "zstd"],
        ),
    ] {
        registry.push(&archive, &format!("app:{tag}"), options);
        let store = TestStore::new();
        let pulled = store
            .pull(&registry.name(&format!("app:{tag}")))
            .await
            .unwrap();
        let rootfs = store.images.rootfs(&pulled.id).unwrap();
        assert_eq!(read_through(&rootfs.lower, "etc/content"), "x", "{tag}");
        // And what was pulled can be saved, whatever its compression was.
        let saved = store.save(&[pulled.id.as_str()]).await;
        assert_eq!(
            TestStore::new().load(saved).await.unwrap()[0].id,
            pulled.id,
            "{tag}"
        );
    }
}

/// Makes a manifest list of pushed tags; gives its digest and its size.
fn push_list(
    registry: &Registry,
    repository: &str,
    tag: &str,
    entries: &[(&str, &str, &str)],
) -> (String, u64) {
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let list_type = "application/vnd.oci.image.index.v1+json";
    let entry = |(tag, architecture, variant): &(&str, &str, &str)| {
        let (status, body) = registry.request(
            "GET",
            &format!("/v2/{repository}/manifests/{tag}"),
            manifest_type,
            b"",
        );
        assert_eq!(status, 200);
        json!({
            "mediaType": manifest_type, "digest": digest(&body), "size": body.len(),
            "platform": { "os": "linux", "architecture": architecture, "variant": variant },
        })
    };
    let manifests: Vec<Value> = entries.iter().map(entry).collect();
    let list =
        json!({ "schemaVersion": 2, "mediaType": list_type, "manifests": manifests }).to_string();
    let (status, _) = registry.request(
        "PUT",
        &format!("/v2/{repository}/manifests/{tag}"),
        list_type,
        list.as_bytes(),
    );
    assert_eq!(status, 201);
    (digest(list.as_bytes()), list.len() as u64)
}

#[tokio::test]
async fn the_platform_is_chosen_from_a_manifest_list() {
    let registry = Registry::start();
    for architecture in ["amd64", "arm64"] {
        let layer = simple_layer(architecture);
        let config = String::from_utf8(config(&[&layer], "x"))
            .unwrap()
            .replace("amd64", architecture);
        let bytes = archive(config.as_bytes(), &[&layer], &[]);
        registry.push(
            &bytes,
            &format!("multi:{architecture}"),
            &["--format", "oci"],
        );
    }
    let (list, size) = push_list(
        &registry,
        "multi",
        "latest",
        &[("arm64", "arm64", "v8"), ("amd64", "amd64", "")],
    );
    let store = TestStore::new();
    let name = registry.name("multi");
    let host = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    for (platform, want) in [
        (None, host),
        (Some("linux/amd64"), "amd64"),
        (Some("linux/x86_64"), "amd64"),
        (Some("arm64"), "arm64"),
        (Some("linux/arm64/v8"), "arm64"),
    ] {
        let pulled = store
            .images
            .pull(&name, None, platform, Progress::none())
            .await
            .unwrap();
        assert_eq!(
            pulled.digest.as_str(),
            list,
            "the digest is that of the list"
        );
        let image = store.images.inspect(&name).unwrap();
        assert_eq!(
            (&image.id, image.architecture.as_str()),
            (&pulled.id, want),
            "{platform:?}"
        );
        assert_eq!(image.repo_digests(), [format!("{name}@{list}")]);
    }
    for (platform, want, kind) in [
        (
            "linux/s390x",
            "no matching manifest for linux/s390x in the manifest list entries",
            ErrorKind::NotFound,
        ),
        (
            "linux/",
            "\"linux/\" is not a platform: write os/architecture[/variant], such as linux/amd64",
            ErrorKind::InvalidArgument,
        ),
    ] {
        let error = store
            .images
            .pull(&name, None, Some(platform), Progress::none())
            .await
            .unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (want, kind));
    }
    let single = registry.name("multi:arm64");
    let error = store
        .images
        .pull(&single, None, Some("linux/amd64"), Progress::none())
        .await
        .unwrap_err();
    let want = format!(
        "image with reference {single} was found but does not match the specified platform: wanted linux/amd64, actual: linux/arm64"
    );
    assert_eq!(error.to_string(), want);

    let distribution = store.images.distribution(&name, None).await.unwrap();
    assert_eq!(
        distribution.media_type,
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(
        (distribution.digest.as_str(), distribution.size),
        (list.as_str(), size)
    );
    let platform = |architecture: &str, variant: &str| Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: variant.to_owned(),
        os_version: String::new(),
    };
    assert_eq!(
        distribution.platforms,
        [platform("arm64", "v8"), platform("amd64", "")]
    );
}

#[tokio::test]
async fn distribution_tells_of_a_single_manifest() {
    let registry = Registry::start();
    let pushed = registry.push(&simple_archive("x", &[]), "app:1", &["--format", "v2s2"]);
    let store = TestStore::new();
    let distribution = store
        .images
        .distribution(&registry.name("app:1"), None)
        .await
        .unwrap();
    assert_eq!(
        distribution.media_type,
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert_eq!(distribution.digest.as_str(), pushed);
    assert!(distribution.size > 100);
    let platforms = distribution.platforms;
    assert_eq!(
        (
            platforms.len(),
            platforms[0].os.as_str(),
            platforms[0].architecture.as_str()
        ),
        (1, "linux", "amd64")
    );
    assert!(store.images.list().is_empty() && store.entries("blobs/sha256").is_empty());
    let name = registry.name("app:2");
    let error = store.images.distribution(&name, None).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("manifest for {name} not found: manifest unknown")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_told_in_dockers_words() {
    let registry = Registry::start();
    registry.push(&simple_archive("x", &[]), "app:1", &[]);
    let store = TestStore::new();
    let before = store.contents();
    let missing = Digest::of(b"missing");
    let by_digest = registry.name(&format!("app@{missing}"));
    for (name, want) in [
        (
            registry.name("app:2"),
            format!(
                "manifest for {} not found: manifest unknown: ",
                registry.name("app:2")
            ),
        ),
        (
            by_digest.clone(),
            format!("manifest for {by_digest} not found: manifest unknown: "),
        ),
        (
            registry.name("nope"),
            format!(
                "manifest for {}:latest not found: manifest unknown: ",
                registry.name("nope")
            ),
        ),
    ] {
        let (text, kind) = store.pull_error(&name).await;
        assert!(text.starts_with(&want), "{text}");
        assert_eq!(kind, ErrorKind::NotFound);
    }
    let (text, kind) = store.pull_error("UP").await;
    assert_eq!(
        text,
        "invalid reference format: repository name (library/UP) must be lowercase"
    );
    assert_eq!(kind, ErrorKind::InvalidArgument);
    let gone = registry.name("app:1");
    let address = registry.address.clone();
    drop(registry);
    let (text, kind) = store.pull_error(&gone).await;
    assert!(
        text.starts_with(&format!("Get \"https://{address}/v2/\": ")),
        "{text}"
    );
    assert!(text.contains("Connection refused"), "{text}");
    assert_eq!(kind, ErrorKind::Unavailable);
    assert_eq!(store.contents(), before);
}

#[tokio::test]
async fn credentials_are_passed_on() {
    let registry = Registry::with_password();
    registry.push(
        &simple_archive("x", &[]),
        "private/app:1",
        &["--dest-creds", "user:secret"],
    );
    let store = TestStore::new();
    let name = registry.name("private/app:1");
    let (text, kind) = store.pull_error(&name).await;
    let repository = registry.name("private/app");
    let want = format!(
        "pull access denied for {repository}, repository does not exist or may require 'docker login'"
    );
    assert!(text.starts_with(&want), "{text}");
    assert_eq!(kind, ErrorKind::Unauthorized);
    let basic = |password: &str| Auth::Basic {
        username: "user".to_owned(),
        password: password.to_owned(),
    };
    let error = store
        .images
        .pull(&name, Some(basic("wrong")), None, Progress::none())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(
        error
            .to_string()
            .contains("does not accept these credentials")
            && !error.to_string().contains("wrong")
    );
    assert!(store.images.distribution(&name, None).await.is_err());
    assert!(
        store
            .images
            .distribution(&name, Some(basic("secret")))
            .await
            .is_ok()
    );
    let pulled = store
        .images
        .pull(&name, Some(basic("secret")), None, Progress::none())
        .await
        .unwrap();
    assert_eq!(store.images.inspect(&name).unwrap().id, pulled.id);
    assert!(!format!("{:?}", basic("secret")).contains("secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_for_the_same_share_one_download() {
    let registry = Registry::start();
    let layers: Vec<Vec<u8>> = (0..4)
        .map(|n| simple_layer(&format!("{n}").repeat(100_000)))
        .collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    registry.push(&archive(&config(&layers, "x"), &layers, &[]), "big:1", &[]);
    let store = TestStore::new();
    let name = registry.name("big:1");
    let pulls = (0..8).map(|_| {
        let (images, name) = (store.images.clone(), name.clone());
        tokio::spawn(async move {
            let (progress, messages) = recorder();
            let pulled = images.pull(&name, None, None, progress).await.unwrap();
            let lines = statuses(&messages.lock().unwrap());
            (pulled, lines)
        })
    });
    let mut results = Vec::new();
    for pull in pulls.collect::<Vec<_>>() {
        results.push(pull.await.unwrap());
    }
    for (pulled, lines) in &results {
        assert_eq!(pulled, &results[0].0);
        assert_eq!(
            lines.last().unwrap(),
            &format!("Status: Downloaded newer image for {name}")
        );
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.ends_with(": Pull complete"))
                .count(),
            4,
            "{lines:?}"
        );
    }
    assert_eq!(store.entries("layers").len(), 4);
    assert!(store.entries("tmp").is_empty());
}

/// Different images with a common base at the same time: the base's blob comes once, and nobody disturbs the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_images_with_common_layers_are_pulled_at_once() {
    let registry = Registry::start();
    let base = simple_layer(&"base".repeat(50_000));
    let names: Vec<String> = (0..4).map(|n| format!("app{n}:1")).collect();
    for name in &names {
        let top = simple_layer(name);
        registry.push(
            &archive(&config(&[&base, &top], name), &[&base, &top], &[]),
            name,
            &[],
        );
    }
    let store = TestStore::new();
    let pulls: Vec<_> = names
        .iter()
        .map(|name| {
            let (images, name) = (store.images.clone(), registry.name(name));
            tokio::spawn(async move {
                images
                    .pull(&name, None, None, Progress::none())
                    .await
                    .unwrap()
                    .id
            })
        })
        .collect();
    for (pull, name) in pulls.into_iter().zip(&names) {
        let rootfs = store.images.rootfs(&pull.await.unwrap()).unwrap();
        assert_eq!(&read_through(&rootfs.lower, "etc/content"), name);
    }
    assert_eq!(store.entries("layers").len(), 5);
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_is_given_up() {
    let registry = Registry::start();
    registry.push(&simple_archive("x", &[]), "app:1", &[]);
    let store = TestStore::new();
    let name = registry.name("app:1");
    let before = store.contents();
    // Dropped at its first wait.
    {
        let pull = store.pull(&name);
        tokio::pin!(pull);
        assert!(futures_util::poll!(&mut pull).is_pending());
    }
    tokio::task::yield_now().await;
    assert_eq!(store.contents(), before);
    // One of two goes: the other gets its image.
    let mut first = Box::pin(store.pull(&name));
    let mut second = Box::pin(store.pull(&name));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    assert!(second.await.unwrap().newer);
}

#[tokio::test]
async fn what_a_registry_has_damaged_is_refused() {
    let registry = Registry::start();
    let layer = simple_layer("x");
    let config_bytes = config(&[&layer], "sh");
    let pushed = registry.push(
        &archive(&config_bytes, &[&layer], &[]),
        "app:1",
        &["--format", "oci"],
    );
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(registry.blob_path(&pushed)).unwrap()).unwrap();
    let layer_blob = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let config_blob = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let store = TestStore::new();
    let before = store.contents();
    for (blob, want) in [
        (
            &layer_blob,
            format!("filesystem layer verification failed for digest {layer_blob}"),
        ),
        (
            &config_blob,
            format!("image config verification failed for digest {config_blob}"),
        ),
    ] {
        let path = registry.blob_path(blob);
        let good = std::fs::read(&path).unwrap();
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for bad in [
            flipped,
            [&good[..], b"more"].concat(),
            good[..good.len() - 1].to_vec(),
        ] {
            std::fs::write(&path, bad).unwrap();
            let (text, kind) = store.pull_error(&registry.name("app:1")).await;
            assert_eq!(text, want);
            assert_eq!(kind, ErrorKind::Unavailable);
            assert_eq!(store.contents(), before);
        }
        std::fs::write(&path, good).unwrap();
    }
    store.pull(&registry.name("app:1")).await.unwrap();
}

/// A manifest that is not what its digest says, and layers that are not what the configuration says.
#[tokio::test]
async fn manifests_and_diff_ids_are_checked() {
    let registry = Registry::start();
    let (layer, other) = (simple_layer("x"), simple_layer("y"));
    let pushed = registry.push(
        &archive(&config(&[&layer], "sh"), &[&layer], &[]),
        "app:1",
        &["--format", "oci"],
    );
    let other_pushed = registry.push(
        &archive(&config(&[&other], "sh"), &[&other], &[]),
        "app:2",
        &["--format", "oci"],
    );
    let read = |digest: &str| std::fs::read(registry.blob_path(digest)).unwrap();
    let store = TestStore::new();
    let before = store.contents();
    // The configuration of one and the layers of the other.
    let mut mixed: Value = serde_json::from_slice(&read(&pushed)).unwrap();
    let others: Value = serde_json::from_slice(&read(&other_pushed)).unwrap();
    mixed["layers"] = others["layers"].clone();
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let (status, _) = registry.request(
        "PUT",
        "/v2/app/manifests/mixed",
        manifest_type,
        mixed.to_string().as_bytes(),
    );
    assert_eq!(status, 201);
    let (text, _) = store.pull_error(&registry.name("app:mixed")).await;
    let blob = others["layers"][0]["digest"].as_str().unwrap();
    let want = format!(
        "failed to register layer {blob}: the content has the digest {}, but {} was promised",
        digest(&other),
        digest(&layer)
    );
    assert_eq!(text, want);
    // More layers than the configuration has.
    mixed["layers"] = json!([others["layers"][0], others["layers"][0]]);
    registry.request(
        "PUT",
        "/v2/app/manifests/long",
        manifest_type,
        mixed.to_string().as_bytes(),
    );
    let (text, _) = store.pull_error(&registry.name("app:long")).await;
    assert_eq!(
        text,
        "the manifest has 2 layers, but the configuration has 1"
    );
    // A manifest that was exchanged in the registry's storage: its own digest betrays it.
    std::fs::write(registry.blob_path(&pushed), read(&other_pushed)).unwrap();
    let (text, kind) = store
        .pull_error(&registry.name(&format!("app@{pushed}")))
        .await;
    assert!(
        text.contains("verification failed")
            || text.contains("not found")
            || text.contains("HTTP status 5"),
        "{text}"
    );
    assert_ne!(kind, ErrorKind::InvalidArgument);
    assert_eq!(store.images.list().len(), 0);
    store.images.gc().unwrap();
    assert_eq!(store.contents(), before);
}

#[tokio::test]
async fn an_artifact_that_is_no_image_is_refused() {
    let registry = Registry::start();
    let pushed = registry.push(&simple_archive("x", &[]), "app:1", &["--format", "oci"]);
    let mut manifest: Value =
        serde_json::from_slice(&std::fs::read(registry.blob_path(&pushed)).unwrap()).unwrap();
    manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    registry.request(
        "PUT",
        "/v2/app/manifests/chart",
        manifest_type,
        manifest.to_string().as_bytes(),
    );
    let (text, _) = TestStore::new()
        .pull_error(&registry.name("app:chart"))
        .await;
    let want = "the manifest cannot be read: unsupported media type application/vnd.cncf.helm.config.v1+json: it is not a container image";
    assert_eq!(text, want);
}

/// As Docker Hub does it: a token for the repository, given by another server to whom the credentials go.
#[tokio::test]
async fn tokens_are_fetched_and_ready_ones_are_used() {
    let registry = TokenRegistry::start();
    let store = TestStore::new();
    let name = format!("{}/app:1", registry.address);
    let basic = Auth::Basic {
        username: "user".to_owned(),
        password: "secret".to_owned(),
    };
    for auth in [Some(basic), Some(Auth::Bearer("for-user".to_owned())), None] {
        let pulled = store.images.distribution(&name, auth.clone()).await;
        match auth {
            Some(_) => assert_eq!(pulled.unwrap().platforms[0].architecture, "amd64"),
            None => assert_eq!(pulled.unwrap_err().kind(), ErrorKind::Unauthorized),
        }
    }
    // The name of a digest that the store cannot check.
    let text = format!("{}/app@sha512:{}", registry.address, "0".repeat(128));
    let (error, _) = store.pull_error(&text).await;
    assert!(
        error.ends_with("is not supported: only sha256 is"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_insecure_registry_is_refused_at_open() {
    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        insecure_registries: vec!["10.0.0.0/99".to_owned()],
    };
    let error =
        Images::open(directory.path(), Arc::new(MemoryTable::default()), config).unwrap_err();
    let want = "insecure registry \"10.0.0.0/99\" is not valid: write host, host:port or a network such as 10.0.0.0/8";
    assert_eq!(error.to_string(), want);
}
