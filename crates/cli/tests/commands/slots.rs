//! Slots: those that stay empty, and how those of jobs are counted.

use super::daemon::{Answer, error, json, start};
use super::{frame, ok, run};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_slot_that_stays_empty_ends_the_wait() {
    const FAILED: &str = r#"{"ID":"t1","CreatedAt":"2026-11-21T10:00:00Z","Slot":1,"NodeID":"n1","DesiredState":"shutdown","Spec":{"RestartPolicy":{"Condition":"none"}},"Status":{"State":"failed","Err":"task: non-zero exit (1)"}}"#;
    const NEWER: &str = r#"{"ID":"t2","CreatedAt":"2026-11-21T10:00:05Z","Slot":1,"NodeID":"n1","DesiredState":"running","Status":{"State":"starting"}}"#;
    let turn = AtomicUsize::new(0);
    let daemon = start("given-up", move |request| match request.path.as_str() {
        _ if request.method == "POST" => json(r#"{"ID":"s1","Warnings":null}"#),
        path if path.starts_with("/services/") => json(
            r#"{"ID":"s1","Version":{"Index":1},"Spec":{"Name":"web","Mode":{"Replicated":{"Replicas":1}}}}"#,
        ),
        path if path.contains("_up-to-date") => json(&format!("[{FAILED}]")),
        // At first there is a newer one, of another spec.
        r#"/tasks?filters={"service":{"s1":true}}"# => {
            let newer = turn.fetch_add(1, Ordering::SeqCst) < 2;
            let also = if newer { NEWER } else { FAILED };
            json(&format!("[{FAILED},{also}]"))
        }
        _ => json(r#"[{"ID":"n1","Status":{"State":"ready"}}]"#),
    });
    let ran = run(
        &daemon,
        &["service", "create", "-q", "--no-resolve-image", "nginx"],
    );
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "task web.1.t1 failed and will not be started again (restart policy): task: non-zero exit (1)\n"
        )
    );
    let asked = daemon.asked();
    let whole = asked
        .iter()
        .filter(|asked| asked.contains(r#"/tasks?filters={"service""#));
    assert_eq!(whole.count(), 4, "{asked:?}");
}

#[test]
fn slots_of_jobs_count_from_one() {
    let daemon = start("ps-job", |request| match request.path.as_str() {
        path if path.starts_with("/services?") => {
            json(r#"[{"ID":"r1","Spec":{"Name":"job"}},{"ID":"g1","Spec":{"Name":"all"}}]"#)
        }
        path if path.starts_with("/tasks?") => json(
            r#"[{"ID":"a","ServiceID":"r1","NodeID":"n1","JobIteration":{}},{"ID":"b","Slot":1,"ServiceID":"r1","NodeID":"n1","JobIteration":{}},{"ID":"c","ServiceID":"g1","NodeID":"n1","JobIteration":{}}]"#,
        ),
        "/services/r1" => json(r#"{"ID":"r1","Spec":{"Name":"job","Mode":{"ReplicatedJob":{}}}}"#),
        "/services/g1" => json(r#"{"ID":"g1","Spec":{"Name":"all","Mode":{"GlobalJob":{}}}}"#),
        other => error(404, other),
    });
    let ps = |more: &[&str]| {
        let mut args = vec!["service", "ps", "--format", "{{.ID}} {{.Name}}"];
        args.extend(more);
        let ran = run(&daemon, &args);
        ok(&ran);
        ran.out
    };
    assert_eq!(ps(&["job"]), "c all.n1\na job.1\nb job.2\n");
    assert_eq!(ps(&["--no-resolve", "job"]), "c g1.n1\na r1.1\nb r1.2\n");
}

#[test]
fn logs_name_the_slots_of_jobs_from_one() {
    const DETAILS: &str =
        "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=r1,com.docker.swarm.task.id=";
    let daemon = start("logs-job", |request| match request.path.as_str() {
        path if path.starts_with("/services/r1/logs") => {
            let line = |task: &str| frame(1, &format!("{DETAILS}{task} done\n"));
            Answer {
                body: [line("a"), line("b")].concat(),
                ..json("")
            }
        }
        "/services/r1" => json(r#"{"ID":"r1","Spec":{"Name":"job","Mode":{"ReplicatedJob":{}}}}"#),
        "/nodes/n1" => json(r#"{"ID":"n1","Description":{"Hostname":"h1"}}"#),
        "/tasks/a" => json(r#"{"ID":"a","ServiceID":"r1","NodeID":"n1","JobIteration":{}}"#),
        "/tasks/b" => {
            json(r#"{"ID":"b","Slot":1,"ServiceID":"r1","NodeID":"n1","JobIteration":{}}"#)
        }
        other => error(404, other),
    });
    let ran = run(&daemon, &["service", "logs", "r1"]);
    ok(&ran);
    assert_eq!(ran.out, "job.1.a@h1    | done\njob.2.b@h1    | done\n");
}
