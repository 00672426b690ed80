//! Secrets of tasks.

use crate::support::{Host, IMAGE, in_time};
use crate::tasks::{prepare_with, task};
use engine::task::Payloads;
use model::assignment::AssignedTask;
use model::payload::{FileTarget, PayloadData, SecretEnv, SecretRef};
use model::{Payload, PayloadKind, PayloadSpec};
use std::sync::Arc;
use std::time::Duration;

fn secret(id: &str, data: &str) -> Arc<Payload> {
    Arc::new(Payload {
        id: id.into(),
        kind: PayloadKind::Secret,
        meta: model::Meta::default(),
        spec: Arc::new(PayloadSpec {
            name: id.into(),
            data: PayloadData(Arc::from(data.as_bytes())),
            ..PayloadSpec::default()
        }),
    })
}

/// A task with a secret as a file and as a variable.
fn with_secret(id: &str, script: &str) -> (AssignedTask, Payloads) {
    let mut task = task(id, IMAGE, script);
    let mut spec = (*task.spec).clone();
    spec.container.secrets = vec![SecretRef {
        id: "s".into(),
        name: "s".into(),
        file: FileTarget {
            name: "password".into(),
            uid: "7".into(),
            gid: "8".into(),
            mode: 0o440,
        },
    }];
    spec.container.secret_env = vec![SecretEnv {
        id: "s".into(),
        name: "s".into(),
        variable: "PASSWORD".into(),
    }];
    task.spec = Arc::new(spec);
    (task, [("s".into(), secret("s", "hunter2"))].into())
}

fn files_below(path: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), found),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn secrets_are_files_and_variables_and_nowhere_on_the_disk() {
    let mut host = Host::new().await;
    let script = "cat /run/secrets/password; echo; echo $PASSWORD | wc -c; \
        stat -c '%u %g %a' /run/secrets/password; sleep 1000";
    let (task, payloads) = with_secret("t1", script);
    prepare_with(host.engine(), &task, &payloads).await.unwrap();
    // A new daemon has no secrets until the task is prepared again.
    host.close();
    host.open().await;
    let error = host.engine().start_task(&task.id).await.unwrap_err();
    assert!(error.message.contains("prepared again"), "{error}");
    prepare_with(host.engine(), &task, &payloads).await.unwrap();
    host.engine().start_task(&task.id).await.unwrap();
    let id = host.engine().find_task(&task.id).unwrap().record.id.clone();
    let expected = "hunter2\n8\n7 8 440\n";
    in_time("its output", async {
        while host.output(&id).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let view = host.engine().inspect(&id).unwrap();
    assert!(!format!("{view:?}").contains("hunter2"));
    let mut files = vec![];
    files_below(&host.path("data"), &mut files);
    files_below(&host.path("exec"), &mut files);
    files.retain(|file| !file.to_string_lossy().ends_with("-json.log"));
    assert!(!files.is_empty());
    for file in files {
        let content = std::fs::read(&file).unwrap_or_default();
        let found = content.windows(7).any(|window| window == b"hunter2");
        assert!(!found, "{}", file.display());
    }
}
