//! What a container can be asked for beside its program, as far as the kernel of the test's host gives it.

use crate::support::Host;
use engine::{
    ContainerConfig, DeviceConfig, MountConfig, MountKind, Phase, SeccompConfig, StartError,
};

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
    host.engine().create(config).await.unwrap();
    let error = host.engine().start("b").await.unwrap_err();
    assert!(matches!(error, StartError::Failed { .. }), "{error:?}");
    assert!(error.to_string().contains("seccomp"), "{error}");
}
