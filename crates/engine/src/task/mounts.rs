//! Mounts of a task, as mounts of its container.

use crate::config::{MountConfig, MountKind, ReadOnlyRecursion, VolumeMount};
use crate::error::CreateError;
use model::Labels;
use model::container::{BindOptions, Mount, MountKind as Kind, TmpfsOptions, VolumeOptions};

/// Expands a text's placeholders.
type Text<'a> = &'a dyn Fn(&str) -> Result<String, CreateError>;

pub(super) fn mounts(
    mounts: &[Mount],
    text: impl Fn(&str) -> Result<String, CreateError>,
) -> Result<Vec<MountConfig>, CreateError> {
    let convert = |mount: &Mount| {
        let source = text(&mount.source)?;
        let kind = match &mount.kind {
            Kind::Bind(options) => bind(source, options.as_ref())?,
            Kind::Volume(options) => volume(source, options.as_ref(), &text)?,
            Kind::Tmpfs(options) => tmpfs(&source, options.as_ref())?,
        };
        Ok(MountConfig {
            target: text(&mount.target)?.into(),
            read_only: mount.read_only,
            kind,
        })
    };
    mounts.iter().map(convert).collect()
}

fn bind(source: String, options: Option<&BindOptions>) -> Result<MountKind, CreateError> {
    let options = options.cloned().unwrap_or_default();
    let recursion = match (
        options.read_only_non_recursive,
        options.read_only_force_recursive,
    ) {
        (true, true) => {
            let text = "mount options conflict: BindOptions.ReadOnlyNonRecursive and BindOptions.ReadOnlyForceRecursive";
            return Err(CreateError::Invalid(text.into()));
        }
        (true, false) => ReadOnlyRecursion::Off,
        (false, true) => ReadOnlyRecursion::Force,
        (false, false) => ReadOnlyRecursion::IfPossible,
    };
    Ok(MountKind::Bind {
        source: source.into(),
        propagation: options.propagation,
        recursive: !options.non_recursive,
        create_source: options.create_mountpoint,
        recursion,
    })
}

fn volume(
    name: String,
    options: Option<&VolumeOptions>,
    text: Text<'_>,
) -> Result<MountKind, CreateError> {
    if name.starts_with('/') {
        let text = format!("invalid volume mount source, must not be an absolute path: {name}");
        return Err(CreateError::Invalid(text));
    }
    let options = options.cloned().unwrap_or_default();
    let driver = options.driver.unwrap_or_default();
    Ok(MountKind::Volume(VolumeMount {
        name,
        anonymous: false,
        no_copy: options.no_copy,
        labels: texts(&options.labels, text)?,
        driver: driver.name,
        options: texts(&driver.options, text)?,
        subpath: options.subpath,
    }))
}

fn texts(labels: &Labels, text: Text<'_>) -> Result<Labels, CreateError> {
    let labels = labels.iter();
    labels
        .map(|(name, value)| Ok((name.clone(), text(value)?)))
        .collect()
}

fn tmpfs(source: &str, options: Option<&TmpfsOptions>) -> Result<MountKind, CreateError> {
    if !source.is_empty() {
        let text = "invalid tmpfs source, source must be empty";
        return Err(CreateError::Invalid(text.into()));
    }
    let options = options.cloned().unwrap_or_default();
    let size = u64::try_from(options.size_bytes).ok();
    Ok(MountKind::Tmpfs {
        size: size.filter(|size| *size > 0),
        mode: (options.mode != 0).then_some(options.mode),
        options: options
            .options
            .iter()
            .map(|words| words.join("="))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Driver;
    use std::path::PathBuf;

    fn mount(kind: Kind, source: &str) -> Mount {
        Mount {
            kind,
            source: source.into(),
            target: "/t".into(),
            read_only: true,
            consistency: String::new(),
        }
    }

    fn converted(mount: Mount) -> Result<MountConfig, CreateError> {
        let text = |text: &str| Ok(text.replace("{{.Task.Slot}}", "3"));
        Ok(mounts(&[mount], text)?.remove(0))
    }

    #[test]
    fn binds_are_taken_over() {
        let options = BindOptions {
            create_mountpoint: true,
            read_only_force_recursive: true,
            ..BindOptions::default()
        };
        let bind = converted(mount(Kind::Bind(Some(options)), "/srv/{{.Task.Slot}}")).unwrap();
        let expected = MountKind::Bind {
            source: PathBuf::from("/srv/3"),
            propagation: String::new(),
            recursive: true,
            create_source: true,
            recursion: ReadOnlyRecursion::Force,
        };
        assert_eq!((bind.kind, bind.read_only), (expected, true));
        let options = BindOptions {
            read_only_non_recursive: true,
            read_only_force_recursive: true,
            ..BindOptions::default()
        };
        assert!(converted(mount(Kind::Bind(Some(options)), "/srv")).is_err());
    }

    #[test]
    fn volumes_are_taken_over() {
        let labels: Labels = [("slot".to_owned(), "{{.Task.Slot}}".to_owned())].into();
        let options = VolumeOptions {
            no_copy: true,
            labels: labels.clone(),
            driver: Some(Driver {
                name: "local".into(),
                options: labels,
            }),
            subpath: "a/b".into(),
        };
        let volume = converted(mount(Kind::Volume(Some(options)), "data-{{.Task.Slot}}")).unwrap();
        let expanded: Labels = [("slot".to_owned(), "3".to_owned())].into();
        let expected = VolumeMount {
            name: "data-3".into(),
            no_copy: true,
            labels: expanded.clone(),
            driver: "local".into(),
            options: expanded,
            subpath: "a/b".into(),
            anonymous: false,
        };
        assert_eq!(volume.kind, MountKind::Volume(expected));
        assert!(converted(mount(Kind::Volume(None), "/abs")).is_err());
    }

    #[test]
    fn a_tmpfs_is_taken_over() {
        let options = TmpfsOptions {
            size_bytes: 4096,
            mode: 0o700,
            options: vec![vec!["exec".into()], vec!["uid".into(), "7".into()]],
        };
        let tmpfs = converted(mount(Kind::Tmpfs(Some(options)), "")).unwrap();
        let expected = MountKind::Tmpfs {
            size: Some(4096),
            mode: Some(0o700),
            options: vec!["exec".into(), "uid=7".into()],
        };
        assert_eq!(tmpfs.kind, expected);
        assert!(converted(mount(Kind::Tmpfs(None), "x")).is_err());
    }
}
