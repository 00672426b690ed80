//! What [`crate::Images`] takes and gives.

use std::fmt;
use std::path::PathBuf;

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::holds::Hold;
use crate::record::ImageId;
use crate::reference::Reference;

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

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Auth::Basic({username:?}, <redacted>)"),
            Self::Bearer(_) => f.write_str("Auth::Bearer(<redacted>)"),
        }
    }
}

/// An image that [`crate::Images::load`] brought.
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

/// What [`crate::Images::pull`] brought.
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

/// A container that uses an image, for [`crate::Images::remove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerUse {
    /// The container's ID in full.
    pub id: String,
    /// Whether it runs now.
    pub running: bool,
}

/// What [`crate::Images::remove`] did, step by step.
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
    /// The chain ID of the whole; [`crate::Images::hold_layers`] takes it again after a restart.
    pub chain_id: Option<Digest>,
    /// Overlay lower directories, topmost first.
    pub lower: Vec<PathBuf>,
    /// Gives the layers up when it is dropped.
    pub(crate) _hold: Hold,
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

/// What [`crate::Images::gc`] freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Layers removed.
    pub layers: usize,
    /// Blobs removed.
    pub blobs: usize,
    /// Bytes freed, about.
    pub bytes: u64,
}
