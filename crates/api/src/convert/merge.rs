//! Updates by clients that do not know a field: what they cannot know, and leave out, stays as it is.
//!
//! Docker replaces the whole spec, and drops what is newer than the version in the path; a client that reads a spec into its own
//! types, changes one field and sends it back so loses the fields that its types do not have. Here an update keeps
//!
//! - what is newer than the client's version of the API and is not mentioned,
//! - `ForceUpdate`, when the key is missing: 0 instead of 3 would restart every task,
//! - the mode, when none is given: Docker takes one replica for it,
//! - our own additions, see [`super::settle_additions`].
//!
//! A field that the client does mention, be it as `null`, is taken as it is sent. It works on the JSON, since only there a missing
//! field differs from an empty one.

use crate::version::Version;
use api_types::service::ServiceSpec;
use serde_json::{Map, Value};

/// Whether a missing object on the way to a field is made for it.
#[derive(Clone, Copy, PartialEq)]
enum Parent {
    /// Its absence says nothing of the field.
    Make,
    /// Without it, the field has no meaning: the client has removed the whole.
    Need,
}
use Parent::{Make, Need};

/// Fields below `TaskTemplate.ContainerSpec` with the version that brought them (`moby/docs/api/version-history.md`,
/// `moby/api/server/router/swarm/helpers.go`), the newest first: a whole is kept before its parts.
const CONTAINER: &[(Version, &str, Parent)] = &[
    (Version(1, 46), "OomScoreAdj", Make),
    (Version(1, 46), "Mounts.*.TmpfsOptions.Options", Make),
    (Version(1, 45), "Mounts.*.VolumeOptions.Subpath", Make),
    (Version(1, 44), "Privileges.Seccomp", Make),
    (Version(1, 44), "Privileges.AppArmor", Make),
    (Version(1, 44), "Privileges.NoNewPrivileges", Make),
    (Version(1, 44), "Healthcheck.StartInterval", Need),
    (
        Version(1, 44),
        "Mounts.*.BindOptions.ReadOnlyNonRecursive",
        Make,
    ),
    (
        Version(1, 44),
        "Mounts.*.BindOptions.ReadOnlyForceRecursive",
        Make,
    ),
    (
        Version(1, 42),
        "Mounts.*.BindOptions.CreateMountpoint",
        Make,
    ),
    (Version(1, 41), "CapabilityAdd", Make),
    (Version(1, 41), "CapabilityDrop", Make),
    (Version(1, 41), "Ulimits", Make),
    (Version(1, 40), "Sysctls", Make),
    (Version(1, 40), "Mounts.*.BindOptions.NonRecursive", Make),
    (Version(1, 37), "Init", Make),
    (Version(1, 35), "Isolation", Make),
    (Version(1, 30), "Configs", Make),
    (Version(1, 29), "Privileges", Make),
    (Version(1, 28), "StopSignal", Make),
    (Version(1, 28), "ReadOnly", Make),
    (Version(1, 26), "Hosts", Make),
    (Version(1, 25), "Secrets", Make),
    (Version(1, 25), "Hostname", Make),
    (Version(1, 25), "DNSConfig", Make),
    (Version(1, 25), "Healthcheck", Make),
    (Version(1, 25), "Groups", Make),
    (Version(1, 25), "TTY", Make),
    (Version(1, 25), "OpenStdin", Make),
];

/// Fields of the service itself, as above.
const SERVICE: &[(Version, &str, Parent)] = &[
    (Version(1, 41), "TaskTemplate.Resources.Limits.Pids", Make),
    (Version(1, 40), "TaskTemplate.Placement.MaxReplicas", Make),
    (
        Version(1, 32),
        "TaskTemplate.Resources.Reservations.GenericResources",
        Make,
    ),
    (Version(1, 30), "TaskTemplate.Placement.Platforms", Make),
    (Version(1, 29), "UpdateConfig.Order", Need),
    (Version(1, 29), "RollbackConfig.Order", Need),
    (Version(1, 28), "TaskTemplate.Placement.Preferences", Make),
    (Version(1, 28), "RollbackConfig", Make),
    (Version(1, 25), "UpdateConfig.Monitor", Need),
    (Version(1, 25), "UpdateConfig.MaxFailureRatio", Need),
];

/// What `sent`, an update by a client that speaks `version`, means for a service whose spec is `current`.
pub(crate) fn keep_unknown(mut sent: Value, current: &ServiceSpec, version: Version) -> Value {
    let current = serde_json::to_value(current).expect("types of api-types have string keys only");
    let Some(spec) = sent.as_object_mut() else {
        return sent;
    };
    keep(spec, &current, &["TaskTemplate", "ForceUpdate"], Need);
    let has_mode = find(spec, "Mode")
        .and_then(Value::as_object)
        .is_some_and(|mode| mode.values().any(|m| !m.is_null()));
    if !has_mode && let Some(mode) = current.get("Mode") {
        set(spec, "Mode", mode.clone());
    }
    for (since, path, parent) in SERVICE.iter().rev() {
        if version < *since {
            keep(
                spec,
                &current,
                &path.split('.').collect::<Vec<_>>(),
                *parent,
            );
        }
    }
    for (since, path, parent) in CONTAINER.iter().rev() {
        if version < *since {
            let path: Vec<_> = ["TaskTemplate", "ContainerSpec"]
                .into_iter()
                .chain(path.split('.'))
                .collect();
            keep(spec, &current, &path, *parent);
        }
    }
    sent
}

/// As [`keep_unknown`] for a node: Docker's clients know all of its spec, and what is ours stays by [`super::node_spec`].
/// Labels that are not mentioned at all stay.
pub(crate) fn node(mut sent: Value, current: &api_types::swarm::NodeSpec) -> Value {
    let current = serde_json::to_value(current).expect("types of api-types have string keys only");
    if let Some(spec) = sent.as_object_mut() {
        keep(spec, &current, &["Labels"], Make);
        keep(spec, &current, &["Name"], Make);
    }
    sent
}

/// Whether an object does not mention a key.
pub(crate) fn is_missing(sent: &Value, key: &str) -> bool {
    sent.as_object().is_some_and(|map| find(map, key).is_none())
}

/// Copies the field at `path` from `current` when `sent` does not mention it.
fn keep(sent: &mut Map<String, Value>, current: &Value, path: &[&str], parent: Parent) {
    let [key, rest @ ..] = path else {
        return;
    };
    let Some(there) = current.get(*key).filter(|value| !value.is_null()) else {
        return;
    };
    if rest.is_empty() {
        if find(sent, key).is_none() {
            sent.insert((*key).into(), there.clone());
        }
        return;
    }
    if rest[0] == "*" {
        if let Some(items) = find_mut(sent, key).and_then(Value::as_array_mut) {
            keep_in_mounts(items, there, &rest[1..], parent);
        }
        return;
    }
    // The template and the container are always there, or the update has nothing to run and is refused.
    let is_fixed = matches!(*key, "TaskTemplate" | "ContainerSpec");
    if find(sent, key).is_none_or(Value::is_null) && parent == Make && !is_fixed {
        let mut made = Map::new();
        keep(&mut made, there, rest, parent);
        if !made.is_empty() {
            set(sent, key, Value::Object(made));
        }
    } else if let Some(inside) = find_mut(sent, key).and_then(Value::as_object_mut) {
        keep(inside, there, rest, parent);
    }
}

/// Mounts are the same when they have the same target.
fn keep_in_mounts(items: &mut [Value], current: &Value, path: &[&str], parent: Parent) {
    let current = current.as_array().map_or(&[][..], Vec::as_slice);
    for item in items {
        let Some(item) = item.as_object_mut() else {
            continue;
        };
        let same = |other: &&Value| {
            other.get("Target") == find(item, "Target") && other.get("Type") == find(item, "Type")
        };
        if let Some(there) = current.iter().find(same) {
            keep(item, there, path, parent);
        }
    }
}

/// Go matches keys without regard to case.
fn find<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).or_else(|| {
        map.iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    })
}

fn find_mut<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Value> {
    if map.contains_key(key) {
        return map.get_mut(key);
    }
    map.iter_mut()
        .find(|(k, _)| k.eq_ignore_ascii_case(key))
        .map(|(_, value)| value)
}

/// Under the exact key, which wins over one in another case.
fn set(map: &mut Map<String, Value>, key: &str, value: Value) {
    map.insert(key.into(), value);
}
