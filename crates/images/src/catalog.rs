//! [`Images`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::Stream;
use tokio::io::AsyncRead;

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::{
    ImportError, LoadError, LookupError, OpenError, PullError, RemoveError, SaveError, StoreError,
    TagError,
};
use crate::progress::Progress;
use crate::record::{HistoryEntry, ImageId, ImageRecord};
use crate::reference::Reference;
use crate::table::Table;

/// Settings of the image store.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Registries that may be reached without verified TLS or by plain HTTP: `host`, `host:port` or networks (`10.0.0.0/8`).
    /// Loopback registries always may, as in Docker.
    pub insecure_registries: Vec<String>,
}

/// Credentials for a registry. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    /// User and password (or an access token as the password).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token that the registry takes as it is (`registrytoken`).
    Bearer(String),
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Auth::Basic({username:?}, <redacted>)"),
            Self::Bearer(_) => f.write_str("Auth::Bearer(<redacted>)"),
        }
    }
}

/// An image that [`Images::load`] brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The image.
    pub id: ImageId,
    /// The name it was given; none for an image without names in the archive.
    pub name: Option<Reference>,
}

impl Loaded {
    /// Docker's line for it, without a newline: `Loaded image: busybox:1` or `Loaded image ID: sha256:…`.
    pub fn message(&self) -> String {
        match &self.name {
            Some(name) => format!("Loaded image: {}", name.familiar()),
            None => format!("Loaded image ID: {}", self.id),
        }
    }
}

/// What [`Images::pull`] brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The image.
    pub id: ImageId,
    /// The digest of the manifest (of the manifest list, if the reference names one).
    pub digest: Digest,
    /// Whether the reference meant another image or none before.
    pub newer: bool,
}

/// What a registry has under a name: `GET /distribution/{name}/json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The media type of the manifest or the manifest list.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The platforms that it is for.
    pub platforms: Vec<Platform>,
}

/// A platform in Go's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v7`; empty mostly.
    pub variant: String,
    /// Of Windows; empty in others.
    pub os_version: String,
}

/// A container that uses an image, for [`Images::remove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUse {
    /// The container's ID in full.
    pub id: String,
    /// Whether it runs now.
    pub running: bool,
}

/// What [`Images::remove`] did, step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name was taken away: `busybox:1`, `busybox@sha256:…`.
    Untagged(String),
    /// An image or a layer (its chain ID) was deleted: `sha256:…`.
    Deleted(String),
}

/// The unpacked layers of an image, held against removal until this is dropped.
#[derive(Debug)]
pub struct LayerHold {
    /// The chain ID of the whole; [`Images::hold_layers`] takes it again after a restart.
    pub chain_id: Option<Digest>,
    /// Overlay lower directories, topmost first.
    pub lower: Vec<PathBuf>,
}

/// What the engine makes a container's root of.
#[derive(Debug)]
pub struct RootfsLayers {
    /// The image.
    pub id: ImageId,
    /// Overlay lower directories, topmost first; complete and on disk.
    pub lower: Vec<PathBuf>,
    /// How containers of the image run.
    pub config: ImageConfig,
    /// Keeps the layers while it lives.
    pub hold: LayerHold,
}

/// What [`Images::gc`] freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers removed.
    pub layers: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes freed, about.
    pub bytes: u64,
}

/// The image store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Images {}

impl Images {
    /// Opens or makes the store in `dir`. Work that a crash left half done is removed; when `metadata` is empty or damaged it
    /// is rebuilt from the records on disk. Blocks for some file operations.
    pub fn open(
        _dir: &Path,
        _metadata: Arc<dyn Table>,
        _config: Config,
    ) -> Result<Self, OpenError> {
        todo!()
    }

    /// Reads a docker-archive or an OCI layout, as a tar that may be compressed as a whole; its layers may be plain, gzip or
    /// zstd. On an error nothing is changed.
    pub async fn load(
        &self,
        _tar: impl AsyncRead + Send + Unpin + 'static,
        _progress: Progress,
    ) -> Result<Vec<Loaded>, LoadError> {
        todo!()
    }

    /// A docker-archive, which is an OCI layout too, of these images. A repository without a tag means all of its tags.
    pub async fn save(&self, _names: &[String]) -> Result<SaveStream, SaveError> {
        todo!()
    }

    /// Makes an image of the tar of a root file system. `changes` are Dockerfile instructions (`CMD ["sh"]`); the image
    /// gets the name `reference`, if there is one.
    pub async fn import(
        &self,
        _tar: impl AsyncRead + Send + Unpin + 'static,
        _reference: Option<&str>,
        _changes: &[String],
        _message: &str,
    ) -> Result<ImageId, ImportError> {
        todo!()
    }

    /// Fetches an image by tag or digest for `platform` (none: this host's). Everyone who asks for the same at the same time
    /// shares one download; it is given up when the last of them is gone.
    pub async fn pull(
        &self,
        _reference: &str,
        _auth: Option<Auth>,
        _platform: Option<&str>,
        _progress: Progress,
    ) -> Result<Pulled, PullError> {
        todo!()
    }

    /// What the registry has under this name. Fetches no layers.
    pub async fn distribution(
        &self,
        _reference: &str,
        _auth: Option<Auth>,
    ) -> Result<Distribution, PullError> {
        todo!()
    }

    /// All images, the newest first.
    pub fn list(&self) -> Vec<Arc<ImageRecord>> {
        todo!()
    }

    /// The image of this name, ID or beginning of an ID.
    pub fn inspect(&self, _name_or_id: &str) -> Result<Arc<ImageRecord>, LookupError> {
        todo!()
    }

    /// The image's steps, the newest first.
    pub fn history(&self, _name_or_id: &str) -> Result<Vec<HistoryEntry>, LookupError> {
        todo!()
    }

    /// Gives the image `source` the further name `target`. Blocks for a disk sync.
    pub fn tag(&self, _source: &str, _target: &str) -> Result<ImageId, TagError> {
        todo!()
    }

    /// Takes a name away, or deletes the image, as `docker image rm` does. `in_use` tells who uses an image. Blocks for a
    /// disk sync.
    pub fn remove(
        &self,
        _name_or_id: &str,
        _force: bool,
        _in_use: &dyn Fn(&ImageId) -> Vec<ContainerUse>,
    ) -> Result<Vec<Removed>, RemoveError> {
        todo!()
    }

    /// The layers of an image for a container's root.
    pub fn rootfs(&self, _id: &ImageId) -> Result<RootfsLayers, LookupError> {
        todo!()
    }

    /// The layers of a container that was made before the daemon's restart, by the chain ID of [`LayerHold`]. They are there
    /// although the image may have been removed by force since.
    pub fn hold_layers(&self, _chain_id: &Digest) -> Result<LayerHold, LookupError> {
        todo!()
    }

    /// Removes blobs and layers that no image needs and nobody holds. For the daemon's start, after the holds of containers
    /// were taken again ([`Images::hold_layers`]). Blocks.
    pub fn gc(&self) -> Result<Collected, StoreError> {
        todo!()
    }
}

/// The bytes of a saved archive, as they are made. An item that is an error ends it.
pub struct SaveStream;

impl Stream for SaveStream {
    type Item = std::io::Result<bytes::Bytes>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        todo!()
    }
}
