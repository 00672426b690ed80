//! The rules of the architecture that a program can check; `crates/README.md` tells them to people.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::{list, members, metadata, root, sources, text};

/// Which of our crates each crate may use. An arrow that is not here is a decision: make it, then write it down.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("store", &["model"]),
    ("orchestrator", &["model", "store"]),
    ("allocator", &["model", "store"]),
    ("scheduler", &["model", "store"]),
    ("wire", &["model"]),
    ("consensus", &["wire", "model"]),
    (
        "manager",
        &[
            "model",
            "store",
            "orchestrator",
            "allocator",
            "scheduler",
            "wire",
            "consensus",
        ],
    ),
    ("agent", &["model", "wire"]),
    ("sandbox", &[]),
    ("images", &["model"]),
    ("network", &["model"]),
    ("engine", &["model", "sandbox", "images", "network"]),
    ("api-types", &[]),
    (
        "api",
        &["api-types", "model", "images", "engine", "manager", "agent"],
    ),
    ("cli", &["api-types"]),
];

/// These two wire everything together, and may use every crate.
const FREE: &[&str] = &["starling", "cluster-tests"];

/// No clock, no file, no socket, no thread: for these, not even a crate that has them.
const PURE: &[&str] = &["model", "store", "orchestrator", "allocator", "scheduler"];
const ALLOWED_IN_PURE: &[&str] = &["thiserror"];
/// What of the standard library would make a pure crate impure. `HashMap` has an order of its own in each process.
const IMPURE: &[&str] = &[
    "std::fs",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::os",
    "std::io",
    "std::process",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime::now",
    "HashMap",
    "HashSet",
];

/// Crates at the edge to the kernel, which may hold `unsafe` blocks, each with its reason.
const UNSAFE_AT_THE_KERNEL: &[&str] = &["sandbox", "network"];

/// A file is read by one person in one sitting.
const MAX_LINES: usize = 800;

#[test]
fn arrows_go_down_only() {
    let metadata = metadata();
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let ours: BTreeSet<&str> = members(&metadata)
        .iter()
        .map(|package| text(package, "name"))
        .collect();
    let mut wrong = Vec::new();
    for package in members(&metadata) {
        let name = text(package, "name");
        if FREE.contains(&name) {
            continue;
        }
        let Some(allowed) = arrows.get(name) else {
            wrong.push(format!("{name} is not on the map: give it its arrows"));
            continue;
        };
        for used in normal_dependencies(package)
            .into_iter()
            .filter(|used| ours.contains(used))
        {
            if !allowed.contains(&used) {
                wrong.push(format!("{name} must not use {used}"));
            }
        }
    }
    wrong.extend(
        arrows
            .keys()
            .filter(|name| !ours.contains(*name))
            .map(|name| format!("there is no crate {name}")),
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_uses_the_binary_or_the_tests() {
    let metadata = metadata();
    for package in members(&metadata) {
        for used in list(package, "dependencies") {
            assert!(
                !FREE.contains(&text(used, "name")),
                "{} uses {}",
                text(package, "name"),
                text(used, "name")
            );
        }
    }
}

#[test]
fn pure_crates_use_no_others() {
    let metadata = metadata();
    let mut pure = members(&metadata);
    pure.retain(|package| PURE.contains(&text(package, "name")));
    assert_eq!(pure.len(), PURE.len(), "a pure crate is gone");
    for package in pure {
        for used in normal_dependencies(package) {
            let fine = PURE.contains(&used) || ALLOWED_IN_PURE.contains(&used);
            assert!(
                fine,
                "{} is pure and must not use {used}",
                text(package, "name")
            );
        }
    }
}

#[test]
fn pure_crates_read_no_clock_and_no_file() {
    let mut wrong = Vec::new();
    for (path, content) in sources() {
        let is_pure = PURE
            .iter()
            .any(|name| path.starts_with(root().join("crates").join(name).join("src")));
        if !is_pure || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for (number, line) in code_lines(&content) {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!(
                    "{}:{number}: {word} in a pure crate",
                    path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_forbidden_away_from_the_kernel() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in members(&metadata) {
        if UNSAFE_AT_THE_KERNEL.contains(&text(package, "name")) {
            continue;
        }
        let programs = list(package, "targets").iter().filter(|target| {
            list(target, "kind")
                .iter()
                .any(|kind| kind == "lib" || kind == "bin")
        });
        for target in programs {
            let path = text(target, "src_path");
            let content = std::fs::read_to_string(path).expect("a target has a source");
            if !content.contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{path} does not forbid unsafe code"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let too_long = |(path, content): &(std::path::PathBuf, String)| {
        let lines = content.lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines", path.display()))
    };
    let wrong: Vec<String> = sources().iter().filter_map(too_long).collect();
    assert!(
        wrong.is_empty(),
        "more than {MAX_LINES} lines; split them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn nothing_is_left_undone_and_no_path_of_a_machine_is_left_in() {
    // Written in parts, or this file would be the first to offend.
    let banned = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("db", "g!("),
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
    ];
    let checkout = root().to_string_lossy().into_owned();
    // A checkout at the top, as in /src, is too short a word to look for.
    let checkout = (root().components().count() > 2).then_some(checkout.as_str());
    let mut wrong = Vec::new();
    for (path, content) in sources() {
        for (number, line) in content.lines().enumerate() {
            for word in banned
                .iter()
                .copied()
                .chain(checkout)
                .filter(|word| line.contains(*word))
            {
                wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_proto_file_holds_one_service_of_its_name() {
    let mut services = BTreeSet::new();
    for (path, content) in sources()
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|end| end == "proto"))
    {
        let stem = file_stem(path);
        let declared: Vec<&str> = content
            .lines()
            .filter_map(|line| line.strip_prefix("service "))
            .collect();
        assert!(
            declared.len() <= 1,
            "{}: one file for each service",
            path.display()
        );
        if let Some(name) = declared
            .first()
            .and_then(|rest| rest.split([' ', '{']).next())
        {
            assert_eq!(
                name.to_lowercase(),
                stem.replace('_', ""),
                "{} is not named after its service",
                path.display()
            );
            services.insert(stem);
        }
    }
    for service in ["raft", "control", "dispatcher", "ca", "logs"] {
        assert!(
            services.contains(service),
            "no proto/{service}.proto with a service"
        );
    }
}

fn file_stem(path: &Path) -> String {
    path.file_stem()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned()
}

fn normal_dependencies(package: &serde_json::Value) -> BTreeSet<&str> {
    let normal = list(package, "dependencies")
        .iter()
        .filter(|used| used["kind"].is_null());
    normal.map(|used| text(used, "name")).collect()
}

/// Lines outside of comments, up to the tests at the end of a file, with their numbers.
fn code_lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = content
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]");
    code.enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}
