//! What the rules look at: the workspace's metadata and its files.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("cluster-tests lies in the workspace")
}

/// `cargo metadata` for the platform that we ship on, with the locked versions.
pub(crate) fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
        ])
        .arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// The entries of a JSON list.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// A string field, empty when it is null.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Packages of the workspace.
pub(crate) fn members(metadata: &Value) -> Vec<&Value> {
    let ids = list(metadata, "workspace_members");
    list(metadata, "packages")
        .iter()
        .filter(|package| ids.contains(&package["id"]))
        .collect()
}

/// All files of the repository's own text, with their content.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for top in [
        "crates",
        "cluster-tests",
        "proto",
        "scripts",
        ".ci",
        ".cargo",
    ] {
        collect(&root().join(top), &mut found);
    }
    for top in [
        "README.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "rust-toolchain.toml",
    ] {
        collect(&root().join(top), &mut found);
    }
    found.sort();
    assert!(
        found.len() > 50,
        "only {} files were found: is {} the workspace?",
        found.len(),
        root().display()
    );
    found
}

fn collect(path: &Path, found: &mut Vec<(PathBuf, String)>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, found);
            }
        }
    } else if let Ok(content) = fs::read_to_string(path) {
        found.push((path.to_owned(), content));
    }
}
