//! What is known of an image.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::config::ImageConfig;
use crate::digest::{Digest, DigestError};
use crate::reference::Reference;
use crate::timestamp;

/// The ID of an image: the digest of its configuration, as in Docker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId(pub Digest);

impl ImageId {
    /// `sha256:<64 hex digits>`.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The 64 hex digits.
    pub fn hex(&self) -> &str {
        self.0.hex()
    }

    /// The first 12 hex digits.
    pub fn short(&self) -> &str {
        self.0.short()
    }
}

/// `sha256:<64 hex digits>`.
impl FromStr for ImageId {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        Digest::parse(text).map(Self)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An image with everything that `image ls` and `image inspect` show. It does not change: a change makes a new record.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRecord {
    /// The digest of the configuration.
    pub id: ImageId,
    /// Its names with tags, in order.
    pub tags: Vec<Reference>,
    /// Its names with digests of manifests in registries, in order.
    pub digests: Vec<Reference>,
    /// The image that it was built from, if the configuration names one.
    pub parent: Option<ImageId>,
    /// The configuration's comment.
    pub comment: String,
    /// When it was made, RFC 3339 as it stands in the configuration; empty when it does not say.
    pub created: String,
    /// The configuration's author.
    pub author: String,
    /// The Docker version that made it; empty in OCI images.
    pub docker_version: String,
    /// `amd64`, …
    pub architecture: String,
    /// `v7`, `v8`; empty mostly.
    pub variant: String,
    /// `linux`.
    pub os: String,
    /// The host version that Windows images need; empty in others.
    pub os_version: String,
    /// Bytes of its unpacked files, layers that are shared included.
    pub size: u64,
    /// Diff IDs of its layers, lowest first (`RootFS.Layers`).
    pub layers: Vec<Digest>,
    /// How its containers run.
    pub config: ImageConfig,
    /// Its steps, oldest first.
    pub history: Vec<HistoryEntry>,
    /// When it got its latest tag, nanoseconds since 1970 UTC (`Metadata.LastTagTime`); none when it has never had one.
    pub last_tagged: Option<i64>,
}

impl ImageRecord {
    /// When it was made, nanoseconds since 1970 UTC; 0 when it does not say.
    pub fn created_unix_nanos(&self) -> i64 {
        timestamp::parse(&self.created).unwrap_or_default()
    }

    /// `RepoTags` of the API: `busybox:1`.
    pub fn repo_tags(&self) -> Vec<String> {
        self.tags.iter().map(Reference::familiar).collect()
    }

    /// `RepoDigests` of the API: `busybox@sha256:…`.
    pub fn repo_digests(&self) -> Vec<String> {
        self.digests.iter().map(Reference::familiar).collect()
    }
}

/// One step of an image's history, for `image history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// RFC 3339, as it stands in the configuration.
    #[serde(deserialize_with = "null_is_empty")]
    pub created: String,
    /// What was run.
    pub created_by: String,
    /// The step's author.
    pub author: String,
    /// A comment.
    pub comment: String,
    /// Whether the step made no layer.
    pub empty_layer: bool,
    /// Bytes of the step's unpacked layer.
    #[serde(skip)]
    pub size: u64,
    /// The image that ends with this step, where there is one: only the last step in images that were not built here.
    #[serde(skip)]
    pub id: Option<ImageId>,
    /// That image's tags.
    #[serde(skip)]
    pub tags: Vec<String>,
}

impl HistoryEntry {
    /// When the step was made, nanoseconds since 1970 UTC; 0 when it does not say.
    pub fn created_unix_nanos(&self) -> i64 {
        timestamp::parse(&self.created).unwrap_or_default()
    }
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}
