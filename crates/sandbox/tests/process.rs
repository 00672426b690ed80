//! Options of the container's first process: init, terminal, standard input, groups. Needs root and
//! /bin/busybox.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Host, entries, eventually, output};
use sandbox::StartError;

/// Leaves an orphan, and becomes a program that reaps nobody.
const ORPHAN: &str = "(sh -c 'sleep 0.05; echo >/tmp/done' &); echo ready; exec sleep 1000";
const ZOMBIES: &str = "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l";

#[tokio::test]
async fn an_init_reaps_what_the_program_leaves() {
    let mut host = Host::new().await;
    for (init, zombies) in [(false, "1\n"), (true, "0\n")] {
        let mut spec = host.shell(ORPHAN);
        spec.init = init;
        host.start(&spec).await;
        eventually("the program runs", || output(&spec) == "ready\n").await;
        // The orphan ends, and is reaped, or not.
        let script =
            format!("while [ ! -e /tmp/done ]; do sleep 0.01; done; sleep 0.05; {ZOMBIES}");
        let mut found = host.exec(&spec, &script).await;
        for _ in 0..100 {
            if found.1 == zombies {
                break;
            }
            found = host.exec(&spec, &script).await;
        }
        assert_eq!(found, (0, zombies.into()), "init: {init}");
    }
}

#[tokio::test]
async fn an_init_is_process_1_and_keeps_to_itself() {
    let mut host = Host::new().await;
    let mut spec = host.shell(
        "echo $$ $PPID; cat /proc/1/comm; tr '\\0' ' ' </proc/1/cmdline | cut -c 1-17; \
         ls /proc/1/fd /proc/self/fd | tr '\\n' ' '; echo; \
         grep -E '^(CapEff|Seccomp):' /proc/1/status; \
         (echo x >>/proc/1/exe) 2>/dev/null || echo protected; env | grep -c STARLING; echo $A",
    );
    spec.init = true;
    spec.env = vec!["A=b c".into()];
    let output = host.output(&spec).await;
    let lines: Vec<&str> = output.lines().collect();
    let expected = [
        "2 1",
        "docker-init",
        "/sbin/docker-init",
        "/proc/1/fd: 0 1 2  /proc/self/fd: 0 1 2 3 ",
        "CapEff:\t00000000a80425fb",
        "Seccomp:\t2",
        "protected",
        "0",
        "b c",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_init_passes_signals_and_exit_codes_on() {
    let mut host = Host::new().await;
    let mut spec = host.shell("exit 7");
    spec.init = true;
    assert_eq!(host.run(&spec).await.0.exit_code, 7);
    let mut spec = host.shell("kill -9 $$");
    spec.init = true;
    assert_eq!(host.run(&spec).await.0.exit_code, 137);

    let mut spec =
        host.shell("trap 'echo got it; exit 9' USR1; echo ready; while :; do sleep 0.05; done");
    spec.init = true;
    spec.user = "web".into();
    host.start(&spec).await;
    eventually("the trap is set", || output(&spec) == "ready\n").await;
    host.supervisor
        .signal(&spec.id, libc::SIGUSR1)
        .await
        .unwrap();
    assert_eq!(host.exit(&spec.id).await.exit_code, 9);
    assert_eq!(output(&spec), "ready\ngot it\n");

    // As a process 1 it would not end by this signal.
    let mut spec = host.command(&["sleep", "1000"]);
    spec.init = true;
    host.start(&spec).await;
    host.supervisor
        .signal(&spec.id, libc::SIGTERM)
        .await
        .unwrap();
    assert_eq!(host.exit(&spec.id).await.exit_code, 143);
    let mut spec = host.command(&["sleep", "1000"]);
    spec.init = true;
    host.start(&spec).await;
    host.supervisor.kill_all(&spec.id).await.unwrap();
    assert_eq!(host.exit(&spec.id).await.exit_code, 137);
}

#[tokio::test]
async fn programs_that_an_init_cannot_execute() {
    let mut host = Host::new().await;
    let garbage = host.path("image/bin/garbage");
    std::fs::write(&garbage, "\0\0\0\0 no program").unwrap();
    std::fs::set_permissions(&garbage, PermissionsExt::from_mode(0o755)).unwrap();
    for (program, code, message) in [
        (
            "nothing",
            127,
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        ("/bin/garbage", 126, "exec /bin/garbage: exec format error"),
    ] {
        let mut spec = host.command(&[program]);
        spec.init = true;
        let expected = StartError::Failed {
            message: message.into(),
            exit_code: code,
        };
        assert_eq!(host.start_error(&spec).await, expected);
    }
}

#[tokio::test]
async fn a_terminal() {
    let mut host = Host::new().await;
    for (init, user) in [(false, ""), (true, ""), (false, "web"), (true, "web")] {
        let mut spec = host.shell(
            "tty; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; stty rows 5 columns 7; stty size; echo $TERM; \
             echo there >/dev/console; echo mine >/dev/tty; echo wrong >&2",
        );
        spec.tty = true;
        spec.init = init;
        spec.user = user.into();
        assert_eq!(
            host.output(&spec).await,
            "/dev/pts/0\r\nall\r\n5 7\r\nxterm\r\nthere\r\nmine\r\nwrong\r\n",
            "init: {init}, user: {user}"
        );
        let log = entries(spec.log.path());
        assert!(log.iter().all(|(stream, _)| stream == "stdout"), "{log:?}");
    }
}

#[tokio::test]
async fn a_terminal_loses_nothing_and_does_not_hang_up() {
    let mut host = Host::new().await;
    let mut spec = host.shell("seq 0 19999");
    spec.tty = true;
    let lines: String = (0..20000).map(|i| format!("{i}\r\n")).collect();
    assert!(host.output(&spec).await == lines, "the log is complete");
    // A program that closes it for a while is not hung up, also not by way of an init.
    for init in [false, true] {
        let mut spec = host.shell(
            "trap 'exit 7' HUP; echo one; exec >/dev/null 2>&1 </dev/null; sleep 0.2; \
             exec >/dev/pts/0; seq 0 19999; exit 3",
        );
        spec.tty = true;
        spec.init = init;
        let (exit, output) = host.run(&spec).await;
        assert_eq!(exit.exit_code, 3);
        assert!(output.starts_with("one\r\n0\r\n"), "{output}");
        assert!(output.ends_with("\r\n19999\r\n"), "{output}");
    }
    // One that cannot be executed.
    let mut spec = host.command(&["nothing"]);
    spec.tty = true;
    assert_eq!(host.start_error(&spec).await.exit_code(), 127);
}

#[tokio::test]
async fn standard_input_is_open_only_when_asked() {
    let mut host = Host::new().await;
    for (open, tty, expected) in [(false, false, 0), (true, false, 143), (true, true, 143)] {
        let mut spec = host.shell("timeout 0.2 cat; exit $?");
        spec.open_stdin = open;
        spec.tty = tty;
        let code = host.run(&spec).await.0.exit_code;
        assert_eq!(code, expected, "open: {open}, tty: {tty}");
    }
}

#[tokio::test]
async fn output_streams_belong_to_the_user() {
    let mut host = Host::new().await;
    let mut spec = host.shell("echo out >/dev/stdout; echo err >/dev/stderr");
    spec.user = "web".into();
    let output = host.output(&spec).await;
    assert!(output == "out\nerr\n" || output == "err\nout\n", "{output}");
}

#[tokio::test]
async fn groups_on_top() {
    let mut host = Host::new().await;
    for (user, expected) in [
        ("", "0(root),10(wheel),1001(web),4000"),
        ("4242:7", "7,1001(web),4000"),
    ] {
        let mut spec = host.shell("id | sed 's/.*groups=//'");
        spec.user = user.into();
        spec.groups = vec!["web".into(), "4000".into()];
        assert_eq!(host.output(&spec).await.trim_end(), expected);
    }
    let mut spec = host.shell("true");
    spec.groups = vec!["nobody".into()];
    let error = host.start_error(&spec).await;
    assert_eq!(error.to_string(), "Unable to find group nobody");
    assert_eq!(error.exit_code(), 128);
}
