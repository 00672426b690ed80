//! How programs are found, run as whom, and how they end. Needs root and /bin/busybox.

mod common;

use common::{Host, entries, output};
use sandbox::StartError;
use sandbox::spec::LogFile;

#[tokio::test]
async fn exit_codes_and_signals() {
    let mut host = Host::new().await;
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        let spec = host.shell(script);
        assert_eq!(host.run(&spec).await.0.exit_code, code);
    }
    let spec =
        host.shell("trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    host.start(&spec).await;
    common::eventually("the trap is set", || output(&spec).contains("ready")).await;
    host.supervisor
        .signal(&spec.id, libc::SIGTERM)
        .await
        .unwrap();
    assert_eq!(host.exit(&spec.id).await.exit_code, 9);
    assert_eq!(output(&spec), "ready\ngot it\n");

    let spec = host.command(&["sleep", "1000"]);
    host.start(&spec).await;
    // The init of a PID namespace gets no signal that it does not handle, but this one.
    host.supervisor
        .signal(&spec.id, libc::SIGKILL)
        .await
        .unwrap();
    let exit = host.exit(&spec.id).await;
    assert_eq!((exit.exit_code, exit.oom_killed), (137, false));
    host.supervisor
        .signal(&spec.id, libc::SIGKILL)
        .await
        .expect("an ended container is no error");
    let error = host.supervisor.signal("nobody", 9).await.unwrap_err();
    assert_eq!(error.to_string(), "No such container: nobody");
}

#[tokio::test]
async fn programs_that_cannot_be_executed() {
    let mut host = Host::new().await;
    let cases = [
        (
            "nothing",
            127,
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        (
            "/no/thing",
            127,
            "exec: \"/no/thing\": stat /no/thing: no such file or directory",
        ),
        ("/etc/plain", 126, "exec: \"/etc/plain\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory"),
        ("", 127, "exec: \"\": executable file not found in $PATH"),
    ];
    for (program, code, text) in cases {
        let spec = host.command(&[program]);
        let expected = StartError::Failed {
            message: text.into(),
            exit_code: code,
        };
        assert_eq!(host.start_error(&spec).await, expected);
    }
    let listed = host.supervisor.list().await.unwrap();
    assert!(listed.is_empty(), "{listed:?}");
    let left = common::cgroup_directories(&host.cgroup_parent);
    for directory in left {
        let groups = std::fs::read_dir(&directory).unwrap().flatten();
        let groups: Vec<_> = groups
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .collect();
        assert!(groups.is_empty(), "{groups:?}");
    }
}

#[tokio::test]
async fn users_are_resolved_inside() {
    let mut host = Host::new().await;
    for (user, expected) in [
        (
            "web",
            "uid=1000(web) gid=1001(web) groups=10(wheel),1001(web) /srv/web",
        ),
        (
            "1000",
            "uid=1000(web) gid=1001(web) groups=10(wheel),1001(web) /srv/web",
        ),
        (
            "web:wheel",
            "uid=1000(web) gid=10(wheel) groups=10(wheel) /srv/web",
        ),
        ("4242", "uid=4242 gid=0(root) groups=0(root) /"),
        ("4242:7", "uid=4242 gid=7 groups=7 /"),
    ] {
        let mut spec = host.shell("echo $(id) $HOME");
        spec.user = user.into();
        assert_eq!(host.output(&spec).await.trim_end(), expected, "user {user}");
    }
    let mut spec = host.shell("true");
    spec.user = "nobody".into();
    let error = host.start_error(&spec).await;
    assert_eq!(
        error.to_string(),
        "unable to find user nobody: no matching entries in passwd file"
    );
    assert_eq!(error.exit_code(), 128);
}

#[tokio::test]
async fn environment_and_working_directory() {
    let mut host = Host::new().await;
    let mut spec = host.command(&["sh", "-c", "pwd; echo $PATH $HOME $A"]);
    spec.cwd = "/new/place".into();
    spec.env = vec!["PATH=/bin".into(), "HOME=/else".into(), "A=b c".into()];
    assert_eq!(host.output(&spec).await, "/new/place\n/bin /else b c\n");
}

#[tokio::test]
async fn wrong_specs_are_refused_in_words() {
    let mut host = Host::new().await;
    let mut spec = host.shell("true");
    spec.cwd = "tmp".into();
    let error = host.start_error(&spec).await;
    assert!(matches!(error, StartError::InvalidSpec(_)), "{error:?}");
    let mut spec = host.shell("true");
    spec.args.clear();
    assert_eq!(
        host.start_error(&spec).await.to_string(),
        "no command specified"
    );
    let mut spec = host.shell("true");
    spec.cap_add = vec!["FLY".into()];
    assert_eq!(
        host.start_error(&spec).await.to_string(),
        "unknown capability: \"FLY\""
    );
    let mut spec = host.shell("true");
    spec.id = "../x".into();
    assert_eq!(
        host.start_error(&spec).await.to_string(),
        "invalid container id: \"../x\""
    );
    let spec = host.command(&["sleep", "1000"]);
    host.start(&spec).await;
    let error = host.start_error(&spec).await;
    assert!(matches!(error, StartError::AlreadyExists(_)), "{error:?}");
}

#[tokio::test]
async fn logs_are_complete_and_rotated() {
    let mut host = Host::new().await;
    let spec = host.shell("echo out; echo err >&2; printf 'no newline'");
    host.run(&spec).await;
    let mut log = entries(spec.log.path());
    log.sort();
    let entry = |stream: &str, text: &str| (stream.to_owned(), text.to_owned());
    let expected = [
        entry("stderr", "err\n"),
        entry("stdout", "no newline"),
        entry("stdout", "out\n"),
    ];
    assert_eq!(log, expected);
    let text = std::fs::read_to_string(spec.log.path()).unwrap();
    assert!(text.lines().all(|line| line.ends_with("Z\"}")), "{text}");

    let mut spec = host.shell("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; head -c 40000 /dev/zero | tr '\\0' x");
    let path = spec.log.path().to_owned();
    spec.log = LogFile::JsonFile {
        path: path.clone(),
        max_size: 512 << 10,
        max_files: 5,
    };
    host.output(&spec).await;
    let mut all = Vec::new();
    for name in ["log.4", "log.3", "log.2", "log.1", "log"] {
        all.extend(entries(&path.with_file_name(name)));
    }
    let rotated = std::fs::metadata(path.with_file_name("log.1"))
        .unwrap()
        .len();
    assert!(
        (512 << 10..(512 << 10) + 1000).contains(&rotated),
        "{rotated}"
    );
    let texts: Vec<&str> = all.iter().map(|(_, text)| text.as_str()).collect();
    let (lines, long) = texts.split_at(20_000);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {i}\n"));
    }
    let lengths: Vec<usize> = long.iter().map(|text| text.len()).collect();
    assert_eq!(lengths, [16_384, 16_384, 7_232]);
}
