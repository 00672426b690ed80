//! Volumes of a host.

use crate::StringMap;
use crate::macros::go_json;

go_json! {
    /// A volume, as `GET /volumes/{name}` answers it. Docker prints `null` for maps that are not there.
    pub struct Volume {
        /// RFC 3339, empty for volumes of old.
        created_at: String = "CreatedAt" omitempty,
        driver: String = "Driver",
        labels: Option<StringMap> = "Labels",
        mountpoint: String = "Mountpoint",
        name: String = "Name",
        options: Option<StringMap> = "Options",
        /// `local` or `global`.
        scope: String = "Scope",
        usage_data: Option<VolumeUsage> = "UsageData" omitempty,
    }

    /// What a volume takes, when that was asked for.
    pub struct VolumeUsage {
        /// Containers that have it; -1 when it was not counted.
        ref_count: i64 = "RefCount",
        /// Bytes; -1 when it was not measured.
        size: i64 = "Size",
    }

    /// Answer to `GET /volumes`.
    pub struct VolumeList {
        volumes: Option<Vec<Volume>> = "Volumes",
        warnings: Option<Vec<String>> = "Warnings",
    }

    /// Body of `POST /volumes/create`.
    pub struct VolumeCreateRequest {
        driver: String = "Driver" omitempty,
        driver_opts: StringMap = "DriverOpts" omitempty,
        labels: StringMap = "Labels" omitempty,
        name: String = "Name" omitempty,
    }

    /// Answer to `POST /volumes/prune`.
    pub struct VolumePruneResponse {
        volumes_deleted: Option<Vec<String>> = "VolumesDeleted",
        /// Bytes.
        space_reclaimed: u64 = "SpaceReclaimed",
    }
}
