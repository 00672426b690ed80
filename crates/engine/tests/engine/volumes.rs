//! Volumes: made, filled, shared, kept and removed.

use crate::support::{Host, eventually, in_time};
use engine::{
    ANONYMOUS_LABEL, ContainerConfig, Engine, MountConfig, MountKind, Phase, VolumeError,
    VolumeMount, VolumeRequest,
};
use std::os::unix::fs::{MetadataExt as _, symlink};

fn volume(name: &str, target: &str) -> MountConfig {
    with(target, |volume| volume.name = name.into())
}

fn with(target: &str, change: impl FnOnce(&mut VolumeMount)) -> MountConfig {
    let mut volume = VolumeMount::default();
    change(&mut volume);
    MountConfig {
        target: target.into(),
        read_only: false,
        kind: MountKind::Volume(volume),
    }
}

fn mounting(host: &Host, name: &str, script: &str, mount: MountConfig) -> ContainerConfig {
    ContainerConfig {
        mounts: vec![mount],
        ..host.shell(name, script)
    }
}

fn names(engine: &Engine) -> Vec<String> {
    let volumes = engine.volumes().into_iter();
    volumes.map(|view| view.volume.name).collect()
}

#[tokio::test]
async fn a_named_volume_outlives_its_containers_and_the_daemon() {
    let mut host = Host::new().await;
    let writes = mounting(
        &host,
        "a",
        "echo kept > /data/file",
        volume("data", "/data"),
    );
    let (state, output) = host.run(writes).await;
    assert_eq!(
        (state.phase, state.exit_code),
        (Phase::Exited, 0),
        "{output}"
    );
    // In use, also when nothing runs.
    let error = host.engine().remove_volume("data", true).await.unwrap_err();
    let id = host.engine().inspect("a").unwrap().record.id.clone();
    let expected = format!("remove data: volume is in use - [{id}]");
    assert_eq!(error.to_string(), expected);
    host.close();
    host.open().await;
    let engine = host.engine();
    assert!(engine.remove_volume("data", false).await.is_err());
    engine.remove("a", false).await.unwrap();
    assert_eq!(names(engine), ["data"]);
    let reads = mounting(&host, "b", "cat /d/e/file", volume("data", "/d/e"));
    assert_eq!(host.run(reads).await.1, "kept\n");
    let mut events = engine.volume_events();
    engine.remove("b", false).await.unwrap();
    engine.remove_volume("data", false).await.unwrap();
    // Its unmounting may be told first.
    while in_time("an event", events.recv()).await.unwrap().action != "destroy" {}
    let error = engine.remove_volume("data", false).await.unwrap_err();
    assert_eq!(error.to_string(), "get data: no such volume");
    engine.remove_volume("data", true).await.expect("by force");
    eventually("an empty trash", || host.names_in("trash").is_empty()).await;
}

#[tokio::test]
async fn a_volume_without_a_name_goes_with_its_container() {
    let mut host = Host::new().await;
    let config = mounting(&host, "a", "touch /data/x; ls /data", volume("", "/data"));
    assert_eq!(host.run(config).await.1, "x\n");
    let all = host.engine().volumes();
    let [view] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(view.volume.name.len(), 64);
    assert!(view.volume.labels.contains_key(ANONYMOUS_LABEL));
    assert_eq!(view.users.len(), 1);
    host.close();
    host.open().await;
    assert_eq!(names(host.engine()).len(), 1);
    host.engine().remove("a", false).await.unwrap();
    assert!(names(host.engine()).is_empty());
    assert!(host.names_in("volumes").is_empty());
}

#[tokio::test]
async fn what_a_crash_left_of_a_container_is_taken_away() {
    let mut host = Host::new().await;
    let config = mounting(&host, "a", "true", volume("", "/data"));
    let id = host.engine().create(config).await.unwrap();
    let named = mounting(&host, "b", "true", volume("named", "/data"));
    let other = host.engine().create(named).await.unwrap();
    host.close();
    // As if the crash had come before their rows were written.
    use images::Table as _;
    host.table.delete(id.as_bytes()).unwrap();
    host.table.delete(other.as_bytes()).unwrap();
    host.open().await;
    assert_eq!(names(host.engine()), ["named"]);
}

#[tokio::test]
async fn an_empty_volume_is_filled_from_the_image() {
    let host = Host::new().await;
    let script = "ls /etc; stat -c %a /etc";
    let filled = mounting(&host, "a", script, volume("filled", "/etc"));
    // The engine's own files lie on it.
    let output = host.run(filled).await.1;
    assert_eq!(output, "hostname\nhosts\npasswd\nresolv.conf\n755\n");
    let root = host.path("data/volumes/filled/_data");
    assert!(root.join("passwd").exists());
    std::fs::remove_file(root.join("passwd")).unwrap();
    let again = mounting(&host, "b", "cat /data/passwd", volume("filled", "/data"));
    assert_ne!(host.run(again).await.0.exit_code, 0);
    let mount = with("/etc", |volume| {
        volume.name = "bare".into();
        volume.no_copy = true;
    });
    let bare = mounting(&host, "c", "cat /etc/passwd", mount);
    assert_ne!(host.run(bare).await.0.exit_code, 0);
}

#[tokio::test]
async fn volumes_of_the_image_are_made() {
    let host = Host::new().await;
    host.import("with-volume:1", &["VOLUME /etc"]).await;
    let mut config = host.shell("a", "cat /etc/passwd; mount | grep -c ' /etc '");
    config.image = "with-volume:1".into();
    let (_, output) = host.run(config).await;
    assert_eq!(output, "root:x:0:0:root:/root:/bin/sh\n1\n");
    assert_eq!(names(host.engine()).len(), 1);
    // One that the user mounts there takes its place.
    let mut config = mounting(&host, "b", "true", volume("mine", "/etc/"));
    config.image = "with-volume:1".into();
    host.run(config).await;
    assert_eq!(names(host.engine()).len(), 2);
}

#[tokio::test]
async fn a_part_of_a_volume_is_mounted_and_nothing_beside_it() {
    let host = Host::new().await;
    let request = VolumeRequest {
        name: "data".into(),
        ..VolumeRequest::default()
    };
    let root = host.engine().create_volume(request).await.unwrap();
    let root = root.volume.mountpoint;
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/b/file"), "part\n").unwrap();
    symlink("/etc", root.join("out")).unwrap();
    symlink("a/b", root.join("in")).unwrap();
    let part = |subpath: &str| {
        with("/data", |volume| {
            volume.name = "data".into();
            volume.subpath = subpath.into();
        })
    };
    for (name, subpath) in [("one", "a/b"), ("two", "in")] {
        let config = mounting(&host, name, "cat /data/file; ls /data", part(subpath));
        assert_eq!(host.run(config).await.1, "part\nfile\n", "{subpath}");
    }
    let file = mounting(&host, "three", "cat /data", part("a/b/file"));
    assert_eq!(host.run(file).await.1, "part\n");
    for (name, subpath) in [("four", "out"), ("five", "../.."), ("six", "none")] {
        let config = mounting(&host, name, "true", part(subpath));
        host.engine().create(config).await.unwrap();
        let error = host.engine().start(name).await.unwrap_err().to_string();
        assert!(error.contains("cannot access the subpath"), "{error}");
    }
    assert!(host.names_in("mounts").is_empty());
    assert!(root.join("a/b/file").exists());
}

#[tokio::test]
async fn a_device_is_mounted_while_a_container_runs() {
    let host = Host::new().await;
    let engine = host.engine();
    let options = [
        ("type", "tmpfs"),
        ("device", "tmpfs"),
        ("o", "size=64k,uid=7,nosuid"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mount = with("/data", |volume| {
        volume.name = "memory".into();
        volume.options = options.into();
    });
    let root = host.path("data/volumes/memory/_data");
    let device = || std::fs::metadata(&root).unwrap().dev();
    let two = ["a", "b"];
    for name in two {
        let script = "stat -c %u /data; touch /data/x; sleep 1000";
        let config = mounting(&host, name, script, mount.clone());
        engine.create(config).await.unwrap();
    }
    let alone = device();
    for name in two {
        engine.start(name).await.unwrap();
        assert_ne!(device(), alone);
    }
    eventually("the file", || root.join("x").exists()).await;
    engine.remove("a", true).await.unwrap();
    assert_ne!(device(), alone, "b needs it");
    engine.remove("b", true).await.unwrap();
    eventually("the end of the mount", || device() == alone).await;
    assert!(!root.join("x").exists());
    engine.remove_volume("memory", false).await.unwrap();
}

#[tokio::test]
async fn a_device_that_cannot_be_mounted_is_said() {
    let host = Host::new().await;
    let options = [
        ("type", "ext4"),
        ("device", "/nothing"),
        ("o", "password=hunter2"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mount = with("/data", |volume| {
        volume.name = "bad".into();
        volume.options = options.into();
        volume.no_copy = true;
    });
    let config = mounting(&host, "a", "true", mount);
    host.engine().create(config).await.unwrap();
    let error = host.engine().start("a").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("failed to mount local volume"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    use std::os::unix::fs::PermissionsExt as _;
    let meta = std::fs::metadata(host.path("data/volumes/bad/volume.json")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn volumes_are_made_and_cleaned_up_by_hand() {
    let host = Host::new().await;
    let engine = host.engine();
    let request = |name: &str| VolumeRequest {
        name: name.into(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..VolumeRequest::default()
    };
    let made = engine.create_volume(request("used")).await.unwrap();
    assert_eq!(made.volume.labels["a"], "b");
    let again = VolumeRequest {
        name: "used".into(),
        ..VolumeRequest::default()
    };
    assert_eq!(engine.create_volume(again).await.unwrap(), made);
    engine.create_volume(request("left")).await.unwrap();
    let unnamed = engine.create_volume(request("")).await.unwrap();
    assert!(unnamed.volume.labels.contains_key(ANONYMOUS_LABEL));
    let config = mounting(&host, "a", "true", volume("used", "/data"));
    engine.create(config).await.unwrap();
    let anonymous = |volume: &engine::Volume| volume.labels.contains_key(ANONYMOUS_LABEL);
    let pruned = engine.prune_volumes(anonymous).await;
    assert_eq!(pruned.names, [unnamed.volume.name]);
    let left = host.path("data/volumes/left/_data/file");
    std::fs::write(left, "12345").unwrap();
    let pruned = engine.prune_volumes(|_| true).await;
    assert_eq!((pruned.names, pruned.bytes), (vec!["left".into()], 5));
    for (name, driver, text) in [
        ("x", "", "too short"),
        ("a/b", "", "invalid characters"),
        ("..", "", "invalid characters"),
        ("good", "rexray", "plugin \"rexray\" not found"),
    ] {
        let request = VolumeRequest {
            driver: driver.into(),
            ..request(name)
        };
        let error = engine.create_volume(request).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    assert!(matches!(
        engine.volume("none"),
        Err(VolumeError::NotFound(_))
    ));
    assert_eq!(host.names_in("volumes").len(), 1);
}
