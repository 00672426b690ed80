//! What a container can be asked for beside its program, as far as the kernel of the test's host gives it.

use crate::support::Host;
use engine::{ContainerConfig, DeviceConfig, MountConfig, MountKind, Phase, SeccompConfig};

#[tokio::test]
async fn options_reach_the_container() {
    let host = Host::new().await;
    let script = "id -G; cat /proc/1/comm; tty; ls /dev/fuse-of-mine; grep -o noexec /proc/mounts | head -1; \
        touch /mem/x && stat -c '%u %a' /mem";
    let tmpfs = MountConfig {
        target: "/mem".into(),
        read_only: false,
        kind: MountKind::Tmpfs {
            size: Some(64 << 10),
            mode: Some(0o750),
            options: vec!["uid=7".into()],
        },
    };
    let config = ContainerConfig {
        groups: vec!["17".into()],
        init: true,
        tty: true,
        open_stdin: true,
        mounts: vec![tmpfs],
        devices: vec![DeviceConfig {
            host: "/dev/null".into(),
            container: "/dev/fuse-of-mine".into(),
            permissions: "rw".into(),
        }],
        seccomp: SeccompConfig::Unconfined,
        ..host.shell("all", script)
    };
    let (state, output) = host.run(config).await;
    assert_eq!(
        (state.phase, state.exit_code),
        (Phase::Exited, 0),
        "{output}"
    );
    let output = output.replace('\r', "");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "0 17", "{output}");
    assert!(!lines[1].contains("sh"), "process 1 is an init: {output}");
    assert!(
        lines[2].starts_with("/dev/pts/") || lines[2] == "/dev/console",
        "{output}"
    );
    assert_eq!(lines[3..], ["/dev/fuse-of-mine", "noexec", "7 750"]);
}

#[tokio::test]
async fn paths_and_programs_are_taken_as_docker_takes_them() {
    let host = Host::new().await;
    host.import("entry:1", &["ENTRYPOINT [\"echo\", \"of the image\"]"])
        .await;
    let tmpfs = MountConfig {
        target: "/mem/../other/".into(),
        read_only: true,
        kind: MountKind::Tmpfs {
            size: None,
            mode: None,
            options: vec![],
        },
    };
    let config = ContainerConfig {
        image: "entry:1".into(),
        entrypoint: vec![String::new()],
        working_dir: "/srv//new/../app/.".into(),
        mounts: vec![tmpfs],
        ..host.shell("a", "pwd; grep -c ' /other tmpfs ro,' /proc/mounts")
    };
    let (state, output) = host.run(config).await;
    assert_eq!((state.exit_code, output.as_str()), (0, "/srv/app\n1\n"));
}

#[tokio::test]
async fn what_only_the_image_or_the_host_knows_is_refused_at_the_start() {
    let host = Host::new().await;
    let base = || host.shell("x", "true");
    let sysctl = ("net.core.nope".to_owned(), "1".to_owned());
    let cases = [
        (
            ContainerConfig {
                user: "web".into(),
                ..base()
            },
            "unable to find user web: no matching entries in passwd file",
        ),
        (
            // The image has no /etc/group.
            ContainerConfig {
                user: "root:staff".into(),
                ..base()
            },
            "unable to find group staff: no matching entries in group file",
        ),
        (
            ContainerConfig {
                groups: vec!["audio".into()],
                ..base()
            },
            "Unable to find group audio",
        ),
        (
            ContainerConfig {
                working_dir: "/etc/passwd".into(),
                ..base()
            },
            "cannot change to the working directory \"/etc/passwd\": Not a directory",
        ),
        (
            ContainerConfig {
                sysctls: [sysctl].into(),
                ..base()
            },
            "cannot set sysctl net.core.nope=1: No such file or directory",
        ),
    ];
    for (config, expected) in cases {
        let engine = host.engine();
        let id = engine.create(config).await.expect("it is made");
        let error = engine.start(&id).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        engine.remove(&id, false).await.unwrap();
    }
}

#[tokio::test]
async fn a_profile_of_ones_own_is_a_filter() {
    let host = Host::new().await;
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_AARCH64"],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    let mut config = host.shell("a", "mkdir /made || echo refused");
    config.seccomp = SeccompConfig::Custom(profile.into());
    let (_, output) = host.run(config).await;
    assert!(output.contains("refused"), "{output}");
    let mut config = host.shell("b", "true");
    config.seccomp = SeccompConfig::Custom("no profile".into());
    let error = host.engine().create(config).await.unwrap_err();
    assert!(error.is_permanent(), "{error:?}");
    assert!(error.to_string().contains("seccomp"), "{error}");
}
