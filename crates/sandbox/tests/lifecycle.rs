//! Daemons and supervisors that die. Needs root and /bin/busybox.

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::{Host, config, output};
use sandbox::{Event, Exit, Status, Supervisor, kill_orphans};

#[tokio::test]
async fn containers_outlive_their_daemon() {
    let mut host = Host::new().await;
    let long = host
        .shell("i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 5");
    let forever = host.command(&["sleep", "1000"]);
    let started = host.start(&long).await;
    host.start(&forever).await;
    let old = host.supervisor.pid();
    // The old connection is dropped; nobody listens while the container ends.
    host.reconnect().await;
    assert_eq!(host.supervisor.pid(), old);
    let listed = host.supervisor.list().await.unwrap();
    let state = listed.iter().find(|state| state.id == long.id).unwrap();
    assert_eq!(
        (state.pid, state.start_time),
        (started.pid, started.start_time)
    );
    assert_eq!(
        (&state.status, state.started_at),
        (&Status::Running, started.started_at)
    );
    assert_eq!(state.log_path, long.log.path());
    assert_eq!(host.exit(&long.id).await.exit_code, 5);
    let lines: String = (0..50).map(|i| format!("line {i}\n")).collect();
    assert_eq!(output(&long), lines);

    let error = host.supervisor.shutdown().await.unwrap_err();
    assert_eq!(error.to_string(), "1 containers run: stop them first");
    let error = host.supervisor.acknowledge(&forever.id).await.unwrap_err();
    assert!(error.to_string().contains("has not ended"), "{error}");
}

#[tokio::test]
async fn exits_are_replayed_until_they_are_acknowledged() {
    let mut host = Host::new().await;
    let spec = host.shell("exit 3");
    let first = host.run(&spec).await.0;
    for _ in 0..2 {
        host.reconnect().await;
        assert_eq!(host.exit(&spec.id).await, first);
        let listed = host.supervisor.list().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].status, Status::Exited(first.clone()));
    }
    host.supervisor.acknowledge(&spec.id).await.unwrap();
    host.supervisor
        .acknowledge(&spec.id)
        .await
        .expect("twice is no error");
    host.reconnect().await;
    assert!(host.supervisor.list().await.unwrap().is_empty());
    // The id is free again, and so is the supervisor to go.
    assert_eq!(host.run(&spec).await.0.exit_code, 3);
    host.supervisor.shutdown().await.unwrap();
    assert_eq!(host.event().await, Event::SupervisorLost);
    host.reconnect().await;
    assert_eq!(
        host.exit(&spec.id).await.exit_code,
        3,
        "the next supervisor knows what was not acknowledged"
    );
}

fn kill(pid: i32) {
    // SAFETY: takes no pointers; the process is the supervisor that this test started.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// Whoever inherits the children of a dead supervisor may leave them as zombies for a while.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn orphans_are_killed_by_cgroup() {
    let mut host = Host::new().await;
    let ended = host.shell("exit 4");
    let first = host.run(&ended).await.0;
    let running = host.shell("trap '' TERM; sleep 1000 & wait");
    let started = host.start(&running).await;
    let error = kill_orphans(&host.exec_root()).unwrap_err().to_string();
    assert!(error.contains("are no orphans"), "{error}");
    kill(host.supervisor.pid());
    assert_eq!(host.event().await, Event::SupervisorLost);
    assert!(host.supervisor.list().await.is_err());
    assert!(
        is_alive(started.pid),
        "containers do not die with their supervisor"
    );

    for _ in 0..2 {
        let mut orphans = kill_orphans(&host.exec_root()).unwrap();
        orphans.sort_by(|a, b| a.id.cmp(&b.id));
        let exits: Vec<Exit> = orphans
            .into_iter()
            .map(|state| match state.status {
                Status::Exited(exit) => exit,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(exits[0], first);
        assert_eq!(exits[1].exit_code, 137);
        assert_eq!(
            exits[1].error,
            "the supervisor of its host ended unexpectedly"
        );
        // It has left its cgroup, and may be ending still.
        common::eventually("it is dead", || !is_alive(started.pid)).await;
    }
    let group = format!("{}/{}", host.cgroup_parent, running.id);
    assert!(common::cgroup_directories(&group).is_empty());
}

#[tokio::test]
async fn a_new_supervisor_ends_what_a_dead_one_left() {
    let mut host = Host::new().await;
    let running = host.shell("trap '' TERM; sleep 1000 & wait");
    let started = host.start(&running).await;
    kill(host.supervisor.pid());
    assert_eq!(host.event().await, Event::SupervisorLost);
    host.reconnect().await;
    let exit = host.exit(&running.id).await;
    assert_eq!(exit.exit_code, 137);
    common::eventually("it is dead", || !is_alive(started.pid)).await;
    let spec = host.shell("echo works");
    assert_eq!(host.output(&spec).await, "works\n");
}

#[tokio::test]
async fn a_second_supervisor_gives_way() {
    let host = Host::new().await;
    let config = config(host.directory.path());
    let output = std::process::Command::new(&config.binary)
        .args(&config.args)
        .arg("--exec-root")
        .arg(&config.exec_root)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("another supervisor runs on "), "{said}");
    assert_eq!(output.status.code(), Some(75));
}

#[tokio::test]
async fn a_supervisor_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.args = vec!["supervisor".into(), "--wrong".into()];
    let error = Supervisor::connect_or_start(&config)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the supervisor did not start: usage: supervisor [--idle-seconds N] --exec-root DIR"
    );
    config.binary = directory.path().join("absent");
    let error = Supervisor::connect_or_start(&config)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot execute"), "{error}");
}

#[tokio::test]
async fn a_broken_client_disturbs_nobody() {
    let mut host = Host::new().await;
    let socket = host.exec_root().join("supervisor.sock");
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\x00\x00\x00{]", b"\x10\x00"] {
        let mut client = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        std::io::Write::write_all(&mut client, bytes).unwrap();
    }
    let spec = host.shell("echo fine");
    assert_eq!(host.output(&spec).await, "fine\n");
}

#[tokio::test]
async fn the_supervisor_depends_on_nothing_of_the_daemon() {
    let host = Host::new().await;
    let pid = host.supervisor.pid();
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    assert!(read("comm").starts_with("starling"), "{}", read("comm"));
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[3], pid.to_string(), "it leads its own session");
    let known = [
        "anon_inode:[eventpoll]",
        "anon_inode:[signalfd]",
        "/dev/null",
        // Restricts devices where the v1 controller does not.
        "anon_inode:bpf-prog",
    ];
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = std::fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.to_string_lossy();
        let own = known.contains(&target.as_ref())
            || target.starts_with("socket:")
            || target.ends_with("exec-root/supervisor.lock")
            || target.ends_with("exec-root/supervisor.log");
        assert!(own, "{target}");
    }
    assert_eq!(
        std::fs::read_to_string(host.exec_root().join("supervisor.log")).unwrap(),
        ""
    );
    use std::os::unix::fs::PermissionsExt;
    let socket = std::fs::metadata(host.exec_root().join("supervisor.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
}

/// Resident memory in KiB, and the part of it that no file backs.
fn memory(pid: i32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let field = |name: &str| -> u64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    (field("Rss:"), field("Anonymous:"))
}

#[tokio::test]
async fn fifty_containers_start_fast_and_cost_little() {
    const COUNT: usize = 50;
    let mut host = Host::new().await;
    let warm = host.shell("true");
    host.run(&warm).await;
    host.supervisor.acknowledge(&warm.id).await.unwrap();
    let pid = host.supervisor.pid();
    let before = memory(pid);
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count()
    };
    let open_before = descriptors();

    let serial: Vec<_> = (0..COUNT / 2)
        .map(|_| host.command(&["sleep", "1000"]))
        .collect();
    let mut times = Vec::new();
    for spec in &serial {
        let begin = Instant::now();
        host.start(spec).await;
        times.push(begin.elapsed());
    }
    times.sort();
    let parallel: Vec<_> = (0..COUNT / 2)
        .map(|_| host.command(&["sleep", "1000"]))
        .collect();
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for spec in &parallel {
        let (supervisor, spec) = (host.supervisor.clone(), spec.clone());
        tasks.spawn(async move { supervisor.start(spec).await });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    let together = begin.elapsed();
    let after = memory(pid);
    println!(
        "start to exec, one after the other: median {:?}, fastest {:?}, slowest {:?}; {} at once: {together:?}; \
         supervisor: RSS {} KiB with none, {} KiB with {COUNT}; anonymous {} and {} KiB",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1],
        parallel.len(),
        before.0,
        after.0,
        before.1,
        after.1
    );
    let listed = host.supervisor.list().await.unwrap();
    let pids: HashSet<i32> = listed.iter().map(|state| state.pid).collect();
    assert_eq!(pids.len(), COUNT);
    // Generous bounds against coarse mistakes; the figures are printed.
    assert!(
        times[times.len() / 2] < Duration::from_millis(200),
        "{times:?}"
    );
    let per_container = after.0.saturating_sub(before.0) / COUNT as u64;
    assert!(per_container <= 32, "{per_container} KiB per container");

    for spec in serial.iter().chain(&parallel) {
        host.supervisor.kill_all(&spec.id).await.unwrap();
    }
    for spec in serial.iter().chain(&parallel) {
        assert_eq!(host.exit(&spec.id).await.exit_code, 137);
        host.supervisor.acknowledge(&spec.id).await.unwrap();
    }
    assert_eq!(descriptors(), open_before, "no descriptor is left");
    let records = std::fs::read_dir(host.exec_root().join("containers")).unwrap();
    assert_eq!(records.count(), 0, "no record is left");
}
