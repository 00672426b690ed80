//! What a container sees and may do. Needs root and /bin/busybox.

mod common;

use common::Host;
use sandbox::spec::{Network, Seccomp};

#[tokio::test]
async fn the_view_from_inside() {
    let mut host = Host::new().await;
    let spec =
        host.shell("echo pid $$; hostname; pwd; echo $PATH; echo $HOSTNAME; echo $HOME; id; umask");
    let output = host.output(&spec).await;
    let expected = "pid 1\nbox\n/\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
        box\n/root\nuid=0(root) gid=0(root) groups=0(root),10(wheel)\n0022\n";
    assert_eq!(output, expected);
}

#[tokio::test]
async fn capabilities_and_seccomp_are_dockers() {
    let mut host = Host::new().await;
    let script = "grep -E '^(Cap|NoNewPrivs|Seccomp):?' /proc/self/status | grep -v filters";
    let spec = host.shell(script);
    let output = host.output(&spec).await;
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t0",
        "Seccomp:\t2",
    ] {
        assert!(output.contains(line), "{line} is not in\n{output}");
    }
    let mut spec = host.shell(script);
    spec.cap_drop = vec!["ALL".into()];
    spec.cap_add = vec!["NET_BIND_SERVICE".into()];
    spec.no_new_privileges = true;
    spec.seccomp = Seccomp::Unconfined;
    let output = host.output(&spec).await;
    for line in [
        "CapEff:\t0000000000000400",
        "CapBnd:\t0000000000000400",
        "NoNewPrivs:\t1",
        "Seccomp:\t0",
    ] {
        assert!(output.contains(line), "{line} is not in\n{output}");
    }
    let mut spec = host.shell(script);
    spec.user = "web".into();
    let output = host.output(&spec).await;
    for line in [
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
    ] {
        assert!(output.contains(line), "{line} is not in\n{output}");
    }
}

#[tokio::test]
async fn system_calls_are_filtered() {
    let mut host = Host::new().await;
    let spec = host.shell(
        "unshare -r true 2>&1; mount -t tmpfs x /tmp 2>&1; chroot / /bin/true && echo chroot works",
    );
    let output = host.output(&spec).await;
    assert!(
        output.contains("unshare: unshare(0x10000000): Operation not permitted"),
        "{output}"
    );
    assert!(
        output.contains("mount: permission denied") || output.contains("Operation not permitted"),
        "{output}"
    );
    assert!(output.contains("chroot works"), "{output}");
    // With CAP_SYS_ADMIN the profile lets mount through.
    let mut spec = host.shell("mount -t tmpfs x /tmp && echo mounted");
    spec.cap_add = vec!["CAP_SYS_ADMIN".into()];
    assert_eq!(host.output(&spec).await, "mounted\n");
}

#[tokio::test]
async fn the_kernels_file_systems_are_masked_and_protected() {
    let mut host = Host::new().await;
    let spec = host.shell(
        "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l; \
         echo 1 > /proc/sys/kernel/domainname; mkdir /sys/fs/cgroup/x; \
         touch /sys/kernel/x; true",
    );
    let output = host.output(&spec).await;
    assert!(output.starts_with("0\n0\n"), "{output}");
    for path in [
        "/proc/sys/kernel/domainname",
        "/sys/fs/cgroup/x",
        "/sys/kernel/x",
    ] {
        let refused = output
            .lines()
            .any(|l| l.contains(path) && l.contains("Read-only file system"));
        assert!(refused, "{path} is not read-only:\n{output}");
    }
}

#[tokio::test]
async fn devices_are_dockers() {
    let mut host = Host::new().await;
    let spec = host.shell(
        "ls /dev; readlink /dev/fd; readlink /dev/ptmx; echo x > /dev/null; head -c 3 /dev/zero | wc -c; \
         mknod /tmp/disk b 254 0 && { head -c 1 /tmp/disk > /dev/null; } 2>&1; ls -l /dev/null; \
         df -k /dev/shm | tail -1 | awk '{print $2}'; tty; ls /dev/pts",
    );
    let output = host.run(&spec).await.1;
    let nodes = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert!(output.starts_with(nodes), "{output}");
    assert!(output.contains("/proc/self/fd\npts/ptmx\n3\n"), "{output}");
    assert!(
        output.contains("/tmp/disk: Operation not permitted"),
        "{output}"
    );
    assert!(output.contains("crw-rw-rw-"), "{output}");
    assert!(output.contains("\n65536\n"), "{output}");
}

#[tokio::test]
async fn cgroups_are_the_containers_own() {
    let mut host = Host::new().await;
    let mut spec = host.shell(
        "grep -E 'memory|pids|^0:' /proc/self/cgroup; \
         cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null",
    );
    spec.resources.memory_bytes = Some(64 << 20);
    let output = host.run(&spec).await.1;
    for line in output.lines().filter(|line| line.contains(':')) {
        assert!(line.ends_with(":/"), "{line}");
    }
    assert!(output.ends_with("\n67108864\n"), "{output}");
}

#[tokio::test]
async fn networks() {
    let mut host = Host::new().await;
    let script = "ip -o link | wc -l; ip -o addr show lo | grep -c 'inet 127.0.0.1/8'; readlink /proc/self/ns/net; \
                  cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let host_namespace = std::fs::read_link("/proc/self/ns/net").unwrap();
    let host_namespace = host_namespace.to_str().unwrap();
    let spec = host.shell(script);
    let output = host.output(&spec).await;
    assert!(output.starts_with("1\n1\n"), "{output}");
    assert!(!output.contains(host_namespace), "{output}");
    assert!(output.ends_with("\n0\n"), "{output}");
    let mut spec = host.shell(script);
    spec.network = Network::Host;
    let output = host.output(&spec).await;
    assert!(output.contains(host_namespace), "{output}");
}

#[tokio::test]
async fn nothing_of_the_supervisor_or_the_host_leaks_in() {
    let mut host = Host::new().await;
    let spec = host.shell("ls /proc/1/fd; grep -v ^overlay /proc/self/mounts; ps");
    let output = host.output(&spec).await;
    let directory = host.directory.path().to_str().unwrap();
    assert!(output.starts_with("0\n1\n2\nproc "), "{output}");
    assert!(!output.contains(directory), "{output}");
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(
        !mounts.contains(directory),
        "the container's mounts are on the host:\n{mounts}"
    );
}

#[tokio::test]
async fn the_supervisors_executable_cannot_be_overwritten() {
    let host = Host::new().await;
    let path = format!("/proc/{}/exe", host.supervisor.pid());
    // Not by opening it, which fails for any program that runs, but only as long as it runs.
    let permissions = std::fs::metadata(&path).unwrap().permissions();
    let error = std::fs::set_permissions(&path, permissions).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{error}");
}

#[tokio::test]
async fn limits_and_sysctls() {
    let mut host = Host::new().await;
    let mut spec = host
        .shell("ulimit -n; ulimit -Hn; cat /proc/sys/net/core/somaxconn /proc/self/oom_score_adj");
    let limit = |soft, hard| sandbox::spec::Rlimit {
        name: "nofile".into(),
        soft,
        hard,
    };
    spec.rlimits = vec![limit(64, 128)];
    spec.sysctls = vec![("net.core.somaxconn".into(), "77".into())];
    spec.oom_score_adj = Some(300);
    assert_eq!(host.output(&spec).await, "64\n128\n77\n300\n");

    let mut spec = host.shell("true");
    spec.sysctls = vec![("kernel.panic".into(), "1".into())];
    let error = host.start_error(&spec).await.to_string();
    assert_eq!(
        error,
        "sysctl \"kernel.panic\" is not in a separate kernel namespace"
    );

    let mut spec = host.shell("ulimit -Hn");
    spec.rlimits = vec![limit(64, 1 << 30)];
    // Above /proc/sys/fs/nr_open nobody may go; below it only who has CAP_SYS_RESOURCE.
    let error = host.start_error(&spec).await.to_string();
    assert!(error.contains("ulimit nofile=64:1073741824"), "{error}");
    assert!(error.contains("this host's hard limit is"), "{error}");
}
