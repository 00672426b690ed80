//! Mounts of services and containers.

use crate::macros::go_json;
use crate::{Driver, StringMap};

go_json! {
    /// One mount as a user asks for it.
    pub struct Mount {
        /// `bind`, `volume`, `tmpfs`, `npipe`, `cluster` or `image`.
        kind: String = "Type" omitempty,
        source: String = "Source" omitempty,
        target: String = "Target" omitempty,
        read_only: bool = "ReadOnly" omitempty,
        consistency: String = "Consistency" omitempty,
        bind_options: Option<BindOptions> = "BindOptions" omitempty,
        volume_options: Option<VolumeOptions> = "VolumeOptions" omitempty,
        image_options: Option<ImageOptions> = "ImageOptions" omitempty,
        tmpfs_options: Option<TmpfsOptions> = "TmpfsOptions" omitempty,
        cluster_options: Option<ClusterOptions> = "ClusterOptions" omitempty,
    }

    /// Options of a bind mount.
    pub struct BindOptions {
        propagation: String = "Propagation" omitempty,
        non_recursive: bool = "NonRecursive" omitempty,
        create_mountpoint: bool = "CreateMountpoint" omitempty,
        read_only_non_recursive: bool = "ReadOnlyNonRecursive" omitempty,
        read_only_force_recursive: bool = "ReadOnlyForceRecursive" omitempty,
    }

    /// Options of a volume mount.
    pub struct VolumeOptions {
        no_copy: bool = "NoCopy" omitempty,
        labels: StringMap = "Labels" omitempty,
        subpath: String = "Subpath" omitempty,
        driver_config: Option<Driver> = "DriverConfig" omitempty,
    }

    /// Options of an image mount.
    pub struct ImageOptions {
        subpath: String = "Subpath" omitempty,
    }

    /// Options of a tmpfs mount.
    pub struct TmpfsOptions {
        size_bytes: i64 = "SizeBytes" omitempty,
        /// The octal number that the user gave: 0o1777 is sent as 1023.
        mode: u32 = "Mode" omitempty,
        options: Vec<Vec<String>> = "Options" omitempty,
    }

    /// A cluster volume has no options of its own.
    pub struct ClusterOptions {}
}
