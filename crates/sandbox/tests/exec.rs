//! Programs that join a container which runs. Needs root and /bin/busybox.

mod common;

use std::time::Duration;

use common::{Host, PATIENCE, eventually, exec_shell, output};
use sandbox::{ClientError, ContainerSpec, ExecError, ExecSpec};

async fn sleeper(host: &mut Host) -> ContainerSpec {
    let mut spec = host.command(&["sleep", "1000"]);
    spec.env = vec!["A=container".into(), "B=container".into()];
    host.start(&spec).await;
    spec
}

#[tokio::test]
async fn it_has_what_the_container_has() {
    let mut host = Host::new().await;
    let spec = sleeper(&mut host).await;
    let look = "for n in mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done; \
                cat /proc/self/cgroup; grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status; \
                ulimit -n; cat /proc/self/oom_score_adj";
    let (code, own) = host.exec(&spec, look).await;
    assert_eq!(code, 0, "{own}");
    let first = look.replace("/proc/self", "/proc/1").replace(
        "ulimit -n;",
        "grep 'open files' /proc/1/limits | awk '{print $4}';",
    );
    let (_, of_first) = host.exec(&spec, &first).await;
    assert_eq!(own, of_first);
    // Its cgroup, as the host sees it.
    let mut handle = host
        .supervisor
        .start_exec(&spec.id, exec_shell("sleep 1000"))
        .await
        .unwrap();
    let group = format!("{}/{}", host.cgroup_parent, spec.id);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", handle.pid)).unwrap();
    let ours = groups.lines().filter(|line| line.ends_with(&group)).count();
    assert!(ours >= 1, "{groups}");
    let of_first = host.supervisor.list().await.unwrap()[0].pid;
    let of_first = std::fs::read_to_string(format!("/proc/{of_first}/cgroup")).unwrap();
    assert_eq!(groups, of_first);
    // Nothing of the supervisor is open in it.
    let fds = std::fs::read_dir(format!("/proc/{}/fd", handle.pid)).unwrap();
    assert_eq!(fds.count(), 3);
    handle.kill().await.unwrap();
    assert_eq!(handle.wait().await.unwrap().exit_code, 137);
    // It is no process of the container any more, and the supervisor still makes containers of its own.
    let again = host.shell("echo $$");
    assert_eq!(host.output(&again).await, "1\n");
}

#[tokio::test]
async fn exit_code_output_user_environment_and_directory() {
    let mut host = Host::new().await;
    let mut spec = host.command(&["sleep", "1000"]);
    spec.env = vec!["A=container".into(), "B=container".into()];
    spec.user = "web".into();
    spec.cwd = "/srv".into();
    spec.groups = vec!["4000".into()];
    spec.no_new_privileges = true;
    host.start(&spec).await;
    let script = "id -u; id -G; pwd; echo $A $B $C $HOME $HOSTNAME; grep NoNewPrivs /proc/self/status; exit 4";
    let result = host.exec(&spec, script).await;
    let expected = "1000\n1001 10 4000\n/srv\ncontainer container /srv/web box\nNoNewPrivs:\t1\n";
    assert_eq!(result, (4, expected.into()));
    let exec = ExecSpec {
        env: vec!["B=exec".into(), "C=exec".into()],
        cwd: "/tmp".into(),
        user: "4242:7".into(),
        ..exec_shell(script)
    };
    let result = host.supervisor.exec(&spec.id, exec).await.unwrap();
    let expected = "4242\n7 4000\n/tmp\ncontainer exec exec / box\nNoNewPrivs:\t1\n";
    assert_eq!(String::from_utf8(result.output).unwrap(), expected);
    assert_eq!(result.exit_code, 4);

    let both = host
        .exec(
            &spec,
            "echo a; echo b >&2; echo c >/dev/stdout; kill -TERM $$",
        )
        .await;
    assert_eq!(both, (143, "a\nb\nc\n".into()));
    let exec = ExecSpec {
        max_output: 10,
        ..exec_shell("yes | head -c 1000000; exit 5")
    };
    let result = host.supervisor.exec(&spec.id, exec).await.unwrap();
    assert_eq!((result.exit_code, result.truncated), (5, true));
    assert_eq!(result.output, b"y\ny\ny\ny\ny\n");
    let exec = ExecSpec {
        max_output: usize::MAX,
        ..exec_shell("head -c 3000000 /dev/zero")
    };
    let result = host.supervisor.exec(&spec.id, exec).await.unwrap();
    assert_eq!(
        (result.output.len(), result.truncated),
        (sandbox::spec::MAX_EXEC_OUTPUT, true)
    );
}

#[tokio::test]
async fn what_cannot_be_executed() {
    let mut host = Host::new().await;
    let spec = sleeper(&mut host).await;
    let run = |args: &[&str]| ExecSpec {
        args: args.iter().map(|arg| arg.to_string()).collect(),
        ..ExecSpec::default()
    };
    for (program, exit_code, message) in [
        (
            "nothing",
            127,
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        ("/etc/plain", 126, "exec: \"/etc/plain\": permission denied"),
    ] {
        let error = host
            .supervisor
            .exec(&spec.id, run(&[program]))
            .await
            .unwrap_err();
        let message = message.into();
        assert_eq!(error, ExecError::Failed { message, exit_code });
    }
    let user = ExecSpec {
        user: "nobody".into(),
        ..run(&["true"])
    };
    let error = host.supervisor.exec(&spec.id, user).await.unwrap_err();
    assert!(
        error.to_string().starts_with("unable to find user nobody"),
        "{error}"
    );
    let tty = ExecSpec {
        tty: true,
        ..run(&["true"])
    };
    for wrong in [run(&[]), tty] {
        let error = host.supervisor.exec(&spec.id, wrong).await.unwrap_err();
        assert!(matches!(error, ExecError::InvalidSpec(_)), "{error:?}");
    }
    let error = host
        .supervisor
        .exec("nobody", run(&["true"]))
        .await
        .unwrap_err();
    let missing = ClientError::NoSuchContainer("No such container: nobody".into());
    assert_eq!(error, ExecError::Client(missing));
    host.supervisor.kill_all(&spec.id).await.unwrap();
    host.exit(&spec.id).await;
    let error = host
        .supervisor
        .exec(&spec.id, run(&["true"]))
        .await
        .unwrap_err();
    let text = format!("container {} is not running", spec.id);
    assert_eq!(error, ExecError::NotRunning(text));
}

/// Whether a process of this host is `sleep` with this argument.
fn sleeps(argument: &str) -> bool {
    let wanted = format!("sleep\0{argument}\0");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.any(|line| line == wanted.as_bytes())
}

/// A process that joins is a copy of the supervisor until its exec. What the container sees of it must
/// have no more rights than the container, and not be open to it.
#[tokio::test]
async fn a_joining_process_gives_nothing_away() {
    let mut host = Host::new().await;
    // Looks at every process that is not of its own program, as fast as it can.
    let mut spec = host.shell(
        "while [ ! -e /tmp/end ]; do for p in /proc/[0-9]*; do \
         while read -r name value; do case $name in CapEff:|CapPrm:|Seccomp:) echo $name $value;; esac; done \
         <$p/status; readlink $p/root; done 2>/dev/null; done | sort -u",
    );
    spec.cap_add = vec!["SYS_PTRACE".into()];
    host.start(&spec).await;
    for _ in 0..100 {
        assert_eq!(host.exec(&spec, "echo x").await, (0, "x\n".into()));
    }
    assert_eq!(host.exec(&spec, "touch /tmp/end").await.0, 0);
    assert_eq!(host.exit(&spec.id).await.exit_code, 0);
    let expected = "/\nCapEff: 00000000a80c25fb\nCapPrm: 00000000a80c25fb\nSeccomp: 2\n";
    assert_eq!(output(&spec), expected);
}

#[tokio::test]
async fn giving_up_kills_it() {
    let mut host = Host::new().await;
    let spec = sleeper(&mut host).await;
    // An argument that no other test has.
    let time = format!("4711{}", std::process::id());
    let exec = exec_shell(&format!("echo begun; sleep {time}; true"));
    // A time-out on the caller's side; what the program started goes with it.
    let run = host.supervisor.exec(&spec.id, exec.clone());
    let watched = async {
        eventually("it runs", || sleeps(&time)).await;
    };
    tokio::select! {
        result = run => panic!("it ends: {result:?}"),
        () = watched => {}
    }
    eventually("it is killed", || !sleeps(&time)).await;
    // With a handle the output up to then can be had.
    let supervisor = &host.supervisor;
    let started = supervisor.start_exec(&spec.id, exec.clone()).await;
    let mut handle = started.unwrap();
    eventually("it runs", || sleeps(&time)).await;
    let given_up = tokio::time::timeout(Duration::from_millis(20), handle.wait()).await;
    assert!(given_up.is_err());
    supervisor.kill_exec(handle.id()).await.unwrap();
    let result = handle.wait().await.unwrap();
    assert_eq!(result.exit_code, 137);
    assert_eq!(result.output, b"begun\n");
    assert_eq!(handle.wait().await.unwrap(), result);
    handle.kill().await.expect("one that ended is no error");
    eventually("it is killed", || !sleeps(&time)).await;
}

#[tokio::test]
async fn the_end_of_the_connection_kills_it() {
    let mut host = Host::new().await;
    let spec = sleeper(&mut host).await;
    let time = format!("4712{}", std::process::id());
    let (exec_root, id) = (host.exec_root(), spec.id.clone());
    let exec = exec_shell(&format!("sleep {time}; true"));
    // A daemon that is killed tells nobody: its connection only ends.
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let connected = sandbox::Supervisor::connect(&exec_root).await.unwrap();
            let (supervisor, _events) = connected.expect("the supervisor runs");
            let handle = supervisor.start_exec(&id, exec).await.unwrap();
            std::mem::forget(handle);
        });
        runtime
    });
    let runtime = daemon.join().unwrap();
    eventually("it runs", || sleeps(&time)).await;
    runtime.shutdown_background();
    eventually("it is killed", || !sleeps(&time)).await;
    assert_eq!(host.exec(&spec, "echo still").await.1, "still\n");
}

#[tokio::test]
async fn the_containers_end_ends_it() {
    let mut host = Host::new().await;
    for init in [false, true] {
        let mut spec = host.command(&["sleep", "1000"]);
        spec.init = init;
        host.start(&spec).await;
        let mut handle = host
            .supervisor
            .start_exec(&spec.id, exec_shell("echo begun; exec sleep 1000"))
            .await
            .unwrap();
        host.supervisor
            .signal(&spec.id, libc::SIGKILL)
            .await
            .unwrap();
        let result = tokio::time::timeout(PATIENCE, handle.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(result.exit_code, 137);
        assert_eq!(host.exit(&spec.id).await.exit_code, 137);
    }
    // The cgroup goes, too.
    let parents = common::cgroup_directories(&host.cgroup_parent);
    eventually("the groups are gone", || {
        let below = parents
            .iter()
            .flat_map(|p| std::fs::read_dir(p).unwrap().flatten());
        below.filter(|entry| entry.path().is_dir()).count() == 0
    })
    .await;
}

#[tokio::test]
async fn many_at_once() {
    let mut host = Host::new().await;
    let spec = sleeper(&mut host).await;
    let runs = (0..100).map(|number| {
        let supervisor = host.supervisor.clone();
        let id = spec.id.clone();
        tokio::spawn(async move {
            let exec = exec_shell(&format!("sleep 0.1; echo {number}; exit {number}"));
            supervisor.exec(&id, exec).await
        })
    });
    let runs: Vec<_> = runs.collect();
    // Meanwhile the supervisor answers.
    let listed = tokio::time::timeout(Duration::from_secs(5), host.supervisor.list()).await;
    assert_eq!(listed.expect("it is not blocked").unwrap().len(), 1);
    for (number, run) in (0..).zip(runs) {
        let result = tokio::time::timeout(PATIENCE, run)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        assert_eq!(result.exit_code, number);
        assert_eq!(result.output, format!("{number}\n").as_bytes());
    }
    // The container's own output is not touched by that.
    assert_eq!(output(&spec), "");
}
