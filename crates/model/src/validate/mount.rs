//! Mounts of a container.

use super::{Invalid, cluster, first_duplicate, invalid, template};
use crate::container::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};

pub(super) fn mounts(mounts: &[Mount]) -> Result<(), Invalid> {
    for mount in mounts {
        one(mount)?;
    }
    let targets = mounts.iter().map(|m| m.target.trim_end_matches('/'));
    match first_duplicate(targets) {
        Some(target) => invalid(format!("ContainerSpec: duplicate mount point: {target}")),
        None => Ok(()),
    }
}

fn one(mount: &Mount) -> Result<(), Invalid> {
    let Mount { source, target, .. } = mount;
    template::check("mounts", source)?;
    template::check("mounts", target)?;
    if source.contains('\0') || target.contains('\0') {
        return invalid("invalid mount: its paths must not contain a zero byte");
    }
    if !target.starts_with('/') && !target.starts_with("{{") {
        return invalid(format!(
            "invalid mount target, must be an absolute path: {target}"
        ));
    }
    if target.trim_end_matches('/').is_empty() {
        return invalid("invalid specification: destination can't be '/'");
    }
    match &mount.kind {
        MountKind::Bind(options) => bind(mount, options.as_ref()),
        MountKind::Volume(options) => volume(source, options.as_ref()),
        MountKind::Tmpfs(_) if !source.is_empty() => {
            invalid("invalid tmpfs mount: it has no source")
        }
        MountKind::Tmpfs(options) => options.as_ref().map_or(Ok(()), tmpfs),
    }
}

fn bind(mount: &Mount, options: Option<&BindOptions>) -> Result<(), Invalid> {
    let source = &mount.source;
    if !source.starts_with('/') && !template::is_in(source) {
        return invalid(format!(
            "invalid bind mount source, must be an absolute path: {source}"
        ));
    }
    let Some(options) = options else {
        return Ok(());
    };
    if !matches!(
        options.propagation.as_str(),
        "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared"
    ) {
        return invalid(format!(
            "invalid MountPropagation: {:?}",
            options.propagation
        ));
    }
    let (lax, strict) = (
        options.read_only_non_recursive,
        options.read_only_force_recursive,
    );
    if (lax || strict) && !mount.read_only {
        return invalid(
            "mount options conflict: ReadOnlyNonRecursive and ReadOnlyForceRecursive need ReadOnly",
        );
    }
    if lax && strict {
        return invalid("mount options conflict: ReadOnlyNonRecursive && ReadOnlyForceRecursive");
    }
    if options.non_recursive && strict {
        return invalid("mount options conflict: NonRecursive && ReadOnlyForceRecursive");
    }
    if strict && !matches!(options.propagation.as_str(), "private" | "rprivate") {
        return invalid(
            "mount options conflict: ReadOnlyForceRecursive needs propagation rprivate or private",
        );
    }
    Ok(())
}

fn volume(source: &str, options: Option<&VolumeOptions>) -> Result<(), Invalid> {
    if source.starts_with('/') {
        return invalid(format!(
            "invalid volume mount source, must not be an absolute path: {source}"
        ));
    }
    if !source.is_empty() && !template::is_in(source) && !is_volume_name(source) {
        return invalid(format!(
            r#""{source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path"#
        ));
    }
    let Some(options) = options else {
        return Ok(());
    };
    cluster::labels("the volume", &options.labels)?;
    let driver = options.driver.iter().flat_map(|d| d.options.values());
    for text in options.labels.values().chain(driver) {
        template::check("mounts", text)?;
    }
    let subpath = &options.subpath;
    if source.is_empty() && !subpath.is_empty() {
        return invalid("must not set Subpath when using anonymous volumes");
    }
    if subpath.starts_with('/') || subpath.split('/').any(|part| part == "..") {
        return invalid(format!(
            "subpath must be a relative path within the volume: {subpath}"
        ));
    }
    Ok(())
}

fn is_volume_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() > 1
        && bytes[0].is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(b))
}

fn tmpfs(options: &TmpfsOptions) -> Result<(), Invalid> {
    if options.size_bytes < 0 {
        return invalid("invalid tmpfs size: it cannot be negative");
    }
    if options.mode > 0o7777 {
        return invalid(format!(
            "invalid tmpfs mode {:o}: use permission bits up to 7777",
            options.mode
        ));
    }
    for option in &options.options {
        let is_word = |word: &String| {
            !word.is_empty() && !word.contains(|c: char| c == ',' || c.is_control())
        };
        if !(1..=2).contains(&option.len()) || !option.iter().all(is_word) {
            return invalid(format!(
                "invalid option array length: {option:?}: a tmpfs option is [name] or [name, value]"
            ));
        }
    }
    Ok(())
}
