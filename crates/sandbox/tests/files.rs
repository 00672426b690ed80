//! Files in memory: secrets and configs. Needs root and /bin/busybox.

mod common;

use std::path::Path;

use common::{Host, output};
use sandbox::StartError;
use sandbox::spec::{InjectedFile, Mount};

const SECRET: &str = "hush-4f1c99-this-must-not-be-on-a-disk";

fn file(target: &str, data: impl Into<Vec<u8>>) -> InjectedFile {
    InjectedFile {
        target: target.into(),
        uid: 0,
        gid: 0,
        mode: 0o444,
        data: data.into(),
    }
}

/// Files below `path` whose name or content has the secret.
fn found_in(path: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(path).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found_in(&entry.path(), found);
        } else if kind.is_file() {
            let content = std::fs::read(entry.path()).unwrap();
            let secret = SECRET.as_bytes();
            if content.windows(secret.len()).any(|window| window == secret) {
                found.push(entry.path());
            }
        }
    }
}

#[tokio::test]
async fn secrets_are_as_asked_and_only_in_memory() {
    let mut host = Host::new().await;
    let mut spec = host.shell(
        "cat /run/secrets/a | md5sum; stat -c '%a %u %g' /run/secrets/a /srv/web/.key; cat /srv/web/.key | wc -c; \
         (echo x >/run/secrets/a) 2>/dev/null || echo readonly; rm /run/secrets/a 2>/dev/null || echo stays; \
         (chmod 777 /run/secrets/a) 2>/dev/null || echo unchanged; \
         grep -E '/run/secrets/a|/srv/web/.key|files' /proc/mounts | cut -d ' ' -f 2,3,4 | cut -c 1-55; \
         ls -A /dev | grep files; echo ready; while [ ! -e /tmp/end ]; do sleep 0.02; done",
    );
    spec.files = vec![
        file("/run/secrets/a", SECRET),
        InjectedFile {
            uid: 1000,
            gid: 1001,
            mode: 0o440,
            ..file("/srv/web/.key", b"\0\xff\n".to_vec())
        },
    ];
    host.start(&spec).await;
    common::eventually("the script is done", || output(&spec).ends_with("ready\n")).await;
    let expected = "87d7a8a23de5afcbaa3b4b3ee6a52f36  -\n444 0 0\n440 1000 1001\n3\nreadonly\nstays\nunchanged\n";
    let text = output(&spec);
    let md5 = std::process::Command::new("/bin/sh")
        .args(["-c", &format!("printf %s '{SECRET}' | md5sum")])
        .output()
        .unwrap();
    let md5 = String::from_utf8(md5.stdout).unwrap();
    let expected = expected.replace("87d7a8a23de5afcbaa3b4b3ee6a52f36  -\n", &md5);
    assert!(text.starts_with(&expected), "{text}");
    for target in ["/run/secrets/a", "/srv/web/.key"] {
        let line = format!("{target} tmpfs ro,nosuid,nodev,noexec");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("files").count(), 0, "{text}");

    // It runs: nothing of it is in exec-root, the layers, the log or the records.
    let mut found = Vec::new();
    found_in(host.directory.path(), &mut found);
    assert!(found.is_empty(), "{found:?}");
    // It ended: the places are there, empty.
    assert_eq!(host.exec(&spec, "touch /tmp/end").await.0, 0);
    assert_eq!(host.exit(&spec.id).await.exit_code, 0);
    let upper = spec.log.path().with_file_name("upper");
    let left = std::fs::metadata(upper.join("run/secrets/a")).unwrap();
    assert_eq!(left.len(), 0);
    found_in(host.directory.path(), &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn many_and_large_ones() {
    let mut host = Host::new().await;
    let mut spec = host.shell("cat /configs/* | wc -c; ls /configs | wc -l; cat /tmp/in/here; df -k /configs/0 | tail -1 | awk '{print $2}'");
    spec.files = (0..20)
        .map(|i| file(&format!("/configs/{i}"), vec![b'x'; 1000 << 10]))
        .collect();
    // On a mount of the user's.
    spec.files.push(file("/tmp/in/here", "in a tmpfs\n"));
    spec.mounts.push(Mount::Tmpfs {
        target: "/tmp".into(),
        size: None,
        mode: None,
        options: Vec::new(),
    });
    spec.user = "web".into();
    let output = host.output(&spec).await;
    // 20 of 1000 KiB, each in whole pages of at most 64 KiB, and one page.
    assert_eq!(output, "20480000\n20\nin a tmpfs\n20544\n");
}

#[tokio::test]
async fn a_read_only_root_and_an_image_file_below() {
    let mut host = Host::new().await;
    let mut spec =
        host.shell("cat /etc/plain /run/secrets/new; touch /x 2>/dev/null || echo readonly");
    spec.readonly_root = true;
    spec.files = vec![
        file("/etc/plain", "from the config\n"),
        file("/run/secrets/new", "new\n"),
    ];
    assert_eq!(host.output(&spec).await, "from the config\nnew\nreadonly\n");
}

#[tokio::test]
async fn files_that_cannot_be() {
    let mut host = Host::new().await;
    for (target, mode) in [("run/a", 0o444), ("/run/../a", 0o444), ("/a", 0o20000)] {
        let mut spec = host.shell("true");
        spec.files = vec![InjectedFile {
            mode,
            ..file(target, SECRET)
        }];
        let error = host.start_error(&spec).await;
        assert!(matches!(error, StartError::InvalidSpec(_)), "{error:?}");
        assert!(!format!("{error:?} {spec:?}").contains("hush"), "{error:?}");
    }
    let mut spec = host.shell("true");
    spec.files = vec![file("/etc", SECRET)];
    let error = host.start_error(&spec).await.to_string();
    assert_eq!(error, "cannot mount a file on /etc: it is a directory");
}
