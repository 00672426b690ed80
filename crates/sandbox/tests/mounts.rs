//! Mounts and the root file system. Needs root and /bin/busybox.

mod common;

use std::path::{Path, PathBuf};

use common::Host;
use sandbox::ContainerSpec;
use sandbox::spec::{Mount, Propagation, ReadOnlyRecursion, Rootfs};

fn bind(source: &Path, target: &str, readonly: bool) -> Mount {
    Mount::Bind {
        readonly_recursive: ReadOnlyRecursion::IfPossible,
        source: source.to_owned(),
        target: target.into(),
        readonly,
        recursive: true,
        propagation: Propagation::Rprivate,
    }
}

fn upper(spec: &ContainerSpec) -> PathBuf {
    let Rootfs::Overlay { upper, .. } = &spec.rootfs;
    upper.clone()
}

#[tokio::test]
async fn binds_and_host_files() {
    let mut host = Host::new().await;
    let data = host.path("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("file"), "from the host\n").unwrap();
    std::fs::write(host.path("hosts"), "127.0.0.1 localhost\n").unwrap();
    let mut spec = host.shell(
        "cat /a/b/data/file /one /etc/hosts; echo x > /a/b/data/new; echo x > /ro/new; cat /proc/self/mounts | grep -c ' /ro '",
    );
    spec.mounts = vec![
        bind(&data, "/a/b/data", false),
        bind(&data, "/ro", true),
        bind(&data.join("file"), "/one", false),
    ];
    spec.hosts_file = Some(host.path("hosts"));
    let output = host.output(&spec).await;
    let expected = "from the host\nfrom the host\n127.0.0.1 localhost\n";
    assert!(output.starts_with(expected), "{output}");
    assert!(
        output.contains("can't create /ro/new: Read-only file system"),
        "{output}"
    );
    assert_eq!(std::fs::read_to_string(data.join("new")).unwrap(), "x\n");

    spec.mounts = vec![bind(&host.path("absent"), "/x", false)];
    spec.id = "f".repeat(64);
    let error = host.start_error(&spec).await.to_string();
    let expected = "invalid mount config for type \"bind\": bind source path does not exist: ";
    assert!(error.starts_with(expected), "{error}");
}

#[tokio::test]
async fn tmpfs() {
    let mut host = Host::new().await;
    let mut spec = host.shell(
        "grep -E ' /(t|u) ' /proc/self/mounts; stat -c %a /t /u /tmp; head -c 200000 /dev/zero 2>/dev/null > /t/big; wc -c < /t/big",
    );
    let tmpfs = |target: &str, size, mode, options: &[&str]| Mount::Tmpfs {
        target: target.into(),
        size,
        mode,
        options: options.iter().map(|o| o.to_string()).collect(),
    };
    spec.mounts = vec![
        tmpfs("/t", Some(65536), Some(0o700), &[]),
        tmpfs("/u", None, None, &["exec", "size=1m"]),
        tmpfs("/tmp", None, None, &[]),
    ];
    let image_tmp = std::os::unix::fs::PermissionsExt::from_mode(0o1770);
    std::fs::set_permissions(host.path("image/tmp"), image_tmp).unwrap();
    let output = host.run(&spec).await.1;
    assert!(
        output.contains("tmpfs /t tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=700"),
        "{output}"
    );
    assert!(
        output.contains("tmpfs /u tmpfs rw,nosuid,nodev,relatime,size=1024k"),
        "{output}"
    );
    assert!(output.contains("\n700\n1777\n1770\n"), "{output}");
    assert!(output.ends_with("\n65536\n"), "{output}");
}

#[tokio::test]
async fn links_in_the_image_do_not_lead_out() {
    let mut host = Host::new().await;
    let outside = host.path("outside");
    let data = host.path("data");
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir(&data).unwrap();
    let image = host.path("image");
    std::os::unix::fs::symlink(&outside, image.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../../../../../../../tmp/up", image.join("relative")).unwrap();
    let mut spec = host.shell("touch /absolute/mounted/here /relative/here; true");
    spec.mounts = vec![
        bind(&data, "/absolute/mounted", false),
        bind(&data, "/relative", false),
    ];
    spec.cwd = "/absolute/work".into();
    let output = host.output(&spec).await;
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{output}");
    assert!(data.join("here").exists(), "{output}");
    // Followed inside the root instead.
    let inside = upper(&spec).join(outside.strip_prefix("/").unwrap());
    assert!(inside.join("mounted").is_dir());
    assert!(inside.join("work").is_dir());
    assert!(upper(&spec).join("tmp/up").is_dir());
}

#[tokio::test]
async fn mounts_over_the_kernels_promises_are_refused() {
    let mut host = Host::new().await;
    let data = host.path("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink("/proc", host.path("image/link")).unwrap();
    for (target, text) in [
        ("/proc/sys", "it is inside /proc"),
        ("/link/self", "it is inside /proc"),
        ("/link/1", "it is inside /proc"),
        ("/", "invalid mount target: destination can't be '/'"),
        ("a", "the mount target \"a\" is not an absolute path"),
        ("/a/../..", "contains \"..\""),
    ] {
        let mut spec = host.shell("true");
        spec.mounts = vec![bind(&data, target, false)];
        let error = host.start_error(&spec).await.to_string();
        assert!(error.contains(text), "{target}: {error}");
    }
    std::fs::remove_dir(host.path("image/sys")).unwrap();
    std::os::unix::fs::symlink("tmp", host.path("image/sys")).unwrap();
    let spec = host.shell("true");
    let error = host.start_error(&spec).await.to_string();
    assert!(
        error.starts_with("/sys of the image is not a plain directory"),
        "{error}"
    );
}

#[tokio::test]
async fn a_readonly_root_has_writable_mounts() {
    let mut host = Host::new().await;
    let mut spec = host.shell("touch /x; touch /t/x /dev/shm/x && pwd");
    spec.readonly_root = true;
    spec.cwd = "/made".into();
    spec.mounts = vec![Mount::Tmpfs {
        target: "/t".into(),
        size: None,
        mode: None,
        options: Vec::new(),
    }];
    let output = host.output(&spec).await;
    assert!(
        output.contains("touch: /x: Read-only file system"),
        "{output}"
    );
    assert!(output.ends_with("/made\n"), "{output}");
}

#[tokio::test]
async fn many_layers_with_long_names() {
    let mut host = Host::new().await;
    let mut spec = host.shell("cat /layer; ls /layers | wc -l");
    let Rootfs::Overlay { lower, .. } = &mut spec.rootfs;
    let image = lower.clone();
    lower.clear();
    for number in 0..120 {
        let layer = host.path(&format!("layers/{number:03}-{}", "x".repeat(200)));
        std::fs::create_dir_all(layer.join("layers")).unwrap();
        std::fs::write(layer.join("layer"), format!("{number}\n")).unwrap();
        std::fs::write(layer.join(format!("layers/{number}")), "").unwrap();
        lower.push(layer);
    }
    lower.extend(image);
    // One name is too long for fsconfig.
    let long = host.path(&format!("{}/{}", "y".repeat(200), "z".repeat(200)));
    std::fs::create_dir_all(long.join("layers")).unwrap();
    std::fs::write(long.join("layers/long"), "").unwrap();
    lower.push(long);
    assert_eq!(host.output(&spec).await, "0\n121\n");
}

#[tokio::test]
async fn a_layer_that_is_missing() {
    let mut host = Host::new().await;
    let mut spec = host.shell("true");
    let Rootfs::Overlay { lower, .. } = &mut spec.rootfs;
    lower.push("/no/such/layer".into());
    let error = host.start_error(&spec).await.to_string();
    assert_eq!(error, "the layer directory /no/such/layer does not exist");
}

#[tokio::test]
async fn later_mounts_of_the_host_arrive_only_with_slave() {
    let mut host = Host::new().await;
    let shared = host.path("shared");
    std::fs::create_dir(&shared).unwrap();
    let _mounts = OwnMounts::new(&shared);
    std::fs::create_dir(shared.join("below")).unwrap();
    let mut spec = host.shell("echo ready; while ! [ -e /slave/below/file ]; do sleep 0.02; done; ls /private/below /slave/below");
    for (target, propagation) in [
        ("/private", Propagation::Rprivate),
        ("/slave", Propagation::Rslave),
    ] {
        spec.mounts.push(Mount::Bind {
            readonly_recursive: ReadOnlyRecursion::IfPossible,
            source: shared.clone(),
            target: target.into(),
            readonly: false,
            recursive: true,
            propagation,
        });
    }
    host.start(&spec).await;
    common::eventually("the container runs", || {
        common::output(&spec).contains("ready")
    })
    .await;
    let below = shared.join("below");
    run("mount", &["-t", "tmpfs", "tmpfs", below.to_str().unwrap()]);
    std::fs::write(below.join("file"), "").unwrap();
    host.exit(&spec.id).await;
    assert_eq!(
        common::output(&spec),
        "ready\n/private/below:\n\n/slave/below:\nfile\n"
    );
}

#[tokio::test]
async fn a_source_that_takes_no_part_cannot_be_shared() {
    let mut host = Host::new().await;
    let own = host.path("own");
    std::fs::create_dir(&own).unwrap();
    let _mounts = OwnMounts::new(&own);
    run("mount", &["--make-private", own.to_str().unwrap()]);
    let data = own.join("data");
    std::fs::create_dir(&data).unwrap();
    for (mode, wanted) in [
        (Propagation::Rshared, "shared"),
        (Propagation::Slave, "shared or slave"),
    ] {
        let mut spec = host.shell("true");
        spec.mounts = vec![Mount::Bind {
            readonly_recursive: ReadOnlyRecursion::IfPossible,
            source: data.clone(),
            target: "/data".into(),
            readonly: false,
            recursive: true,
            propagation: mode,
        }];
        let error = host.start_error(&spec).await.to_string();
        let (data, own) = (data.display(), own.display());
        let text = format!("path {data} is mounted on {own} but it is not a {wanted} mount.");
        assert_eq!(error, text);
    }
}

#[tokio::test]
async fn read_only_binds_and_the_mounts_below_them() {
    let mut host = Host::new().await;
    let outer = host.path("outer");
    std::fs::create_dir(&outer).unwrap();
    let _mounts = OwnMounts::new(&outer);
    let below = outer.join("below");
    std::fs::create_dir(&below).unwrap();
    run("mount", &["-t", "tmpfs", "tmpfs", below.to_str().unwrap()]);
    let with = |mode: ReadOnlyRecursion, propagation: Propagation| {
        let mut mount = bind(&outer, "/outer", true);
        if let Mount::Bind {
            readonly_recursive,
            propagation: travel,
            ..
        } = &mut mount
        {
            (*readonly_recursive, *travel) = (mode, propagation);
        }
        mount
    };
    use ReadOnlyRecursion::{Force, IfPossible, Off};
    for (mode, propagation, writable) in [
        (IfPossible, Propagation::Rprivate, ""),
        (IfPossible, Propagation::Private, ""),
        (Force, Propagation::Rprivate, ""),
        (Off, Propagation::Rprivate, "below\n"),
        (Off, Propagation::Private, "below\n"),
    ] {
        let mut spec = host.shell(
            "touch /outer/x 2>/dev/null && echo outer; touch /outer/below/x 2>/dev/null && echo below; true",
        );
        spec.mounts.push(with(mode, propagation));
        assert_eq!(
            host.output(&spec).await,
            writable,
            "{mode:?} {propagation:?}"
        );
    }
    let mut spec = host.shell("true");
    let mut mount = bind(&outer, "/outer", false);
    if let Mount::Bind {
        readonly_recursive, ..
    } = &mut mount
    {
        *readonly_recursive = Force;
    }
    spec.mounts.push(mount);
    assert_eq!(
        host.start_error(&spec).await.to_string(),
        "mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive"
    );
}

/// A shared mount on a directory, and what comes below it.
struct OwnMounts {
    path: PathBuf,
}

impl OwnMounts {
    fn new(path: &Path) -> Self {
        let path = path.to_owned();
        run("mount", &["-t", "tmpfs", "tmpfs", path.to_str().unwrap()]);
        let mounts = OwnMounts { path };
        run("mount", &["--make-shared", mounts.path.to_str().unwrap()]);
        mounts
    }
}

impl Drop for OwnMounts {
    fn drop(&mut self) {
        for path in [self.path.join("below"), self.path.clone()] {
            let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
            // SAFETY: the path is a C string. Not mounted is fine.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
    }
}

fn run(program: &str, args: &[&str]) {
    let status = std::process::Command::new(program)
        .args(args)
        .status()
        .unwrap();
    assert!(status.success(), "{program} {args:?}: {status}");
}
