//! Cgroup limits and killing. Needs root and /bin/busybox.

mod common;

use common::Host;

#[tokio::test]
async fn out_of_memory_is_reported() {
    let mut host = Host::new().await;
    // One process with one buffer, so that it is clear which one the kernel kills.
    let hog = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"];
    let mut spec = host.command(&hog);
    spec.resources.memory_bytes = Some(16 << 20);
    let (exit, output) = host.run(&spec).await;
    assert!(exit.oom_killed, "{exit:?} {output}");
    assert_eq!(exit.exit_code, 137, "{output}");
    let spec = host.command(&hog);
    let (exit, output) = host.run(&spec).await;
    assert_eq!((exit.exit_code, exit.oom_killed), (0, false), "{output}");
}

#[tokio::test]
async fn processes_are_limited() {
    let mut host = Host::new().await;
    let mut spec =
        host.shell("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo all forked");
    spec.resources.pids_limit = Some(8);
    let (exit, output) = host.run(&spec).await;
    assert_ne!(exit.exit_code, 0);
    assert!(
        output.contains("can't fork: Resource temporarily unavailable"),
        "{output}"
    );
}

#[tokio::test]
async fn cpu_time_is_limited() {
    let mut host = Host::new().await;
    let mut spec = host.shell(
        "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us /sys/fs/cgroup/cpu.max 2>/dev/null; true",
    );
    spec.resources.nano_cpus = Some(250_000_000);
    let output = host.output(&spec).await;
    assert!(
        output == "25000\n100000\n" || output == "25000 100000\n",
        "{output}"
    );
}

#[tokio::test]
async fn kill_all_kills_everything_and_leaves_no_cgroup() {
    let mut host = Host::new().await;
    let spec = host.shell(
        "trap '' TERM; (trap '' TERM; setsid sleep 1000) & setsid sleep 1000 & echo ready; wait",
    );
    host.start(&spec).await;
    common::eventually("it runs", || common::output(&spec).contains("ready")).await;
    let groups = common::cgroup_directories(&format!("{}/{}", host.cgroup_parent, spec.id));
    assert!(!groups.is_empty());
    let pids = std::fs::read_to_string(groups[0].join("cgroup.procs")).unwrap();
    assert!(pids.lines().count() >= 3, "{pids}");
    host.supervisor.kill_all(&spec.id).await.unwrap();
    assert_eq!(host.exit(&spec.id).await.exit_code, 137);
    for pid in pids.lines() {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} lives"
        );
    }
    common::eventually("the cgroups go", || {
        groups.iter().all(|group| !group.exists())
    })
    .await;
}

#[tokio::test]
async fn a_left_over_cgroup_is_no_obstacle() {
    let mut host = Host::new().await;
    // The first makes the parents.
    let spec = host.shell("true");
    host.run(&spec).await;
    let spec = host.shell("echo fine");
    let mut left = common::cgroup_directories(&host.cgroup_parent);
    assert!(!left.is_empty());
    for directory in &mut left {
        directory.push(&spec.id);
        std::fs::create_dir_all(directory.join("below")).unwrap();
    }
    assert_eq!(host.output(&spec).await, "fine\n");
    common::eventually("the cgroups go", || {
        left.iter().all(|group| !group.exists())
    })
    .await;
}
