//! Devices, privileged containers, seccomp profiles and labels. Needs root and /bin/busybox.

mod common;

use common::Host;
use sandbox::StartError;
use sandbox::spec::{Device, Seccomp};

fn device(host: &str, container: &str, permissions: &str) -> Device {
    Device {
        host: host.into(),
        container: container.into(),
        permissions: permissions.into(),
    }
}

#[tokio::test]
async fn devices_are_allowed_as_asked() {
    let mut host = Host::new().await;
    let script = "for f in /dev/fuse /dev/deep/er; do [ -c $f ] || continue; echo $f; \
                  (: <$f) 2>/dev/null && echo read; (: >$f) 2>/dev/null && echo write; done; \
                  stat -c '%a %t:%T' /dev/fuse 2>/dev/null; \
                  mknod /tmp/full c 1 11; (: <$/tmp/full) 2>/dev/null && echo other; true";
    let spec = host.shell(script);
    assert_eq!(host.output(&spec).await, "");
    let mut spec = host.shell(script);
    let mode = std::fs::metadata("/dev/fuse").expect("this host has /dev/fuse");
    let mode = std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o7777;
    spec.devices = vec![device("/dev/fuse", "/dev/fuse", "rwm")];
    assert_eq!(
        host.output(&spec).await,
        format!("/dev/fuse\nread\nwrite\n{mode:o} a:e5\n")
    );
    let mut spec = host.shell(script);
    spec.devices = vec![device("/dev/fuse", "/dev/deep/er", "r")];
    assert_eq!(host.output(&spec).await, "/dev/deep/er\nread\n");
    // The node in the writable layer is there again at the second start.
    let mut spec = host.shell("ls -l /data/fuse | cut -c 1");
    spec.devices = vec![device("/dev/fuse", "/data/fuse", "rw")];
    assert_eq!(host.output(&spec).await, "c\n");
    host.supervisor.acknowledge(&spec.id).await.unwrap();
    host.reconnect().await;
    host.run(&spec).await;
    assert_eq!(common::output(&spec), "c\nc\n");
}

#[tokio::test]
async fn devices_that_are_none() {
    let mut host = Host::new().await;
    let plain = host.path("image/etc/passwd");
    let text = "error gathering device information while adding custom device";
    for (path, expected) in [
        (
            "/dev/nope",
            format!("{text} \"/dev/nope\": No such file or directory (os error 2)"),
        ),
        (
            plain.to_str().unwrap(),
            format!("{text} \"{}\": not a device node", plain.display()),
        ),
    ] {
        let mut spec = host.shell("true");
        spec.devices = vec![device(path, "/dev/x", "rwm")];
        assert_eq!(host.start_error(&spec).await.to_string(), expected);
    }
    for wrong in [
        device("/dev/fuse", "x", "rwm"),
        device("/dev/fuse", "/x", "rx"),
        device("/dev/fuse", "/x", ""),
    ] {
        let mut spec = host.shell("true");
        spec.devices = vec![wrong];
        let error = host.start_error(&spec).await;
        assert!(matches!(error, StartError::InvalidSpec(_)), "{error:?}");
    }
}

#[tokio::test]
async fn privileged_is_everything_that_the_host_has() {
    let mut host = Host::new().await;
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own
        .lines()
        .find(|line| line.starts_with("CapBnd:"))
        .unwrap();
    let script = "grep -E '^(CapEff|Seccomp):' /proc/self/status; \
         mount -t tmpfs x /tmp && echo mounted; \
         grep -E ' /sys ' /proc/mounts | cut -d ' ' -f 4 | cut -c 1-2; \
         [ -c /dev/fuse ] && (: <>/dev/fuse) && echo fuse; [ -b /dev/loop0 ] && echo loop; \
         grep -c -E ' /proc/(sys|kcore|keys|bus) ' /proc/mounts; \
         mkdir /sys/fs/cgroup/pids/inner && rmdir /sys/fs/cgroup/pids/inner && echo group; \
         ls /dev/pts /dev/.files 2>/dev/null | tr '\\n' ' '; true";
    let mut spec = host.shell(script);
    spec.privileged = true;
    let output = host.output(&spec).await;
    let expected = [
        own.replace("CapBnd", "CapEff"),
        "Seccomp:\t0".into(),
        "mounted".into(),
        "rw".into(),
        "fuse".into(),
        "loop".into(),
        "0".into(),
    ];
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[..expected.len()], expected, "{output}");
    // Where the pids controller is v1's.
    let v1 = std::path::Path::new("/sys/fs/cgroup/pids").exists();
    assert_eq!(lines.contains(&"group"), v1, "{output}");
    let spec = host.shell("[ -c /dev/fuse ] || echo none; grep -E ' /sys ' /proc/mounts | cut -d ' ' -f 4 | cut -c 1-2");
    assert_eq!(host.output(&spec).await, "none\nro\n");
}

#[tokio::test]
async fn seccomp_profiles() {
    let mut host = Host::new().await;
    let script =
        "mkdir /made 2>&1; chmod 4755 /etc/plain 2>&1; chmod 755 /etc/plain && echo changed";
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":122},
        {"names":["chmod"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":2048,"valueTwo":2048,"op":"SCMP_CMP_MASKED_EQ"}]},
        {"names":["fchmodat"],"action":"SCMP_ACT_ERRNO","args":[{"index":2,"value":2048,"valueTwo":2048,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
    let mut spec = host.shell(script);
    spec.seccomp = Seccomp::Custom(profile.into());
    assert_eq!(
        host.output(&spec).await,
        "mkdir: can't create directory '/made': Disk quota exceeded\n\
         chmod: /etc/plain: Operation not permitted\nchanged\n"
    );
    // Also under an init, for a program that joins, and when privileged.
    for (init, privileged) in [(true, false), (false, true)] {
        let mut spec = host.command(&["sleep", "1000"]);
        spec.seccomp = Seccomp::Custom(profile.into());
        (spec.init, spec.privileged) = (init, privileged);
        host.start(&spec).await;
        let (code, output) = host.exec(&spec, "mkdir /made 2>&1").await;
        assert_eq!(code, 1);
        assert!(output.contains("Disk quota exceeded"), "{output}");
        host.supervisor.kill_all(&spec.id).await.unwrap();
        host.exit(&spec.id).await;
    }
    // Nothing is allowed that is not named.
    let mut spec = host.shell("true");
    spec.seccomp = Seccomp::Custom(
        r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[{"names":["execve","prctl","capget","capset","setresuid","setresgid","setgroups","write","stat","newfstatat","access","faccessat","faccessat2"],"action":"SCMP_ACT_ALLOW"}]}"#.into(),
    );
    let exit = match host.supervisor.start(spec.clone()).await {
        Ok(_) => host.exit(&spec.id).await.exit_code,
        Err(error) => error.exit_code(),
    };
    assert!([128, 159].contains(&exit), "killed by SIGSYS: {exit}");
    let mut spec = host.shell("true");
    spec.seccomp = Seccomp::Custom("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":7}".into());
    let error = host.start_error(&spec).await;
    assert!(matches!(error, StartError::InvalidSpec(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("invalid seccomp profile: invalid type: integer"),
        "{error}"
    );
}

#[tokio::test]
async fn labels_need_their_module() {
    let mut host = Host::new().await;
    let mut spec = host.shell("true");
    spec.apparmor_profile = Some("unconfined".into());
    host.output(&spec).await;
    if !std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        let mut spec = host.shell("true");
        spec.selinux_label = Some("system_u:system_r:container_t:s0".into());
        let error = host.start_error(&spec).await;
        assert!(matches!(error, StartError::InvalidSpec(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .ends_with("SELinux is not active on this host"),
            "{error}"
        );
    }
    let mut spec = host.shell("true");
    spec.apparmor_profile = Some("no-such-profile".into());
    let error = host.start_error(&spec).await.to_string();
    // Where the module is active, the kernel does not know the profile.
    assert!(
        error.ends_with("AppArmor is not active on this host")
            || error.starts_with("cannot set the AppArmor profile"),
        "{error}"
    );
}
