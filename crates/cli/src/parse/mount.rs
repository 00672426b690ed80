//! `--mount type=bind,source=/a,target=/b,readonly`.

use super::{boolean, csv};
use crate::units::parse_bytes;
use api_types::Driver;
use api_types::mount::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use std::path::Path;

const PROPAGATIONS: &[&str] = &[
    "private", "rprivate", "shared", "rshared", "slave", "rslave",
];

/// Reads one mount.
pub fn mount(text: &str) -> Result<Mount, String> {
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    let mut recursive = String::new();
    for field in csv(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value)),
            None => (field.trim().to_ascii_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("readonly" | "ro", None) => mount.read_only = true,
            ("volume-nocopy", None) => volume(&mut mount).no_copy = true,
            ("bind-nonrecursive", None) => bind(&mut mount).non_recursive = true,
            (_, None) => return Err(format!("invalid field '{field}' must be a key=value pair")),
            ("bind-recursive", Some(value)) => value.clone_into(&mut recursive),
            (key, Some(value)) => set(&mut mount, key, value, &field)?,
        }
    }
    bind_recursion(&mut mount, &recursive)?;
    check(&mount)?;
    Ok(mount)
}

/// Docker's client sends a driver with the options, even if it has no name.
fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(|| VolumeOptions {
        driver_config: Some(Driver::default()),
        ..VolumeOptions::default()
    })
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_default()
}

fn set(mount: &mut Mount, key: &str, value: &str, field: &str) -> Result<(), String> {
    let yes_or_no = |value: &str| {
        boolean(value)
            .ok_or_else(|| format!("invalid value for {key}: {value} (must be true or false)"))
    };
    let pair = |value: &str| {
        value.split_once('=').map_or_else(
            || (value.to_owned(), String::new()),
            |(name, value)| (name.to_owned(), value.to_owned()),
        )
    };
    match key {
        "type" => mount.kind = value.to_ascii_lowercase(),
        "source" | "src" => mount.source = source(value)?,
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = yes_or_no(value)?,
        "consistency" => mount.consistency = value.to_ascii_lowercase(),
        "bind-propagation" => bind(mount).propagation = value.to_ascii_lowercase(),
        "bind-nonrecursive" => bind(mount).non_recursive = yes_or_no(value)?,
        "volume-subpath" => value.clone_into(&mut volume(mount).subpath),
        "volume-nocopy" => volume(mount).no_copy = yes_or_no(value)?,
        "volume-label" => {
            let (name, value) = pair(value);
            volume(mount).labels.insert(name, value);
        }
        "volume-driver" => value.clone_into(
            &mut volume(mount)
                .driver_config
                .get_or_insert_with(Driver::default)
                .name,
        ),
        "volume-opt" => {
            let (name, value) = pair(value);
            volume(mount)
                .driver_config
                .get_or_insert_with(Driver::default)
                .options
                .insert(name, value);
        }
        "image-subpath" => {
            mount.image_options = Some(ImageOptions {
                subpath: value.to_owned(),
            })
        }
        "tmpfs-size" => {
            mount
                .tmpfs_options
                .get_or_insert_with(TmpfsOptions::default)
                .size_bytes =
                parse_bytes(value).map_err(|_| format!("invalid value for {key}: {value}"))?
        }
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777);
            mount
                .tmpfs_options
                .get_or_insert_with(TmpfsOptions::default)
                .mode = mode.ok_or_else(|| {
                format!(
                    "invalid value for {key}: {value} (write octal permissions, for example 1777)"
                )
            })?;
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

/// A source that begins with a dot is relative to where the command runs.
fn source(value: &str) -> Result<String, String> {
    if value != "." && value != ".." && !value.starts_with("./") && !value.starts_with("../") {
        return Ok(value.to_owned());
    }
    let absolute = std::path::absolute(Path::new(value))
        .map_err(|err| format!("invalid value for source: {value}: {err}"))?;
    Ok(absolute.to_string_lossy().into_owned())
}

fn bind_recursion(mount: &mut Mount, recursive: &str) -> Result<(), String> {
    match recursive {
        "" | "enabled" => {}
        "disabled" => bind(mount).non_recursive = true,
        "writable" => bind(mount).read_only_non_recursive = true,
        "readonly" => bind(mount).read_only_force_recursive = true,
        other => {
            return Err(format!(
                "invalid value for bind-recursive: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    match &mount.bind_options {
        Some(options) if options.read_only_non_recursive && !mount.read_only => Err("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction".to_owned()),
        Some(options) if options.read_only_force_recursive && !mount.read_only => Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned()),
        Some(options) if options.read_only_force_recursive && options.propagation != "rprivate" => {
            Err("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".to_owned())
        }
        _ => Ok(()),
    }
}

fn check(mount: &Mount) -> Result<(), String> {
    let kinds = ["bind", "volume", "tmpfs", "npipe", "cluster", "image"];
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if !kinds.contains(&mount.kind.as_str()) {
        return Err(format!(
            "invalid value for type: '{}' (must be one of {})",
            mount.kind,
            kinds.join(", ")
        ));
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let mixed = [
        ("volume", mount.volume_options.is_some()),
        ("bind", mount.bind_options.is_some()),
        ("tmpfs", mount.tmpfs_options.is_some()),
        ("image", mount.image_options.is_some()),
    ];
    if let Some((kind, _)) = mixed
        .iter()
        .find(|(kind, there)| *there && *kind != mount.kind)
    {
        return Err(format!(
            "cannot mix '{kind}-*' options with mount type '{}'",
            mount.kind
        ));
    }
    if mount.kind == "tmpfs" && !mount.source.is_empty() {
        return Err("a tmpfs mount has no source".to_owned());
    }
    if mount.kind == "bind" && mount.source.is_empty() {
        return Err("a bind mount needs a source".to_owned());
    }
    if let Some(options) = &mount.bind_options
        && !options.propagation.is_empty()
        && !PROPAGATIONS.contains(&options.propagation.as_str())
    {
        return Err(format!(
            "invalid value for bind-propagation: {} (must be one of {})",
            options.propagation,
            PROPAGATIONS.join(", ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::mount;

    fn check(text: &str, json: &str) {
        assert_eq!(
            serde_json::to_string(&mount(text).unwrap()).unwrap(),
            json,
            "{text}"
        );
    }

    #[test]
    fn mounts() {
        check(
            "type=volume,source=v,target=/v",
            r#"{"Type":"volume","Source":"v","Target":"/v"}"#,
        );
        check(
            "type=bind,src=/a,dst=/b,readonly",
            r#"{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}"#,
        );
        check(
            "type=bind,source=/a,target=/b,ro=false,bind-propagation=rslave",
            r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"Propagation":"rslave"}}"#,
        );
        check(
            "type=tmpfs,destination=/t,tmpfs-size=64M,tmpfs-mode=1777",
            r#"{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":67108864,"Mode":1023}}"#,
        );
        check(
            "source=v,target=/v,volume-nocopy,volume-label=a=b,volume-driver=d,volume-opt=o=x",
            r#"{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"DriverConfig":{"Name":"d","Options":{"o":"x"}}}}"#,
        );
        check("target=/v", r#"{"Type":"volume","Target":"/v"}"#);
        check(
            "type=bind,src=/a,dst=/b,bind-recursive=disabled",
            r#"{"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"NonRecursive":true}}"#,
        );
    }

    #[test]
    fn mistakes() {
        let refused = |text: &str, why: &str| {
            assert!(
                mount(text).unwrap_err().contains(why),
                "{text}: {:?}",
                mount(text)
            )
        };
        refused("type=bind,source=/a", "target is required");
        refused("type=,target=/a", "type is required");
        refused(
            "type=bind,source=/a,target=/b,bind-recursive=x",
            "invalid value for bind-recursive: x (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
        );
        refused(
            "type=tmpfs,target=/a,tmpfs-size=x",
            "invalid value for tmpfs-size: x",
        );
        refused(
            "type=bind,source=/a,target=/b,bind-nonrecursive=x",
            "invalid value for bind-nonrecursive: x",
        );
        refused("type=bind,target=/a", "needs a source");
        refused("type=disk,target=/a", "invalid value for type");
        refused(
            "type=bind,source=/a,target=/b,colour=red",
            "unexpected key 'colour'",
        );
        refused("bind", "must be a key=value pair");
        refused(
            "type=bind,source=/a,target=/b,readonly=maybe",
            "must be true or false",
        );
        refused("type=tmpfs,target=/a,tmpfs-mode=9", "octal");
        refused("type=tmpfs,source=/b,target=/a", "no source");
        refused(
            "type=bind,source=/a,target=/b,volume-nocopy",
            "cannot mix 'volume-*'",
        );
        refused(
            "type=bind,source=/a,target=/b,bind-recursive=writable",
            "requires 'readonly'",
        );
        refused(
            "type=bind,source=/a,target=/b,bind-propagation=up",
            "bind-propagation",
        );
    }
}
