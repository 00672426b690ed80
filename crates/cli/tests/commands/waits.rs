//! Waits: what they tell while they last, and how they end.

use super::daemon::{Answer, error, json, start};
use super::{Output, SERVICE, ok, run};
use cli::client::Environment;
use cli::console::Console;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs a command whose words go to a terminal; its code and those words.
fn on_terminal(socket: &str, args: &[&str]) -> (i32, String) {
    let words = Output::default();
    let mut console = Console::new(Output::default(), words.clone());
    console.words_to_terminal = true;
    let environment = Environment {
        starling_host: Some(socket.to_owned()),
        ..Environment::default()
    };
    let args = std::iter::once(&"starling").chain(args);
    let matches = cli::command().try_get_matches_from(args).unwrap();
    let code = cli::run_in(&matches, &environment, console);
    (code, words.text())
}

#[test]
fn what_takes_long_is_told_on_a_terminal() {
    let slow = |_: &super::Request| {
        // Longer than the second after which it is told.
        std::thread::sleep(Duration::from_millis(1500));
        json(r#"{"Version":11}"#)
    };
    let daemon = start("slow", slow);
    let socket = daemon.socket.to_str().unwrap();
    let plan = ["service", "create", "--dry-run", "--no-resolve-image", "a"];
    let words = (0, "Working out what would happen...\n".to_owned());
    assert_eq!(on_terminal(socket, &plan), words);
    // Scripts and logs want results only.
    ok(&run(&daemon, &plan));
}

#[test]
fn what_is_quick_is_not_told() {
    let daemon = start("quick", |_| json(r#"{"Version":11}"#));
    let socket = daemon.socket.to_str().unwrap();
    let plan = ["service", "create", "--dry-run", "--no-resolve-image", "a"];
    assert_eq!(on_terminal(socket, &plan), (0, String::new()));
}

#[test]
fn a_global_service_that_no_node_takes_ends_the_wait() {
    const AGENT: &str = r#"{"ID":"s1","Version":{"Index":3},"Spec":{"Name":"agent","Mode":{"Global":{}},"TaskTemplate":{"Placement":{"Constraints":["node.labels.disk==ssd"]}}}}"#;
    let daemon = start("nowhere", |request| match request.path.as_str() {
        "/services/create" => json(r#"{"ID":"s1","Warnings":null}"#),
        "/version" => json(r#"{"Platform":{"Name":"Starling"}}"#),
        "/services/s1/update?registryAuthFrom=spec&dryRun=1&version=3" => json(r#"{"Version":3}"#),
        path if path.starts_with("/services/s1?") => json(AGENT),
        path if path.starts_with("/tasks?") => json("[]"),
        "/nodes" => json(
            r#"[{"ID":"n1","Spec":{"Availability":"active"},"Status":{"State":"ready"}},{"ID":"n2","Spec":{"Availability":"drain"},"Status":{"State":"ready"}}]"#,
        ),
        other => error(404, other),
    });
    let create = ["service", "create", "--mode", "global", "-q"];
    let ran = run(
        &daemon,
        &[&create[..], &["--no-resolve-image", "a"]].concat(),
    );
    assert_eq!((ran.code, ran.out.as_str()), (1, "s1\n"));
    let why = "no node runs a task of agent (nodes paused or drained: 1, not satisfying node.labels.disk==ssd: 1). The service is kept";
    assert!(ran.err.starts_with(why), "{}", ran.err);
}

#[test]
fn a_daemon_that_is_not_ours_is_never_asked_for_a_plan() {
    let asked = std::sync::Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let daemon = start("docker", move |request| match request.path.as_str() {
        "/services/create" => json(r#"{"ID":"s1","Warnings":null}"#),
        "/version" => {
            seen.store(true, Ordering::SeqCst);
            json(r#"{"Platform":{"Name":"Docker Engine - Community"}}"#)
        }
        // The node comes after that question.
        path if path.starts_with("/tasks?") && seen.load(Ordering::SeqCst) => json(
            r#"[{"ID":"t1","NodeID":"n1","DesiredState":"running","Status":{"State":"running"}}]"#,
        ),
        path if path.starts_with("/tasks?") => json("[]"),
        path if path.starts_with("/services/s1?") => json(
            r#"{"ID":"s1","Spec":{"Name":"agent","Mode":{"Global":{}},"UpdateConfig":{"Monitor":1}}}"#,
        ),
        "/nodes" => json(r#"[{"ID":"n1","Status":{"State":"ready"}}]"#),
        other => error(500, other),
    });
    let create = ["service", "create", "--mode", "global", "-q"];
    ok(&run(
        &daemon,
        &[&create[..], &["--no-resolve-image", "a"]].concat(),
    ));
    assert!(asked.load(Ordering::SeqCst));
    let updates = daemon
        .asked()
        .into_iter()
        .filter(|asked| asked.contains("/update"));
    assert_eq!(updates.count(), 0);
}

#[test]
fn a_daemon_that_goes_away_ends_the_wait() {
    let daemon = start("gone", |request| match request.method.as_str() {
        "GET" if request.path.starts_with("/services/web") => json(SERVICE),
        "POST" => json(r#"{"Warnings":null}"#),
        _ => Answer {
            hang_up: true,
            ..error(503, "the swarm has no leader")
        },
    });
    let socket = daemon.socket.to_str().unwrap();
    let begun = std::time::Instant::now();
    let (code, words) = on_terminal(socket, &["service", "update", "-q", "web"]);
    assert_eq!(code, 1);
    assert!(begun.elapsed() < Duration::from_secs(30));
    let lines: Vec<&str> = words.lines().collect();
    let why = "Error response from daemon: the swarm has no leader";
    assert!(
        lines[0].starts_with(&format!("{why}; trying again for 1")),
        "{words}"
    );
    assert_eq!(lines[1..], [why], "{words}");
}
