//! Secrets and configs in a container (`swarmkit/controlapi/service.go`), and secrets as variables.

use super::{Invalid, invalid};
use crate::PayloadId;
use crate::container::ContainerSpec;
use crate::payload::FileTarget;
use std::collections::BTreeMap;

/// The kinds of reference, with the directory that relative targets are in.
const SECRET: (&str, &str) = ("secret", "/run/secrets");
const CONFIG: (&str, &str) = ("config", "");

pub(super) fn references(spec: &ContainerSpec) -> Result<(), Invalid> {
    let secrets = spec
        .secrets
        .iter()
        .map(|r| (&r.id, r.name.as_str(), Some(&r.file)));
    of_kind(SECRET, secrets)?;
    let configs = spec
        .configs
        .iter()
        .map(|r| (&r.id, r.name.as_str(), r.file.as_ref()));
    of_kind(CONFIG, configs)?;
    variables(spec)
}

fn of_kind<'a>(
    (kind, directory): (&str, &str),
    references: impl Iterator<Item = (&'a PayloadId, &'a str, Option<&'a FileTarget>)>,
) -> Result<(), Invalid> {
    let mut targets: BTreeMap<String, &str> = BTreeMap::new();
    for (id, name, file) in references {
        if id.as_str().is_empty() || name.is_empty() {
            return invalid(format!("malformed {kind} reference"));
        }
        let Some(file) = file else {
            continue;
        };
        target(kind, name, file)?;
        let path = if file.name.starts_with('/') {
            file.name.clone()
        } else {
            format!("{directory}/{}", file.name)
        };
        if let Some(other) = targets.insert(path, name) {
            return invalid(format!(
                "{kind} references '{other}' and '{name}' have a conflicting target: '{}'",
                file.name
            ));
        }
    }
    Ok(())
}

fn target(kind: &str, name: &str, file: &FileTarget) -> Result<(), Invalid> {
    let path = &file.name;
    if path.is_empty() {
        return invalid(format!(
            "malformed file {kind} reference, invalid target file name provided"
        ));
    }
    let is_odd = |part: &str| part == "." || part == "..";
    if path.ends_with('/') || path.contains('\0') || path.split('/').any(is_odd) {
        return invalid(format!(
            "malformed file {kind} reference '{name}': {path:?} is not the path of a file"
        ));
    }
    for (field, text) in [("UID", &file.uid), ("GID", &file.gid)] {
        if text.parse::<u32>().is_err() {
            return invalid(format!(
                "malformed file {kind} reference '{name}': {field} {text:?} is not a number"
            ));
        }
    }
    if file.mode > 0o7777 {
        return invalid(format!(
            "malformed file {kind} reference '{name}': mode {:o} has more than permission bits",
            file.mode
        ));
    }
    Ok(())
}

fn variables(spec: &ContainerSpec) -> Result<(), Invalid> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for variable in &spec.secret_env {
        let name = variable.variable.as_str();
        if variable.id.as_str().is_empty() || variable.name.is_empty() {
            return invalid("malformed secret reference");
        }
        let mut bytes = name.bytes();
        let starts = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return invalid(format!(
                "Starling.SecretEnv: {name:?} is not a name of a variable"
            ));
        }
        if let Some(other) = seen.insert(name, &variable.name) {
            return invalid(format!(
                "secret references '{other}' and '{}' have a conflicting target: '{name}'",
                variable.name
            ));
        }
        let is_set = |env: &String| env.split('=').next() == Some(name);
        if spec.env.iter().any(is_set) {
            return invalid(format!(
                "Starling.SecretEnv: the variable {name} is set in Env, too"
            ));
        }
    }
    Ok(())
}
