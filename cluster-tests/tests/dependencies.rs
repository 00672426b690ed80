//! What we ship of others: only under licences that ask for no more than their mention, only from the public registry,
//! and without known holes where the list of holes can be had.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use semver::{Version, VersionReq};
use support::{list, metadata, root, sources, text};

/// SPDX names. Each asks at most that its text is passed on.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// What Cargo's names of registries begin with; those of git repositories begin otherwise. No manifest and no setting of
/// this repository names a registry, so the only one is Cargo's own.
const REGISTRY: &str = "registry+";

/// Names a checkout of the RustSec advisory database; `scripts/verify` fetches it where it can.
const ADVISORIES: &str = "STARLING_ADVISORY_DB";

/// Advisories that we know of and live with: id and reason.
const ACCEPTED: &[(&str, &str)] = &[];

#[test]
fn every_licence_is_permissive() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in list(&metadata, "packages") {
        let licence = text(package, "license");
        if !permits(licence) {
            wrong.push(format!(
                "{} {}: \"{licence}\"",
                text(package, "name"),
                text(package, "version")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "licences that are not on the list:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_package_is_ours_or_from_the_public_registry() {
    let metadata = metadata();
    for package in list(&metadata, "packages") {
        let (name, source, manifest) = (
            text(package, "name"),
            text(package, "source"),
            text(package, "manifest_path"),
        );
        let ours = source.is_empty() && Path::new(manifest).starts_with(root());
        assert!(
            ours || source.starts_with(REGISTRY),
            "{name} comes from {source}{manifest}"
        );
    }
}

#[test]
fn there_is_one_registry() {
    let metadata = metadata();
    let packages = list(&metadata, "packages").iter();
    let sources: BTreeSet<&str> = packages.map(|package| text(package, "source")).collect();
    let registries = sources.iter().filter(|source| !source.is_empty());
    assert_eq!(registries.count(), 1, "{sources:?}");
}

#[test]
fn no_package_has_a_known_hole() {
    let Some(database) = std::env::var_os(ADVISORIES) else {
        eprintln!("{ADVISORIES} is not set: advisories are not checked here");
        return;
    };
    let metadata = metadata();
    let (mut read, mut wrong) = (0, Vec::new());
    for package in list(&metadata, "packages")
        .iter()
        .filter(|package| text(package, "source").starts_with(REGISTRY))
    {
        let version = Version::parse(text(package, "version")).expect("cargo prints versions");
        for advisory in advisories_of(
            &Path::new(&database)
                .join("crates")
                .join(text(package, "name")),
        ) {
            read += 1;
            let accepted = ACCEPTED.iter().any(|(id, _)| *id == advisory.id);
            if advisory.concerns(&version) && !accepted {
                wrong.push(format!(
                    "{} {version}: {}",
                    text(package, "name"),
                    advisory.id
                ));
            }
        }
    }
    assert!(
        read > 0,
        "no advisory about any package of ours in {}",
        Path::new(&database).display()
    );
    assert!(wrong.is_empty(), "known holes:\n{}", wrong.join("\n"));
}

/// Whether an SPDX expression can be met with licences on the list. Old manifests write `/` for `OR`.
fn permits(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest).unwrap_or(false) && rest.is_empty()
}

/// `all {OR all}`; `None` when the expression is not well formed.
fn any(rest: &mut &[&str]) -> Option<bool> {
    let mut met = all(rest)?;
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        met |= all(rest)?;
    }
    Some(met)
}

/// `one {AND one}`
fn all(rest: &mut &[&str]) -> Option<bool> {
    let mut met = one(rest)?;
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        met &= one(rest)?;
    }
    Some(met)
}

/// A licence, with an exception that only widens it, or an expression in brackets.
fn one(rest: &mut &[&str]) -> Option<bool> {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let met = any(rest)?;
            let [")", tail @ ..] = *rest else { return None };
            *rest = tail;
            Some(met)
        }
        [licence, "WITH", _exception, tail @ ..] => {
            *rest = tail;
            Some(LICENCES.contains(licence))
        }
        [licence, tail @ ..] => {
            *rest = tail;
            Some(LICENCES.contains(licence))
        }
        [] => None,
    }
}

#[test]
fn licence_expressions_are_understood() {
    for fine in [
        "MIT",
        "MIT OR Apache-2.0",
        "GPL-3.0-only OR MIT",
        "Apache-2.0/MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(permits(fine), "{fine}");
    }
    for wrong in [
        "",
        "GPL-3.0-only",
        "MPL-2.0",
        "MIT AND GPL-2.0-only",
        "(MIT",
        "MIT Apache-2.0",
        "MIT OR",
        "AND",
    ] {
        assert!(!permits(wrong), "{wrong}");
    }
}

/// One advisory of the RustSec database: a Markdown file that begins with TOML between fences.
struct Advisory {
    id: String,
    /// Withdrawn, or only a remark, as in "unmaintained".
    harmless: bool,
    /// Requirements that the fixed and the never affected versions meet.
    fixed: Vec<VersionReq>,
}

impl Advisory {
    fn parse(text: &str) -> Option<Advisory> {
        let header = text.split("```").nth(1)?;
        let value = |key: &str| {
            let line = header
                .lines()
                .find(|line| line.starts_with(&format!("{key} ")))?;
            Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
        };
        let mut fixed = requirements(header, "patched")?;
        fixed.extend(requirements(header, "unaffected").unwrap_or_default());
        Some(Advisory {
            id: value("id")?,
            harmless: value("withdrawn").is_some() || value("informational").is_some(),
            fixed,
        })
    }

    fn concerns(&self, version: &Version) -> bool {
        !self.harmless && !self.fixed.iter().any(|fixed| fixed.matches(version))
    }
}

/// The strings of a list of version requirements, which may span lines.
fn requirements(header: &str, key: &str) -> Option<Vec<VersionReq>> {
    let at = header.find(&format!("\n{key} "))?;
    let list = header[at..].split_once('[')?.1.split_once(']')?.0;
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(|text| VersionReq::parse(text).ok())
        .collect()
}

fn advisories_of(dir: &Path) -> Vec<Advisory> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let parse = |path: &Path| {
        let text = fs::read_to_string(path).expect("a readable advisory");
        Advisory::parse(&text).unwrap_or_else(|| panic!("cannot read {}", path.display()))
    };
    entries
        .map(|entry| parse(&entry.expect("a readable entry").path()))
        .collect()
}

#[test]
fn an_advisory_concerns_the_versions_that_it_names() {
    let text = "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"x\"\n\n[versions]\npatched = [\n  \"^1.2.3\",\n  \">= 2.0.1\"\n]\nunaffected = [\"< 1.0.0\"]\n```\n# Title\n";
    let advisory = Advisory::parse(text).expect("well formed");
    let concerned = |version: &str| advisory.concerns(&Version::parse(version).expect("a version"));
    assert!(concerned("1.2.2") && concerned("2.0.0"));
    assert!(!concerned("1.2.3") && !concerned("2.1.0") && !concerned("0.9.0"));
    let remark = Advisory::parse(
        &text.replace("[versions]", "informational = \"unmaintained\"\n[versions]"),
    );
    assert!(
        !remark
            .expect("well formed")
            .concerns(&Version::new(1, 2, 2))
    );
}

#[test]
fn the_lock_file_is_there_and_cargo_deny_knows_the_same_licences() {
    assert!(root().join("Cargo.lock").is_file());
    let config = sources()
        .into_iter()
        .find(|(path, _)| path.ends_with("deny.toml"));
    let (_, config) = config.expect("deny.toml is there");
    for licence in LICENCES {
        assert!(
            config.contains(&format!("\"{licence}\"")),
            "deny.toml does not allow {licence}"
        );
    }
}
