//! Ctrl-C ends a wait without harm. Alone in its process, which is the one that gets the signal.

#[path = "commands/daemon/mod.rs"]
#[allow(dead_code, reason = "one test needs only a part of it")]
mod daemon;

use cli::client::Environment;
use cli::console::Console;
use daemon::{json, start};
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a command whose waits see no task, and interrupts it when it has looked some times. Its code, its output and what it
/// wrote.
fn interrupted(words: &[&str], tasks: &'static str) -> (i32, String, Vec<String>) {
    let mut looks = 0;
    let daemon = start("interrupt", move |request| {
        let path = request.path.as_str();
        match () {
            () if request.method == "POST" => json(r#"{"Warnings":null}"#),
            () if path.starts_with("/services/") => {
                json(r#"{"ID":"s1","Spec":{"Name":"web","Mode":{"Replicated":{"Replicas":1}}}}"#)
            }
            () if path.starts_with("/tasks") => {
                looks += 1;
                // By now the command has said that it wants the signal.
                if looks == 3 {
                    let pid = std::process::id().to_string();
                    Command::new("kill").args(["-INT", &pid]).status().unwrap();
                }
                json(tasks)
            }
            () => json("[]"),
        }
    });
    let environment = Environment {
        starling_host: Some(daemon.socket.to_str().unwrap().to_owned()),
        ..Environment::default()
    };
    let words = std::iter::once(&"starling").chain(words);
    let matches = cli::command().try_get_matches_from(words).unwrap();
    let out = Output::default();
    let code = cli::run_in(
        &matches,
        &environment,
        Console::new(out.clone(), out.clone()),
    );
    let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
    let asked = daemon.asked().into_iter();
    let written = asked.filter(|asked| asked.starts_with("POST")).collect();
    (code, text, written)
}

const END: &str =
    "Operation continuing in background.\nUse `starling service ps web` to check progress.\n";

/// One test, since the signal goes to the whole process.
#[test]
fn a_wait_is_left_with_a_word_on_how_to_look_again() {
    let (code, text, written) = interrupted(&["service", "scale", "web=1", "db=1"], "[]");
    assert_eq!((code, written.len()), (0, 2), "{text}");
    // One signal ends all waits of the command.
    assert!(text.ends_with(END), "{text}");

    const RUNNING: &str = r#"[{"ID":"t1","Status":{"State":"running"}}]"#;
    let (code, text, written) = interrupted(&["service", "stop", "web", "db"], RUNNING);
    assert_eq!((code, written.len()), (0, 2), "{text}");
    assert!(
        text.starts_with("web\ndb\nstopping: 1 tasks left\n"),
        "{text}"
    );
    assert!(text.ends_with(END), "{text}");

    let (code, text, written) = interrupted(&["service", "restart", "web", "worker"], "[]");
    assert_eq!((code, written.len()), (0, 2), "{text}");
    assert!(text.ends_with(END), "{text}");
}
