//! What is sent is what Docker's client sends for the same command line.

use super::daemon::{json, start};
use super::run;
use serde_json::Value;

const CAPTURES: &str = include_str!("../fixtures/docker-bodies.txt");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|err| panic!("{err}: {text}"))
}

/// What changes from one to the other: lists as a whole, `null` for what goes.
fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value));
    let changed = changed.map(|(key, value)| match old.get(key) {
        Some(before) => (key.clone(), difference(before, value)),
        None => (key.clone(), value.clone()),
    });
    Value::Object(gone.chain(changed).collect())
}

#[test]
fn bodies_are_those_of_docker() {
    let mut lines = CAPTURES.lines().filter_map(|line| line.split_once('\t'));
    let service = lines.next().unwrap().1;
    let daemon = start("bodies", move |request| {
        let path = request.path.as_str();
        match () {
            () if request.method == "POST" => json(r#"{"ID":"s1","Warnings":null}"#),
            () if path.starts_with("/services/") => json(service),
            () if path.starts_with("/networks/") => {
                let name = path
                    .trim_start_matches("/networks/")
                    .trim_end_matches("?scope=swarm");
                json(&format!(r#"{{"Name":"{name}","Id":"id-{name}"}}"#))
            }
            // The name that the filter asks for: {"name":{"s1":true}}
            () => {
                let name = path.split('"').nth(3).unwrap_or_default();
                json(&format!(
                    r#"[{{"ID":"id-{name}","Spec":{{"Name":"{name}"}}}}]"#
                ))
            }
        }
    });
    let mut compared = 0;
    for (line, expected) in lines {
        let words = cli::parse::words::split(line).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = run(&daemon, &words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        let mut body = parsed(&daemon.last_body("POST"));
        if line.starts_with("service update") {
            body = difference(&parsed(service)["Spec"], &body);
        }
        assert_eq!(body, parsed(expected), "{line}");
        compared += 1;
    }
    assert!(compared > 120, "{compared}");
}
