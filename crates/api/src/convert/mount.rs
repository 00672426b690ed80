//! Mounts, both ways.

use super::unless;
use crate::ApiError;
use api_types::Driver;
use api_types::mount as json;
use model::container::{BindOptions, Mount, MountKind, TmpfsOptions, VolumeOptions};

const FIELD: &str = "TaskTemplate.ContainerSpec.Mounts";

pub(super) fn read(asked: json::Mount) -> Result<Mount, ApiError> {
    let stray = |options: [bool; 2]| {
        if options.contains(&true) || asked.image_options.is_some() {
            return Err(ApiError::bad_request(format!(
                "invalid mount config for type {:?}: it has options of another type",
                asked.kind
            )));
        }
        Ok(())
    };
    let (is_bind, is_volume, is_tmpfs) = (
        asked.bind_options.is_some(),
        asked.volume_options.is_some(),
        asked.tmpfs_options.is_some(),
    );
    let kind = match asked.kind.as_str() {
        "bind" => {
            stray([is_volume, is_tmpfs])?;
            MountKind::Bind(asked.bind_options.map(bind))
        }
        "volume" => {
            stray([is_bind, is_tmpfs])?;
            MountKind::Volume(asked.volume_options.map(volume).transpose()?)
        }
        "tmpfs" => {
            stray([is_bind, is_volume])?;
            MountKind::Tmpfs(asked.tmpfs_options.map(tmpfs))
        }
        "npipe" | "cluster" | "image" => {
            return Err(ApiError::not_built(&format!("{FIELD}.Type {}", asked.kind)));
        }
        other => {
            return Err(ApiError::bad_request(format!(
                "invalid MountType: {other:?}: use bind, volume or tmpfs"
            )));
        }
    };
    Ok(Mount {
        kind,
        source: asked.source,
        target: asked.target,
        read_only: asked.read_only,
        consistency: asked.consistency,
    })
}

fn bind(asked: json::BindOptions) -> BindOptions {
    BindOptions {
        propagation: asked.propagation,
        non_recursive: asked.non_recursive,
        create_mountpoint: asked.create_mountpoint,
        read_only_non_recursive: asked.read_only_non_recursive,
        read_only_force_recursive: asked.read_only_force_recursive,
    }
}

fn volume(asked: json::VolumeOptions) -> Result<VolumeOptions, ApiError> {
    if let Some(driver) = &asked.driver_config {
        unless(
            !matches!(driver.name.as_str(), "" | "local"),
            &format!("{FIELD}.VolumeOptions.DriverConfig {}", driver.name),
        )?;
    }
    Ok(VolumeOptions {
        no_copy: asked.no_copy,
        labels: asked.labels,
        driver: asked.driver_config.map(|d| model::Driver {
            name: d.name,
            options: d.options,
        }),
        subpath: asked.subpath,
    })
}

fn tmpfs(asked: json::TmpfsOptions) -> TmpfsOptions {
    TmpfsOptions {
        size_bytes: asked.size_bytes,
        mode: asked.mode,
        options: asked.options,
    }
}

pub(super) fn print(mount: &Mount) -> json::Mount {
    let mut out = json::Mount {
        source: mount.source.clone(),
        target: mount.target.clone(),
        read_only: mount.read_only,
        consistency: mount.consistency.clone(),
        ..Default::default()
    };
    match &mount.kind {
        MountKind::Bind(options) => {
            out.kind = "bind".into();
            out.bind_options = options.as_ref().map(|o| json::BindOptions {
                propagation: o.propagation.clone(),
                non_recursive: o.non_recursive,
                create_mountpoint: o.create_mountpoint,
                read_only_non_recursive: o.read_only_non_recursive,
                read_only_force_recursive: o.read_only_force_recursive,
            });
        }
        MountKind::Volume(options) => {
            out.kind = "volume".into();
            out.volume_options = options.as_ref().map(|o| json::VolumeOptions {
                no_copy: o.no_copy,
                labels: o.labels.clone(),
                subpath: o.subpath.clone(),
                driver_config: o.driver.as_ref().map(|d| Driver {
                    name: d.name.clone(),
                    options: d.options.clone(),
                }),
            });
        }
        MountKind::Tmpfs(options) => {
            out.kind = "tmpfs".into();
            out.tmpfs_options = options.as_ref().map(|o| json::TmpfsOptions {
                size_bytes: o.size_bytes,
                mode: o.mode,
                options: o.options.clone(),
            });
        }
    }
    out
}
