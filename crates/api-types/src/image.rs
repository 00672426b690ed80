//! Images: lists, inspection, history, removal, and the progress of long operations.

use crate::StringMap;
use crate::container::{HealthConfig, Nothing};
use crate::macros::go_json;
use crate::time::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

go_json! {
    /// A line of `GET /images/json`.
    pub struct Summary {
        /// -1 when it was not counted.
        containers: i64 = "Containers",
        /// Unix seconds.
        created: i64 = "Created",
        id: String = "Id",
        /// `null` when the image has none.
        labels: Option<StringMap> = "Labels",
        parent_id: String = "ParentId",
        repo_digests: Vec<String> = "RepoDigests",
        repo_tags: Vec<String> = "RepoTags",
        /// -1 when it was not counted.
        shared_size: i64 = "SharedSize",
        size: i64 = "Size",
        /// Only for API versions before 1.44.
        virtual_size: i64 = "VirtualSize" omitempty,
    }

    /// An image, as `GET /images/{name}/json` answers it.
    pub struct Image {
        id: String = "Id",
        repo_tags: Vec<String> = "RepoTags",
        repo_digests: Vec<String> = "RepoDigests",
        parent: String = "Parent",
        comment: String = "Comment",
        /// RFC 3339.
        created: String = "Created" omitempty,
        docker_version: String = "DockerVersion",
        author: String = "Author",
        config: Option<ImageConfig> = "Config",
        architecture: String = "Architecture",
        variant: String = "Variant" omitempty,
        os: String = "Os",
        os_version: String = "OsVersion" omitempty,
        size: i64 = "Size",
        /// Only for API versions before 1.44.
        virtual_size: i64 = "VirtualSize" omitempty,
        graph_driver: DriverData = "GraphDriver",
        root_fs: RootFs = "RootFS",
        metadata: Metadata = "Metadata",
        descriptor: Option<Descriptor> = "Descriptor" omitempty,
    }

    /// What containers of an image inherit.
    pub struct ImageConfig {
        user: String = "User" omitempty,
        exposed_ports: BTreeMap<String, Nothing> = "ExposedPorts" omitempty,
        env: Vec<String> = "Env" omitempty,
        entrypoint: Vec<String> = "Entrypoint" omitempty,
        cmd: Vec<String> = "Cmd" omitempty,
        volumes: BTreeMap<String, Nothing> = "Volumes" omitempty,
        working_dir: String = "WorkingDir" omitempty,
        labels: StringMap = "Labels" omitempty,
        stop_signal: String = "StopSignal" omitempty,
        args_escaped: bool = "ArgsEscaped" omitempty,
        healthcheck: Option<HealthConfig> = "Healthcheck" omitempty,
        on_build: Vec<String> = "OnBuild" omitempty,
        shell: Vec<String> = "Shell" omitempty,
    }

    /// The layers of an image.
    pub struct RootFs {
        kind: String = "Type" omitempty,
        /// Digests of the unpacked layers, lowest first.
        layers: Vec<String> = "Layers" omitempty,
    }

    /// What this host alone knows of an image.
    pub struct Metadata {
        last_tag_time: Timestamp = "LastTagTime",
    }

    /// Where a storage driver keeps something.
    pub struct DriverData {
        data: Option<StringMap> = "Data",
        name: String = "Name",
    }

    /// A line of `GET /images/{name}/history`.
    pub struct HistoryItem {
        comment: String = "Comment",
        /// Unix seconds.
        created: i64 = "Created",
        created_by: String = "CreatedBy",
        /// `<missing>` for layers that are not images themselves.
        id: String = "Id",
        size: i64 = "Size",
        tags: Option<Vec<String>> = "Tags",
    }

    /// A line of the answer to `DELETE /images/{name}`; one of the two is set.
    pub struct DeleteResponse {
        deleted: String = "Deleted" omitempty,
        untagged: String = "Untagged" omitempty,
    }

    /// A pointer into a registry or content store.
    pub struct Descriptor {
        media_type: String = "mediaType",
        digest: String = "digest",
        size: i64 = "size",
        urls: Vec<String> = "urls" omitempty,
        annotations: StringMap = "annotations" omitempty,
        platform: Option<OciPlatform> = "platform" omitempty,
        artifact_type: String = "artifactType" omitempty,
    }

    /// A platform in OCI's spelling (`amd64`, `linux`).
    pub struct OciPlatform {
        architecture: String = "architecture",
        os: String = "os",
        os_version: String = "os.version" omitempty,
        os_features: Vec<String> = "os.features" omitempty,
        variant: String = "variant" omitempty,
    }

    /// The answer to `GET /distribution/{name}/json`. Docker prints `null` when the platforms are not known.
    pub struct DistributionInspect {
        descriptor: Descriptor = "Descriptor",
        platforms: Option<Vec<OciPlatform>> = "Platforms",
    }

    /// A line of the stream that pull, load, import and push answer.
    pub struct ProgressMessage {
        stream: String = "stream" omitempty,
        status: String = "status" omitempty,
        /// Docker sends `{}` where nothing is counted.
        progress_detail: Option<ProgressDetail> = "progressDetail" omitempty,
        /// A ready drawn bar, for old clients.
        progress: String = "progress" omitempty,
        id: String = "id" omitempty,
        error_detail: Option<ErrorDetail> = "errorDetail" omitempty,
        error: String = "error" omitempty,
        aux: Option<Value> = "aux" omitempty,
    }

    /// How far something is.
    pub struct ProgressDetail {
        /// Bytes, unless `units` says otherwise.
        current: i64 = "current" omitempty,
        total: i64 = "total" omitempty,
        /// Unix seconds.
        start: i64 = "start" omitempty,
        units: String = "units" omitempty,
    }

    /// An error in the middle of a stream, when the status line is long sent.
    pub struct ErrorDetail {
        code: i64 = "code" omitempty,
        message: String = "message" omitempty,
    }
}

impl ProgressMessage {
    /// A line of text for people, ends with a line feed by convention.
    pub fn text(text: impl Into<String>) -> Self {
        ProgressMessage {
            stream: text.into(),
            ..Default::default()
        }
    }

    /// What happens to the thing `id` (a layer or a tag; may be empty).
    pub fn status(id: impl Into<String>, status: impl Into<String>) -> Self {
        ProgressMessage {
            id: id.into(),
            status: status.into(),
            ..Default::default()
        }
    }

    /// An error; nothing follows it.
    pub fn failure(message: impl Into<String>) -> Self {
        let message = message.into();
        ProgressMessage {
            error: message.clone(),
            error_detail: Some(ErrorDetail { code: 0, message }),
            ..Default::default()
        }
    }
}
